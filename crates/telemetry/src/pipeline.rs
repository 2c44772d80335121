//! From a span's end to its destination. Each destination has a bounded queue and its own worker threads, so that a slow
//! destination delays no other. A span never waits for space: if the queue is full, the span is dropped and counted. All counts
//! of a destination change under one lock, in the same step as the queue. Reaches exporters only through [`Exporter`].

mod delivery;
mod exporter;
mod flush;
mod pace;
mod queue;
mod record;
#[cfg(test)]
mod tests;

pub use exporter::{Exporter, Outcome};
pub use flush::NotFlushed;
pub(crate) use flush::{close, flush};
pub(crate) use pace::Pace;
pub(crate) use queue::{DestinationLabel, Queue};
pub use record::Record;
