//! Spans that others made and that are delivered with ours: into the same queues, the same ledger, with the same keys, as spans
//! of another service. Whoever calls decides who may send, by a token that comes with each span; here every byte is hostile:
//! a message that is not OTLP is refused whole, a span that is not what it should be is rejected and counted, and of its
//! attributes only those of an allow list stay. Knows no HTTP; nothing is kept between messages.

mod json;
mod protobuf;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags, TraceId, TraceState};

use crate::http::bounded;
use crate::pipeline::Queue;
use crate::protobuf::{bytes, number};
use crate::resource::Resource;
use crate::span::{Limits, Parent, Record, Recording, Value, attribute, id, nanoseconds};

/// The attribute that brings a span's token. It is not recorded.
pub const TOKEN: &str = "telemetry.relay.token";
/// Says on each span that another service made it.
const RELAYED: &str = "telemetry.relayed";

/// Spans of one message; the others are rejected.
const SPANS: usize = 512;
const ATTRIBUTES: usize = 128;
const EVENTS: usize = 32;
/// Of an event.
const EVENT_ATTRIBUTES: usize = 16;
/// Of a name or a key, in bytes.
const NAME: usize = 128;

/// How long ago a span may have begun.
const OLDEST: Duration = Duration::from_secs(60 * 60);
/// How far a span may lie in the future, for clocks that differ.
const AHEAD: Duration = Duration::from_secs(60);

/// What an attribute's key may begin with: nothing that counts for more than one request, names a person or a machine, or
/// means something to X-Ray's documents.
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
/// What of a URL is not recorded.
const QUERY: [&str; 2] = ["url.query", "url.fragment"];
const URL: &str = "url.full";

/// How a message is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// OTLP's JSON: ids in hex.
    Json,
    /// Protocol Buffers.
    Protobuf,
}

/// Takes spans of some services and of no others.
#[derive(Debug)]
pub struct Relay {
    makers: Vec<Arc<Resource>>,
}

/// The spans of a message that are taken, and what is wrong with the others.
#[derive(Debug, Default)]
pub struct Taken {
    records: Vec<Record>,
    /// Spans that are not taken.
    pub rejected: BTreeMap<Rejection, u64>,
}

/// Why a span is not taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Rejection {
    /// It is of a service that is not relayed.
    Service,
    /// It has no valid ids or no name, or is neither INTERNAL nor CLIENT.
    Invalid,
    /// It began more than an hour ago, ends before it begins, or lies in the future.
    Time,
    /// It has no token that is good for its trace.
    Token,
    /// The message has 512 spans without it.
    TooMany,
}

/// A span as a message tells it.
#[derive(Default)]
struct Told<'a> {
    /// `None` where it is not valid.
    trace: Option<TraceId>,
    id: Option<SpanId>,
    parent: Option<SpanId>,
    parent_is_invalid: bool,
    parent_is_remote: bool,
    name: Cow<'a, str>,
    kind: u64,
    start: u64,
    end: u64,
    attributes: Vec<(Cow<'a, str>, Any<'a>)>,
    events: Vec<Happened<'a>>,
    failed: bool,
    description: Cow<'a, str>,
    /// Attributes, events and links that are not here.
    dropped: [u32; 3],
}

#[derive(Default)]
struct Happened<'a> {
    time: u64,
    name: Cow<'a, str>,
    attributes: Vec<(Cow<'a, str>, Any<'a>)>,
}

/// An attribute's value; `Other` is a list, an object, or none.
enum Any<'a> {
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Float(f64),
    Other,
}

static QUEUES: OnceLock<Vec<Arc<Queue>>> = OnceLock::new();

/// Makes `queues` those that relayed spans go to. A process installs telemetry once.
pub(crate) fn open(queues: Vec<Arc<Queue>>) {
    // A second time cannot come: the subscriber was installed first.
    drop(QUEUES.set(queues));
}

impl Relay {
    /// Takes spans whose resource has one of these for `service.name`. Of a resource nothing else is believed.
    pub fn new<'s>(services: impl IntoIterator<Item = &'s str>) -> Self {
        Self { makers: services.into_iter().map(|name| Arc::new(Resource::named(name))).collect() }
    }

    /// Reads the spans of `message` for which `admits`, given the trace id and the token, says so. Nothing is delivered yet.
    ///
    /// # Errors
    /// The message is not OTLP, and nothing of it is taken: why.
    pub fn read(
        &self,
        encoding: Encoding,
        message: &[u8],
        now: SystemTime,
        mut admits: impl FnMut(&str, &str) -> bool,
    ) -> Result<Taken, String> {
        let mut taken = Taken::default();
        let each = |service: Option<&str>, told: Told<'_>| {
            let judged = if taken.records.len() < SPANS {
                self.judge(service, &told, now, &mut admits)
            } else {
                Err(Rejection::TooMany)
            };
            match judged {
                Ok(record) => taken.records.push(record),
                Err(why) => *taken.rejected.entry(why).or_default() += 1,
            }
        };
        match encoding {
            Encoding::Json => json::read(message, each)?,
            Encoding::Protobuf => protobuf::read(message, each)?,
        }
        Ok(taken)
    }

    fn judge(
        &self,
        service: Option<&str>,
        told: &Told<'_>,
        now: SystemTime,
        admits: &mut impl FnMut(&str, &str) -> bool,
    ) -> Result<Record, Rejection> {
        let maker = self.makers.iter().find(|maker| Some(maker.service()) == service).ok_or(Rejection::Service)?;
        let (Some(trace), Some(id), false) = (told.trace, told.id, told.parent_is_invalid) else {
            return Err(Rejection::Invalid);
        };
        let kind = match told.kind {
            0 | 1 => SpanKind::Internal,
            3 => SpanKind::Client,
            _ => return Err(Rejection::Invalid),
        };
        if told.name.is_empty() {
            return Err(Rejection::Invalid);
        }
        let (oldest, latest) = (nanoseconds(now - OLDEST), nanoseconds(now + AHEAD));
        if told.start < oldest || told.end < told.start || told.end > latest {
            return Err(Rejection::Time);
        }
        let token = told.attributes.iter().find_map(|(key, value)| match value {
            Any::Text(token) if key == TOKEN => Some(&**token),
            _ => None,
        });
        if !token.is_some_and(|token| admits(&trace.to_string(), token)) {
            return Err(Rejection::Token);
        }
        Ok(told.record(trace, id, kind).made_by(maker))
    }
}

impl Told<'_> {
    /// The span as we encode our own.
    fn record(&self, trace: TraceId, id: SpanId, kind: SpanKind) -> Record {
        let flags = TraceFlags::SAMPLED | id::RANDOM;
        let context = SpanContext::new(trace, id, flags, true, TraceState::NONE);
        let parent = self.parent.map(|id| Parent { id, remote: self.parent_is_remote });
        let mut recording = Recording::start("", &context, None, parent, self.start, Limits::default());
        recording.name(cut(&self.name).to_owned());
        recording.kind(kind);
        recording.set(RELAYED, true);
        let [mut dropped, mut events, links] = self.dropped;
        for (key, value) in self.attributes.iter().filter(|(key, _)| key != TOKEN) {
            match allowed(key, value) {
                Some(value) => recording.set(key, value),
                None => dropped = dropped.saturating_add(1),
            }
        }
        for (index, event) in self.events.iter().enumerate() {
            // Out of its span, an event says nothing.
            if (self.start..=self.end).contains(&event.time) && index < EVENTS {
                let mut encoded = Vec::new();
                for (key, value) in event.attributes.iter().take(EVENT_ATTRIBUTES) {
                    if let Some(value) = allowed(key, value) {
                        attribute(&mut encoded, 3, key, value, NAME);
                    }
                }
                recording.event_at(event.time, cut(&event.name), &encoded);
            } else {
                events = events.saturating_add(1);
            }
        }
        recording.drop_more(dropped, events, links);
        if self.failed {
            recording.status("error");
            recording.describe(bounded(&self.description));
        }
        recording.finish(self.end)
    }
}

/// What is recorded of an attribute, if anything.
fn allowed<'v>(key: &str, value: &'v Any<'_>) -> Option<Value<'v>> {
    let is_allowed = key.len() <= NAME && ALLOWED.iter().any(|prefix| key.starts_with(prefix)) && !QUERY.contains(&key);
    match value {
        _ if !is_allowed => None,
        Any::Text(text) if key == URL => Some(Value::Text(bounded(text.split(['?', '#']).next().unwrap_or_default()))),
        Any::Text(text) => Some(Value::Text(bounded(text))),
        Any::Bool(flag) => Some(Value::Bool(*flag)),
        Any::Int(int) => Some(Value::Int(*int)),
        Any::Float(float) => Some(Value::Float(*float)),
        Any::Other => None,
    }
}

fn cut(name: &str) -> &str {
    name.get(..name.floor_char_boundary(NAME)).unwrap_or_default()
}

impl Taken {
    /// Hands the spans to every destination's queue, as our own are when they end. Never waits.
    pub fn deliver(&self) {
        for record in &self.records {
            for queue in QUEUES.get().into_iter().flatten() {
                queue.push(record.clone());
            }
        }
    }

    /// Spans that are taken.
    pub fn accepted(&self) -> usize {
        self.records.len()
    }

    /// Spans that were not taken.
    pub fn total_rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// `ExportTraceServiceResponse`, with what was rejected and why.
    pub fn answer(&self, encoding: Encoding) -> Vec<u8> {
        let rejected = self.total_rejected();
        if rejected == 0 {
            return if encoding == Encoding::Json { b"{}".to_vec() } else { Vec::new() };
        }
        let reasons: Vec<String> =
            self.rejected.iter().map(|(why, count)| format!("{count} {}", why.words())).collect();
        let message = reasons.join("; ");
        match encoding {
            Encoding::Json => {
                let partial = serde_json::json!({"rejectedSpans": rejected.to_string(), "errorMessage": message});
                serde_json::json!({ "partialSuccess": partial }).to_string().into_bytes()
            }
            Encoding::Protobuf => {
                let (mut partial, mut answer) = (Vec::new(), Vec::new());
                number(&mut partial, 1, rejected);
                bytes(&mut partial, 2, message.as_bytes());
                bytes(&mut answer, 1, &partial);
                answer
            }
        }
    }
}

/// OTLP's body of a refusal: a `google.rpc.Status` with this code and message.
pub fn refusal(encoding: Encoding, code: u8, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Json => serde_json::json!({"code": code, "message": message}).to_string().into_bytes(),
        Encoding::Protobuf => {
            let mut status = Vec::new();
            number(&mut status, 1, code.into());
            bytes(&mut status, 2, message.as_bytes());
            status
        }
    }
}

impl Rejection {
    /// For the one who sent them.
    fn words(self) -> &'static str {
        match self {
            Self::Service => "of a service that is not relayed here",
            Self::Invalid => "without valid ids and a name, or neither INTERNAL nor CLIENT",
            Self::Time => "more than an hour old or in the future",
            Self::Token => "without a token that is good for their trace",
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
