//! A span while it is open, and its bytes once it has ended. An attribute is written into OTLP's encoding immediately, so that
//! nothing is built that must be copied, converted or dropped later. The bytes that [`Recording::finish`] returns are the
//! `Span` message that every destination shares. Bounded by [`Limits`]; does no I/O.

use std::borrow::Cow;
use std::cell::RefCell;

use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceFlags};
use opentelemetry_semantic_conventions::attribute::{
    ERROR_TYPE, EXCEPTION_MESSAGE, EXCEPTION_STACKTRACE, EXCEPTION_TYPE,
};

use otlp::wire::{bytes, field_len, fixed64, head, number};

use crate::attribute::{attribute, bit, cut, find, is_short, text_head};
use crate::clock::now;
use crate::limits::Limits;
use crate::pipeline::Record;
use crate::value::Value;

/// Fields of OTLP's `Span`.
pub(crate) mod field {
    pub(crate) const TRACE_ID: u8 = 1;
    pub(crate) const SPAN_ID: u8 = 2;
    pub(crate) const TRACE_STATE: u8 = 3;
    pub(crate) const PARENT: u8 = 4;
    pub(crate) const NAME: u8 = 5;
    pub(crate) const KIND: u8 = 6;
    pub(crate) const START: u8 = 7;
    pub(crate) const END: u8 = 8;
    pub(crate) const ATTRIBUTE: u8 = 9;
    pub(crate) const DROPPED_ATTRIBUTES: u8 = 10;
    pub(crate) const EVENT: u8 = 11;
    pub(crate) const DROPPED_EVENTS: u8 = 12;
    pub(crate) const LINK: u8 = 13;
    pub(crate) const DROPPED_LINKS: u8 = 14;
    pub(crate) const STATUS: u8 = 15;
    /// Above 15: the field's key is two bytes, see [`super::FLAGS_KEY`].
    pub(crate) const FLAGS: u64 = 16;
}

/// The key of field 16, four bytes.
const FLAGS_KEY: [u8; 2] = [0x85, 0x01];
/// Declares that the next bit is meaningful.
const HAS_IS_REMOTE: u32 = 0x100;
pub(crate) const IS_REMOTE: u32 = 0x200;

/// A sampled span that has not ended.
pub struct Recording {
    name: String,
    kind: SpanKind,
    status: Code,
    description: String,
    /// Nanoseconds since 1970.
    start: u64,
    pub(crate) limits: Limits,
    /// The encoding. Up to `attributes_at` it has the ids and the times, of which the end is filled in when it comes; then
    /// attributes and nothing else.
    encoding: Vec<u8>,
    attributes_at: usize,
    attributes: u32,
    /// A bit for each length that an attribute's key has, the lengths modulo 64: a key whose bit is not set is absent.
    lengths: u64,
    dropped_attributes: u32,
    /// Events and links, encoded as fields of the span.
    more: Vec<u8>,
    events: u32,
    /// The message of the last exception; `None` if there is none.
    failure: Option<String>,
    /// The span started in a destructor that a panic ran: that panic is not the span's own.
    began_unwinding: bool,
    is_unwound: bool,
    dropped_events: u32,
    links: u32,
    dropped_links: u32,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Code {
    Unset,
    Ok,
    Error,
}

/// The parent of a span, as far as its encoding records it.
#[derive(Clone, Copy)]
pub(crate) struct Parent {
    pub(crate) id: SpanId,
    pub(crate) remote: bool,
}

thread_local! {
    /// Ended spans whose buffers the next ones of this thread can use.
    #[expect(clippy::vec_box, reason = "each moves into an open span and comes back from there")]
    static SPARE: RefCell<Vec<Box<Recording>>> = const { RefCell::new(Vec::new()) };
}

/// The size of a span, in bytes, from which nothing is added to it: Honeycomb's limit for an event.
const MOST: usize = 1_000_000;
const SPARES: usize = 8;
/// The name of the event that records an exception.
pub(super) const EXCEPTION: &str = "exception";
const BUFFER: usize = 1_024;
/// The type of the exception that ended a span by unwinding.
const PANIC: &str = "panic";

impl Recording {
    /// A recording that started at `start`, in nanoseconds since 1970, with this tracestate.
    pub(crate) fn start(
        name: &str,
        context: &SpanContext,
        state: Option<&str>,
        parent: Option<Parent>,
        start: u64,
        limits: Limits,
    ) -> Box<Self> {
        let mut span = Self::spare();
        (span.start, span.limits) = (start, limits);
        span.began_unwinding = std::thread::panicking();
        span.name.push_str(name);
        let encoding = &mut span.encoding;
        bytes(encoding, field::TRACE_ID, &context.trace_id().to_bytes());
        bytes(encoding, field::SPAN_ID, &context.span_id().to_bytes());
        if let Some(state) = state {
            bytes(encoding, field::TRACE_STATE, state.as_bytes());
        }
        if let Some(parent) = parent {
            bytes(encoding, field::PARENT, &parent.id.to_bytes());
        }
        let remote = if parent.is_some_and(|parent| parent.remote) { IS_REMOTE } else { 0 };
        flags(encoding, &FLAGS_KEY, context.trace_flags(), remote);
        fixed64(encoding, field::START, start);
        fixed64(encoding, field::END, start);
        span.attributes_at = encoding.len();
        span
    }

    /// An empty recording, in the buffers of an ended one if there is any.
    fn spare() -> Box<Self> {
        // A thread that ends may make a span after its buffers are gone.
        let spare = SPARE.try_with(|spare| spare.try_borrow_mut().ok()?.pop()).ok().flatten();
        spare.map_or_else(Self::new, |mut span| {
            span.forget();
            span
        })
    }

    fn new() -> Box<Self> {
        Box::new(Self {
            name: String::new(),
            kind: SpanKind::Internal,
            status: Code::Unset,
            description: String::new(),
            start: 0,
            limits: Limits::default(),
            encoding: Vec::with_capacity(BUFFER),
            attributes_at: 0,
            attributes: 0,
            lengths: 0,
            dropped_attributes: 0,
            more: Vec::new(),
            events: 0,
            failure: None,
            began_unwinding: false,
            is_unwound: false,
            dropped_events: 0,
            links: 0,
            dropped_links: 0,
        })
    }

    /// Clears the content, and keeps the buffers. Works in place, because a recording is large and this is done for each span.
    fn forget(&mut self) {
        // Each field by name, so that none is forgotten.
        let Self {
            name,
            kind,
            status,
            description,
            start: _,
            limits: _,
            encoding,
            attributes_at: _,
            attributes,
            lengths,
            dropped_attributes,
            more,
            events,
            failure,
            began_unwinding: _,
            is_unwound,
            dropped_events,
            links,
            dropped_links,
        } = self;
        name.clear();
        description.clear();
        encoding.clear();
        more.clear();
        (*kind, *status, *lengths) = (SpanKind::Internal, Code::Unset, 0);
        (*failure, *is_unwound) = (None, false);
        for count in [attributes, dropped_attributes, events, dropped_events, links, dropped_links] {
            *count = 0;
        }
    }

    /// Gives the span another name: a template, never a path or an id.
    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        match name.into() {
            Cow::Owned(name) => self.name = name,
            Cow::Borrowed(name) => self.name_of([name]),
        }
    }

    /// Gives the span another name, put together from parts.
    pub(crate) fn name_of<const N: usize>(&mut self, parts: [&str; N]) {
        self.name.clear();
        for part in parts {
            self.name.push_str(part);
        }
    }

    /// Sets which side of an exchange the span is.
    pub fn kind(&mut self, kind: SpanKind) {
        self.kind = kind;
    }

    /// Sets an attribute, replacing an earlier one with this key. Texts are cut at the limit; attributes beyond the limit of
    /// their number are counted as dropped.
    pub fn set<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        if self.lengths & bit(key) != 0
            && let Some(place) = find(&self.encoding, self.attributes_at, key)
        {
            self.encoding.drain(place);
            self.attributes -= 1;
        }
        self.add(key, value.into());
    }

    /// Sets an attribute whose key is known to be absent.
    #[inline(always)]
    pub(crate) fn add<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        if self.has_no_room() {
            self.dropped_attributes += 1;
            return;
        }
        self.attributes += 1;
        self.lengths |= bit(key);
        attribute(&mut self.encoding, field::ATTRIBUTE, key, value.into(), self.limits.value_bytes);
    }

    /// Sets an attribute whose key is known to be absent to a text in parts, of which `most` bytes are kept.
    pub(crate) fn add_joined<const N: usize>(&mut self, key: &str, parts: [&str; N], most: usize) {
        let length = parts.iter().map(|part| part.len()).sum();
        if length > most.min(self.limits.value_bytes) || !is_short(key, length) || self.has_no_room() {
            return self.add(key, cut(&parts.concat(), most));
        }
        self.attributes += 1;
        self.lengths |= bit(key);
        text_head(&mut self.encoding, field::ATTRIBUTE, key, length);
        for part in parts {
            self.encoding.extend_from_slice(part.as_bytes());
        }
    }

    /// Marks the span as failed; `kind` is a low-cardinality name such as `timeout`, its `error.type`.
    pub fn fail(&mut self, kind: &str) {
        self.set(ERROR_TYPE, kind);
        self.code(Code::Error);
    }

    /// Marks the span as failed by an ERROR event. Returns whether the event is an exception. It is not if the span has one for
    /// the same failure, because a function may log its error and return it too.
    pub(super) fn fails_anew(&mut self, message: &str) -> bool {
        let message = cut(message, self.limits.value_bytes);
        self.code(Code::Error);
        if self.description.is_empty() {
            self.describe(message);
        }
        let is_known = self.failure.as_deref().is_some_and(|known| {
            !known.is_empty() && !message.is_empty() && (known.contains(message) || message.contains(known))
        });
        if !is_known {
            self.failure = Some(message.to_owned());
        }
        !is_known
    }

    /// Marks the span as failed by a panic, once. Only the process's panic hook knows the panic's message.
    pub(super) fn unwind(&mut self) {
        if !self.began_unwinding && !std::mem::replace(&mut self.is_unwound, true) {
            self.exception(PANIC, "the thread panicked", "");
            self.fail(PANIC);
        }
    }

    /// Sets the status by the name of its code; any other text changes nothing.
    pub(crate) fn status(&mut self, code: &str) {
        match code {
            _ if code.eq_ignore_ascii_case("error") => self.code(Code::Error),
            _ if code.eq_ignore_ascii_case("ok") => self.code(Code::Ok),
            _ => {}
        }
    }

    /// Sets the status code. [Ok is final](https://opentelemetry.io/docs/specs/otel/trace/api/#set-status): only the
    /// application sets it.
    fn code(&mut self, code: Code) {
        if self.status != Code::Ok {
            self.status = code;
        }
    }

    pub(crate) fn describe(&mut self, description: &str) {
        self.description.clear();
        self.description.push_str(cut(description, self.limits.value_bytes));
    }

    /// Counts what another process dropped, or what we dropped of its data.
    pub(crate) fn drop_more(&mut self, attributes: u32, events: u32, links: u32) {
        self.dropped_attributes = self.dropped_attributes.saturating_add(attributes);
        self.dropped_events = self.dropped_events.saturating_add(events);
        self.dropped_links = self.dropped_links.saturating_add(links);
    }

    /// Adds an `exception` event, now. Empty texts are left out.
    pub fn exception(&mut self, kind: &str, message: &str, stacktrace: &str) {
        let texts = [(EXCEPTION_TYPE, kind), (EXCEPTION_MESSAGE, message), (EXCEPTION_STACKTRACE, stacktrace)];
        let mut attributes = Vec::new();
        for (key, text) in texts.into_iter().filter(|(_, text)| !text.is_empty()) {
            attribute(&mut attributes, 3, key, Value::Text(text), self.limits.value_bytes);
        }
        self.failure = Some(message.to_owned());
        self.event(EXCEPTION, &attributes);
    }

    /// Whether the span has an `exception` event.
    pub fn has_exception(&self) -> bool {
        self.failure.is_some()
    }

    /// Adds an event with these encoded attributes, now.
    pub(crate) fn event(&mut self, name: &str, attributes: &[u8]) {
        self.event_at(now(), name, attributes);
    }

    /// Adds an event with these encoded attributes, at another time.
    pub(crate) fn event_at(&mut self, nanoseconds: u64, name: &str, attributes: &[u8]) {
        if self.events >= self.limits.events || self.is_full() {
            self.dropped_events += 1;
            return;
        }
        let name = cut(name, self.limits.value_bytes);
        self.events += 1;
        head(&mut self.more, field::EVENT, 9 + field_len(name.len()) + attributes.len());
        fixed64(&mut self.more, 1, nanoseconds);
        bytes(&mut self.more, 2, name.as_bytes());
        self.more.extend_from_slice(attributes);
    }

    pub(crate) fn link(&mut self, to: &SpanContext, state: Option<&str>) {
        if self.links >= self.limits.links {
            self.dropped_links += 1;
            return;
        }
        self.links += 1;
        let mut link = Vec::with_capacity(48);
        bytes(&mut link, 1, &to.trace_id().to_bytes());
        bytes(&mut link, 2, &to.span_id().to_bytes());
        if let Some(state) = state {
            bytes(&mut link, 3, state.as_bytes());
        }
        flags(&mut link, &[0x35], to.trace_flags(), if to.is_remote() { IS_REMOTE } else { 0 });
        bytes(&mut self.more, field::LINK, &link);
    }

    /// The whole span, ended at `end`, in nanoseconds since 1970, or at its start if the clock went back meanwhile.
    pub(crate) fn finish(mut self: Box<Self>, end: u64) -> Record {
        let encoding = &mut self.encoding;
        // The end is the last field before the attributes.
        if let Some(place) = encoding.get_mut(..self.attributes_at).and_then(|head| head.last_chunk_mut()) {
            *place = end.max(self.start).to_le_bytes();
        }
        bytes(encoding, field::NAME, cut(&self.name, self.limits.value_bytes).as_bytes());
        number(encoding, field::KIND, kind_number(&self.kind));
        number(encoding, field::DROPPED_ATTRIBUTES, self.dropped_attributes.into());
        encoding.extend_from_slice(&self.more);
        number(encoding, field::DROPPED_EVENTS, self.dropped_events.into());
        number(encoding, field::DROPPED_LINKS, self.dropped_links.into());
        if self.status != Code::Unset {
            // Only an error has a description.
            let told = self.status == Code::Error && !self.description.is_empty();
            head(encoding, field::STATUS, 2 + if told { field_len(self.description.len()) } else { 0 });
            if told {
                bytes(encoding, 2, self.description.as_bytes());
            }
            number(encoding, 3, if self.status == Code::Error { 2 } else { 1 });
        }
        let record = Record::from(encoding.as_slice());
        self.leave();
        record
    }

    /// Leaves the buffers to the next span of this thread, unless they are large.
    fn leave(self: Box<Self>) {
        let Self { encoding, more, name, description, .. } = &*self;
        let texts = name.capacity() + description.capacity();
        if encoding.capacity() + more.capacity() + texts <= 4 * BUFFER {
            let _: Result<(), _> = SPARE.try_with(|spare| {
                if let Ok(mut spare) = spare.try_borrow_mut()
                    && spare.len() < SPARES
                {
                    spare.push(self);
                }
            });
        }
    }

    /// Whether another attribute may not be added.
    fn has_no_room(&self) -> bool {
        self.attributes >= self.limits.attributes || self.is_full()
    }

    /// Whether the span holds so much that nothing more is added.
    fn is_full(&self) -> bool {
        self.encoding.len() + self.more.len() > MOST
    }
}

fn flags(out: &mut Vec<u8>, key: &[u8], flags: TraceFlags, remote: u32) {
    out.extend_from_slice(key);
    out.extend_from_slice(&(u32::from(flags.to_u8()) | HAS_IS_REMOTE | remote).to_le_bytes());
}

fn kind_number(kind: &SpanKind) -> u64 {
    match kind {
        SpanKind::Internal => 1,
        SpanKind::Server => 2,
        SpanKind::Client => 3,
        SpanKind::Producer => 4,
        SpanKind::Consumer => 5,
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
    use opentelemetry_proto::tonic::trace::v1::Span;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;
    use crate::span::reading::{Head, Reading, Scalar};

    /// A value, and its form in OTLP.
    fn values() -> impl Strategy<Value = Any> {
        prop_oneof![
            (0_u32..64).prop_flat_map(|bits| 0..=i64::MAX >> bits).prop_map(Any::IntValue),
            any::<i64>().prop_map(Any::IntValue),
            any::<bool>().prop_map(Any::BoolValue),
            any::<f64>().prop_map(Any::DoubleValue),
            ".{0,9}|[a-z]{100,140}".prop_map(Any::StringValue),
        ]
    }

    fn value(any: &Any) -> Value<'_> {
        match any {
            Any::StringValue(text) => Value::Text(text),
            Any::BoolValue(flag) => Value::Bool(*flag),
            Any::IntValue(int) => Value::Int(*int),
            Any::DoubleValue(float) => Value::Float(*float),
            _ => panic!("no such value is made"),
        }
    }

    proptest! {
        /// Each length of a key and of a value is written in its own way, as one byte or more.
        #[test]
        fn any_attribute_is_read_back(
            told in proptest::collection::vec(("[a-z.]{0,9}|[a-z]{100,140}", values()), 0..12),
            renamed in ".{0,9}|[a-z]{100,140}",
        ) {
            let context = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, Default::default());
            let mut last: Vec<(String, Any)> = Vec::new();
            let mut span = Recording::start("x", &context, None, None, 0, Limits::default());
            for (key, any) in &told {
                span.set(key, value(any));
                last.retain(|(own, _)| own != key);
                last.push((key.clone(), any.clone()));
            }
            span.name(renamed.clone());
            let url = ["https", "://", renamed.as_str()];
            for (key, most) in [("url.full", 1_000), ("url.cut", 9)] {
                span.add_joined(key, url, most);
                last.push((key.to_owned(), Any::StringValue(cut(&url.concat(), most).to_owned())));
            }
            let record = span.finish(0);
            let decoded = Span::decode(&*record).unwrap();
            prop_assert_eq!(&decoded.name, &renamed);
            let found: Vec<(String, Any)> =
                decoded.attributes.into_iter().map(|pair| (pair.key, pair.value.unwrap().value.unwrap())).collect();
            prop_assert_eq!(&found, &last);
            let mut reading = Reading::empty();
            reading.read(Head::of(&record).1);
            prop_assert_eq!(reading.attributes.len(), last.len());
            for ((key, scalar), (own, any)) in reading.attributes.iter().zip(&last) {
                prop_assert_eq!(key.as_str(), own);
                let scalar = match scalar {
                    Scalar::Text(text) => Value::Text(text.as_str()),
                    Scalar::Bool(flag) => Value::Bool(*flag),
                    Scalar::Int(int) => Value::Int(*int),
                    Scalar::Float(float) => Value::Float(*float),
                };
                prop_assert_eq!(scalar, value(any));
            }
        }
    }

    #[test]
    fn the_next_span_begins_with_nothing_of_the_last() {
        let context = SpanContext::new(1.into(), 2.into(), TraceFlags::SAMPLED, false, Default::default());
        let start = || Recording::start("x", &context, None, None, 0, Limits::default());
        let empty = start().finish(0);
        let mut told = start();
        told.name("y");
        told.kind(SpanKind::Server);
        told.fail("timeout");
        told.describe("too late");
        told.exception("E", "m", "s");
        told.link(&context, None);
        told.drop_more(1, 2, 3);
        drop(told.finish(0));
        assert_eq!(*start().finish(0), *empty);
    }
}
