//! Honeycomb receives plain OTLP, with its key among the endpoint's headers.

use std::io;

use super::settings::{HONEYCOMB, Honeycomb};
use crate::destinations::destination::{Queues, Start};
use crate::destinations::otlp::exporter::start_both;

pub(super) fn start(honeycomb: &Honeycomb, start: &Start<'_>) -> io::Result<Queues> {
    start_both([HONEYCOMB.name, "honeycomb-logs"], &honeycomb.endpoints, start)
}
