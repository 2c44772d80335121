//! Delivers other programs' spans together with this process's own, through the same queues and the same ledger. The caller
//! decides which senders are admitted, by a token in each span. Every byte is treated as hostile: a message that is not OTLP is
//! refused as a whole, an invalid span is rejected and counted, and only attributes on an allow list are kept. Knows no HTTP;
//! keeps no state between messages.

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanId, SpanKind, TraceFlags, TraceId};

pub use otlp::Encoding;
pub use otlp::response::failure as refusal;
use otlp::{Bounds, Kind, StatusCode, Value as Any};

use crate::attribute::Attributes;
use crate::book;
use crate::clock::nanoseconds;
use crate::context::SpanIds;
use crate::limits::{Limits, bounded};
use crate::pipeline::Record;
use crate::resource::Resource;
use crate::span::{Parent, Recording, id};
use crate::value::Value;

/// The attribute that carries a span's token. It is not recorded.
pub const TOKEN: &str = "telemetry.relay.token";
/// The attribute that marks a span as made by another service.
const RELAYED: &str = "telemetry.relayed";

/// The most spans of one message; further spans are rejected.
const SPANS: usize = 512;
/// The bounds for reading a span. No link is recorded.
const BOUNDS: Bounds = Bounds { attributes: 128, events: 32, links: 0, inner_attributes: 16 };
/// The most bytes of a name or a key.
const NAME: usize = 128;

/// How long ago a span may have started.
const OLDEST: Duration = Duration::from_secs(60 * 60);
/// How far in the future a span may end, because clocks differ.
const AHEAD: Duration = Duration::from_secs(60);

/// The allowed prefixes of an attribute's key. They exclude attributes that apply to more than one request, identify a person
/// or a machine, or have a meaning in X-Ray's documents.
const ALLOWED: [&str; 9] = [
    "browser.",
    "cruddur.",
    "error.",
    "exception.",
    "http.request.",
    "http.response.",
    "network.protocol.",
    "server.",
    "url.",
];
/// The parts of a URL that are not recorded.
const QUERY: [&str; 2] = ["url.query", "url.fragment"];
const URL: &str = "url.full";

/// Accepts spans of the given services only.
#[derive(Debug)]
pub struct Relay {
    makers: Vec<Arc<Resource>>,
}

/// The accepted spans of a message, and why the others were rejected.
#[derive(Debug, Default)]
pub struct RelayedSpans {
    records: Vec<Record>,
    /// The number of rejected spans, by reason.
    pub rejected: BTreeMap<Rejection, u64>,
}

/// Why a span is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// Its service is not relayed.
    Service,
    /// It has no valid ids or no name, or is neither INTERNAL nor CLIENT.
    Invalid,
    /// It started more than an hour ago, ends before it starts, or is in the future.
    Time,
    /// It has no valid token for its trace.
    Token,
    /// The message already has 512 accepted spans.
    TooMany,
}

impl Relay {
    /// Accepts spans whose resource has one of these as its `service.name`. Other attributes of a resource are ignored.
    pub fn new<'s>(services: impl IntoIterator<Item = &'s str>) -> Self {
        Self { makers: services.into_iter().map(|name| Arc::new(Resource::named(name))).collect() }
    }

    /// Reads the spans of `message`. `admits` decides by the trace id and the token. Delivers nothing yet.
    ///
    /// # Errors
    /// Why the message is not OTLP; none of its spans is accepted.
    pub fn read(
        &self,
        encoding: Encoding,
        message: &[u8],
        now: SystemTime,
        mut admits: impl FnMut(&str, &str) -> bool,
    ) -> Result<RelayedSpans, String> {
        let mut accepted = RelayedSpans::default();
        let read = otlp::spans(encoding, message, &BOUNDS, |resource, _, span| {
            let judged = match span {
                _ if accepted.records.len() >= SPANS => Err(Rejection::TooMany),
                Ok(span) => self.judge(resource.service(), &span, now, &mut admits),
                Err(_) => Err(Rejection::Invalid),
            };
            match judged {
                Ok(record) => accepted.records.push(record),
                Err(why) => *accepted.rejected.entry(why).or_default() += 1,
            }
        });
        read.map(|()| accepted).map_err(|malformed| malformed.to_string())
    }

    fn judge(
        &self,
        service: Option<&str>,
        span: &otlp::Span<'_>,
        now: SystemTime,
        admits: &mut impl FnMut(&str, &str) -> bool,
    ) -> Result<Record, Rejection> {
        let maker = self.makers.iter().find(|maker| Some(maker.service()) == service).ok_or(Rejection::Service)?;
        let kind = match span.kind {
            Kind::Unspecified | Kind::Internal => SpanKind::Internal,
            Kind::Client => SpanKind::Client,
            Kind::Server | Kind::Producer | Kind::Consumer => return Err(Rejection::Invalid),
        };
        if span.name.is_empty() || span.parent == otlp::Parent::Invalid {
            return Err(Rejection::Invalid);
        }
        let (oldest, latest) = (nanoseconds(now - OLDEST), nanoseconds(now + AHEAD));
        if span.start < oldest || span.end < span.start || span.end > latest {
            return Err(Rejection::Time);
        }
        let token = match span.attributes.get(TOKEN) {
            Some(Any::Text(token)) => Some(&**token),
            _ => None,
        };
        let trace = TraceId::from_bytes(span.trace_id);
        if !token.is_some_and(|token| admits(&trace.to_string(), token)) {
            return Err(Rejection::Token);
        }
        Ok(record(span, trace, kind).made_by(maker))
    }
}

/// Encodes the span like a span of this process.
fn record(span: &otlp::Span<'_>, trace: TraceId, kind: SpanKind) -> Record {
    let flags = TraceFlags::SAMPLED | id::RANDOM;
    let ids = SpanIds { trace, span: SpanId::from_bytes(span.span_id), flags, is_remote: true };
    let remote = span.has_remote_parent() == Some(true);
    let parent = match span.parent {
        otlp::Parent::Span(id) => Some(Parent { id: SpanId::from_bytes(id), remote }),
        otlp::Parent::None | otlp::Parent::Invalid => None,
    };
    let mut recording = Recording::start("", ids, None, parent, span.start, Limits::default());
    recording.name(cut(&span.name).to_owned());
    recording.kind(kind);
    recording.set(RELAYED, true);
    let (mut dropped, mut events) = (span.attributes.dropped, span.dropped_events);
    for attribute in span.attributes.kept.iter().filter(|attribute| attribute.key != TOKEN) {
        match allowed(&attribute.key, &attribute.value) {
            Some(value) => recording.set(&attribute.key, value),
            None => dropped = dropped.saturating_add(1),
        }
    }
    for event in &span.events {
        // An event outside the time of its span is meaningless.
        if !(span.start..=span.end).contains(&event.time) {
            events = events.saturating_add(1);
            continue;
        }
        let mut attributes = Attributes::new(3, u32::MAX, NAME);
        for one in &event.attributes.kept {
            if let Some(value) = allowed(&one.key, &one.value) {
                attributes.set(&one.key, value);
            }
        }
        recording.event_at(event.time, cut(&event.name), attributes.encoding());
    }
    recording.drop_more(dropped, events, span.dropped_links);
    if span.status.code == StatusCode::Error {
        recording.status("error");
        recording.describe(bounded(&span.status.message));
    }
    recording.finish(span.end)
}

/// The value to record for an attribute; `None` if it is not allowed.
fn allowed<'v>(key: &str, value: &'v Any<'_>) -> Option<Value<'v>> {
    let is_allowed = key.len() <= NAME && ALLOWED.iter().any(|prefix| key.starts_with(prefix)) && !QUERY.contains(&key);
    match value {
        _ if !is_allowed => None,
        Any::Text(text) if key == URL => Some(Value::Text(bounded(text.split(['?', '#']).next().unwrap_or_default()))),
        Any::Text(text) => Some(Value::Text(bounded(text))),
        Any::Bool(flag) => Some(Value::Bool(*flag)),
        Any::Int(int) => Some(Value::Int(*int)),
        Any::Double(float) => Some(Value::Float(*float)),
        Any::Empty | Any::Bytes(_) | Any::Array(_) | Any::Map(_) => None,
    }
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME)).unwrap_or_default()
}

impl RelayedSpans {
    /// Pushes the spans to every destination's queue, like this process's own spans when they end. Never waits.
    pub fn deliver(&self) {
        for queue in book::span_queues() {
            self.records.iter().for_each(|record| queue.push(record.clone()));
        }
    }

    /// The number of accepted spans.
    pub fn accepted(&self) -> usize {
        self.records.len()
    }

    /// The number of rejected spans.
    pub fn total_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// `ExportTraceServiceResponse`, with the number of rejected spans and the reasons.
    pub fn response(&self, encoding: Encoding) -> Vec<u8> {
        let reasons: Vec<String> =
            self.rejected.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
        otlp::response::success(encoding, self.total_rejected(), &reasons.join("; "))
    }
}

impl Rejection {
    /// The reason as text for the sender.
    fn words(self) -> &'static str {
        match self {
            Self::Service => "of a service that is not relayed here",
            Self::Invalid => "without valid ids and a name, or neither INTERNAL nor CLIENT",
            Self::Time => "more than an hour old or in the future",
            Self::Token => "without a token that is valid for their trace",
            Self::TooMany => "beyond the 512 of one message",
        }
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Service => "service",
            Self::Invalid => "invalid",
            Self::Time => "time",
            Self::Token => "token",
            Self::TooMany => "too_many",
        })
    }
}
