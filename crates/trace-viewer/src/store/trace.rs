//! One trace in memory: its spans, and the documents from which they were read. Knows no bounds.

use std::collections::HashMap;
use std::sync::Arc;

use super::summary::{Summary, summarise};
use crate::model::{Document, Kind, Source, Span, SpanId, TraceId};

/// Identifies a span within a trace: a span with the same key replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanKey {
    pub(super) id: SpanId,
    pub(super) source: Source,
    pub(super) kind: Kind,
}

#[derive(Default)]
pub(super) struct Trace {
    pub(super) spans: Vec<Arc<Span>>,
    pub(super) places: HashMap<SpanKey, usize>,
    /// Each document has a span with its id, so that the bound on spans limits the documents too.
    pub(super) documents: HashMap<SpanId, Arc<Document>>,
    pub(super) bytes: usize,
    pub(super) summary: Option<Arc<Summary>>,
}

impl SpanKey {
    pub(crate) fn of(span: &Span) -> Self {
        Self { id: span.span_id, source: span.source, kind: span.kind }
    }
}

impl Trace {
    pub(super) fn summary(&mut self, id: TraceId) -> Option<Arc<Summary>> {
        if self.summary.is_none() {
            self.summary = summarise(id, &self.spans).map(Arc::new);
        }
        self.summary.clone()
    }
}
