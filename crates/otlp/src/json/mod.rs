//! OTLP's JSON. Each level of a message is split into its members' raw text, so that a fault affects only the member that has it, and a message takes no
//! more memory than its bytes. Unknown members are ignored, and `null` is the default.

pub(crate) mod members;
pub(crate) mod scalar;

use std::borrow::Cow;

use serde_json::value::RawValue;

use self::members::{items, object, optional, store};
use self::scalar::Raw;
use crate::attribute::{Attribute, Attributes, Value};
use crate::fault::{Fault, Malformed};
use crate::model::{Bounds, DEPTH, Event, Kind, Link, Resource, Scope, Span, Status, StatusCode};

const TRACE_ID: &str = "is not 32 hex digits";
const SPAN_ID: &str = "is not 16 hex digits";

/// Calls `each` for each span of an `ExportTraceServiceRequest`.
pub(crate) fn spans<'a>(
    message: &'a [u8],
    bounds: &Bounds,
    mut each: impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    let json: &RawValue = serde_json::from_slice(message).map_err(Malformed::new)?;
    let json = Raw { field: "the message", json };
    if json.is_null() {
        return Err(json.fault("is not an object").into());
    }
    let mut parts = None;
    object(json, |name, value| {
        if name == "resourceSpans" {
            parts = Some(Raw { field: "resourceSpans", json: value });
        }
    })?;
    let mut result = Ok(());
    optional(parts, |part| {
        if result.is_ok() {
            result = resource_spans(part, bounds, &mut each);
        }
    })?;
    result
}

fn resource_spans<'a>(
    part: Raw<'a>,
    bounds: &Bounds,
    each: &mut impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    let (mut resource, mut scopes) = (Resource::default(), None);
    let mut made_by = None;
    object(part, |name, json| match name {
        "resource" => made_by = Some(Raw { field: "resource", json }),
        "scopeSpans" => scopes = Some(Raw { field: "scopeSpans", json }),
        "schemaUrl" => resource.schema_url = Raw { field: "schemaUrl", json }.text().unwrap_or_default(),
        _ => {}
    })?;
    if let Some(made_by) = made_by {
        object(made_by, |name, json| resource.attributes.member(name, json, bounds.attributes))?;
    }
    let mut result = Ok(());
    optional(scopes, |part| {
        if result.is_ok() {
            result = scope_spans(part, &resource, bounds, each);
        }
    })?;
    result
}

fn scope_spans<'a>(
    part: Raw<'a>,
    resource: &Resource<'a>,
    bounds: &Bounds,
    each: &mut impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    let (mut scope, mut spans) = (Scope::default(), None);
    let mut made_by = None;
    object(part, |name, json| match name {
        "scope" => made_by = Some(Raw { field: "scope", json }),
        "spans" => spans = Some(Raw { field: "spans", json }),
        "schemaUrl" => scope.schema_url = Raw { field: "schemaUrl", json }.text().unwrap_or_default(),
        _ => {}
    })?;
    if let Some(made_by) = made_by {
        object(made_by, |name, json| match name {
            "name" => scope.name = Raw { field: "scope.name", json }.text().unwrap_or_default(),
            "version" => scope.version = Raw { field: "scope.version", json }.text().unwrap_or_default(),
            _ => scope.attributes.member(name, json, bounds.attributes),
        })?;
    }
    optional(spans, |span| each(resource, &scope, self::span(span, bounds)))?;
    Ok(())
}

fn span<'a>(json: Raw<'a>, bounds: &Bounds) -> Result<Span<'a>, Fault> {
    let mut span = Span::new();
    let (mut trace_id, mut span_id) = (Ok([0; 16]), Ok([0; 8]));
    object(json, |name, json| {
        let raw = |field| Raw { field, json };
        match name {
            "traceId" => trace_id = raw("traceId").id(TRACE_ID),
            "spanId" => span_id = raw("spanId").id(SPAN_ID),
            "parentSpanId" => span.set_parent(raw("parentSpanId").id(SPAN_ID)),
            "traceState" => span.set(raw("traceState").text(), |span, text| span.trace_state = text),
            "flags" => span.set(raw("flags").unsigned_32(), |span, flags| span.flags = flags),
            "name" => span.set(raw("name").text(), |span, name| span.name = name),
            "kind" => span.set(raw("kind").enumeration(), |span, kind| span.kind = Kind::of(kind)),
            "startTimeUnixNano" => {
                span.set(raw("startTimeUnixNano").unsigned(), |span, start| span.start = start);
            }
            "endTimeUnixNano" => span.set(raw("endTimeUnixNano").unsigned(), |span, end| span.end = end),
            "attributes" => {
                let items = items(raw("attributes"), |entry| {
                    let kept = span.attributes.keep(bounds.attributes, attribute(entry, DEPTH));
                    span.set(kept, |_, ()| {});
                });
                span.set(items, |_, ()| {});
            }
            "droppedAttributesCount" => {
                let count = raw("droppedAttributesCount").unsigned_32();
                span.set(count, |span, count| add(&mut span.attributes.dropped, count));
            }
            "events" => {
                let items = items(raw("events"), |json| span.keep_event(bounds, event(json, bounds)));
                span.set(items, |_, ()| {});
            }
            "droppedEventsCount" => {
                let count = raw("droppedEventsCount").unsigned_32();
                span.set(count, |span, count| add(&mut span.dropped_events, count));
            }
            "links" => {
                let items = items(raw("links"), |json| span.keep_link(bounds, link(json, bounds)));
                span.set(items, |_, ()| {});
            }
            "droppedLinksCount" => {
                let count = raw("droppedLinksCount").unsigned_32();
                span.set(count, |span, count| add(&mut span.dropped_links, count));
            }
            "status" => span.set(status(raw("status")), |span, status| span.status = status),
            _ => {}
        }
    })?;
    (span.trace_id, span.span_id) = (trace_id?, span_id?);
    span.checked()
}

fn event<'a>(json: Raw<'a>, bounds: &Bounds) -> Result<Event<'a>, Fault> {
    let (mut event, mut result) = (Event::default(), Ok(()));
    object(json, |name, json| match name {
        "timeUnixNano" => store(&mut result, Raw { field: "events.timeUnixNano", json }.unsigned(), &mut event.time),
        "name" => store(&mut result, Raw { field: "events.name", json }.text(), &mut event.name),
        _ => event.attributes.member(name, json, bounds.inner_attributes),
    })?;
    result.map(|()| event)
}

fn link<'a>(json: Raw<'a>, bounds: &Bounds) -> Result<Link<'a>, Fault> {
    let mut link =
        Link { trace_id: [0; 16], span_id: [0; 8], trace_state: Cow::Borrowed(""), attributes: Attributes::default() };
    let mut result = Ok(());
    object(json, |name, json| match name {
        "traceId" => store(&mut result, Raw { field: "links.traceId", json }.id(TRACE_ID), &mut link.trace_id),
        "spanId" => store(&mut result, Raw { field: "links.spanId", json }.id(SPAN_ID), &mut link.span_id),
        "traceState" => store(&mut result, Raw { field: "links.traceState", json }.text(), &mut link.trace_state),
        _ => link.attributes.member(name, json, bounds.inner_attributes),
    })?;
    result.and_then(|()| link.checked())
}

fn status(json: Raw<'_>) -> Result<Status<'_>, Fault> {
    let (mut status, mut result) = (Status::default(), Ok(()));
    object(json, |name, json| match name {
        "message" => store(&mut result, Raw { field: "status.message", json }.text(), &mut status.message),
        "code" => {
            let code = Raw { field: "status.code", json }.enumeration().map(StatusCode::of);
            store(&mut result, code, &mut status.code);
        }
        _ => {}
    })?;
    result.map(|()| status)
}

fn attribute(json: Raw<'_>, depth: usize) -> Result<Attribute<'_>, Fault> {
    let (mut key, mut value, mut result) = (Cow::Borrowed(""), None, Ok(()));
    object(json, |name, json| match name {
        "key" => store(&mut result, Raw { field: "attributes.key", json }.text(), &mut key),
        "value" => value = Some(Raw { field: "attributes.value", json }),
        _ => {}
    })?;
    result?;
    if key.is_empty() {
        return Err(Fault { field: "attributes.key", why: "is empty" });
    }
    Ok(Attribute { key, value: value.map_or(Ok(Value::Empty), |value| self::value(value, depth))? })
}

fn value(json: Raw<'_>, depth: usize) -> Result<Value<'_>, Fault> {
    let field = json.field;
    let depth = depth.checked_sub(1).ok_or(json.fault("nests deeper than 32"))?;
    let mut value = Ok(Value::Empty);
    object(json, |name, json| {
        let raw = Raw { field, json };
        // A member of a oneof that is `null` is unset.
        if raw.is_null() {
            return;
        }
        value = match name {
            "stringValue" => raw.text().map(Value::Text),
            "boolValue" => raw.boolean().map(Value::Bool),
            "intValue" => raw.signed().map(Value::Int),
            "doubleValue" => raw.double().map(Value::Double),
            "bytesValue" => raw.bytes().map(Cow::Owned).map(Value::Bytes),
            "arrayValue" => list(raw, |item| self::value(item, depth)).map(Value::Array),
            "kvlistValue" => list(raw, |entry| attribute(entry, depth)).map(Value::Map),
            _ => return,
        };
    })?;
    value
}

/// Reads the `values` of an `ArrayValue` or a `KeyValueList`.
fn list<'a, T>(json: Raw<'a>, read: impl Fn(Raw<'a>) -> Result<T, Fault>) -> Result<Vec<T>, Fault> {
    let mut values = None;
    object(json, |name, value| {
        if name == "values" {
            values = Some(Raw { field: json.field, json: value });
        }
    })?;
    let (mut list, mut result) = (Vec::new(), Ok(()));
    optional(values, |value| match read(value) {
        Ok(value) if result.is_ok() => list.push(value),
        Ok(_) => {}
        Err(fault) => result = Err(fault),
    })?;
    result.map(|()| list)
}

impl<'a> Attributes<'a> {
    /// Reads a member of the object to which these attributes belong.
    fn member(&mut self, name: &str, json: &'a RawValue, limit: usize) {
        // An invalid value is counted as dropped; its object is kept.
        match name {
            "attributes" => {
                let items = items(Raw { field: "attributes", json }, |entry| {
                    let _counted: Result<(), Fault> = self.keep(limit, attribute(entry, DEPTH));
                });
                if items.is_err() {
                    add(&mut self.dropped, 1);
                }
            }
            "droppedAttributesCount" => {
                let count = Raw { field: "droppedAttributesCount", json }.unsigned_32();
                add(&mut self.dropped, count.unwrap_or_default());
            }
            _ => {}
        }
    }
}

fn add(dropped: &mut u32, count: u32) {
    *dropped = dropped.saturating_add(count);
}
