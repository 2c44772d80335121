//! OTLP's protobuf, read field by field: nothing is built that a few bytes could make large. Strict: what is cut off, or has
//! another type than it should, is no message.

use std::borrow::Cow;

use opentelemetry::trace::{SpanId, TraceId};

use super::{ATTRIBUTES, Any, EVENT_ATTRIBUTES, EVENTS, Happened, Told};
use crate::protobuf::{Field, Fields};
use crate::span::reading;

const WRONG: &str = "a field has another type than OTLP gives it";

/// Calls `each` for each span of an `ExportTraceServiceRequest`, with the name of its service.
pub(super) fn read(message: &[u8], mut each: impl FnMut(Option<&str>, Told<'_>)) -> Result<(), String> {
    for field in fields(message) {
        let (1, Field::Bytes(part)) = field? else { continue };
        let mut service = None;
        for field in fields(part) {
            match field? {
                (1, Field::Bytes(resource)) => service = service_of(resource)?.or(service),
                (2, Field::Bytes(_)) | (3.., _) => {}
                _ => return Err(WRONG.to_owned()),
            }
        }
        for field in fields(part) {
            let (2, Field::Bytes(scope)) = field? else { continue };
            for field in fields(scope) {
                if let (2, Field::Bytes(span)) = field? {
                    each(service.as_deref(), told(span)?);
                }
            }
        }
    }
    Ok(())
}

fn service_of(resource: &[u8]) -> Result<Option<Cow<'_, str>>, String> {
    for field in fields(resource) {
        if let (1, Field::Bytes(entry)) = field?
            && let (key, Any::Text(name)) = attribute(entry)?
            && key == "service.name"
        {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

fn told(span: &[u8]) -> Result<Told<'_>, String> {
    let mut told = Told::default();
    for field in fields(span) {
        match field? {
            (1, Field::Bytes(id)) => told.trace = id.try_into().ok().map(TraceId::from_bytes).filter(is_valid_trace),
            (2, Field::Bytes(id)) => told.id = span_id(id),
            (4, Field::Bytes(id)) => {
                told.parent = span_id(id);
                told.parent_is_invalid = told.parent.is_none() && !id.is_empty();
            }
            (5, Field::Bytes(name)) => told.name = text(name)?,
            (6, Field::Number(kind)) => told.kind = kind,
            (7, Field::Fixed64(start)) => told.start = start,
            (8, Field::Fixed64(end)) => told.end = end,
            (9, Field::Bytes(entry)) => {
                let entry = attribute(entry)?;
                keep(&mut told.attributes, ATTRIBUTES, entry, &mut told.dropped[0]);
            }
            (10, Field::Number(count)) => told.dropped[0] = told.dropped[0].saturating_add(count_of(count)),
            (11, Field::Bytes(entry)) => {
                let event = event(entry)?;
                keep(&mut told.events, EVENTS, event, &mut told.dropped[1]);
            }
            (12, Field::Number(count)) => told.dropped[1] = told.dropped[1].saturating_add(count_of(count)),
            (13, Field::Bytes(_)) => told.dropped[2] = told.dropped[2].saturating_add(1),
            (14, Field::Number(count)) => told.dropped[2] = told.dropped[2].saturating_add(count_of(count)),
            (15, Field::Bytes(status)) => {
                for field in fields(status) {
                    match field? {
                        (2, Field::Bytes(message)) => told.description = text(message)?,
                        (3, Field::Number(code)) => told.failed = code == 2,
                        _ => {}
                    }
                }
            }
            (16, Field::Fixed32(flags)) => told.parent_is_remote = reading::is_remote(flags),
            (3, Field::Bytes(_)) | (17.., _) => {}
            _ => return Err(WRONG.to_owned()),
        }
    }
    Ok(told)
}

fn event(bytes: &[u8]) -> Result<Happened<'_>, String> {
    let mut event = Happened::default();
    for field in fields(bytes) {
        match field? {
            (1, Field::Fixed64(time)) => event.time = time,
            (2, Field::Bytes(name)) => event.name = text(name)?,
            (3, Field::Bytes(entry)) => keep(&mut event.attributes, EVENT_ATTRIBUTES, attribute(entry)?, &mut 0),
            (4, Field::Number(_)) | (5.., _) => {}
            _ => return Err(WRONG.to_owned()),
        }
    }
    Ok(event)
}

fn attribute(bytes: &[u8]) -> Result<(Cow<'_, str>, Any<'_>), String> {
    let (mut key, mut value) = (Cow::Borrowed(""), Any::Other);
    for field in fields(bytes) {
        match field? {
            (1, Field::Bytes(bytes)) => key = text(bytes)?,
            (2, Field::Bytes(bytes)) => {
                for field in fields(bytes) {
                    value = match field? {
                        (1, Field::Bytes(bytes)) => Any::Text(text(bytes)?),
                        (2, Field::Number(flag)) => Any::Bool(flag != 0),
                        (3, Field::Number(int)) => Any::Int(int.cast_signed()),
                        (4, Field::Fixed64(bits)) => Any::Float(f64::from_bits(bits)),
                        (1..=4, _) => return Err(WRONG.to_owned()),
                        _ => Any::Other,
                    }
                }
            }
            (3.., _) => {}
            _ => return Err(WRONG.to_owned()),
        }
    }
    Ok((key, value))
}

fn keep<T>(list: &mut Vec<T>, most: usize, item: T, dropped: &mut u32) {
    if list.len() < most {
        list.push(item);
    } else {
        *dropped = dropped.saturating_add(1);
    }
}

fn count_of(count: u64) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

fn is_valid_trace(id: &TraceId) -> bool {
    *id != TraceId::INVALID
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().ok().map(SpanId::from_bytes).filter(|id| *id != SpanId::INVALID)
}

fn text(bytes: &[u8]) -> Result<Cow<'_, str>, String> {
    str::from_utf8(bytes).map(Cow::Borrowed).map_err(|_| "a text is not UTF-8".to_owned())
}

/// The fields of a message, and an error where the bytes are none.
fn fields(bytes: &[u8]) -> impl Iterator<Item = Result<(u64, Field<'_>), String>> {
    let mut left = Fields(bytes);
    std::iter::from_fn(move || {
        if left.0.is_empty() {
            return None;
        }
        let field = left.next().ok_or_else(|| "the message is cut off or is no protobuf".to_owned());
        if field.is_err() {
            left = Fields(&[]);
        }
        Some(field)
    })
}
