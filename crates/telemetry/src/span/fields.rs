//! Writes the fields of a `tracing` span into its encoding. Fields that begin with `otel.` set its name, kind and status.

use std::error::Error;
use std::fmt;

use opentelemetry::trace::SpanKind;
use tracing::field::{Field, Visit};

use super::event::{self, causes};
use super::recording::Recording;
use crate::value::Value;

/// Writes a `tracing` span's fields into its encoding.
pub(super) struct FieldRecorder<'r>(pub(super) &'r mut Recording);

impl Visit for FieldRecorder<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.0.name(value.to_owned()),
            "otel.kind" => self.0.kind(kind(value)),
            "otel.status_code" => self.0.status(value),
            "otel.status_description" => self.0.describe(value),
            key => self.0.set(key, Value::Text(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.0.set(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.0.set(field.name(), Value::Int(value)),
            Err(_) => self.0.set(field.name(), Value::Text(&value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.0.set(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.0.set(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn Error + 'static)) {
        self.0.exception(&event::kind(&value).unwrap_or_default(), &value.to_string(), &causes(value));
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
