//! `tracing`'s events: each becomes an event of its span, or a log record with the ids of its span.
//!
//! Each failure is an error in the trace, without any code in the application. An ERROR event fails its span and becomes its
//! `exception` event, where Honeycomb and X-Ray look for it, even if events are log records. The error is the field `error`, as
//! `#[instrument(err)]` writes it, or any field that is a `dyn Error`; otherwise it is the event's message. A second event for
//! the same failure of one span is an ordinary event. An event of another level is a failure that the application has handled,
//! and does not fail the span: it has the error's attributes under its message, or is an `exception` event if it has no message.

use std::error::Error;
use std::fmt::{Debug, Write as _};
use std::mem;

use opentelemetry::trace::TraceId;
use opentelemetry_semantic_conventions::attribute::{EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Metadata};
use tracing_log::NormalizeEvent;

use otlp::wire::{bytes, field_len, fixed64, head, number};

use super::recording::{EXCEPTION, Recording};
use crate::attribute::{Attributes, cut};
use crate::clock::now;
use crate::context::SpanIds;
use crate::limits::Limits;
use crate::pipeline::Record;
use crate::value::Value;

/// Attributes are field 3 of OTLP's span event, and field 6 of its `LogRecord`.
const OF_SPAN: u8 = 3;
const OF_LOG: u8 = 6;

/// The field by which an event without a span names its trace.
const TRACE_ID: &str = "trace_id";
/// Severity, by OpenTelemetry's numbers.
const INFO: u64 = 9;

/// The field in which `tracing`'s own macros record an error that is not a `dyn Error`.
const ERROR: &str = "error";

/// An event's fields, encoded.
pub(super) struct EncodedEvent {
    message: String,
    attributes: Attributes,
    is_log: bool,
    /// The trace that an event without a span names, as OpenTelemetry's
    /// [formats without OTLP](https://opentelemetry.io/docs/specs/otel/compatibility/logging_trace_context/) do.
    trace: Option<TraceId>,
    /// Whether the event fails its span: its level is ERROR.
    pub(super) is_failure: bool,
    /// The message of the event's error.
    error: Option<String>,
    /// The name of an event without a message: its place in the source.
    name: &'static str,
}

impl EncodedEvent {
    /// Encodes `event` for the events of a span.
    pub(super) fn of_span(event: &Event<'_>, limits: Limits) -> Self {
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let mut encoded =
            Self::new(event, metadata, Attributes::new(OF_SPAN, limits.event_attributes, limits.value_bytes));
        encoded.attributes.set("level", Value::Text(metadata.level().as_str()));
        encoded.attributes.set("target", Value::Text(metadata.target()));
        event.record(&mut encoded);
        encoded
    }

    fn new(event: &Event<'_>, metadata: &Metadata<'_>, attributes: Attributes) -> Self {
        let is_log = attributes.field() == OF_LOG;
        let (is_failure, name) = (*metadata.level() == Level::ERROR, event.metadata().name());
        Self { message: String::new(), attributes, is_log, trace: None, is_failure, error: None, name }
    }

    /// Records an error that is only text. If `Debug` formatted it, the word before a bracket is the error's type.
    fn error_text(&mut self, text: &str) {
        if let Some(kind) = type_in(text) {
            self.attributes.set(EXCEPTION_TYPE, Value::Text(kind));
        }
        self.attributes.set(EXCEPTION_MESSAGE, Value::Text(text));
        self.error = Some(text.to_owned());
    }
}

impl Recording {
    /// Adds an event to the span's events.
    pub(super) fn record_event(&mut self, mut event: EncodedEvent) {
        let message = mem::take(&mut event.message);
        let mut name = if message.is_empty() { event.name } else { &message };
        if event.is_failure && self.fails_anew(event.error.as_deref().unwrap_or(name)) {
            if event.error.is_none() {
                event.attributes.set(EXCEPTION_MESSAGE, Value::Text(name));
            } else if !message.is_empty() {
                event.attributes.set("message", Value::Text(&message));
            }
            name = EXCEPTION;
        } else if !event.is_failure && event.error.is_some() && message.is_empty() {
            name = EXCEPTION;
        }
        let mut attributes = event.attributes.encoding().to_vec();
        number(&mut attributes, 4, event.attributes.dropped.into());
        self.event(name, &attributes);
    }
}

/// OTLP's `LogRecord` of an event that happened in `span`.
pub(super) fn log_record(event: &Event<'_>, span: Option<SpanIds>, limits: Limits) -> Record {
    let normalized = event.normalized_metadata();
    let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
    let attributes = Attributes::new(OF_LOG, limits.log_attributes, limits.log_value_bytes);
    let mut encoded = EncodedEvent::new(event, metadata, attributes);
    encoded.attributes.set("target", Value::Text(metadata.target()));
    event.record(&mut encoded);
    // The trace in which the event happened takes precedence; a different trace is one of the event's attributes.
    if let Some(trace) = encoded.trace.filter(|trace| span.is_some_and(|span| span.trace != *trace)) {
        encoded.attributes.set(TRACE_ID, Value::Text(&trace.to_string()));
    }
    let mut record = Vec::with_capacity(256);
    let now = now();
    fixed64(&mut record, 1, now);
    number(&mut record, 2, severity(metadata));
    bytes(&mut record, 3, metadata.level().as_str().as_bytes());
    body(&mut record, cut(&encoded.message, limits.log_value_bytes));
    record.extend_from_slice(encoded.attributes.encoding());
    number(&mut record, 7, encoded.attributes.dropped.into());
    if let Some(span) = span {
        // Field 8, the flags, four bytes.
        record.push(0x45);
        record.extend_from_slice(&u32::from(span.flags.to_u8()).to_le_bytes());
        bytes(&mut record, 9, &span.trace.to_bytes());
        bytes(&mut record, 10, &span.span.to_bytes());
    } else if let Some(trace) = encoded.trace {
        bytes(&mut record, 9, &trace.to_bytes());
    }
    fixed64(&mut record, 11, now);
    record.into()
}

fn body(record: &mut Vec<u8>, message: &str) {
    head(record, 5, field_len(message.len()));
    bytes(record, 1, message.as_bytes());
}

/// Parses exactly 32 hex digits in lower case.
fn trace_id(text: &str) -> Option<TraceId> {
    let is_one = text.len() == 32 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    TraceId::from_hex(text).ok().filter(|trace| is_one && *trace != TraceId::INVALID)
}

/// The name of an error's type, if its `Debug` is the derived one.
pub(crate) fn kind(error: &dyn Debug) -> Option<String> {
    type_in(&format!("{error:?}")).map(str::to_owned)
}

/// The first word of a derived `Debug`. The text after it may contain any data and is omitted.
fn type_in(text: &str) -> Option<&str> {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let (word, rest) = text.split_at_checked(end)?;
    // A message also begins with a word, but only a type's name is followed by a bracket or by nothing.
    let is_name = rest.is_empty() || rest.starts_with('(') || rest.starts_with(" {");
    (is_name && word.starts_with(char::is_uppercase)).then_some(word)
}

/// The start of each further line of a message in [`causes`].
pub(crate) const CONTINUED: &str = "\n\t";

/// The causes of an error, one per line: Rust's equivalent of a stack trace. Further lines of a message are indented by a tab.
pub(crate) fn causes(error: &dyn Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = writeln!(text, "caused by: {}", error.to_string().replace('\n', CONTINUED));
        cause = error.source();
    }
    text
}

/// The severity in OpenTelemetry's [table](https://opentelemetry.io/docs/specs/otel/logs/data-model/#field-severitynumber).
fn severity(metadata: &Metadata<'_>) -> u64 {
    match *metadata.level() {
        Level::TRACE => 1,
        Level::DEBUG => 5,
        Level::INFO => INFO,
        Level::WARN => 13,
        Level::ERROR => 17,
    }
}

impl Visit for EncodedEvent {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "message" => self.message = value.to_owned(),
            // The bridge from `log` describes its callsite in these fields.
            key if key.starts_with("log.") => {}
            TRACE_ID if self.is_log && trace_id(value).is_some() => self.trace = trace_id(value),
            ERROR => self.error_text(value),
            key => {
                if key == EXCEPTION_MESSAGE {
                    self.error = Some(value.to_owned());
                }
                self.attributes.set(key, Value::Text(value));
            }
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.attributes.set(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        if !field.name().starts_with("log.") {
            match i64::try_from(value) {
                Ok(value) => self.attributes.set(field.name(), Value::Int(value)),
                Err(_) => self.attributes.set(field.name(), Value::Text(&value.to_string())),
            }
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.attributes.set(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.attributes.set(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        let message = value.to_string();
        if let Some(kind) = kind(&value) {
            self.attributes.set(EXCEPTION_TYPE, Value::Text(&kind));
        }
        self.attributes.set(EXCEPTION_MESSAGE, Value::Text(&message));
        let causes = causes(value);
        if !causes.is_empty() {
            self.attributes.set(EXCEPTION_STACKTRACE, Value::Text(&causes));
        }
        self.error = Some(message);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}
