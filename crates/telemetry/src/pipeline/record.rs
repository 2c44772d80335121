//! An ended span, or a log record, as it waits in the queues. All destinations share one copy of its bytes.

use std::ops::Deref;
use std::sync::Arc;

use crate::resource::Resource;

/// An encoding that all destinations share.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    encoding: Arc<[u8]>,
    /// The process that made the record, if it is not this process.
    maker: Option<Arc<Resource>>,
}

impl Record {
    /// The same record, made by another process.
    pub(crate) fn made_by(self, maker: &Arc<Resource>) -> Self {
        Self { maker: Some(Arc::clone(maker)), ..self }
    }

    /// Whether `maker` made the record; `None` is this process.
    pub(crate) fn is_of(&self, maker: Option<&Arc<Resource>>) -> bool {
        self.maker.as_ref().map(Arc::as_ptr) == maker.map(Arc::as_ptr)
    }

    /// The makers of the records of `batch`, without this process. Nearly always none.
    pub(crate) fn makers(batch: &[Self]) -> Vec<Arc<Resource>> {
        let mut makers: Vec<Arc<Resource>> = Vec::new();
        for maker in batch.iter().filter_map(|record| record.maker.as_ref()) {
            if !makers.iter().any(|known| Arc::ptr_eq(known, maker)) {
                makers.push(Arc::clone(maker));
            }
        }
        makers
    }
}

impl Deref for Record {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.encoding
    }
}

impl<T: Into<Arc<[u8]>>> From<T> for Record {
    fn from(encoding: T) -> Self {
        Self { encoding: encoding.into(), maker: None }
    }
}
