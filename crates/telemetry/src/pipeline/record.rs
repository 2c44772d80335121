//! An ended span, a log record, or an export of metrics, as it waits in the queues. All destinations share one copy of its bytes.

use std::ops::Deref;
use std::sync::Arc;

use crate::resource::Resource;
use crate::scope::LibraryScope;

/// An ended span, or a log record, as OTLP's encoding of its `Span` or `LogRecord` message. A clone shares the bytes.
#[derive(Debug, Clone)]
pub struct Record {
    encoding: Arc<[u8]>,
    /// Nearly always none: our own instrumentation of this process.
    maker: Option<Maker>,
    /// What the ledger counts it as: a span or a log record is one, metrics are as many as they have points.
    count: usize,
}

#[derive(Debug, Clone)]
enum Maker {
    /// Another process.
    Process(Arc<Resource>),
    /// A library of this process.
    Library(Arc<LibraryScope>),
}

impl Record {
    /// The name of the service that made the record, if it is not this process's: the span was relayed.
    pub fn relayed_for(&self) -> Option<&str> {
        self.process().map(|process| process.service())
    }

    /// The same record, made by another process.
    pub(crate) fn made_by(self, maker: &Arc<Resource>) -> Self {
        Self { maker: Some(Maker::Process(Arc::clone(maker))), ..self }
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

    /// The same record, made by a library of this process.
    pub(crate) fn made_within(self, scope: &Arc<LibraryScope>) -> Self {
        Self { maker: Some(Maker::Library(Arc::clone(scope))), ..self }
    }

    /// Whether `maker` made the record; `None` is this process, by itself or by a library.
    pub(crate) fn is_of(&self, maker: Option<&Arc<Resource>>) -> bool {
        self.process().map(Arc::as_ptr) == maker.map(Arc::as_ptr)
    }

    /// Whether this process made the record, by the library `scope`; `None` is its own instrumentation.
    pub(crate) fn is_within(&self, scope: Option<&Arc<LibraryScope>>) -> bool {
        self.process().is_none() && self.library() == scope
    }

    /// The makers of the records of `batch`, without this process. Nearly always none.
    pub(crate) fn makers(batch: &[Self]) -> Vec<Arc<Resource>> {
        let mut makers: Vec<Arc<Resource>> = Vec::new();
        for maker in batch.iter().filter_map(Self::process) {
            if !makers.iter().any(|known| Arc::ptr_eq(known, maker)) {
                makers.push(Arc::clone(maker));
            }
        }
        makers
    }

    /// The libraries of this process that made records of `batch`.
    pub(crate) fn libraries(batch: &[Self]) -> Vec<Arc<LibraryScope>> {
        let mut libraries: Vec<Arc<LibraryScope>> = Vec::new();
        for library in batch.iter().filter_map(Self::library) {
            if !libraries.contains(library) {
                libraries.push(Arc::clone(library));
            }
        }
        libraries
    }

    fn process(&self) -> Option<&Arc<Resource>> {
        match &self.maker {
            Some(Maker::Process(process)) => Some(process),
            _ => None,
        }
    }

    fn library(&self) -> Option<&Arc<LibraryScope>> {
        match &self.maker {
            Some(Maker::Library(library)) => Some(library),
            _ => None,
        }
    }
}

/// The bytes of the message.
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
