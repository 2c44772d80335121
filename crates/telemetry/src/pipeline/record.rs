//! An ended span, a log record, or an export of metrics, as it waits in the queues. All destinations share one copy of its bytes.

use std::ops::Deref;
use std::sync::Arc;

use crate::resource::Resource;

/// An encoding that all destinations share.
#[derive(Debug, Clone)]
pub(crate) struct Record {
    encoding: Arc<[u8]>,
    /// The process that made the record, if it is not this process.
    maker: Option<Arc<Resource>>,
    /// What the ledger counts it as: a span or a log record is one, metrics are as many as they have points.
    count: usize,
}

impl Record {
    /// The same record, made by another process.
    pub(crate) fn made_by(self, maker: &Arc<Resource>) -> Self {
        Self { maker: Some(Arc::clone(maker)), ..self }
    }

    /// The same record, which the ledger counts as `count`.
    #[cfg_attr(not(feature = "metrics"), expect(dead_code, reason = "only metrics count as more than one"))]
    pub(crate) fn counting(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// What the ledger counts the record as.
    pub(crate) fn count(&self) -> usize {
        self.count
    }

    /// What the ledger counts the records of `batch` as.
    pub(crate) fn total(batch: &[Self]) -> usize {
        batch.iter().map(Self::count).sum()
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
        Self { encoding: encoding.into(), maker: None, count: 1 }
    }
}
