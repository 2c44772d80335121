//! The traces in memory. Their bytes are bounded, as are those of one trace; `retention` decides which trace is evicted. A span or document that arrives again
//! replaces its earlier version. What is added goes to the disk as well, if there is one, and from there into memory once it is needed. Speaks no HTTP.

pub(crate) mod entry;
mod load;
pub(crate) mod retention;
mod summary;
#[cfg(test)]
mod tests;
mod trace;
mod traces;
mod unindexed;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use self::entry::{Facts, TraceEntry};
pub(crate) use self::summary::Summary;
pub(crate) use self::trace::SpanKey;
use self::traces::Traces;
pub(crate) use self::traces::{Counts, Cursor};
use crate::disk::{Disk, DiskStatus};
use crate::model::{Document, Span, SpanId, TraceId};

/// The traces in memory, shared by all writers and readers.
pub(crate) struct Store {
    memory: usize,
    traces: Mutex<Traces>,
    disk: Option<Disk>,
}

/// After this many spans, a slice ends: other users of the store wait meanwhile.
const SLICE_SPANS: usize = 2_048;

/// What a reader of a slice wants of a trace.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Wanted {
    Nothing,
    /// The root span, as the only one.
    Root,
    Spans,
}

/// Consecutive traces.
pub(crate) struct Slice {
    /// Those that were wanted.
    pub(crate) traces: Vec<Snapshot>,
    /// How many were passed.
    pub(crate) visited: usize,
}

/// A trace as it was when it was read.
pub(crate) struct Snapshot {
    pub(crate) id: TraceId,
    /// Those of the trace's entry, if it has one.
    pub(crate) facts: Option<Facts>,
    pub(crate) spans: Vec<Arc<Span>>,
    pub(crate) is_cut: bool,
    content: usize,
}

impl Store {
    /// A store of at most `memory` bytes.
    pub(crate) fn new(memory: usize) -> Self {
        Self { memory, traces: Mutex::new(Traces::new(memory)), disk: None }
    }

    /// A store that also keeps its traces on a disk.
    pub(crate) fn with_disk(self, disk: Option<Disk>) -> Self {
        Self { disk, ..self }
    }

    /// Adds spans, and evicts traces to make space. Returns, once the disk has them, how many did not fit into their trace.
    pub(crate) async fn save(&self, spans: Vec<Span>) -> usize {
        let mut spans = spans.into_iter().map(Arc::new).collect();
        let surplus = self.keep(&mut spans);
        if let Some(disk) = &self.disk {
            disk.add(spans).await;
        }
        surplus
    }

    /// Adds the content of one datagram. If not all of it fits in its trace, spans take precedence.
    pub(crate) async fn save_document(&self, document: Document, spans: Vec<Span>) {
        let document = Arc::new(document);
        let mut spans = spans.into_iter().map(Arc::new).collect();
        self.keep(&mut spans);
        self.lock().add_document(Arc::clone(&document));
        if let Some(disk) = &self.disk {
            disk.add_document(spans, document).await;
        }
    }

    /// Adds spans to memory, and removes those that do not fit. Returns how many did not.
    fn keep(&self, spans: &mut Vec<Arc<Span>>) -> usize {
        let count = spans.len();
        let mut traces = self.lock();
        spans.retain(|span| traces.add(Arc::clone(span)));
        count - spans.len()
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
        let is_first = traces.open(id);
        let trace = traces.get_mut(id)?;
        let summary = trace.summary(id)?;
        let mut spans = trace.spans().to_vec();
        drop(traces);
        if let Some(disk) = self.disk.as_ref().filter(|_| is_first) {
            disk.mark_opened(id);
        }
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

    /// Reads the next traces, latest first, at most `limit`, and only one after [`SLICE_SPANS`]. `wanted` decides on those that have an
    /// entry; the others are read with their spans. Moves the cursor. A slice without any trace is the end.
    pub(crate) fn slice(
        &self,
        cursor: &mut Option<Cursor>,
        limit: usize,
        mut wanted: impl FnMut(TraceId, &TraceEntry) -> Wanted,
    ) -> Slice {
        let traces = self.lock();
        let mut slice = Slice { traces: Vec::new(), visited: 0 };
        let mut spans_read = 0;
        for (at, trace) in traces.before(*cursor).take(limit) {
            *cursor = Some(at);
            slice.visited += 1;
            let entry = trace.entry();
            let wanted = entry.map_or(Wanted::Spans, |entry| wanted(at.1, entry));
            let spans = match (wanted, entry) {
                (Wanted::Nothing, _) => continue,
                (Wanted::Root, Some(entry)) => trace.spans().get(entry.facts.root).cloned().into_iter().collect(),
                _ => trace.spans().to_vec(),
            };
            spans_read += spans.len();
            let facts = entry.map(|entry| entry.facts);
            slice.traces.push(Snapshot { id: at.1, facts, spans, is_cut: trace.is_cut(), content: trace.content() });
            if spans_read > SLICE_SPANS {
                break;
            }
        }
        slice
    }

    /// Starts a round of [`Self::index`].
    pub(crate) fn start_indexing(&self) {
        self.lock().start_round();
    }

    /// Makes the search entries of at most `limit` traces of the round. Returns whether any was left.
    pub(crate) fn index(&self, limit: usize) -> bool {
        let mut snapshots = Vec::new();
        let mut spans_read = 0;
        let mut traces = self.lock();
        while snapshots.len() < limit && spans_read <= SLICE_SPANS {
            let Some((id, trace)) = traces.next_unindexed() else { break };
            let (spans, is_cut) = (trace.spans().to_vec(), trace.is_cut());
            spans_read += spans.len();
            snapshots.push(Snapshot { id, facts: None, spans, is_cut, content: trace.content() });
        }
        drop(traces);
        let entries: Vec<_> = snapshots
            .iter()
            .map(|trace| TraceEntry::of(&trace.spans, trace.content, trace.is_cut).map(Arc::new))
            .collect();
        let is_done = snapshots.is_empty();
        let mut traces = self.lock();
        for (trace, entry) in snapshots.iter().zip(entries) {
            if let Some(entry) = entry {
                traces.keep_entry(trace.id, &trace.spans, entry);
            }
        }
        drop(traces);
        !is_done
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts()
    }

    /// How the disk is, if there is one.
    pub(crate) fn disk_status(&self) -> Option<DiskStatus> {
        self.disk.as_ref().map(Disk::status)
    }

    /// Writes what waits for the disk.
    pub(crate) async fn close(&self) {
        if let Some(disk) = &self.disk {
            disk.close().await;
        }
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
