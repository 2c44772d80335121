//! A span read back out of its encoding, without a copy of its texts: for destinations that speak something else than OTLP.

use opentelemetry::trace::{SpanId, SpanKind, TraceId};

use super::Value;
use super::recording::{IS_REMOTE, field};
use crate::protobuf::{Field, Fields};

/// An ended span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Reading<'a> {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// The parent is another process's.
    pub(crate) parent_is_remote: bool,
    pub(crate) name: &'a str,
    pub(crate) kind: SpanKind,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Nanoseconds since 1970.
    pub(crate) end: u64,
    pub(crate) attributes: Vec<(&'a str, Value<'a>)>,
    pub(crate) events: Vec<Event<'a>>,
    pub(crate) failed: bool,
}

/// Something that happened within a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event<'a> {
    pub(crate) name: &'a str,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) attributes: Vec<(&'a str, Value<'a>)>,
}

impl<'a> Reading<'a> {
    /// What the bytes of [`super::Recording::finish`] say.
    pub(crate) fn of(record: &'a [u8]) -> Self {
        let mut reading = Self {
            trace: TraceId::INVALID,
            id: SpanId::INVALID,
            parent: None,
            parent_is_remote: false,
            name: "",
            kind: SpanKind::Internal,
            start: 0,
            end: 0,
            attributes: Vec::with_capacity(16),
            events: Vec::new(),
            failed: false,
        };
        for (number, value) in Fields(record) {
            reading.take(number, value);
        }
        reading
    }

    fn take(&mut self, number: u64, value: Field<'a>) {
        const ATTRIBUTE: u64 = field::ATTRIBUTE as u64;
        const EVENT: u64 = field::EVENT as u64;
        match (number, value) {
            (ATTRIBUTE, Field::Bytes(bytes)) => self.attributes.push(attribute(bytes)),
            (EVENT, Field::Bytes(bytes)) => self.events.push(event(bytes)),
            (field::FLAGS, Field::Fixed32(flags)) => self.parent_is_remote = flags & IS_REMOTE != 0,
            (number, Field::Bytes(bytes)) => match u8::try_from(number) {
                Ok(field::TRACE_ID) => self.trace = bytes.try_into().map_or(TraceId::INVALID, TraceId::from_bytes),
                Ok(field::SPAN_ID) => self.id = span_id(bytes).unwrap_or(SpanId::INVALID),
                Ok(field::PARENT) => self.parent = span_id(bytes),
                Ok(field::NAME) => self.name = text(bytes),
                Ok(field::STATUS) => self.failed = Fields(bytes).any(|field| field == (3, Field::Number(2))),
                _ => {}
            },
            (number, Field::Fixed64(nanoseconds)) if number == u64::from(field::START) => self.start = nanoseconds,
            (number, Field::Fixed64(nanoseconds)) if number == u64::from(field::END) => self.end = nanoseconds,
            (number, Field::Number(kind)) if number == u64::from(field::KIND) => {
                self.kind = match kind {
                    2 => SpanKind::Server,
                    3 => SpanKind::Client,
                    4 => SpanKind::Producer,
                    5 => SpanKind::Consumer,
                    _ => SpanKind::Internal,
                };
            }
            _ => {}
        }
    }
}

fn event(bytes: &[u8]) -> Event<'_> {
    let mut event = Event { name: "", time: 0, attributes: Vec::new() };
    for field in Fields(bytes) {
        match field {
            (1, Field::Fixed64(nanoseconds)) => event.time = nanoseconds,
            (2, Field::Bytes(bytes)) => event.name = text(bytes),
            (3, Field::Bytes(bytes)) => event.attributes.push(attribute(bytes)),
            _ => {}
        }
    }
    event
}

/// A `KeyValue` as [`super::attribute`] writes it: the key, then the value.
fn attribute(bytes: &[u8]) -> (&str, Value<'_>) {
    let mut fields = Fields(bytes);
    let key = fields.bytes().map(text).unwrap_or_default();
    let value = match fields.bytes().and_then(|value| Fields(value).next()) {
        Some((1, Field::Bytes(bytes))) => Value::Text(text(bytes)),
        Some((2, Field::Number(flag))) => Value::Bool(flag != 0),
        Some((3, Field::Number(int))) => Value::Int(int.cast_signed()),
        Some((4, Field::Fixed64(bits))) => Value::Float(f64::from_bits(bits)),
        _ => Value::Text(""),
    };
    (key, value)
}

fn text(bytes: &[u8]) -> &str {
    str::from_utf8(bytes).unwrap_or_default()
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().map(SpanId::from_bytes).ok()
}
