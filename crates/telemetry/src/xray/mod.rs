//! Spans as X-Ray segments: [`translate`] makes the documents, [`Daemon`] sends them. A document a span, each in a datagram of
//! its own; nothing is nested yet.

mod backlog;
mod daemon;
mod json;
mod socket;
mod translate;

pub(crate) use daemon::Daemon;
#[cfg(feature = "honeycomb")]
pub(crate) use translate::write;
