//! Spans as X-Ray segments: [`translate`] makes the documents, [`Daemon`] sends them. A document a span, each in a datagram of
//! its own; nothing is nested yet.

mod daemon;
mod translate;

pub(crate) use daemon::Daemon;
