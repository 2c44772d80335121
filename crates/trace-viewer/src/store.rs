//! The traces in memory. Their number is bounded, as are the spans and bytes of one trace, and the bytes of all. The trace that began to arrive first is
//! evicted first. A span or document that arrives again replaces its earlier version. Reads no bytes and speaks no HTTP.

mod documents;
mod summary;

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use serde::Serialize;

pub(crate) use self::summary::Summary;
use self::summary::summarise;
use crate::model::{Document, Kind, Source, Span, SpanId, TraceId};

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

/// Identifies a span within a trace: a span with the same key replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Key {
    id: SpanId,
    source: Source,
    kind: Kind,
}

/// The traces in memory, shared by all writers and readers.
pub(crate) struct Store {
    bounds: Bounds,
    inner: Mutex<Inner>,
}

#[derive(Default)]
struct Inner {
    traces: HashMap<TraceId, Trace>,
    /// The traces in order of their first span's arrival.
    order: VecDeque<TraceId>,
    counts: Counts,
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

#[derive(Default)]
struct Trace {
    spans: Vec<Arc<Span>>,
    places: HashMap<Key, usize>,
    /// Each document has a span with its id, so that the bound on spans limits the documents too.
    documents: HashMap<SpanId, Arc<Document>>,
    bytes: usize,
    summary: Option<Arc<Summary>>,
}

impl Key {
    pub(crate) fn of(span: &Span) -> Self {
        Self { id: span.span_id, source: span.source, kind: span.kind }
    }
}

impl Store {
    pub(crate) fn new(bounds: Bounds) -> Self {
        Self { bounds, inner: Mutex::default() }
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
        let mut inner = self.lock();
        let mut summaries: Vec<Arc<Summary>> =
            inner.traces.iter_mut().filter_map(|(id, trace)| trace.summary(*id)).collect();
        summaries.sort_unstable_by_key(|summary| std::cmp::Reverse(summary.start));
        summaries.truncate(limit);
        summaries
    }

    /// A trace's summary for the list.
    pub(crate) fn summary(&self, id: TraceId) -> Option<Arc<Summary>> {
        self.lock().traces.get_mut(&id)?.summary(id)
    }

    /// One span of a trace.
    pub(crate) fn span(&self, trace: TraceId, key: Key) -> Option<Arc<Span>> {
        let inner = self.lock();
        let trace = inner.traces.get(&trace)?;
        trace.spans.get(*trace.places.get(&key)?).cloned()
    }

    /// A trace and its spans, earliest first.
    pub(crate) fn trace(&self, id: TraceId) -> Option<(Arc<Summary>, Vec<Arc<Span>>)> {
        let mut inner = self.lock();
        let trace = inner.traces.get_mut(&id)?;
        let summary = trace.summary(id)?;
        let mut spans = trace.spans.clone();
        drop(inner);
        spans.sort_by_key(|span| (span.start, span.source));
        Some((summary, spans))
    }

    pub(crate) fn counts(&self) -> Counts {
        self.lock().counts
    }

    pub(crate) fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// No method leaves the counts half changed, so they are valid even after a panic.
    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn add_all(&mut self, spans: Vec<Span>, bounds: Bounds) -> usize {
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
        let (key, size) = (Key::of(&span), span.size());
        let trace = self.traces.get(&span.trace_id);
        let known = trace.and_then(|trace| trace.places.get(&key)).copied();
        let before = trace.zip(known).and_then(|(trace, place)| trace.spans.get(place)).map_or(0, |span| span.size());
        let bytes = trace.map_or(0, |trace| trace.bytes).saturating_sub(before).saturating_add(size);
        let spans = trace.map_or(0, |trace| trace.spans.len());
        if bytes > bounds.bytes_of_a_trace || (known.is_none() && spans >= bounds.spans_of_a_trace) {
            self.counts.rejected += 1;
            return false;
        }
        let trace = match self.traces.entry(span.trace_id) {
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

    fn evict(&mut self, bounds: Bounds) {
        while self.counts.traces > bounds.traces || self.counts.bytes > bounds.bytes {
            let Some(trace) = self.order.pop_front().and_then(|id| self.traces.remove(&id)) else {
                return;
            };
            self.counts.traces -= 1;
            self.counts.spans -= trace.spans.len();
            self.counts.bytes = self.counts.bytes.saturating_sub(trace.bytes);
            self.counts.evicted_traces += 1;
        }
    }
}

impl Trace {
    fn summary(&mut self, id: TraceId) -> Option<Arc<Summary>> {
        if self.summary.is_none() {
            self.summary = summarise(id, &self.spans).map(Arc::new);
        }
        self.summary.clone()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Map;

    use super::*;
    use crate::model::{Code, Nanos, Status};

    fn span(trace: u8, id: u8, parent: u8, source: Source) -> Span {
        let bytes = |id: u8| [0, 0, 0, 0, 0, 0, 0, id];
        Span {
            trace_id: TraceId::from_bytes(&[trace; 16]).unwrap(),
            span_id: SpanId::from_bytes(&bytes(id)).unwrap(),
            parent: SpanId::from_bytes(&bytes(parent)),
            service: Some(format!("service {id}").into()),
            name: format!("{source:?} {id}"),
            kind: Kind::Internal,
            start: Nanos(u64::from(trace) * 1_000_000 + u64::from(id) * 1_000),
            end: Some(Nanos(u64::from(trace) * 1_000_000 + 500_000)),
            attributes: Map::new(),
            events: Vec::new(),
            links: Vec::new(),
            status: Status::default(),
            source,
            document: None,
        }
    }

    fn failed(span: Span) -> Span {
        Span { status: Status { code: Code::Error, message: None }, ..span }
    }

    fn store(traces: usize, spans_of_a_trace: usize, bytes: usize) -> Store {
        Store::new(Bounds { traces, spans_of_a_trace, bytes_of_a_trace: usize::MAX, bytes })
    }

    #[test]
    fn a_span_and_its_twin_are_one_operation() {
        let store = Store::new(BOUNDS);
        let mut sql = span(1, 2, 1, Source::Otlp);
        sql.attributes.insert("db.system.name".to_owned(), "sqlite".into());
        store.add(vec![span(1, 1, 9, Source::Xray), span(1, 1, 9, Source::Otlp), sql]);
        let summary = &store.newest(10)[0];
        assert_eq!((summary.span_count, summary.sources.otlp, summary.sources.xray), (2, 2, 1));
        assert_eq!(summary.root_name.as_deref(), Some("Otlp 1"));
        assert_eq!(summary.services, ["service 1", "service 2", "sqlite"]);
    }

    #[test]
    fn an_error_is_counted_once_and_otlp_decides() {
        let store = Store::new(BOUNDS);
        // X-Ray's "error" is a client's error, which OpenTelemetry does not count as the server's.
        store.add(vec![span(1, 1, 0, Source::Otlp), failed(span(1, 1, 0, Source::Xray))]);
        store.add(vec![failed(span(1, 2, 1, Source::Otlp)), failed(span(1, 2, 1, Source::Xray))]);
        store.add(vec![failed(span(1, 3, 1, Source::Xray))]);
        assert_eq!(store.newest(10)[0].errors, 2);
    }

    #[test]
    fn a_span_that_comes_again_replaces_itself() {
        let store = Store::new(BOUNDS);
        store.add(vec![span(1, 1, 0, Source::Xray)]);
        let before = store.counts().bytes;
        store.add(vec![span(1, 1, 0, Source::Xray)]);
        assert_eq!((store.counts().spans, store.counts().bytes), (1, before));
    }

    #[test]
    fn the_two_sides_of_a_call_with_one_id_are_two_operations() {
        let store = Store::new(BOUNDS);
        let side = |kind, source| Span { kind, ..span(1, 1, 0, source) };
        let sides = [
            side(Kind::Client, Source::Otlp),
            failed(side(Kind::Server, Source::Otlp)),
            side(Kind::Segment, Source::Xray),
        ];
        store.add(sides.to_vec());
        store.add(sides.to_vec());
        let summary = &store.newest(10)[0];
        assert_eq!((store.counts().spans, summary.span_count, summary.errors), (3, 2, 1));
        assert_eq!((summary.sources.otlp, summary.sources.xray), (2, 1));
    }

    #[test]
    fn the_oldest_trace_goes_first() {
        let store = store(2, 10, usize::MAX);
        for trace in 1..=3 {
            store.add(vec![span(trace, 1, 0, Source::Otlp)]);
        }
        let kept: Vec<_> = store.newest(10).iter().map(|summary| summary.trace_id).collect();
        assert_eq!(kept, [TraceId::from_bytes(&[3; 16]).unwrap(), TraceId::from_bytes(&[2; 16]).unwrap()]);
        assert_eq!(store.counts().evicted_traces, 1);
    }

    #[test]
    fn bytes_are_bounded_and_fall_to_nothing() {
        let size = span(1, 1, 0, Source::Otlp).size();
        let store = store(100, 100, 3 * size);
        for trace in 1..=50 {
            store.add(vec![span(trace, 1, 0, Source::Otlp)]);
            assert!(store.counts().bytes <= 3 * size);
        }
        assert_eq!(store.counts().traces, 3);
        let none = self::store(0, 100, 0);
        none.add(vec![span(1, 1, 0, Source::Otlp)]);
        assert_eq!((none.counts().bytes, none.counts().spans, none.counts().traces), (0, 0, 0));
    }

    #[test]
    fn a_large_trace_does_not_push_the_others_out() {
        let size = span(1, 1, 0, Source::Otlp).size();
        let store = Store::new(Bounds { bytes_of_a_trace: 2 * size, bytes: 10 * size, ..BOUNDS });
        store.add(vec![span(1, 1, 0, Source::Otlp)]);
        let unfit = store.add((1..=50).map(|id| span(2, id, 0, Source::Otlp)).collect());
        assert_eq!((unfit, store.counts().traces, store.counts().evicted_traces), (48, 2, 0));
    }

    #[test]
    fn a_span_that_does_not_fit_makes_no_trace_and_replaces_nothing() {
        let size = span(1, 1, 0, Source::Otlp).size();
        let store = Store::new(Bounds { bytes_of_a_trace: 2 * size, bytes: 10 * size, ..BOUNDS });
        let large = |trace| Span { name: "x".repeat(2 * size), ..span(trace, 1, 0, Source::Otlp) };
        assert_eq!(store.add(vec![large(1)]), 1);
        assert_eq!((store.counts().traces, store.counts().rejected), (0, 1));
        store.add(vec![span(2, 1, 0, Source::Otlp)]);
        assert_eq!(store.add(vec![large(2)]), 1);
        let counts = store.counts();
        assert_eq!((counts.bytes, counts.traces, counts.spans, counts.rejected), (size, 1, 1, 2));
        assert_eq!(store.newest(10)[0].root_name.as_deref(), Some("Otlp 1"), "the one that fits is still there");
    }

    #[test]
    fn a_trace_takes_no_more_spans_than_it_may() {
        let store = store(10, 2, usize::MAX);
        let unfit = store.add((1..=5).map(|id| span(1, id, 0, Source::Otlp)).collect());
        assert_eq!((unfit, store.counts().spans, store.counts().rejected), (3, 2, 3));
    }
}
