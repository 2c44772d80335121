//! The current ledger of this process, from the counts of its queues.

use std::sync::{Arc, OnceLock};

use crate::ledger::Ledger;
use crate::pipeline::Queue;

/// The service and its queues, which have the ledger's counts.
#[derive(Clone)]
pub(crate) struct Book {
    pub(crate) service: String,
    pub(crate) queues: Vec<Arc<Queue>>,
}

static BOOK: OnceLock<Book> = OnceLock::new();

/// The current ledger of this process; `None` before telemetry is installed.
pub fn current_ledger() -> Option<Ledger> {
    BOOK.get().map(Book::ledger)
}

/// Makes `book` the one that [`current_ledger`] reads. A process can install telemetry only once, because it has one `tracing`
/// subscriber.
pub(crate) fn open(book: Book) {
    // There cannot be a second book: the subscriber was installed first.
    drop(BOOK.set(book));
}

impl Book {
    pub(crate) fn ledger(&self) -> Ledger {
        let destinations = self.queues.iter().map(|queue| queue.counts()).collect();
        Ledger { service: self.service.clone(), destinations }
    }
}
