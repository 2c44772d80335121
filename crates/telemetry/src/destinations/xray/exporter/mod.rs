//! Spans as X-Ray segments: `translate` writes a span's part of a document, `pack` combines parts into documents, and
//! [`DaemonExporter`] sends them.

#[cfg_attr(not(target_os = "linux"), path = "no_backlog.rs")]
mod backlog;
mod burst;
mod cause;
mod daemon;
mod fields;
mod json;
mod metadata;
mod origin;
mod pack;
mod part;
mod socket;
#[cfg(test)]
mod tests;
mod text_cache;
mod translate;

use std::io;
use std::sync::Arc;

use super::settings::{XRAY, Xray};
use crate::destinations::destination::{Queues, Start};
use crate::ledger::RecordKind;
use crate::pipeline::{DestinationLabel, Pace, Queue};

use daemon::DaemonExporter;
use origin::Origin;

#[cfg(feature = "honeycomb")]
pub(crate) use pack::documents;

/// Starts the exporter.
pub(super) fn start(xray: &Xray, start: &Start<'_>) -> io::Result<Queues> {
    let (name, endpoint) = (XRAY.name.to_owned(), xray.address.to_string());
    let label = DestinationLabel { name, kind: "xray_udp", records: RecordKind::Span, endpoint };
    let origin = Arc::new(Origin::new(start.resource, &xray.indexed));
    let address = xray.address.clone();
    // Datagrams go out on one socket at a time, so that their pace can be kept.
    let pace = Pace { flights: 1, ..start.pace };
    let spans = Queue::start(label, pace, move || DaemonExporter::new(address.clone(), Arc::clone(&origin)))?;
    Ok(Queues { spans: Some(spans), ..Queues::default() })
}
