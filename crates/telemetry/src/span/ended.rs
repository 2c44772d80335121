//! A view of an ended span, read back out of its encoding, for exporters and tests.

use std::fmt;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry::trace::{SpanId, SpanKind, TraceId};

use super::reading::{self, Head, Reading, Scalar};
use crate::pipeline::Record;
use crate::value::{IntoValue, Value};

/// A view of an ended span. Its texts are within the span's limits.
#[derive(Debug)]
pub struct EndedSpan<'a> {
    head: Head,
    content: Reading<'a>,
}

/// An event of an ended span.
#[derive(Debug, Clone)]
pub struct SpanEvent<'a>(reading::Event<'a>);

/// The value of an attribute of an ended span.
#[derive(Debug, Clone, PartialEq)]
pub enum AttributeValue<'a> {
    /// `true` or `false`.
    Bool(bool),
    /// A whole number.
    Int(i64),
    /// Any other number.
    Float(f64),
    /// A text.
    Text(&'a str),
    /// Values of one kind.
    Array(Vec<AttributeValue<'a>>),
}

/// Whether a span failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SpanStatus<'a> {
    /// Nothing is known.
    Unset,
    /// The application has set OK.
    Ok,
    /// The span failed: why, in words; empty if that is not known.
    Error(&'a str),
}

impl Record {
    /// The span that this record is. Parses the whole record.
    pub fn span(&self) -> EndedSpan<'_> {
        EndedSpan::of(self)
    }
}

impl<'a> EndedSpan<'a> {
    pub(crate) fn of(encoding: &'a [u8]) -> Self {
        let (head, rest) = Head::of(encoding);
        let mut content = Reading::empty();
        content.read(rest);
        Self { head, content }
    }

    /// The id of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.head.trace
    }

    /// The span's own id.
    pub fn span_id(&self) -> SpanId {
        self.head.id
    }

    /// The parent's id; `None` if the span is the first of its trace.
    pub fn parent_id(&self) -> Option<SpanId> {
        self.head.parent
    }

    /// Whether the parent is a span of another process.
    pub fn has_remote_parent(&self) -> bool {
        self.head.parent_is_remote
    }

    /// The name.
    pub fn name(&self) -> &'a str {
        self.content.name.as_str()
    }

    /// Which side of an exchange the span is.
    pub fn kind(&self) -> SpanKind {
        self.content.kind.clone()
    }

    /// When the span started.
    pub fn start(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.head.start)
    }

    /// How long the span took; zero if the clock went back meanwhile.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.head.end.saturating_sub(self.head.start))
    }

    /// Whether the span failed.
    pub fn status(&self) -> SpanStatus<'a> {
        match (self.content.failed, self.content.is_ok) {
            (true, _) => SpanStatus::Error(self.content.description.as_str()),
            (false, true) => SpanStatus::Ok,
            (false, false) => SpanStatus::Unset,
        }
    }

    /// The attributes. Each key is there once.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, AttributeValue<'a>)> {
        self.content.attributes.iter().map(pair)
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<AttributeValue<'a>> {
        self.attributes().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// The events, in the order in which they were recorded.
    pub fn events(&self) -> impl Iterator<Item = SpanEvent<'a>> {
        self.content.events.iter().cloned().map(SpanEvent)
    }

    /// The trace and the span of each link.
    pub fn links(&self) -> impl Iterator<Item = (TraceId, SpanId)> {
        self.content.links.iter().copied()
    }
}

impl<'a> SpanEvent<'a> {
    /// The name; `exception` for an exception.
    pub fn name(&self) -> &'a str {
        self.0.name.as_str()
    }

    /// When it happened.
    pub fn time(&self) -> SystemTime {
        UNIX_EPOCH + Duration::from_nanos(self.0.time)
    }

    /// The attributes. Each key is there once.
    pub fn attributes(&self) -> impl Iterator<Item = (&'a str, AttributeValue<'a>)> {
        self.0.attributes.iter().map(pair)
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<AttributeValue<'a>> {
        self.attributes().find(|(own, _)| *own == key).map(|(_, value)| value)
    }
}

impl AttributeValue<'_> {
    /// Whether an attribute that is set to `value` has this value.
    ///
    /// ```
    /// use telemetry::span::AttributeValue;
    /// assert!(AttributeValue::Int(7).equals(7_u16) && !AttributeValue::Int(7).equals("7"));
    /// ```
    pub fn equals(&self, value: impl IntoValue) -> bool {
        let mut is_equal = false;
        value.apply(|value| is_equal = self.is(&value));
        is_equal
    }

    fn is(&self, value: &Value<'_>) -> bool {
        match (self, value) {
            (Self::Bool(own), Value::Bool(other)) => own == other,
            (Self::Int(own), Value::Int(other)) => own == other,
            (Self::Float(own), Value::Float(other)) => own == other,
            (Self::Text(own), Value::Text(other)) => own == other,
            (Self::Array(own), Value::Array(others)) => {
                own.len() == others.len() && own.iter().zip(*others).all(|(own, other)| own.is(other))
            }
            _ => false,
        }
    }
}

impl<'a> From<Scalar<'a>> for AttributeValue<'a> {
    fn from(value: Scalar<'a>) -> Self {
        match value {
            Scalar::Bool(flag) => Self::Bool(flag),
            Scalar::Int(int) => Self::Int(int),
            Scalar::Float(float) => Self::Float(float),
            Scalar::Text(text) => Self::Text(text.as_str()),
            Scalar::Array(values) => Self::Array(reading::items(values).map(Self::from).collect()),
        }
    }
}

/// A text between quotes, any other value as Rust writes it.
impl fmt::Display for AttributeValue<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Bool(flag) => write!(f, "{flag}"),
            Self::Int(int) => write!(f, "{int}"),
            Self::Float(float) => write!(f, "{float:?}"),
            Self::Text(text) => write!(f, "{text:?}"),
            Self::Array(values) => {
                let values: Vec<String> = values.iter().map(Self::to_string).collect();
                write!(f, "[{}]", values.join(", "))
            }
        }
    }
}

pub(super) fn pair<'a>(&(key, value): &reading::Attribute<'a>) -> (&'a str, AttributeValue<'a>) {
    (key.as_str(), value.into())
}
