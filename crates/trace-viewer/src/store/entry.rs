//! What a search knows of a trace without reading its spans: a few facts, and a filter of its texts. Becomes void when the trace changes.

use std::sync::Arc;

use super::summary;
use crate::index::fields;
use crate::index::filter::{self, Filter};
use crate::model::{Nanos, Span, allocated};

/// The key of each field of a span in the filter. Attributes have no such keys: they have no space in front.
pub(crate) mod keys {
    pub(crate) const SERVICE: &str = " service";
    pub(crate) const NAME: &str = " name";
    pub(crate) const KIND: &str = " kind";
    pub(crate) const STATUS: &str = " status";
    pub(crate) const SOURCE: &str = " source";
    pub(crate) const DATABASE: &str = " database";
    pub(crate) const ID: &str = " id";
    pub(crate) const PARENT: &str = " parent";
}

#[derive(Debug)]
pub(crate) struct TraceEntry {
    pub(crate) facts: Facts,
    pub(crate) filter: Filter,
}

/// The same as in the trace's summary.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Facts {
    pub(crate) start: Nanos,
    /// In nanoseconds.
    pub(crate) duration: u64,
    pub(crate) operations: usize,
    pub(crate) errors: usize,
    /// The index of the root among the spans.
    pub(crate) root: usize,
    /// Whether a part of the trace did not fit.
    pub(crate) is_cut: bool,
}

impl Facts {
    /// `None` for a trace without spans.
    pub(crate) fn of(spans: &[Arc<Span>], is_cut: bool) -> Option<Self> {
        let (start, end) = summary::time(spans)?;
        let (operations, errors) = summary::operations(spans);
        let root = summary::root(spans)?;
        let root = spans.iter().position(|span| Arc::ptr_eq(span, root))?;
        Some(Self { start, duration: end.0.saturating_sub(start.0), operations, errors, root, is_cut })
    }
}

impl TraceEntry {
    /// `None` for a trace without spans. `content` is the number of their bytes.
    pub(crate) fn of(spans: &[Arc<Span>], content: usize, is_cut: bool) -> Option<Self> {
        let facts = Facts::of(spans, is_cut)?;
        let mut filter = Filter::new(content);
        for span in spans {
            insert(&mut filter, span);
        }
        Some(Self { facts, filter })
    }

    /// How much memory the entry takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        allocated(size_of::<Self>() + 2 * size_of::<usize>()) + allocated(self.filter.bytes())
    }
}

fn insert(filter: &mut Filter, span: &Span) {
    let mut field = |key: &str, value: &str| filter.insert_pair(filter::pair(key, value));
    field(keys::KIND, span.kind.name());
    field(keys::STATUS, span.outcome.name());
    field(keys::SOURCE, span.source.name());
    field(keys::ID, &span.span_id.to_string());
    if let Some(parent) = span.parent {
        field(keys::PARENT, &parent.to_string());
    }
    // A database is a service too.
    let services = [&span.service, &span.database].into_iter().flatten().map(|name| (keys::SERVICE, &**name));
    let database = span.database.iter().map(|name| (keys::DATABASE, &**name));
    for (key, value) in services.chain(database).chain([(keys::NAME, &*span.name)]) {
        filter.insert_pair(filter::pair(key, value));
        filter.insert_text(value);
    }
    fields::visit(span.details.get(), &mut |key, value| {
        let text = value.text();
        let (key, pair) = filter::key_and_pair(key, text);
        filter.insert_pair(key);
        filter.insert_pair(pair);
        filter.insert_text(text);
    });
}
