//! The traces in memory. Their number is bounded, as are the spans and bytes of one trace, and the bytes of all. The trace that began to arrive first is
//! evicted first. A span or document that arrives again replaces its earlier version. Reads no bytes and speaks no HTTP.

mod summary;
#[cfg(test)]
mod tests;
mod trace;
mod traces;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::summary::Summary;
pub(crate) use self::trace::SpanKey;
use self::traces::Traces;
pub(crate) use self::traces::{BOUNDS, Bounds, Counts};
use crate::model::{Document, Span, SpanId, TraceId};

/// The traces in memory, shared by all writers and readers.
pub(crate) struct Store {
    bounds: Bounds,
    traces: Mutex<Traces>,
}

impl Store {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, traces: Mutex::default() }
    }

    /// Adds spans, and evicts traces to make space. Returns how many did not fit into their trace.
    pub(crate) fn add(&self, spans: Vec<Span>) -> usize {
        self.lock().add_all(spans, self.bounds)
    }

    /// Counts spans or documents that could not be read.
    pub(crate) fn reject(&self, count: usize) {
        self.lock().counts.rejected += u64::try_from(count).unwrap_or(u64::MAX);
    }

    /// The newest traces, at most `limit`.
    pub(crate) fn newest(&self, limit: usize) -> Vec<Arc<Summary>> {
        let mut traces = self.lock();
        let mut summaries: Vec<Arc<Summary>> =
            traces.by_id.iter_mut().filter_map(|(id, trace)| trace.summary(*id)).collect();
        summaries.sort_unstable_by_key(|summary| std::cmp::Reverse(summary.start));
        summaries.truncate(limit);
        summaries
    }

    /// A trace's summary for the list.
    pub(crate) fn summary(&self, id: TraceId) -> Option<Arc<Summary>> {
        self.lock().by_id.get_mut(&id)?.summary(id)
    }

    /// One span of a trace.
    pub(crate) fn span(&self, trace: TraceId, key: SpanKey) -> Option<Arc<Span>> {
        let traces = self.lock();
        let trace = traces.by_id.get(&trace)?;
        trace.spans.get(*trace.places.get(&key)?).cloned()
    }

    /// A trace and its spans, earliest first.
    pub(crate) fn trace(&self, id: TraceId) -> Option<(Arc<Summary>, Vec<Arc<Span>>)> {
        let mut traces = self.lock();
        let trace = traces.by_id.get_mut(&id)?;
        let summary = trace.summary(id)?;
        let mut spans = trace.spans.clone();
        drop(traces);
        spans.sort_by_key(|span| (span.start, span.source));
        Some((summary, spans))
    }

    /// Adds the content of one datagram. If not all of it fits in its trace, spans take precedence.
    pub(crate) fn add_document(&self, document: Document, spans: Vec<Span>) {
        let mut traces = self.lock();
        traces.add_all(spans, self.bounds);
        traces.keep(document, self.bounds);
        traces.evict(self.bounds);
    }

    /// The documents of a trace, earliest first.
    pub(crate) fn documents(&self, id: TraceId) -> Option<Vec<Arc<Document>>> {
        let mut documents: Vec<_> = self.lock().by_id.get(&id)?.documents.values().cloned().collect();
        documents.sort_unstable_by_key(|document| (document.start, document.id));
        Some(documents)
    }

    /// One document of a trace.
    pub(crate) fn document(&self, trace: TraceId, id: SpanId) -> Option<Arc<Document>> {
        self.lock().by_id.get(&trace)?.documents.get(&id).cloned()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// No method leaves the counts half changed, so they are valid even after a panic.
    fn lock(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
