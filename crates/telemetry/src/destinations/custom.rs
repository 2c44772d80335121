//! A destination of the caller's own, with a queue, workers and an entry in the ledger like any other.

use std::fmt;
use std::io;
use std::sync::Arc;

use super::destination::Start;
use crate::ledger::RecordKind;
use crate::pipeline::{DestinationLabel, Exporter, Pace, Queue};
use crate::resource::Resource;

/// A destination of the caller's own for spans: see [the module](crate::exporter).
pub struct CustomDestination {
    name: String,
    address: String,
    workers: usize,
    start: StartQueue,
}

type StartQueue = Box<dyn Fn(DestinationLabel, Pace, Arc<Resource>) -> io::Result<Arc<Queue>> + Send>;

impl CustomDestination {
    /// A destination that exports by what `make` makes, given the resource of the process. Each worker makes an exporter on its
    /// own thread, and another one if that panics. `name` is the destination's in start-up lines, in the ledger and on threads;
    /// if another destination has it, a number is added.
    pub fn new<E: Exporter>(name: &str, make: impl Fn(&Resource) -> E + Send + Sync + 'static) -> Self {
        let make = Arc::new(make);
        let start: StartQueue = Box::new(move |label, pace, resource| {
            let make = Arc::clone(&make);
            Queue::start(label, pace, move || make(&resource))
        });
        Self { name: name.to_owned(), address: "in this process".to_owned(), workers: Pace::default().flights, start }
    }

    /// Where the records go, as start-up lines and the ledger show it. It must hold no secret.
    #[must_use]
    pub fn at(self, address: &str) -> Self {
        Self { address: address.to_owned(), ..self }
    }

    /// How many exports may be in flight, each on a thread of its own: from 1 to 16, by default 4. With one, batches are exported
    /// in the order in which their spans ended.
    #[must_use]
    pub fn workers(self, workers: usize) -> Self {
        Self { workers: workers.clamp(1, 16), ..self }
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn address(&self) -> &str {
        &self.address
    }

    /// Starts the workers. The ledger shows the destination as `name`.
    ///
    /// # Errors
    /// A thread cannot be started.
    pub(crate) fn start(&self, name: &str, start: &Start<'_>) -> io::Result<Arc<Queue>> {
        let (name, endpoint) = (name.to_owned(), self.address.clone());
        let label = DestinationLabel { name, kind: "custom", records: RecordKind::Span, endpoint };
        let pace = Pace { flights: self.workers, ..start.pace };
        (self.start)(label, pace, Arc::new(start.resource.clone()))
    }
}

impl fmt::Debug for CustomDestination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, address, workers, start: _ } = self;
        f.debug_struct("CustomDestination")
            .field("name", name)
            .field("address", address)
            .field("workers", workers)
            .finish_non_exhaustive()
    }
}
