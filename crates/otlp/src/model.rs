//! The contents of a message, borrowed from its bytes if possible.

use std::borrow::Cow;

use crate::attribute::{Attributes, Value};
use crate::fault::Fault;

/// Limits on a span's contents. The excess is dropped and counted.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Attributes of a span, a resource, or a scope.
    pub attributes: usize,
    /// Events of a span.
    pub events: usize,
    /// Links of a span.
    pub links: usize,
    /// Attributes of an event or a link.
    pub inner_attributes: usize,
}

/// The depth to which values may nest; deeper values are dropped.
pub(crate) const DEPTH: usize = 32;
/// The most faults recorded for a span.
const FAULTS: usize = 8;

/// The entity that produced spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Resource<'a> {
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// The schema that its attributes follow; empty if unspecified.
    pub schema_url: Cow<'a, str>,
}

/// The instrumentation that produced spans.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scope<'a> {
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its version.
    pub version: Cow<'a, str>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// The schema that the spans follow; empty if unspecified.
    pub schema_url: Cow<'a, str>,
}

/// One operation. Its ids are valid; all other fields are as sent.
#[derive(Debug, Clone, PartialEq)]
pub struct Span<'a> {
    /// 16 bytes, not all zero.
    pub trace_id: [u8; 16],
    /// 8 bytes, not all zero.
    pub span_id: [u8; 8],
    /// Its parent span.
    pub parent: Parent,
    /// W3C's `tracestate`, unparsed.
    pub trace_state: Cow<'a, str>,
    /// W3C's trace flags in the lowest eight bits, OTLP's own above.
    pub flags: u32,
    /// The operation.
    pub name: Cow<'a, str>,
    /// Its role.
    pub kind: Kind,
    /// Nanoseconds since 1970.
    pub start: u64,
    /// Nanoseconds since 1970.
    pub end: u64,
    /// Its attributes.
    pub attributes: Attributes<'a>,
    /// Events during the span.
    pub events: Vec<Event<'a>>,
    /// Missing events: dropped by the sender, beyond the bound, or invalid.
    pub dropped_events: u32,
    /// Related spans.
    pub links: Vec<Link<'a>>,
    /// Missing links.
    pub dropped_links: u32,
    /// Its outcome.
    pub status: Status<'a>,
    /// The first eight values that were dropped, and why.
    pub faults: Vec<Fault>,
}

/// The parent of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Parent {
    /// A root span: no id, or one that is all zero.
    #[default]
    None,
    /// 8 bytes, not all zero.
    Span([u8; 8]),
    /// An id of another length, which cannot name a span.
    Invalid,
}

/// An event of a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Event<'a> {
    /// Nanoseconds since 1970.
    pub time: u64,
    /// Its name.
    pub name: Cow<'a, str>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// A related span.
#[derive(Debug, Clone, PartialEq)]
pub struct Link<'a> {
    /// 16 bytes, not all zero.
    pub trace_id: [u8; 16],
    /// 8 bytes, not all zero.
    pub span_id: [u8; 8],
    /// W3C's `tracestate`, unparsed.
    pub trace_state: Cow<'a, str>,
    /// Its attributes.
    pub attributes: Attributes<'a>,
}

/// The outcome of a span.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Status<'a> {
    /// Success, failure, or neither.
    pub code: StatusCode,
    /// An explanation for people.
    pub message: Cow<'a, str>,
}

/// A status code.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry's own words")]
pub enum StatusCode {
    #[default]
    Unset,
    Ok,
    Error,
}

/// The role of a span.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[expect(missing_docs, reason = "OpenTelemetry's own words")]
pub enum Kind {
    #[default]
    Unspecified,
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl Resource<'_> {
    /// `service.name`, if it is a text.
    pub fn service(&self) -> Option<&str> {
        match self.attributes.get("service.name") {
            Some(Value::Text(name)) => Some(name),
            _ => None,
        }
    }
}

impl<'a> Span<'a> {
    /// An empty span; [`Span::checked`] refuses it until it has ids.
    pub(crate) fn new() -> Self {
        Self {
            trace_id: [0; 16],
            span_id: [0; 8],
            parent: Parent::None,
            trace_state: Cow::Borrowed(""),
            flags: 0,
            name: Cow::Borrowed(""),
            kind: Kind::Unspecified,
            start: 0,
            end: 0,
            attributes: Attributes::default(),
            events: Vec::new(),
            dropped_events: 0,
            links: Vec::new(),
            dropped_links: 0,
            status: Status::default(),
            faults: Vec::new(),
        }
    }

    /// Whether its parent is in another process; `None` if the sender does not specify it.
    pub fn has_remote_parent(&self) -> Option<bool> {
        const KNOWN: u32 = 0x100;
        const REMOTE: u32 = 0x200;
        (self.flags & KNOWN != 0).then_some(self.flags & REMOTE != 0)
    }

    pub(crate) fn fault(&mut self, fault: Fault) {
        if self.faults.len() < FAULTS {
            self.faults.push(fault);
        }
    }

    /// Sets a value, or records its fault.
    pub(crate) fn set<T>(&mut self, value: Result<T, Fault>, set: impl FnOnce(&mut Self, T)) {
        match value {
            Ok(value) => set(self, value),
            Err(fault) => self.fault(fault),
        }
    }

    pub(crate) fn set_parent(&mut self, id: Result<[u8; 8], Fault>) {
        self.parent = match id {
            Ok([0, 0, 0, 0, 0, 0, 0, 0]) => Parent::None,
            Ok(id) => Parent::Span(id),
            Err(fault) => {
                self.fault(fault);
                Parent::Invalid
            }
        };
    }

    pub(crate) fn keep_event(&mut self, bounds: &Bounds, event: Result<Event<'a>, Fault>) {
        match event {
            Ok(event) if self.events.len() < bounds.events => return self.events.push(event),
            Ok(_) => {}
            Err(fault) => self.fault(fault),
        }
        self.dropped_events = self.dropped_events.saturating_add(1);
    }

    pub(crate) fn keep_link(&mut self, bounds: &Bounds, link: Result<Link<'a>, Fault>) {
        match link {
            Ok(link) if self.links.len() < bounds.links => return self.links.push(link),
            Ok(_) => {}
            Err(fault) => self.fault(fault),
        }
        self.dropped_links = self.dropped_links.saturating_add(1);
    }

    /// The span, if its ids are valid.
    pub(crate) fn checked(self) -> Result<Self, Fault> {
        if self.trace_id == [0; 16] {
            return Err(Fault { field: "traceId", why: "is missing or all zero" });
        }
        if self.span_id == [0; 8] {
            return Err(Fault { field: "spanId", why: "is missing or all zero" });
        }
        Ok(self)
    }
}

impl Link<'_> {
    /// The link, if its ids are valid.
    pub(crate) fn checked(self) -> Result<Self, Fault> {
        if self.trace_id == [0; 16] || self.span_id == [0; 8] {
            return Err(Fault { field: "links", why: "have no valid traceId and spanId" });
        }
        Ok(self)
    }
}

impl Kind {
    /// The kind with this number; an unknown number is unspecified.
    pub(crate) fn of(number: u64) -> Self {
        match number {
            1 => Self::Internal,
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Unspecified,
        }
    }
}

impl StatusCode {
    /// The code with this number; an unknown number is unset.
    pub(crate) fn of(number: u64) -> Self {
        match number {
            1 => Self::Ok,
            2 => Self::Error,
            _ => Self::Unset,
        }
    }
}
