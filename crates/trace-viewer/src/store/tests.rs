mod documents;
mod retention;

use serde_json::json;
use serde_json::value::to_raw_value;

use super::*;
use crate::model::{Code, Kind, Nanos, Source};

const MIB: usize = 1024 * 1024;

fn trace_id(trace: u32) -> TraceId {
    TraceId::from_bytes(&u128::from(trace).to_be_bytes()).unwrap()
}

fn span(trace: u32, id: u64, parent: u64, source: Source) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: SpanId::from_bytes(&id.to_be_bytes()).unwrap(),
        parent: SpanId::from_bytes(&parent.to_be_bytes()),
        service: Some(format!("service {id}").into()),
        name: format!("{source:?} {id}").into(),
        kind: Kind::Internal,
        start: Nanos(u64::from(trace) * 1_000_000 + id * 1_000),
        end: Some(Nanos(u64::from(trace) * 1_000_000 + 500_000)),
        outcome: Code::Unset,
        database: None,
        is_browser: false,
        source,
        document: None,
        details: to_raw_value(&json!({"attributes": {"url.path": format!("/{id}")}, "events": []})).unwrap(),
    }
}

impl Store {
    pub(crate) fn add(&self, spans: Vec<Span>) -> usize {
        self.keep(&mut spans.into_iter().map(Arc::new).collect())
    }

    fn add_document(&self, document: Document, spans: Vec<Span>) {
        self.add(spans);
        self.lock().add_document(Arc::new(document));
    }
}

fn failed(span: Span) -> Span {
    Span { outcome: Code::Error, ..span }
}

fn newest(store: &Store) -> Arc<Summary> {
    store.summary(store.newest(1)[0]).unwrap()
}

#[test]
fn a_span_and_its_twin_are_one_operation() {
    let store = Store::new(MIB);
    let sql = Span { database: Some("sqlite".into()), ..span(1, 2, 1, Source::Otlp) };
    store.add(vec![span(1, 1, 9, Source::Xray), span(1, 1, 9, Source::Otlp), sql]);
    let summary = newest(&store);
    assert_eq!((summary.span_count, summary.sources.otlp, summary.sources.xray), (2, 2, 1));
    assert_eq!((summary.root_name.as_deref(), summary.root_path.as_deref()), (Some("Otlp 1"), Some("/1")));
    assert_eq!(summary.services, ["service 1", "service 2", "sqlite"]);
}

#[test]
fn an_error_is_counted_once_and_otlp_decides() {
    let store = Store::new(MIB);
    // X-Ray's "error" is a client's error, which OpenTelemetry does not count as the server's.
    store.add(vec![span(1, 1, 0, Source::Otlp), failed(span(1, 1, 0, Source::Xray))]);
    store.add(vec![failed(span(1, 2, 1, Source::Otlp)), failed(span(1, 2, 1, Source::Xray))]);
    store.add(vec![failed(span(1, 3, 1, Source::Xray))]);
    assert_eq!(newest(&store).errors, 2);
}

#[test]
fn a_resent_span_replaces_itself() {
    let store = Store::new(MIB);
    for last in [20, 100] {
        store.add((1..=last).map(|id| span(1, id, 0, Source::Xray)).collect());
        let before = store.counts().bytes;
        store.add((1..=last).map(|id| span(1, id, 0, Source::Xray)).collect());
        assert_eq!((store.counts().spans, store.counts().bytes), (usize::try_from(last).unwrap(), before));
    }
}

#[test]
fn the_two_sides_of_a_call_with_one_id_are_two_operations() {
    let store = Store::new(MIB);
    let side = |kind, source| Span { kind, ..span(1, 1, 0, source) };
    let sides = || {
        vec![
            side(Kind::Client, Source::Otlp),
            failed(side(Kind::Server, Source::Otlp)),
            side(Kind::Segment, Source::Xray),
        ]
    };
    store.add(sides());
    store.add(sides());
    let summary = newest(&store);
    assert_eq!((store.counts().spans, summary.span_count, summary.errors), (3, 2, 1));
    assert_eq!((summary.sources.otlp, summary.sources.xray), (2, 1));
}

#[test]
fn traces_are_listed_by_their_start() {
    let store = Store::new(MIB);
    for trace in [2, 1, 3] {
        store.add(vec![span(trace, 2, 1, Source::Otlp)]);
    }
    assert_eq!(store.newest(2), [trace_id(3), trace_id(2)]);
    // An earlier span arrives later.
    store.add(vec![Span { start: Nanos(1), ..span(3, 1, 0, Source::Otlp) }]);
    assert_eq!(store.newest(10), [trace_id(2), trace_id(1), trace_id(3)]);
}

#[test]
fn a_large_trace_is_cut_and_counts_its_losses() {
    let store = Store::new(MIB);
    store.add(vec![span(1, 1, 0, Source::Otlp)]);
    let surplus = store.add((1..=2_000).map(|id| span(2, id, 0, Source::Otlp)).collect());
    let counts = store.counts();
    assert!((1..2_000).contains(&surplus), "{surplus}");
    assert_eq!((counts.traces, counts.evicted_traces, counts.spans), (2, 0, 2_001 - surplus));
    let summary = store.summary(trace_id(2)).unwrap();
    assert_eq!((summary.dropped, counts.rejected), (surplus.try_into().unwrap(), summary.dropped));
    assert_eq!(store.summary(trace_id(1)).unwrap().dropped, 0);
    assert!(counts.bytes > MIB / 4 && counts.bytes < MIB / 2, "{}", counts.bytes);
}

#[test]
fn a_span_that_does_not_fit_makes_no_trace_and_replaces_nothing() {
    let store = Store::new(MIB);
    let large = |trace| Span { name: "x".repeat(MIB / 4).into(), ..span(trace, 1, 0, Source::Otlp) };
    assert_eq!(store.add(vec![large(1)]), 1);
    assert_eq!((store.counts().traces, store.counts().bytes, store.counts().rejected), (0, 0, 1));
    store.add(vec![span(2, 1, 0, Source::Otlp)]);
    let before = store.counts();
    assert_eq!(store.add(vec![large(2)]), 1);
    let counts = store.counts();
    assert_eq!((counts.bytes, counts.traces, counts.spans, counts.rejected), (before.bytes, 1, 1, 2));
    let summary = newest(&store);
    assert_eq!(
        (summary.root_name.as_deref(), summary.dropped),
        (Some("Otlp 1"), 1),
        "the one that fits is still there"
    );
}
