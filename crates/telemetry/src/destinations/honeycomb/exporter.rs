//! Honeycomb receives plain OTLP, with its key among the endpoint's headers.

use std::io;

use super::settings::{HONEYCOMB, Honeycomb};
use crate::destinations::destination::{Queues, Start};
use crate::destinations::otlp::exporter::start_all;

pub(super) fn start(honeycomb: &Honeycomb, start: &Start<'_>) -> io::Result<Queues> {
    start_all(HONEYCOMB, &honeycomb.endpoints, start)
}
