//! A query as a tree.

/// What to find, and in which order to return it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Query {
    /// `None` accepts every trace.
    pub(crate) filter: Option<Expr>,
    pub(crate) sort: Sort,
}

/// A condition. In a trace, the terms about spans that are joined by `And` hold for one and the same span.
///
/// Only [`Self::and`] and [`Self::or`] make the nested forms, so that no `And` is directly within an `And`, and none has fewer than two parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Expr {
    And(Vec<Expr>),
    Or(Vec<Expr>),
    /// Holds for a trace for which the inner one does not.
    Not(Box<Expr>),
    Term(Term),
}

#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Term {
    /// A text in a name, a value or a service, without regard to ASCII case, or a whole id of a span.
    Word(String),
    /// A field of a span.
    Span(SpanField, Test),
    /// The duration of a span, in nanoseconds.
    SpanDuration(Order, u64),
    /// A measure of the trace.
    Trace(Measure, Order, u64),
    TraceId(Pattern),
    /// The name or path of the root span.
    Root(Test),
    Has(Having),
    /// The trace started at most this many nanoseconds ago.
    Last(u64),
}

/// A field of a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum SpanField {
    /// The service, or the database that the span called.
    Service,
    Name,
    Kind,
    Status,
    Source,
    Database,
    Id,
    Parent,
    /// An attribute of the span, its events or its links, by its key.
    Attribute(String),
    /// An X-Ray annotation, or the attribute from which ours are made: with `_` for each character that annotations exclude.
    Annotation(String),
}

/// What a value must satisfy.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Test {
    Exists,
    Is(Pattern),
    /// The field has a value, and none is this.
    IsNot(Pattern),
    /// The value contains a text, without regard to ASCII case.
    Contains(String),
    /// The value is a number that is more or less.
    Compare(Order, f64),
}

/// A text, or its end, its start or its middle.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Pattern {
    pub(crate) text: String,
    /// Whether anything may precede the text.
    pub(crate) is_open_before: bool,
    /// Whether anything may follow it.
    pub(crate) is_open_after: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Order {
    Equal,
    Unequal,
    More,
    MoreOrEqual,
    Less,
    LessOrEqual,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Measure {
    Duration,
    Spans,
    Errors,
}

/// What a trace has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Having {
    Error,
    /// An event that is an exception.
    Exception,
    Browser,
    Document,
    /// Spans or documents that did not fit.
    Dropped,
    /// An attribute.
    Key(String),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    pub(crate) by: SortKey,
    pub(crate) is_ascending: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum SortKey {
    Start,
    Duration,
    Spans,
    Errors,
}

impl Expr {
    /// Joins conditions; `None` if there are none.
    pub(crate) fn and(parts: Vec<Self>) -> Option<Self> {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::And(parts) => parts,
            part => vec![part],
        });
        let mut flat: Vec<Self> = flat.collect();
        if flat.len() > 1 { Some(Self::And(flat)) } else { flat.pop() }
    }

    /// `None` if there are no alternatives.
    pub(crate) fn or(parts: Vec<Self>) -> Option<Self> {
        let flat = parts.into_iter().flat_map(|part| match part {
            Self::Or(parts) => parts,
            part => vec![part],
        });
        let mut flat: Vec<Self> = flat.collect();
        if flat.len() > 1 { Some(Self::Or(flat)) } else { flat.pop() }
    }

    /// The number of terms.
    pub(super) fn terms(&self) -> usize {
        match self {
            Self::And(parts) | Self::Or(parts) => parts.iter().map(Self::terms).sum(),
            Self::Not(part) => part.terms(),
            Self::Term(_) => 1,
        }
    }

    pub(crate) fn not(self) -> Self {
        Self::Not(Box::new(self))
    }
}

impl Term {
    /// A word, or the trace of which it is the id, in either protocol's form.
    pub(crate) fn word(text: String) -> Self {
        let xray = text.strip_prefix("1-").map(|id| id.replacen('-', "", 1)).filter(|_| text.get(10..11) == Some("-"));
        let id = xray.unwrap_or_else(|| text.clone());
        if id.len() == 32 && id.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Self::TraceId(Pattern::exact(id.to_ascii_lowercase()));
        }
        Self::Word(text)
    }
}

impl Pattern {
    pub(crate) fn exact(text: impl Into<String>) -> Self {
        Self { text: text.into(), is_open_before: false, is_open_after: false }
    }

    pub(crate) fn accepts(&self, text: &str) -> bool {
        match (self.is_open_before, self.is_open_after) {
            (false, false) => text == self.text,
            (false, true) => text.starts_with(&self.text),
            (true, false) => text.ends_with(&self.text),
            (true, true) => text.contains(&self.text),
        }
    }

    pub(crate) fn is_exact(&self) -> bool {
        !self.is_open_before && !self.is_open_after
    }
}

impl Order {
    pub(crate) fn holds<T: PartialOrd + Copy>(self, value: T, limit: T) -> bool {
        match self {
            Self::Equal => value == limit,
            Self::Unequal => value != limit,
            Self::More => value > limit,
            Self::MoreOrEqual => value >= limit,
            Self::Less => value < limit,
            Self::LessOrEqual => value <= limit,
        }
    }
}

impl Default for Sort {
    fn default() -> Self {
        Self { by: SortKey::Start, is_ascending: false }
    }
}
