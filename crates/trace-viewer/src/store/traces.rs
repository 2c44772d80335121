//! All traces in memory, within bounds. The trace that began to arrive first is evicted first.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use serde::Serialize;

use super::trace::{SpanKey, Trace};
use crate::model::{Document, Source, Span, TraceId};

/// The bounds on what is kept.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Bounds {
    pub(crate) traces: usize,
    pub(crate) spans_of_a_trace: usize,
    pub(crate) bytes_of_a_trace: usize,
    pub(crate) bytes: usize,
}

/// A thousand traces, twenty thousand spans and 16 MiB in one, 64 MiB in all.
pub(crate) const BOUNDS: Bounds =
    Bounds { traces: 1_000, spans_of_a_trace: 20_000, bytes_of_a_trace: 16 * 1024 * 1024, bytes: 64 * 1024 * 1024 };

#[derive(Default)]
pub(super) struct Traces {
    pub(super) by_id: HashMap<TraceId, Trace>,
    /// The traces in order of their first span's arrival.
    pub(super) order: VecDeque<TraceId>,
    pub(super) counts: Counts,
}

/// Counts of what is in memory and of what no longer is.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) traces: usize,
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
    pub(crate) evicted_traces: u64,
    /// Spans and documents that could not be read or did not fit.
    pub(crate) rejected: u64,
}

impl Traces {
    pub(super) fn add_all(&mut self, spans: Vec<Span>, bounds: Bounds) -> usize {
        let mut unfit = 0;
        for span in spans {
            if !self.add(span, bounds) {
                unfit += 1;
            }
            self.evict(bounds);
        }
        unfit
    }

    fn add(&mut self, span: Span, bounds: Bounds) -> bool {
        let (key, size) = (SpanKey::of(&span), span.size());
        let trace = self.by_id.get(&span.trace_id);
        let known = trace.and_then(|trace| trace.places.get(&key)).copied();
        let before = trace.zip(known).and_then(|(trace, place)| trace.spans.get(place)).map_or(0, |span| span.size());
        let bytes = trace.map_or(0, |trace| trace.bytes).saturating_sub(before).saturating_add(size);
        let spans = trace.map_or(0, |trace| trace.spans.len());
        if bytes > bounds.bytes_of_a_trace || (known.is_none() && spans >= bounds.spans_of_a_trace) {
            self.counts.rejected += 1;
            return false;
        }
        let trace = match self.by_id.entry(span.trace_id) {
            Entry::Occupied(trace) => trace.into_mut(),
            Entry::Vacant(place) => {
                self.order.push_back(span.trace_id);
                self.counts.traces += 1;
                place.insert(Trace::default())
            }
        };
        self.counts.bytes = self.counts.bytes.saturating_sub(before) + size;
        trace.bytes = bytes;
        trace.summary = None;
        match known.and_then(|place| trace.spans.get_mut(place)) {
            Some(place) => *place = Arc::new(span),
            None => {
                trace.places.insert(key, trace.spans.len());
                trace.spans.push(Arc::new(span));
                self.counts.spans += 1;
            }
        }
        true
    }

    pub(super) fn evict(&mut self, bounds: Bounds) {
        while self.counts.traces > bounds.traces || self.counts.bytes > bounds.bytes {
            let Some(trace) = self.order.pop_front().and_then(|id| self.by_id.remove(&id)) else {
                return;
            };
            self.counts.traces -= 1;
            self.counts.spans -= trace.spans.len();
            self.counts.bytes = self.counts.bytes.saturating_sub(trace.bytes);
            self.counts.evicted_traces += 1;
        }
    }

    pub(super) fn keep(&mut self, document: Document, bounds: Bounds) {
        let Some(trace) = self.by_id.get_mut(&document.trace_id) else {
            return;
        };
        // If the document's own span did not fit, that span has already been counted.
        let own = SpanKey { id: document.id, source: Source::Xray, kind: document.kind };
        if !trace.places.contains_key(&own) {
            return;
        }
        let before = trace.documents.remove(&document.id).map_or(0, |before| before.size());
        trace.bytes = trace.bytes.saturating_sub(before);
        self.counts.bytes = self.counts.bytes.saturating_sub(before);
        let size = document.size();
        if trace.bytes.saturating_add(size) > bounds.bytes_of_a_trace {
            self.counts.rejected += 1;
            return;
        }
        trace.bytes += size;
        self.counts.bytes += size;
        trace.documents.insert(document.id, Arc::new(document));
    }
}
