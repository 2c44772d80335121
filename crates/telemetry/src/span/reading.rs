//! Reads a span back from its encoding, without copying or checking its texts; for destinations whose protocol is not OTLP.

use opentelemetry::trace::{SpanId, SpanKind, TraceId};

use otlp::wire::{Field, Fields};

use super::field::{self, IS_REMOTE};

/// A text in an encoding. It was a `str` when it was written, and most texts are only copied; code that needs a `str` again
/// checks it again.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Text<'a>(&'a [u8]);

/// The value of an attribute. An array has no arrays in it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Scalar<'a> {
    Bool(bool),
    Int(i64),
    Float(f64),
    Text(Text<'a>),
    /// The encoding of an `ArrayValue`.
    Array(&'a [u8]),
}

/// A key and its value.
pub(crate) type Attribute<'a> = (Text<'a>, Scalar<'a>);

/// The start of a span's encoding: its ids and times, which distinguish it from spans with the same content, and its tracestate
/// and flags.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head {
    pub(crate) trace: TraceId,
    pub(crate) id: SpanId,
    pub(crate) parent: Option<SpanId>,
    /// Whether the parent is a span of another process.
    pub(crate) parent_is_remote: bool,
    /// Nanoseconds since 1970.
    pub(crate) start: u64,
    /// Nanoseconds since 1970.
    pub(crate) end: u64,
}

/// The content of an ended span. Reading another span into it reuses its lists.
#[derive(Debug)]
pub(crate) struct Reading<'a> {
    pub(crate) name: Text<'a>,
    pub(crate) kind: SpanKind,
    pub(crate) attributes: Vec<Attribute<'a>>,
    pub(crate) events: Vec<Event<'a>>,
    /// The spans that this one is linked to.
    pub(crate) links: Vec<(TraceId, SpanId)>,
    pub(crate) failed: bool,
    /// The application has set the status OK.
    pub(crate) is_ok: bool,
    /// Why the span failed, in words; empty if that is not known.
    pub(crate) description: Text<'a>,
}

/// An event of a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Event<'a> {
    pub(crate) name: Text<'a>,
    /// Nanoseconds since 1970.
    pub(crate) time: u64,
    pub(crate) attributes: Vec<Attribute<'a>>,
}

impl<'a> Text<'a> {
    pub(crate) fn as_str(self) -> &'a str {
        str::from_utf8(self.0).unwrap_or_default()
    }

    pub(crate) fn as_bytes(self) -> &'a [u8] {
        self.0
    }

    /// Length in bytes.
    pub(crate) fn len(self) -> usize {
        self.0.len()
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0.is_empty()
    }

    /// At most this many characters.
    pub(crate) fn first(self, characters: usize) -> Self {
        // A text of this many bytes or fewer has no more characters.
        if self.len() <= characters {
            return self;
        }
        let text = self.as_str();
        let end = text.char_indices().nth(characters).map_or(text.len(), |(end, _)| end);
        Self(self.0.get(..end).unwrap_or(self.0))
    }

    /// The text after `prefix`.
    pub(crate) fn after(self, prefix: &str) -> Option<Self> {
        self.0.strip_prefix(prefix.as_bytes()).map(Self)
    }
}

impl PartialEq<str> for Text<'_> {
    fn eq(&self, other: &str) -> bool {
        self.0 == other.as_bytes()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(text.as_bytes())
    }
}

impl Head {
    /// Reads the head of the bytes that [`super::Recording::finish`] returns. Returns the remaining bytes too.
    pub(crate) fn of(record: &[u8]) -> (Self, &[u8]) {
        const PARENT: u64 = field::PARENT as u64;
        const START: u64 = field::START as u64;
        const END: u64 = field::END as u64;
        let mut fields = Fields(record);
        let trace =
            fields.bytes().and_then(|bytes| bytes.try_into().ok()).map_or(TraceId::INVALID, TraceId::from_bytes);
        let id = fields.bytes().and_then(span_id).unwrap_or(SpanId::INVALID);
        let mut head = Self { trace, id, parent: None, parent_is_remote: false, start: 0, end: 0 };
        for field in fields.by_ref() {
            match field {
                (PARENT, Field::Bytes(bytes)) => head.parent = span_id(bytes),
                (field::FLAGS, Field::Fixed32(flags)) => head.parent_is_remote = is_remote(flags),
                (START, Field::Fixed64(nanoseconds)) => head.start = nanoseconds,
                (END, Field::Fixed64(nanoseconds)) => {
                    head.end = nanoseconds;
                    break;
                }
                _ => {}
            }
        }
        (head, fields.0)
    }

    /// The parent, if it is a span of this process.
    pub(crate) fn local_parent(&self) -> Option<SpanId> {
        self.parent.filter(|_| !self.parent_is_remote)
    }
}

/// The key of an attribute's field, which is bytes.
const ATTRIBUTE_KEY: u8 = field::ATTRIBUTE << 3 | 2;

impl<'a> Reading<'a> {
    /// A span without content.
    pub(crate) fn empty() -> Self {
        Self {
            name: Text::default(),
            kind: SpanKind::Internal,
            attributes: Vec::with_capacity(16),
            events: Vec::new(),
            links: Vec::new(),
            failed: false,
            is_ok: false,
            description: Text::default(),
        }
    }

    /// Reads `content`, the bytes after a [`Head`], and replaces the earlier content.
    pub(crate) fn read(&mut self, content: &'a [u8]) {
        self.attributes.clear();
        self.events.clear();
        self.links.clear();
        (self.name, self.kind) = (Text::default(), SpanKind::Internal);
        (self.failed, self.is_ok, self.description) = (false, false, Text::default());
        let mut fields = Fields(content);
        loop {
            // Attributes are most of a span, and are consecutive.
            while let [ATTRIBUTE_KEY, length @ ..0x80, rest @ ..] = fields.0
                && let Some((bytes, rest)) = rest.split_at_checked(usize::from(*length))
            {
                self.attributes.push(attribute(bytes));
                fields.0 = rest;
            }
            let Some((number, value)) = fields.next() else { break };
            self.take(number, value);
        }
    }

    fn take(&mut self, number: u64, value: Field<'a>) {
        const ATTRIBUTE: u64 = field::ATTRIBUTE as u64;
        const EVENT: u64 = field::EVENT as u64;
        const LINK: u64 = field::LINK as u64;
        match (number, value) {
            (ATTRIBUTE, Field::Bytes(bytes)) => self.attributes.push(attribute(bytes)),
            (EVENT, Field::Bytes(bytes)) => self.events.push(event(bytes)),
            (LINK, Field::Bytes(bytes)) => self.links.extend(link(bytes)),
            (number, Field::Bytes(bytes)) => match u8::try_from(number) {
                Ok(field::NAME) => self.name = Text(bytes),
                Ok(field::STATUS) => {
                    for field in Fields(bytes) {
                        match field {
                            (2, Field::Bytes(bytes)) => self.description = Text(bytes),
                            (3, Field::Number(code)) => (self.failed, self.is_ok) = (code == 2, code == 1),
                            _ => {}
                        }
                    }
                }
                _ => {}
            },
            (number, Field::Number(kind)) if number == u64::from(field::KIND) => {
                self.kind = match kind {
                    2 => SpanKind::Server,
                    3 => SpanKind::Client,
                    4 => SpanKind::Producer,
                    5 => SpanKind::Consumer,
                    _ => SpanKind::Internal,
                };
            }
            _ => {}
        }
    }
}

/// Whether a span's flags say that its parent is in another process.
fn is_remote(flags: u32) -> bool {
    flags & IS_REMOTE != 0
}

fn event(bytes: &[u8]) -> Event<'_> {
    let mut event = Event { name: Text::default(), time: 0, attributes: Vec::new() };
    for field in Fields(bytes) {
        match field {
            (1, Field::Fixed64(nanoseconds)) => event.time = nanoseconds,
            (2, Field::Bytes(bytes)) => event.name = Text(bytes),
            (3, Field::Bytes(bytes)) => event.attributes.push(attribute(bytes)),
            _ => {}
        }
    }
    event
}

fn link(bytes: &[u8]) -> Option<(TraceId, SpanId)> {
    let mut fields = Fields(bytes);
    let trace = fields.bytes()?.try_into().map(TraceId::from_bytes).ok()?;
    Some((trace, span_id(fields.bytes()?)?))
}

/// A `KeyValue` as [`attribute`](crate::attribute::attribute) writes it: the key, then the value.
#[inline]
pub(super) fn attribute(bytes: &[u8]) -> Attribute<'_> {
    // Nearly every attribute has a short key, and is a short text or a small number.
    if let [0x0a, length @ ..0x80, rest @ ..] = bytes
        && let Some((key, value)) = rest.split_at_checked(usize::from(*length))
    {
        match value {
            [0x12, _, 0x0a, length @ ..0x80, text @ ..] if text.len() == usize::from(*length) => {
                return (Text(key), Scalar::Text(Text(text)));
            }
            [0x12, _, 0x18, low @ .., high @ ..0x80] if low.len() < 3 && low.iter().all(|byte| *byte > 0x7f) => {
                let number = low.iter().rev().fold(i64::from(*high), |high, low| high << 7 | i64::from(low & 0x7f));
                return (Text(key), Scalar::Int(number));
            }
            _ => {}
        }
    }
    any_attribute(bytes)
}

#[inline(never)]
fn any_attribute(bytes: &[u8]) -> Attribute<'_> {
    let mut fields = Fields(bytes);
    let key = fields.bytes().map(Text).unwrap_or_default();
    (key, fields.bytes().map_or(Scalar::Text(Text::default()), scalar))
}

fn scalar(value: &[u8]) -> Scalar<'_> {
    match Fields(value).next() {
        Some((1, Field::Bytes(bytes))) => Scalar::Text(Text(bytes)),
        Some((2, Field::Number(flag))) => Scalar::Bool(flag != 0),
        Some((3, Field::Number(int))) => Scalar::Int(int.cast_signed()),
        Some((4, Field::Fixed64(bits))) => Scalar::Float(f64::from_bits(bits)),
        Some((5, Field::Bytes(values))) => Scalar::Array(values),
        _ => Scalar::Text(Text::default()),
    }
}

/// The values of a [`Scalar::Array`].
pub(crate) fn items(array: &[u8]) -> impl Iterator<Item = Scalar<'_>> {
    Fields(array).filter_map(|(_, field)| if let Field::Bytes(value) = field { Some(scalar(value)) } else { None })
}

fn span_id(bytes: &[u8]) -> Option<SpanId> {
    bytes.try_into().map(SpanId::from_bytes).ok()
}
