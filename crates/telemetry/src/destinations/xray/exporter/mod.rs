//! Spans as X-Ray segments: `translate` writes a span's part of a document, `pack` combines parts into documents, and `Daemon`
//! sends them. `sampling` requests the daemon's sampling rules.

mod alike;
#[cfg_attr(not(target_os = "linux"), path = "no_backlog.rs")]
mod backlog;
mod burst;
mod cause;
mod daemon;
mod fields;
mod json;
mod origin;
mod pack;
mod socket;
#[cfg(test)]
mod tests;
mod translate;

pub(crate) use daemon::Daemon;
pub(crate) use origin::Origin;
#[cfg(feature = "honeycomb")]
pub(crate) use pack::documents;
