//! Reads protobuf field by field, so that a few bytes cannot allocate much memory. A field of the wrong wire type is a fault of that field; bytes that
//! are not protobuf are a fault of the message that contains them.

use std::borrow::Cow;

use crate::attribute::{Attribute, Attributes, Value};
use crate::fault::{Fault, Malformed};
use crate::model::{Bounds, DEPTH, Event, Kind, Link, Resource, Scope, Span, Status, StatusCode};
use crate::wire::{Field, Fields};

pub(crate) const TYPE: &str = "has the wrong type";
const CUT: &str = "is truncated or is not protobuf";
const UTF_8: &str = "is not UTF-8";

/// Calls `each` for each span of an `ExportTraceServiceRequest`.
pub(crate) fn spans<'a>(
    message: &'a [u8],
    bounds: &Bounds,
    mut each: impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    for field in fields(message, "the message") {
        if let (1, field) = field? {
            resource_spans(message_of(field, "resourceSpans")?, bounds, &mut each)?;
        }
    }
    Ok(())
}

fn resource_spans<'a>(
    part: &'a [u8],
    bounds: &Bounds,
    each: &mut impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    let mut resource = Resource::default();
    // A resource may come after its spans.
    for field in fields(part, "resourceSpans") {
        match field? {
            (1, field) => resource.attributes = attributes_of(message_of(field, "resource")?, (1, 2), bounds)?,
            (3, Field::Bytes(url)) => resource.schema_url = lossy(url),
            _ => {}
        }
    }
    for field in fields(part, "resourceSpans") {
        if let (2, field) = field? {
            scope_spans(message_of(field, "scopeSpans")?, &resource, bounds, each)?;
        }
    }
    Ok(())
}

fn scope_spans<'a>(
    part: &'a [u8],
    resource: &Resource<'a>,
    bounds: &Bounds,
    each: &mut impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    let mut scope = Scope::default();
    for field in fields(part, "scopeSpans") {
        match field? {
            (1, field) => scope = self::scope(message_of(field, "scope")?, scope, bounds)?,
            (3, Field::Bytes(url)) => scope.schema_url = lossy(url),
            _ => {}
        }
    }
    for field in fields(part, "scopeSpans") {
        if let (2, field) = field? {
            each(resource, &scope, message_of(field, "spans").and_then(|bytes| span(bytes, bounds)));
        }
    }
    Ok(())
}

fn scope<'a>(bytes: &'a [u8], mut scope: Scope<'a>, bounds: &Bounds) -> Result<Scope<'a>, Fault> {
    scope.attributes = attributes_of(bytes, (3, 4), bounds)?;
    for field in fields(bytes, "scope") {
        match field? {
            (1, Field::Bytes(name)) => scope.name = lossy(name),
            (2, Field::Bytes(version)) => scope.version = lossy(version),
            _ => {}
        }
    }
    Ok(scope)
}

/// The attributes of a message that has them in one field and their dropped count in another.
fn attributes_of<'a>(bytes: &'a [u8], (entries, count): (u64, u64), bounds: &Bounds) -> Result<Attributes<'a>, Fault> {
    let mut attributes = Attributes::default();
    for field in fields(bytes, "attributes") {
        match field? {
            (number, Field::Bytes(entry)) if number == entries => {
                // An invalid value is counted as dropped; its message is kept.
                let _counted: Result<(), Fault> = attributes.keep(bounds.attributes, attribute(entry, DEPTH));
            }
            (number, Field::Number(dropped)) if number == count => add(&mut attributes.dropped, dropped),
            _ => {}
        }
    }
    Ok(attributes)
}

fn span<'a>(bytes: &'a [u8], bounds: &Bounds) -> Result<Span<'a>, Fault> {
    let mut span = Span::new();
    for field in fields(bytes, "span") {
        let (number, field) = field?;
        match (number, field) {
            (1, Field::Bytes(id)) => {
                span.trace_id = id.try_into().map_err(|_| fault("traceId", "is not 16 bytes long"))?
            }
            (2, Field::Bytes(id)) => {
                span.span_id = id.try_into().map_err(|_| fault("spanId", "is not 8 bytes long"))?
            }
            (3, field) => span.set(text(field, "traceState"), |span, text| span.trace_state = text),
            (4, Field::Bytes(b"")) => {}
            (4, Field::Bytes(id)) => {
                span.set_parent(id.try_into().map_err(|_| fault("parentSpanId", "is not 8 bytes long")))
            }
            (5, field) => span.set(text(field, "name"), |span, text| span.name = text),
            (6, Field::Number(kind)) => span.kind = Kind::of(kind),
            (7, Field::Fixed64(start)) => span.start = start,
            (8, Field::Fixed64(end)) => span.end = end,
            (9, field) => {
                let entry = message_of(field, "attributes").and_then(|entry| attribute(entry, DEPTH));
                let kept = span.attributes.keep(bounds.attributes, entry);
                span.set(kept, |_, ()| {});
            }
            (10, Field::Number(count)) => add(&mut span.attributes.dropped, count),
            (11, field) => span.keep_event(bounds, message_of(field, "events").and_then(|bytes| event(bytes, bounds))),
            (12, Field::Number(count)) => add(&mut span.dropped_events, count),
            (13, field) => span.keep_link(bounds, message_of(field, "links").and_then(|bytes| link(bytes, bounds))),
            (14, Field::Number(count)) => add(&mut span.dropped_links, count),
            (15, field) => {
                let status = message_of(field, "status").and_then(status);
                span.set(status, |span, status| span.status = status);
            }
            (16, Field::Fixed32(flags)) => span.flags = flags,
            (1..=16, _) => span.fault(fault("span", TYPE)),
            _ => {}
        }
    }
    span.checked()
}

fn event<'a>(bytes: &'a [u8], bounds: &Bounds) -> Result<Event<'a>, Fault> {
    let mut event = Event { attributes: inner_attributes(bytes, (3, 4), bounds)?, ..Event::default() };
    for field in fields(bytes, "events") {
        match field? {
            (1, Field::Fixed64(time)) => event.time = time,
            (2, field) => event.name = text(field, "events.name")?,
            (1, _) => return Err(fault("events.timeUnixNano", TYPE)),
            _ => {}
        }
    }
    Ok(event)
}

fn link<'a>(bytes: &'a [u8], bounds: &Bounds) -> Result<Link<'a>, Fault> {
    let attributes = inner_attributes(bytes, (4, 5), bounds)?;
    let mut link = Link { trace_id: [0; 16], span_id: [0; 8], trace_state: Cow::Borrowed(""), attributes };
    for field in fields(bytes, "links") {
        match field? {
            (1, Field::Bytes(id)) => link.trace_id = id.try_into().unwrap_or_default(),
            (2, Field::Bytes(id)) => link.span_id = id.try_into().unwrap_or_default(),
            (3, field) => link.trace_state = text(field, "links.traceState")?,
            _ => {}
        }
    }
    link.checked()
}

fn inner_attributes<'a>(bytes: &'a [u8], numbers: (u64, u64), bounds: &Bounds) -> Result<Attributes<'a>, Fault> {
    attributes_of(bytes, numbers, &Bounds { attributes: bounds.inner_attributes, ..*bounds })
}

fn status(bytes: &[u8]) -> Result<Status<'_>, Fault> {
    let mut status = Status::default();
    for field in fields(bytes, "status") {
        match field? {
            (2, field) => status.message = text(field, "status.message")?,
            (3, Field::Number(code)) => status.code = StatusCode::of(code),
            (3, _) => return Err(fault("status.code", TYPE)),
            _ => {}
        }
    }
    Ok(status)
}

fn attribute(bytes: &[u8], depth: usize) -> Result<Attribute<'_>, Fault> {
    let (mut key, mut value) = (Cow::Borrowed(""), Value::Empty);
    for field in fields(bytes, "attributes") {
        match field? {
            (1, field) => key = text(field, "attributes.key")?,
            (2, field) => value = self::value(message_of(field, "attributes.value")?, depth)?,
            _ => {}
        }
    }
    if key.is_empty() { Err(fault("attributes.key", "is empty")) } else { Ok(Attribute { key, value }) }
}

fn value(bytes: &[u8], depth: usize) -> Result<Value<'_>, Fault> {
    const VALUE: &str = "attributes.value";
    let depth = depth.checked_sub(1).ok_or(fault(VALUE, "nests deeper than 32"))?;
    let mut value = Value::Empty;
    for field in fields(bytes, VALUE) {
        value = match field? {
            (1, field) => Value::Text(text(field, VALUE)?),
            (2, Field::Number(flag)) => Value::Bool(flag != 0),
            (3, Field::Number(int)) => Value::Int(int.cast_signed()),
            (4, Field::Fixed64(bits)) => Value::Double(f64::from_bits(bits)),
            (5, field) => {
                let items = fields(message_of(field, VALUE)?, VALUE).filter_map(|item| match item {
                    Ok((1, item)) => Some(message_of(item, VALUE).and_then(|item| self::value(item, depth))),
                    Ok(_) => None,
                    Err(fault) => Some(Err(fault)),
                });
                Value::Array(items.collect::<Result<_, _>>()?)
            }
            (6, field) => {
                let entries = fields(message_of(field, VALUE)?, VALUE).filter_map(|entry| match entry {
                    Ok((1, entry)) => Some(message_of(entry, VALUE).and_then(|entry| attribute(entry, depth))),
                    Ok(_) => None,
                    Err(fault) => Some(Err(fault)),
                });
                Value::Map(entries.collect::<Result<_, _>>()?)
            }
            (7, Field::Bytes(bytes)) => Value::Bytes(Cow::Borrowed(bytes)),
            (2..=4 | 7, _) => return Err(fault(VALUE, TYPE)),
            _ => value,
        }
    }
    Ok(value)
}

pub(crate) fn fault(field: &'static str, why: &'static str) -> Fault {
    Fault { field, why }
}

fn add(dropped: &mut u32, count: u64) {
    *dropped = dropped.saturating_add(u32::try_from(count).unwrap_or(u32::MAX));
}

pub(crate) fn message_of<'a>(field: Field<'a>, name: &'static str) -> Result<&'a [u8], Fault> {
    match field {
        Field::Bytes(bytes) => Ok(bytes),
        _ => Err(fault(name, TYPE)),
    }
}

pub(crate) fn text<'a>(field: Field<'a>, name: &'static str) -> Result<Cow<'a, str>, Fault> {
    str::from_utf8(message_of(field, name)?).map(Cow::Borrowed).map_err(|_| fault(name, UTF_8))
}

/// A text whose fault costs no span.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// The highest number of a field.
const MAX_NUMBER: u64 = (1 << 29) - 1;

/// The fields of a message, and a fault if the bytes do not end after a field, or a field's number is not valid.
pub(crate) fn fields<'a>(bytes: &'a [u8], name: &'static str) -> impl Iterator<Item = Result<(u64, Field<'a>), Fault>> {
    let mut left = Fields(bytes);
    std::iter::from_fn(move || {
        if left.0.is_empty() {
            return None;
        }
        let field = left.next().filter(|(number, _)| (1..=MAX_NUMBER).contains(number)).ok_or(fault(name, CUT));
        if field.is_err() {
            left = Fields(&[]);
        }
        Some(field)
    })
}
