//! A document's metadata: everything of a span that the document has no field for.

use std::mem;

use opentelemetry::trace::SpanKind;

use super::cause;
use super::fields::{Class, Fields, RESOURCE};
use super::json::{Json, key};
use super::origin::Origin;
use crate::span::reading::Reading;

/// Writes the metadata of `span`. The document's fields record its first `exceptions` exceptions.
pub(super) fn write(
    json: &mut Json<'_>,
    origin: &Origin,
    (span, fields): (&Reading<'_>, &Fields<'_>),
    is_segment: bool,
    exceptions: usize,
) {
    json.open_at(key!("metadata"));
    json.open_at(key!("otel"));
    json.text(key!("name"), span.name);
    json.text(key!("kind"), kind(&span.kind));
    if exceptions > 0 && !span.description.is_empty() {
        json.text(key!("status"), span.description);
    }
    let has_field = |class: Class, value| fields.has_field(class, value, is_segment);
    let attributes = span.attributes.iter().zip(&fields.classes);
    let others = attributes.filter(|((_, value), class)| !has_field(**class, *value));
    let mut is_open = false;
    for ((key, value), _) in others {
        if !mem::replace(&mut is_open, true) {
            json.open_at(key!("attributes"));
        }
        json.value(*key, *value);
    }
    if is_open {
        json.close();
    }
    if !span.events.is_empty() {
        events(json, span, exceptions);
    }
    json.close();
    if is_segment && !origin.metadata.is_empty() {
        json.object(RESOURCE, &origin.metadata);
    }
    for (namespace, object) in &fields.metadata {
        json.object(*namespace, object.as_str());
    }
    json.close();
}

/// Writes the events. Exceptions are included, with their time and everything that their fields do not record.
fn events(json: &mut Json<'_>, span: &Reading<'_>, mut exceptions: usize) {
    json.open_list_at(key!("events"));
    for event in &span.events {
        json.open();
        json.text(key!("name"), event.name);
        json.seconds(key!("time"), event.time);
        let is_recorded = cause::is_exception(event) && exceptions > 0;
        exceptions -= usize::from(is_recorded);
        let is_other = |key, value| !(is_recorded && cause::has_field(key, value));
        let mut others = event.attributes.iter().filter(|(key, value)| is_other(*key, *value)).peekable();
        if others.peek().is_some() {
            json.open_at(key!("attributes"));
            for (key, value) in others {
                json.value(*key, *value);
            }
            json.close();
        }
        json.close();
    }
    json.close_list();
}

fn kind(kind: &SpanKind) -> &'static str {
    match kind {
        SpanKind::Internal => "internal",
        SpanKind::Server => "server",
        SpanKind::Client => "client",
        SpanKind::Producer => "producer",
        SpanKind::Consumer => "consumer",
    }
}
