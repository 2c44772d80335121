//! The traces in memory. Their bytes are bounded, as are those of one trace; `retention` decides which trace is evicted. A span or document that arrives again
//! replaces its earlier version. Reads no bytes and speaks no HTTP.

mod retention;
mod summary;
#[cfg(test)]
mod tests;
mod trace;
mod traces;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub(crate) use self::summary::Summary;
pub(crate) use self::trace::SpanKey;
pub(crate) use self::traces::Counts;
use self::traces::Traces;
use crate::model::{Document, Span, SpanId, TraceId};

/// The traces in memory, shared by all writers and readers.
pub(crate) struct Store {
    memory: usize,
    traces: Mutex<Traces>,
}

impl Store {
    /// A store of at most `memory` bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self { memory, traces: Mutex::new(Traces::new(memory)) }
    }

    /// Adds spans, and evicts traces to make space. Returns how many did not fit into their trace.
    pub(crate) fn add(&self, spans: Vec<Span>) -> usize {
        let mut traces = self.lock();
        spans.into_iter().map(|span| usize::from(!traces.add(span))).sum()
    }

    /// Adds the content of one datagram. If not all of it fits in its trace, spans take precedence.
    pub(crate) fn add_document(&self, document: Document, spans: Vec<Span>) {
        let mut traces = self.lock();
        for span in spans {
            traces.add(span);
        }
        traces.add_document(document);
    }

    /// Counts spans or documents that could not be read.
    pub(crate) fn reject(&self, count: usize) {
        self.lock().reject(u64::try_from(count).unwrap_or(u64::MAX));
    }

    /// The ids of the traces that started last, newest first, at most `limit`.
    pub(crate) fn newest(&self, limit: usize) -> Vec<TraceId> {
        self.lock().newest(limit)
    }

    /// A trace's summary for the list.
    pub(crate) fn summary(&self, id: TraceId) -> Option<Arc<Summary>> {
        self.lock().get_mut(id)?.summary(id)
    }

    /// One span of a trace.
    pub(crate) fn span(&self, trace: TraceId, key: SpanKey) -> Option<Arc<Span>> {
        self.lock().get(trace)?.span(key)
    }

    /// Opens a trace for a user, which keeps it longer. Returns its spans, earliest first.
    pub(crate) fn open(&self, id: TraceId) -> Option<(Arc<Summary>, Vec<Arc<Span>>)> {
        let mut traces = self.lock();
        traces.open(id);
        let trace = traces.get_mut(id)?;
        let summary = trace.summary(id)?;
        let mut spans = trace.spans().to_vec();
        drop(traces);
        spans.sort_by_key(|span| (span.start, span.source));
        Some((summary, spans))
    }

    /// The documents of a trace, earliest first.
    pub(crate) fn documents(&self, id: TraceId) -> Option<Vec<Arc<Document>>> {
        let mut documents: Vec<_> = self.lock().get(id)?.documents().values().cloned().collect();
        documents.sort_unstable_by_key(|document| (document.start, document.id));
        Some(documents)
    }

    /// One document of a trace.
    pub(crate) fn document(&self, trace: TraceId, id: SpanId) -> Option<Arc<Document>> {
        self.lock().get(trace)?.documents().get(&id).cloned()
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// The bytes that all traces may take.
    pub(crate) fn memory(&self) -> usize {
        self.memory
    }

    /// The bytes that the spans and documents of one trace may take.
    pub(crate) fn trace_limit(&self) -> usize {
        self.lock().trace_limit()
    }

    /// No method leaves the counts half changed, so they are valid even after a panic.
    fn lock(&self) -> MutexGuard<'_, Traces> {
        self.traces.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
