//! The current ledger of this process, from the counts of its queues.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use crate::ledger::Ledger;
use crate::pipeline::{self, Queue};

/// The service and its queues, which have the ledger's counts.
#[derive(Clone)]
pub(crate) struct Book {
    service: String,
    spans: Vec<Arc<Queue>>,
    logs: Vec<Arc<Queue>>,
    metrics: Vec<Arc<Queue>>,
    is_closed: Arc<AtomicBool>,
}

static CURRENT: RwLock<Option<Book>> = RwLock::new(None);

/// The current ledger of this process; `None` before telemetry starts. If the process has several
/// [`Telemetry`](crate::Telemetry) guards, it is the ledger of the first one that has not been shut down.
pub fn current_ledger() -> Option<Ledger> {
    CURRENT.read().unwrap_or_else(PoisonError::into_inner).as_ref().map(Book::ledger)
}

/// The queues for spans of the process's current telemetry.
pub(crate) fn span_queues() -> Vec<Arc<Queue>> {
    let current = CURRENT.read().unwrap_or_else(PoisonError::into_inner);
    current.as_ref().map(|book| book.spans.clone()).unwrap_or_default()
}

impl Book {
    pub(crate) fn new(service: &str, spans: Vec<Arc<Queue>>, logs: Vec<Arc<Queue>>, metrics: Vec<Arc<Queue>>) -> Self {
        Self { service: service.to_owned(), spans, logs, metrics, is_closed: Arc::default() }
    }

    /// Makes this the process's book, unless an earlier one is still open. Returns whether it is.
    pub(crate) fn open(&self) -> bool {
        let mut current = CURRENT.write().unwrap_or_else(PoisonError::into_inner);
        let is_free = current.as_ref().is_none_or(|earlier| earlier.is_closed.load(Ordering::Relaxed));
        if is_free {
            *current = Some(self.clone());
        }
        is_free
    }

    /// Delivers what is queued within `timeout`, and accepts nothing more.
    pub(crate) fn close(&self, timeout: Duration) {
        self.is_closed.store(true, Ordering::Relaxed);
        pipeline::close(self.queues(), timeout);
    }

    pub(crate) fn ledger(&self) -> Ledger {
        let destinations = self.queues().map(|queue| queue.counts()).collect();
        Ledger { service: self.service.clone(), destinations }
    }

    pub(crate) fn queues(&self) -> impl Iterator<Item = &Arc<Queue>> + Clone {
        self.spans.iter().chain(&self.logs).chain(&self.metrics)
    }
}
