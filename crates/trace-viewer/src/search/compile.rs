//! A query in the form in which traces are compared with it. Each distinct term about spans becomes a leaf with a number; a span's leaves fit in one word.

use std::borrow::Cow;

use super::syntax::ast::{Expr, Having, Measure, Order, Pattern, Query, SpanField, Term, Test};
use crate::index::fields::number;
use crate::index::filter::{Probe, key, pair};
use crate::model::Nanos;
use crate::store::entry::keys;

/// Keys with a common meaning in OTLP's old and new conventions and in X-Ray's documents.
const SYNONYMS: [(&str, &[&str]); 6] = [
    ("http.status", &["http.response.status_code", "http.status_code", "http.response.status"]),
    ("http.method", &["http.request.method"]),
    ("http.url", &["url.full", "url.path", "http.target", "http.request.url"]),
    ("http.useragent", &["user_agent.original", "http.user_agent", "http.request.user_agent"]),
    ("http.clientip", &["client.address", "http.client_ip", "http.request.client_ip"]),
    ("user", &["user.id", "enduser.id"]),
];

/// A query that is ready to be compared with traces.
pub(crate) struct Compiled {
    /// `None` accepts every trace.
    pub(super) root: Option<Node>,
    pub(super) leaves: Vec<Leaf>,
}

pub(super) enum Node {
    /// `same` hold for one and the same span, `apart` for the trace.
    And {
        same: Vec<Node>,
        apart: Vec<Node>,
    },
    Or(Vec<Node>),
    Not(Box<Node>),
    /// The index of a leaf.
    Leaf(usize),
    Fact(Fact),
}

/// A condition that a trace's id and facts decide.
pub(super) enum Fact {
    Measure(Measure, Order, u64),
    TraceId(Pattern),
    Since(Nanos),
    IsCut,
}

/// A condition on a span.
pub(super) struct Leaf {
    pub(super) check: Check,
    /// A trace that has none of these alternatives has no such span. If there are no alternatives, any trace may have one.
    pub(super) needs: Vec<Vec<Probe>>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) enum Check {
    /// In ASCII lower case.
    Word(String),
    Field(SpanField, Test),
    Attribute(Keys, Test),
    Duration(Order, u64),
    Root(Test),
    IsException,
    IsOfBrowser,
    HasDocument,
}

/// The keys of which an attribute must have one.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Keys {
    Any(Vec<String>),
    /// X-Ray's path of the annotation, and the key with `_` for other characters.
    Annotation {
        path: String,
        key: String,
    },
}

impl Compiled {
    /// Compiles a query at a moment, from which `last` counts.
    pub(crate) fn new(query: &Query, now: Nanos) -> Self {
        let mut compiled = Self { root: None, leaves: Vec::new() };
        compiled.root = query.filter.as_ref().map(|filter| compiled.node(filter, now).0);
        compiled
    }

    /// A condition, and whether it is about one span.
    fn node(&mut self, expr: &Expr, now: Nanos) -> (Node, bool) {
        match expr {
            Expr::And(parts) => {
                let (mut same, mut apart) = (Vec::new(), Vec::new());
                for part in parts {
                    let (node, is_of_span) = self.node(part, now);
                    if is_of_span { &mut same } else { &mut apart }.push(node);
                }
                let is_of_span = apart.is_empty();
                (Node::And { same, apart }, is_of_span)
            }
            Expr::Or(parts) => {
                let parts: Vec<(Node, bool)> = parts.iter().map(|part| self.node(part, now)).collect();
                let is_of_span = parts.iter().all(|(_, is_of_span)| *is_of_span);
                (Node::Or(parts.into_iter().map(|(node, _)| node).collect()), is_of_span)
            }
            Expr::Not(part) => (Node::Not(Box::new(self.node(part, now).0)), false),
            Expr::Term(term) => self.term(term, now),
        }
    }

    fn term(&mut self, term: &Term, now: Nanos) -> (Node, bool) {
        match term {
            Term::Word(text) => (self.leaf(Check::Word(text.to_ascii_lowercase())), true),
            Term::Span(SpanField::Attribute(key), test) => {
                (self.leaf(Check::Attribute(Keys::of(key), folded(test))), true)
            }
            Term::Span(SpanField::Annotation(key), test) => {
                let keys = Keys::Annotation { path: format!("annotations.{key}"), key: key.clone() };
                (self.leaf(Check::Attribute(keys, folded(test))), true)
            }
            Term::Span(field, test) => (self.leaf(Check::Field(field.clone(), folded(test))), true),
            Term::SpanDuration(order, ns) => (self.leaf(Check::Duration(*order, *ns)), true),
            Term::Root(test) => (self.leaf(Check::Root(folded(test))), false),
            Term::Has(Having::Key(key)) => (self.leaf(Check::Attribute(Keys::of(key), Test::Exists)), false),
            Term::Has(Having::Exception) => (self.leaf(Check::IsException), false),
            Term::Has(Having::Browser) => (self.leaf(Check::IsOfBrowser), false),
            Term::Has(Having::Document) => (self.leaf(Check::HasDocument), false),
            Term::Has(Having::Error) => (Node::Fact(Fact::Measure(Measure::Errors, Order::More, 0)), false),
            Term::Has(Having::Dropped) => (Node::Fact(Fact::IsCut), false),
            Term::Trace(measure, order, limit) => (Node::Fact(Fact::Measure(*measure, *order, *limit)), false),
            Term::TraceId(pattern) => (Node::Fact(Fact::TraceId(pattern.clone())), false),
            Term::Last(ns) => (Node::Fact(Fact::Since(Nanos(now.0.saturating_sub(*ns)))), false),
        }
    }

    fn leaf(&mut self, check: Check) -> Node {
        let known = self.leaves.iter().position(|leaf| leaf.check == check);
        Node::Leaf(known.unwrap_or_else(|| {
            self.leaves.push(Leaf { needs: check.needs(), check });
            self.leaves.len() - 1
        }))
    }
}

/// A test whose contained text is in lower case.
fn folded(test: &Test) -> Test {
    match test {
        Test::Contains(text) => Test::Contains(text.to_ascii_lowercase()),
        test => test.clone(),
    }
}

impl Keys {
    fn of(key: &str) -> Self {
        let synonyms = SYNONYMS.iter().find(|(name, _)| *name == key).map_or(&[][..], |(_, keys)| keys);
        Self::Any([key].iter().chain(synonyms).map(|key| (*key).to_owned()).collect())
    }

    pub(super) fn have(&self, found: &str) -> bool {
        match self {
            Self::Any(keys) => keys.iter().any(|key| key == found),
            Self::Annotation { path, key } => {
                let as_key = |byte: u8| if byte.is_ascii_alphanumeric() { byte } else { b'_' };
                found == path || (found.len() == key.len() && found.bytes().map(as_key).eq(key.bytes()))
            }
        }
    }
}

impl Check {
    fn needs(&self) -> Vec<Vec<Probe>> {
        match self {
            Self::Word(text) => {
                let id = (text.len() == 16).then(|| vec![Probe::Pair(pair(keys::ID, text))]);
                [vec![Probe::text(text)]].into_iter().chain(id).collect()
            }
            Self::Field(field, test) => field_needs(field, test),
            Self::Attribute(Keys::Any(keys), test) => keys.iter().map(|key| attribute_needs(key, test)).collect(),
            Self::Attribute(Keys::Annotation { path, .. }, test) => annotation_needs(path, test),
            Self::Root(Test::Is(pattern)) if pattern.is_exact() => {
                [keys::NAME, "url.path"].map(|key| vec![Probe::Pair(pair(key, &pattern.text))]).into()
            }
            Self::Root(Test::Is(Pattern { text, .. }) | Test::Contains(text)) => vec![vec![Probe::text(text)]],
            Self::IsException => vec![
                vec![Probe::Pair(key("exception.type"))],
                vec![Probe::Pair(key("exception.message"))],
                vec![Probe::Pair(pair("event.name", "exception"))],
            ],
            Self::HasDocument => vec![vec![Probe::Pair(pair(keys::SOURCE, "xray"))]],
            Self::Duration(..) | Self::Root(_) | Self::IsOfBrowser => Vec::new(),
        }
    }
}

fn field_needs(field: &SpanField, test: &Test) -> Vec<Vec<Probe>> {
    // The texts of the other fields are in the filter as pairs alone.
    let (key, has_text) = match field {
        SpanField::Service => (keys::SERVICE, true),
        SpanField::Name => (keys::NAME, true),
        SpanField::Database => (keys::DATABASE, true),
        SpanField::Kind => (keys::KIND, false),
        SpanField::Status => (keys::STATUS, false),
        SpanField::Source => (keys::SOURCE, false),
        SpanField::Id => (keys::ID, false),
        SpanField::Parent => (keys::PARENT, false),
        SpanField::Attribute(_) | SpanField::Annotation(_) => return Vec::new(),
    };
    match test {
        Test::Is(pattern) if pattern.is_exact() => vec![vec![Probe::Pair(pair(key, &pattern.text))]],
        Test::Is(Pattern { text, .. }) | Test::Contains(text) if has_text => vec![vec![Probe::text(text)]],
        _ => Vec::new(),
    }
}

fn attribute_needs(name: &str, test: &Test) -> Vec<Probe> {
    let has_key = Probe::Pair(key(name));
    match test {
        Test::Is(pattern) if pattern.is_exact() => vec![has_key, Probe::Pair(pair(name, &pattern.text))],
        Test::Is(Pattern { text, .. }) | Test::Contains(text) => vec![has_key, Probe::text(text)],
        Test::Exists | Test::IsNot(_) | Test::Compare(..) => vec![has_key],
    }
}

/// Which keys become this annotation is not known, so the value alone decides.
fn annotation_needs(path: &str, test: &Test) -> Vec<Vec<Probe>> {
    let text: Cow<'_, str> = match test {
        // An equal number may be written in another way.
        Test::Is(pattern) if pattern.is_exact() && number(&pattern.text).is_some() => return Vec::new(),
        Test::Is(Pattern { text, .. }) | Test::Contains(text) => text.into(),
        Test::Exists | Test::IsNot(_) | Test::Compare(..) => return Vec::new(),
    };
    vec![attribute_needs(path, test), vec![Probe::text(&text)]]
}
