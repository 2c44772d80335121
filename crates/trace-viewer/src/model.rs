//! A span in the viewer's form, of either protocol, and X-Ray's document as it was sent.

use std::borrow::Cow;
use std::fmt;
use std::num::NonZeroU64;
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};

use chrono::{DateTime, SecondsFormat};
use serde::{Serialize, Serializer};
use serde_json::value::RawValue;

/// 16 bytes; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct TraceId(u128);

/// 8 bytes; never all zero.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct SpanId(NonZeroU64);

/// Nanoseconds since 1970-01-01 UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Nanos(pub u64);

/// One operation, as one protocol reported it.
#[derive(Debug, Clone)]
pub struct Span {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id; an OTLP span and an X-Ray segment of the same operation share it.
    pub span_id: SpanId,
    /// The span that it is a part of or was called by.
    pub parent: Option<SpanId>,
    /// The service that performed the operation; unknown for an X-Ray subsegment that was sent separately.
    pub service: Option<Arc<str>>,
    /// The operation's name.
    pub name: Box<str>,
    /// The span's role.
    pub kind: Kind,
    /// When the operation started.
    pub start: Nanos,
    /// When it ended; `None` while it runs.
    pub end: Option<Nanos>,
    /// Whether it succeeded.
    pub outcome: Code,
    /// The database that it called: databases send no spans themselves.
    pub database: Option<Arc<str>>,
    /// Whether it was made in a browser.
    pub is_browser: bool,
    /// The protocol that reported the span.
    pub source: Source,
    /// The part of an X-Ray document that describes the span.
    pub document: Option<DocumentPart>,
    /// Its [`Details`], as a JSON object.
    pub details: Box<RawValue>,
}

/// The parts of a span that only its reader needs. They are most of its bytes, and are stored as the JSON that the reader gets. `A` is the form of
/// attributes: OTLP's, or the fields of an X-Ray document.
#[derive(Serialize)]
pub struct Details<'a, A> {
    /// The operation's details: OTLP's attributes, or an X-Ray document's fields.
    pub attributes: A,
    /// The events during the operation.
    pub events: Vec<Event<'a, A>>,
    /// Related spans besides the parent.
    pub links: Vec<Link<A>>,
    /// How the operation ended.
    pub status: Status<'a>,
}

/// A part of an X-Ray document, or the whole.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct DocumentPart {
    /// The document's id.
    #[serde(rename = "document")]
    pub id: SpanId,
    /// The length of this part of it, with what is nested in it.
    pub bytes: usize,
}

/// A segment, or a separately sent subsegment, as it was sent.
#[derive(Debug)]
pub struct Document {
    /// The trace it belongs to.
    pub trace_id: TraceId,
    /// Its own id.
    pub id: SpanId,
    /// The document that it is a part of or was called by.
    pub parent: Option<SpanId>,
    /// The name of the segment or subsegment.
    pub name: String,
    /// [`Kind::Segment`] or [`Kind::Subsegment`].
    pub kind: Kind,
    /// When it started.
    pub start: Nanos,
    /// Whether it was sent before it ended.
    pub in_progress: bool,
    /// When the document arrived.
    pub received: Nanos,
    /// How many subsegments are nested in it, at any depth.
    pub subsegments: usize,
    /// The JSON, byte for byte.
    pub text: Box<RawValue>,
}

/// An event at a moment of a span.
#[derive(Serialize)]
pub struct Event<'a, A> {
    /// The event's name.
    pub name: Cow<'a, str>,
    /// The event's time; X-Ray gives none for exceptions.
    pub time: Option<Nanos>,
    /// Details of the event.
    pub attributes: A,
}

/// Another span that is related to this one, often of another trace.
#[derive(Serialize)]
pub struct Link<A> {
    /// The trace of the other span.
    pub trace_id: TraceId,
    /// The other span's id.
    pub span_id: SpanId,
    /// Details of the link.
    pub attributes: A,
}

/// How a span ended.
#[derive(Serialize)]
pub struct Status<'a> {
    /// Success, failure, or unset.
    pub code: Code,
    /// The status in words.
    pub message: Option<Cow<'a, str>>,
}

/// A status code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry's own words")]
pub enum Code {
    #[default]
    Unset,
    Ok,
    Error,
}

/// A span's role.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(missing_docs, reason = "OpenTelemetry's and X-Ray's own words")]
pub enum Kind {
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
    Segment,
    Subsegment,
}

/// The protocol that reported a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Source {
    /// OTLP/HTTP.
    Otlp,
    /// An X-Ray segment document.
    Xray,
}

impl TraceId {
    /// `None` for an id that is not 16 bytes or is all zero.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().map(u128::from_be_bytes).ok().filter(|id| *id != 0).map(Self)
    }

    /// The 16 bytes.
    pub fn to_bytes(self) -> [u8; 16] {
        self.0.to_be_bytes()
    }

    /// Parses 32 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u128::from_str_radix(text, 16).ok())?.filter(|id| *id != 0).map(Self)
    }
}

impl SpanId {
    /// `None` for an id that is not 8 bytes or is all zero. In a parent, all zero means that there is none.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        bytes.try_into().map(u64::from_be_bytes).ok().and_then(NonZeroU64::new).map(Self)
    }

    /// The 8 bytes.
    pub fn to_bytes(self) -> [u8; 8] {
        self.0.get().to_be_bytes()
    }

    /// Parses 16 hex digits.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.len() == 16 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        digits.then(|| u64::from_str_radix(text, 16).ok())?.and_then(NonZeroU64::new).map(Self)
    }
}

/// The bytes that an allocation takes from the system's allocator: a header of eight, and multiples of sixteen.
pub(crate) const fn allocated(bytes: usize) -> usize {
    if bytes == 0 { 0 } else { (bytes + 8).next_multiple_of(16) }
}

/// The two counters of an `Arc`.
const COUNTERS: usize = 16;

impl Document {
    /// How much memory the document takes, in bytes.
    pub fn size(&self) -> usize {
        allocated(COUNTERS + size_of::<Self>()) + allocated(self.name.len()) + allocated(self.text.get().len())
    }
}

impl<A: Serialize> Details<'_, A> {
    /// The JSON object.
    pub fn to_json(&self) -> Box<RawValue> {
        // Only a map whose keys are not text fails.
        serde_json::value::to_raw_value(self).unwrap_or_default()
    }
}

impl Span {
    /// Milliseconds from start to end.
    pub fn duration_ms(&self) -> Option<f64> {
        self.end.map(|end| end.ms_since(self.start))
    }

    /// How much memory the span takes, in bytes; more than that if it shares its service with other spans.
    pub fn size(&self) -> usize {
        let shared = [&self.service, &self.database].into_iter().flatten();
        let shared: usize = shared.map(|name| allocated(COUNTERS + name.len())).sum();
        let own = allocated(self.name.len()) + allocated(self.details.get().len());
        allocated(COUNTERS + size_of::<Self>()) + own + shared
    }
}

/// The most bytes of a name: names are repeated in every list of traces.
pub(crate) const NAME: usize = 256;

/// The start of a name, cut between characters.
pub(crate) fn short(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME)).unwrap_or_default()
}

impl Nanos {
    /// The time by this machine's clock; 0 if the clock is wrong by half a century.
    pub fn now() -> Self {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self(u64::try_from(since.as_nanos()).unwrap_or(u64::MAX))
    }

    /// Milliseconds since `start`; 0 if this is earlier.
    #[expect(clippy::cast_precision_loss, reason = "a duration that a float cannot hold exactly lasts 104 days")]
    pub fn ms_since(self, start: Self) -> f64 {
        self.0.saturating_sub(start.0) as f64 / 1e6
    }
}

impl fmt::Display for TraceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Display for SpanId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

/// RFC 3339 in UTC with nanoseconds.
impl fmt::Display for Nanos {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).map(DateTime::from_timestamp_nanos).unwrap_or_default();
        f.write_str(&time.to_rfc3339_opts(SecondsFormat::Nanos, true))
    }
}

macro_rules! serialize_as_text {
    ($($type:ty),*) => {$(
        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
    )*};
}
serialize_as_text!(TraceId, SpanId, Nanos);

/// The names of values in the API and in queries.
macro_rules! named {
    ($type:ident: $($variant:ident = $name:literal),*) => {
        impl $type {
            /// All names.
            pub(crate) const NAMES: &[&str] = &[$($name),*];

            /// The value's name.
            pub(crate) fn name(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)*
                }
            }
        }

        impl Serialize for $type {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.serialize_str(self.name())
            }
        }
    };
}
named!(Code: Unset = "unset", Ok = "ok", Error = "error");
named!(Kind: Internal = "internal", Server = "server", Client = "client", Producer = "producer", Consumer = "consumer",
    Segment = "segment", Subsegment = "subsegment");
named!(Source: Otlp = "otlp", Xray = "xray");
