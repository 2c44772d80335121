//! What happens, by `tracing`'s events: an event of its span, or a log record with the ids of its span. One that carries an error
//! is always its span's as well, an `exception` event with the error's message and causes, because that is where Honeycomb
//! and X-Ray look for it.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::mem;

use opentelemetry::trace::{SpanContext, TraceId};
use opentelemetry_semantic_conventions::attribute::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_log::NormalizeEvent;

use super::attribute::{attribute, cut};
use super::recording::{EXCEPTION, now};
use super::{Limits, Record, Recording, Value};
use otlp::wire::{bytes, field_len, fixed64, head, number};

/// Attributes are field 3 of OTLP's span event, and field 6 of its `LogRecord`.
const OF_SPAN: u8 = 3;
const OF_LOG: u8 = 6;

/// The field by which an event without a span names its trace.
const TRACE_ID: &str = "trace_id";
/// Severity, by OpenTelemetry's numbers.
const INFO: u64 = 9;

/// An event's fields, encoded.
pub(super) struct Told {
    message: String,
    field: u8,
    attributes: Vec<u8>,
    /// How many more there may be, and how many there were not.
    left: u32,
    dropped: u32,
    /// The span that an event without one names, as OpenTelemetry's
    /// [formats without OTLP](https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/) do.
    trace: Option<TraceId>,
    pub(super) is_exception: bool,
    value_bytes: usize,
}

impl Told {
    /// What `event` says, for the events of a span.
    pub(super) fn of_span(event: &Event<'_>, limits: Limits) -> Self {
        let mut told = Self::new(OF_SPAN, limits.event_attributes, limits.value_bytes);
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        told.put("level", Value::Text(metadata.level().as_str()));
        told.put("target", Value::Text(metadata.target()));
        event.record(&mut told);
        told
    }

    fn new(field: u8, most: u32, value_bytes: usize) -> Self {
        let (message, attributes) = (String::new(), Vec::new());
        Self { message, field, attributes, left: most, dropped: 0, trace: None, is_exception: false, value_bytes }
    }

    fn put(&mut self, key: &str, value: Value<'_>) {
        let Some(left) = self.left.checked_sub(1) else {
            self.dropped += 1;
            return;
        };
        self.left = left;
        attribute(&mut self.attributes, self.field, key, value, self.value_bytes);
    }
}

impl Recording {
    /// Adds what happened to the span's events.
    pub(super) fn happened(&mut self, mut told: Told) {
        if told.is_exception && !told.message.is_empty() {
            let message = mem::take(&mut told.message);
            told.put("message", Value::Text(&message));
        }
        number(&mut told.attributes, 4, told.dropped.into());
        let name = if told.is_exception { EXCEPTION } else { told.message.as_str() };
        self.event(name, &told.attributes);
    }
}

/// OTLP's `LogRecord` of an event that happened in `span`.
pub(super) fn log_record(event: &Event<'_>, span: Option<&SpanContext>, limits: Limits) -> Record {
    let normalized = event.normalized_metadata();
    let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
    let mut told = Told::new(OF_LOG, limits.log_attributes, limits.log_value_bytes);
    told.put("target", Value::Text(metadata.target()));
    event.record(&mut told);
    // The one that it happened in counts; another one is something that it says.
    if let Some(trace) = told.trace.filter(|trace| span.is_some_and(|span| span.trace_id() != *trace)) {
        told.put(TRACE_ID, Value::Text(&trace.to_string()));
    }
    let mut record = Vec::with_capacity(256);
    let now = now();
    fixed64(&mut record, 1, now);
    number(&mut record, 2, severity(metadata));
    bytes(&mut record, 3, metadata.level().as_str().as_bytes());
    body(&mut record, cut(&told.message, limits.log_value_bytes));
    record.extend_from_slice(&told.attributes);
    number(&mut record, 7, told.dropped.into());
    if let Some(span) = span {
        // Field 8, the flags, four bytes.
        record.push(0x45);
        record.extend_from_slice(&u32::from(span.trace_flags().to_u8()).to_le_bytes());
        bytes(&mut record, 9, &span.trace_id().to_bytes());
        bytes(&mut record, 10, &span.span_id().to_bytes());
    } else if let Some(trace) = told.trace {
        bytes(&mut record, 9, &trace.to_bytes());
    }
    fixed64(&mut record, 11, now);
    record.into()
}

fn body(record: &mut Vec<u8>, message: &str) {
    head(record, 5, field_len(message.len()));
    bytes(record, 1, message.as_bytes());
}

/// Of 32 hex digits in lower case, and no others.
fn trace_id(text: &str) -> Option<TraceId> {
    let is_one = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    TraceId::from_hex(text).ok().filter(|trace| is_one && *trace != TraceId::INVALID)
}

/// The name of an error's type, where its `Debug` is the derived one: the word that it begins with. What follows may hold
/// anything and stays out.
pub(crate) fn kind(error: &dyn Debug) -> Option<String> {
    let text = format!("{error:?}");
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let word = text.get(..end)?;
    // A message begins with a word too: a type's name has nothing, or a bracket, behind it.
    let is_name = word.starts_with(char::is_uppercase)
        && matches!(text.get(end..)?.trim_start().as_bytes(), [] | [b'(' | b'{', ..]);
    is_name.then(|| word.to_owned())
}

/// The causes of an error, a line each: what Rust has for a stack trace.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = writeln!(text, "caused by: {error}");
        cause = error.source();
    }
    text
}

/// By OpenTelemetry's [table](https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber).
fn severity(metadata: &Metadata<'_>) -> u64 {
    match *metadata.level() {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => INFO,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

impl Visit for Told {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            // What the bridge from `log` says of its own callsite.
            key if key.starts_with("log.") => {}
            TRACE_ID if self.field == OF_LOG && trace_id(value).is_some() => self.trace = trace_id(value),
            key => self.put(key, Value::Text(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            match i64::try_from(value) {
                Ok(value) => self.put(field.name(), Value::Int(value)),
                Err(_) => self.put(field.name(), Value::Text(&value.to_string())),
            }
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        self.is_exception = true;
        if let Some(kind) = kind(&value) {
            self.put(EXCEPTION_TYPE, Value::Text(&kind));
        }
        self.put(EXCEPTION_MESSAGE, Value::Text(&value.to_string()));
        let causes = causes(value);
        if !causes.is_empty() {
            self.put(EXCEPTION_STACKTRACE, Value::Text(&causes));
        }
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
