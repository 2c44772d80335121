//! Decides whether a trace satisfies a query: first by what is known of the trace, then by reading its spans.

use std::sync::Arc;

use super::compile::{Check, Compiled, Fact, Node};
use super::syntax::ast::{Measure, Order, Pattern, SpanField, Test};
use crate::index::fields::{self, Scalar, number};
use crate::index::filter::Filter;
use crate::model::{Span, TraceId};
use crate::store::entry::Facts;

impl Compiled {
    /// Decides by the facts and the filter; `None` if the spans must be read. Never rejects a trace that [`Self::accepts`] accepts.
    pub(crate) fn verdict(&self, id: TraceId, facts: &Facts, filter: Option<&Filter>) -> Option<bool> {
        self.root.as_ref().map_or(Some(true), |root| self.known(root, id, facts, filter))
    }

    fn known(&self, node: &Node, id: TraceId, facts: &Facts, filter: Option<&Filter>) -> Option<bool> {
        match node {
            Node::And { same, apart } => all(same.iter().chain(apart).map(|node| self.known(node, id, facts, filter))),
            // The opposite of all being false.
            Node::Or(parts) => {
                all(parts.iter().map(|node| self.known(node, id, facts, filter).map(|is| !is))).map(|is| !is)
            }
            Node::Not(node) => self.known(node, id, facts, filter).map(|is| !is),
            Node::Fact(fact) => Some(fact.holds(id, facts)),
            Node::Leaf(at) => {
                let leaf = self.leaves.get(*at)?;
                let is_excluded = filter.is_some_and(|filter| {
                    let may_have = |probes: &Vec<_>| probes.iter().all(|probe| filter.may_have(probe));
                    !leaf.needs.is_empty() && !leaf.needs.iter().any(may_have)
                });
                // No span is longer than its trace.
                let is_too_short = match leaf.check {
                    Check::Duration(Order::More | Order::MoreOrEqual | Order::Equal, ns) => facts.duration < ns,
                    _ => false,
                };
                (is_excluded || is_too_short).then_some(false)
            }
        }
    }

    /// Decides by reading all spans of a trace.
    pub(crate) fn accepts(&self, id: TraceId, facts: &Facts, spans: &[Arc<Span>]) -> bool {
        let Some(root) = &self.root else { return true };
        let mut satisfied: Vec<u64> = Vec::new();
        for (at, span) in spans.iter().enumerate() {
            let leaves = self.satisfied(span, at == facts.root);
            if !satisfied.contains(&leaves) {
                satisfied.push(leaves);
            }
        }
        holds(root, id, facts, &satisfied)
    }

    /// The leaves that a span satisfies, as bits.
    fn satisfied(&self, span: &Span, is_root: bool) -> u64 {
        let (mut found, mut seen, mut readers) = (0, 0, 0_u64);
        for (at, leaf) in self.leaves.iter().enumerate() {
            let mut findings = Findings { found: &mut found, seen: &mut seen, bit: 1 << at };
            if leaf.check.apply(span, is_root, &mut findings) {
                readers |= 1 << at;
            }
        }
        if readers != 0 {
            fields::visit(span.details.get(), &mut |key, value| {
                for (at, leaf) in self.leaves.iter().enumerate().filter(|(at, _)| readers & (1 << at) != 0) {
                    let mut findings = Findings { found: &mut found, seen: &mut seen, bit: 1 << at };
                    leaf.check.apply_to_value(key, value, &mut findings);
                }
            });
        }
        let unequal = self.leaves.iter().enumerate().filter(|(_, leaf)| leaf.check.is_negative());
        unequal.fold(
            found,
            |bits, (at, _)| if found & (1 << at) == 0 { bits | (seen & (1 << at)) } else { bits & !(1 << at) },
        )
    }
}

/// `Some(false)` if one is, `Some(true)` if all are.
fn all(parts: impl Iterator<Item = Option<bool>>) -> Option<bool> {
    let mut all = Some(true);
    for part in parts {
        match part {
            Some(false) => return Some(false),
            Some(true) => {}
            None => all = None,
        }
    }
    // The same span must satisfy all leaves, which is unknown here: a leaf is never known to hold.
    all
}

/// `satisfied` has each combination of leaves that a span satisfies.
fn holds(node: &Node, id: TraceId, facts: &Facts, satisfied: &[u64]) -> bool {
    match node {
        Node::And { same, apart } => {
            apart.iter().all(|node| holds(node, id, facts, satisfied))
                && (same.is_empty()
                    || satisfied.iter().any(|leaves| same.iter().all(|node| holds(node, id, facts, &[*leaves]))))
        }
        Node::Or(parts) => parts.iter().any(|node| holds(node, id, facts, satisfied)),
        Node::Not(node) => !holds(node, id, facts, satisfied),
        Node::Leaf(at) => satisfied.iter().any(|leaves| leaves & (1 << at) != 0),
        Node::Fact(fact) => fact.holds(id, facts),
    }
}

impl Fact {
    fn holds(&self, id: TraceId, facts: &Facts) -> bool {
        let count = |count: usize| u64::try_from(count).unwrap_or(u64::MAX);
        match self {
            Self::Measure(Measure::Duration, order, ns) => order.holds(facts.duration, *ns),
            Self::Measure(Measure::Spans, order, limit) => order.holds(count(facts.operations), *limit),
            Self::Measure(Measure::Errors, order, limit) => order.holds(count(facts.errors), *limit),
            Self::TraceId(pattern) => pattern.accepts(&id.to_string()),
            Self::Since(since) => facts.start >= *since,
            Self::IsCut => facts.is_cut,
        }
    }
}

/// What one leaf finds in a span.
struct Findings<'a> {
    found: &'a mut u64,
    /// The leaves whose field the span has.
    seen: &'a mut u64,
    bit: u64,
}

impl Findings<'_> {
    fn test(&mut self, test: &Test, value: &Scalar<'_>) {
        *self.seen |= self.bit;
        if is_satisfied(test, value) {
            *self.found |= self.bit;
        }
    }

    fn test_text(&mut self, test: &Test, text: &str) {
        self.test(test, &Scalar::Text(text.into()));
    }

    fn record(&mut self, is_found: bool) {
        if is_found {
            *self.found |= self.bit;
        }
    }
}

impl Check {
    /// Whether the leaf holds if its field is there and none of its values is found.
    fn is_negative(&self) -> bool {
        matches!(self, Self::Field(_, Test::IsNot(_)) | Self::Attribute(_, Test::IsNot(_)) | Self::Root(Test::IsNot(_)))
    }

    /// Checks a span without its details. Returns whether the details must be read.
    fn apply(&self, span: &Span, is_root: bool, findings: &mut Findings<'_>) -> bool {
        match self {
            Self::Word(word) => {
                let names = [span.service.as_deref(), span.database.as_deref(), Some(&*span.name)];
                let is_id = word.len() == 16 && span.span_id.to_string() == *word;
                let is_found = is_id || names.into_iter().flatten().any(|name| contains(name, word));
                findings.record(is_found);
                return !is_found;
            }
            Self::Field(field, test) => apply_field(field, test, span, findings),
            Self::Duration(order, ns) => {
                let duration = span.end.map(|end| end.0.saturating_sub(span.start.0));
                findings.record(duration.is_some_and(|duration| order.holds(duration, *ns)));
            }
            Self::Root(test) if is_root => {
                findings.test_text(test, &span.name);
                return true;
            }
            Self::Root(_) => {}
            Self::IsOfBrowser => findings.record(span.is_browser),
            Self::HasDocument => findings.record(span.document.is_some()),
            Self::Attribute(..) | Self::IsException => return true,
        }
        false
    }

    fn apply_to_value(&self, key: &str, value: &Scalar<'_>, findings: &mut Findings<'_>) {
        match self {
            Self::Word(word) => findings.record(contains(value.text(), word)),
            Self::Attribute(keys, test) if keys.have(key) => findings.test(test, value),
            Self::Root(test) if key == "url.path" => findings.test(test, value),
            Self::IsException => {
                let is_exception = key == "event.name" && value.text() == "exception";
                findings.record(is_exception || matches!(key, "exception.type" | "exception.message"));
            }
            _ => {}
        }
    }
}

fn apply_field(field: &SpanField, test: &Test, span: &Span, findings: &mut Findings<'_>) {
    match field {
        SpanField::Service => {
            for name in [&span.service, &span.database].into_iter().flatten() {
                findings.test_text(test, name);
            }
        }
        SpanField::Database => span.database.iter().for_each(|name| findings.test_text(test, name)),
        SpanField::Name => findings.test_text(test, &span.name),
        SpanField::Kind => findings.test_text(test, span.kind.name()),
        SpanField::Status => findings.test_text(test, span.outcome.name()),
        SpanField::Source => findings.test_text(test, span.source.name()),
        SpanField::Id => findings.test_text(test, &span.span_id.to_string()),
        SpanField::Parent => span.parent.iter().for_each(|id| findings.test_text(test, &id.to_string())),
        SpanField::Attribute(_) | SpanField::Annotation(_) => {}
    }
}

/// Whether a value is what a test looks for: of [`Test::IsNot`], the value that must not be there.
fn is_satisfied(test: &Test, value: &Scalar<'_>) -> bool {
    match (test, value) {
        (Test::Exists, _) => true,
        (_, Scalar::Nothing) => false,
        (Test::Is(pattern) | Test::IsNot(pattern), value) => is_equal(pattern, value),
        (Test::Contains(text), value) => contains(value.text(), text),
        (Test::Compare(order, limit), value) => number(value.text()).is_some_and(|number| order.holds(number, *limit)),
    }
}

fn is_equal(pattern: &Pattern, value: &Scalar<'_>) -> bool {
    if pattern.accepts(value.text()) {
        return true;
    }
    let Scalar::Number(text) = value else { return false };
    match (text.parse::<i128>(), pattern.text.parse::<i128>()) {
        _ if !pattern.is_exact() => false,
        (Ok(a), Ok(b)) => a == b,
        _ => number(text).is_some_and(|a| number(&pattern.text) == Some(a)),
    }
}

/// Whether a text contains another one, which is in ASCII lower case, without regard to ASCII case.
fn contains(text: &str, word: &str) -> bool {
    let (text, word) = (text.as_bytes(), word.as_bytes());
    let Some(first) = word.first() else { return true };
    let upper = first.to_ascii_uppercase();
    let last = text.len().checked_sub(word.len());
    let starts = last.and_then(|last| text.get(..=last)).unwrap_or_default();
    memchr::memchr2_iter(*first, upper, starts)
        .any(|at| text.get(at..at + word.len()).is_some_and(|part| part.eq_ignore_ascii_case(word)))
}

#[cfg(test)]
mod tests;
