//! The fields of a `tracing` span, written into its encoding; those that begin with `otel.` give its name, kind and status.

use std::error::Error;
use std::fmt;

use opentelemetry::trace::SpanKind;
use tracing::field::{Field, Visit};

use super::event::{self, causes};
use super::{Recording, Value};

/// Writes a `tracing` span's fields into its encoding.
pub(super) struct Fields<'r> {
    pub(super) recording: &'r mut Recording,
    /// No attribute can have the same key.
    pub(super) new: bool,
}

impl Fields<'_> {
    fn put(&mut self, key: &str, value: Value<'_>) {
        if self.new { self.recording.add(key, value) } else { self.recording.set(key, value) }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.recording.name(value.to_owned()),
            "otel.kind" => self.recording.kind(kind(value)),
            "otel.status_code" => self.recording.status(value),
            "otel.status_description" => self.recording.describe(value),
            key => self.put(key, Value::Text(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field.name(), Value::Int(value)),
            Err(_) => self.put(field.name(), Value::Text(&value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        self.recording.exception(&event::kind(value).unwrap_or_default(), &value.to_string(), &causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

fn kind(text: &str) -> SpanKind {
    for (name, kind) in [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ] {
        if text.eq_ignore_ascii_case(name) {
            return kind;
        }
    }
    SpanKind::Internal
}
