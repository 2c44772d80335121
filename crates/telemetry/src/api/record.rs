//! What OpenTelemetry's API records on a span.

use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{SpanContext, Status};

use super::values::{encoded, with_value};
use crate::clock::nanoseconds;
use crate::span::Recording;

/// Attributes are field 3 of OTLP's span event, and field 4 of its link.
const OF_EVENT: u8 = 3;
const OF_LINK: u8 = 4;

pub(crate) fn set(span: &mut Recording, attribute: &KeyValue) {
    with_value(&attribute.value, |value| span.set(attribute.key.as_str(), value));
}

/// [Ok is final](https://opentelemetry.io/docs/specs/otel/trace/api/#set-status), and Unset changes nothing.
pub(crate) fn set_status(span: &mut Recording, status: &Status) {
    match status {
        Status::Unset => {}
        Status::Ok => span.status("ok"),
        Status::Error { description } => {
            span.status("error");
            span.describe(description);
        }
    }
}

pub(crate) fn event(span: &mut Recording, name: &str, at: SystemTime, attributes: &[KeyValue]) {
    let limits = span.limits;
    let attributes = encoded(OF_EVENT, attributes, limits.event_attributes, limits.value_bytes);
    span.event_at(nanoseconds(at), name, &attributes);
}

pub(crate) fn link(span: &mut Recording, to: &SpanContext, attributes: &[KeyValue]) {
    if !to.is_valid() {
        return;
    }
    let limits = span.limits;
    let state = Some(to.trace_state().header()).filter(|state| !state.is_empty());
    let attributes = encoded(OF_LINK, attributes, limits.link_attributes, limits.value_bytes);
    span.link_with(to.into(), state.as_deref(), &attributes);
}
