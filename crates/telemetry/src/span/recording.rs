//! A span while it is open, and its bytes once it has ended. An attribute is written into OTLP's encoding immediately, so that
//! no intermediate value must be copied, converted or dropped later. The bytes that [`Recording::finish`] returns are the
//! `Span` message that every destination shares. Bounded by [`Limits`]; does no I/O.

mod buffers;
mod failure;
mod foreign;
mod rewrite;
#[cfg(test)]
mod tests;

use std::borrow::Cow;

use opentelemetry::trace::{SpanId, SpanKind};
use otlp::wire::{bytes, field_len, fixed64, head, number};

use super::field::{self, FLAGS_KEY, IS_REMOTE, flags, kind_number};
use crate::attribute::{attribute, bit, cut, find, is_short, text_head};
use crate::clock::now;
use crate::context::SpanIds;
use crate::limits::Limits;
use crate::pipeline::Record;
use crate::value::{IntoValue, Value};

/// A sampled span that has not ended.
pub struct Recording {
    name: String,
    kind: SpanKind,
    status: Code,
    description: String,
    /// Nanoseconds since 1970.
    start: u64,
    pub(crate) limits: Limits,
    /// The encoding. Before `attributes_at` it has the ids and times, with the end time filled in when the span ends; after
    /// that, only attributes.
    encoding: Vec<u8>,
    attributes_at: usize,
    attributes: u32,
    /// A bit for the length, modulo 64, of each attribute's key. A key whose bit is not set is absent.
    lengths: u64,
    dropped_attributes: u32,
    /// Events and links, encoded as fields of the span.
    more: Vec<u8>,
    events: u32,
    /// The message of the last exception; `None` if there is none.
    failure: Option<String>,
    /// Whether the span started in a destructor that a panic ran. That panic does not fail the span.
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

/// What a span's encoding records of its parent.
#[derive(Clone, Copy)]
pub(crate) struct Parent {
    pub(crate) id: SpanId,
    pub(crate) remote: bool,
}

/// No data is added to a span that is larger than this, in bytes. It is Honeycomb's limit for an event.
const MOST: usize = 1_000_000;
/// The name of the event that records an exception.
pub(super) const EXCEPTION: &str = "exception";

impl Recording {
    /// A recording that started at `start`, in nanoseconds since 1970, with this tracestate.
    pub(crate) fn start(
        name: &str,
        ids: SpanIds,
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
        bytes(encoding, field::TRACE_ID, &ids.trace.to_bytes());
        bytes(encoding, field::SPAN_ID, &ids.span.to_bytes());
        if let Some(state) = state {
            bytes(encoding, field::TRACE_STATE, state.as_bytes());
        }
        if let Some(parent) = parent {
            bytes(encoding, field::PARENT, &parent.id.to_bytes());
        }
        let remote = if parent.is_some_and(|parent| parent.remote) { IS_REMOTE } else { 0 };
        flags(encoding, &FLAGS_KEY, ids.flags, remote);
        fixed64(encoding, field::START, start);
        fixed64(encoding, field::END, start);
        span.attributes_at = encoding.len();
        span
    }

    /// Renames the span. The name must be a template, never a path or an id.
    pub fn name(&mut self, name: impl Into<Cow<'static, str>>) {
        match name.into() {
            Cow::Owned(name) => self.name = name,
            Cow::Borrowed(name) => self.name_of([name]),
        }
    }

    /// Renames the span, with a name composed of parts.
    pub(crate) fn name_of<const N: usize>(&mut self, parts: [&str; N]) {
        self.name.clear();
        for part in parts {
            self.name.push_str(part);
        }
    }

    /// Sets the span's kind, such as server or client.
    pub fn kind(&mut self, kind: SpanKind) {
        self.kind = kind;
    }

    /// Sets an attribute, replacing an earlier one with this key. A text over the limit is cut, and an attribute over the limit
    /// of their number is counted as dropped.
    pub fn set(&mut self, key: &str, value: impl IntoValue) {
        value.apply(|value| self.replace(key, value));
    }

    #[inline(always)]
    fn replace(&mut self, key: &str, value: Value<'_>) {
        if self.lengths & bit(key) != 0
            && let Some(place) = find(&self.encoding, self.attributes_at, key)
        {
            self.encoding.drain(place);
            self.attributes -= 1;
        }
        self.put(key, value);
    }

    /// Sets an attribute whose key is known to be absent.
    #[inline(always)]
    pub(crate) fn add(&mut self, key: &str, value: impl IntoValue) {
        value.apply(|value| self.put(key, value));
    }

    #[inline(always)]
    fn put(&mut self, key: &str, value: Value<'_>) {
        if self.has_no_room() {
            self.dropped_attributes += 1;
            return;
        }
        self.attributes += 1;
        self.lengths |= bit(key);
        attribute(&mut self.encoding, field::ATTRIBUTE, key, value, self.limits.value_bytes);
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

    /// Counts data that this process or another one has dropped.
    pub(crate) fn drop_more(&mut self, attributes: u32, events: u32, links: u32) {
        self.dropped_attributes = self.dropped_attributes.saturating_add(attributes);
        self.dropped_events = self.dropped_events.saturating_add(events);
        self.dropped_links = self.dropped_links.saturating_add(links);
    }

    /// Adds an event that happens now, with these encoded attributes.
    pub(crate) fn event(&mut self, name: &str, attributes: &[u8]) {
        self.event_at(now(), name, attributes);
    }

    /// Adds an event that happened at another time, with these encoded attributes.
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

    pub(crate) fn link(&mut self, to: SpanIds, state: Option<&str>) {
        self.link_with(to, state, &[]);
    }

    /// Adds a link with these encoded attributes.
    pub(crate) fn link_with(&mut self, to: SpanIds, state: Option<&str>, attributes: &[u8]) {
        if self.links >= self.limits.links || self.is_full() {
            self.dropped_links += 1;
            return;
        }
        self.links += 1;
        let mut link = Vec::with_capacity(48);
        bytes(&mut link, 1, &to.trace.to_bytes());
        bytes(&mut link, 2, &to.span.to_bytes());
        if let Some(state) = state {
            bytes(&mut link, 3, state.as_bytes());
        }
        link.extend_from_slice(attributes);
        flags(&mut link, &[0x35], to.flags, if to.is_remote { IS_REMOTE } else { 0 });
        bytes(&mut self.more, field::LINK, &link);
    }

    /// Ends the span at `end`, in nanoseconds since 1970, or at its start if the clock went back meanwhile. Returns its
    /// encoding.
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
            let has_description = self.status == Code::Error && !self.description.is_empty();
            head(encoding, field::STATUS, 2 + if has_description { field_len(self.description.len()) } else { 0 });
            if has_description {
                bytes(encoding, 2, self.description.as_bytes());
            }
            number(encoding, 3, if self.status == Code::Error { 2 } else { 1 });
        }
        let record = Record::from(encoding.as_slice());
        self.leave();
        record
    }

    /// Whether no further attribute may be added.
    fn has_no_room(&self) -> bool {
        self.attributes >= self.limits.attributes || self.is_full()
    }

    /// Whether the span is so large that no more data is added.
    fn is_full(&self) -> bool {
        self.encoding.len() + self.more.len() > MOST
    }
}
