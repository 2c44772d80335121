mod documents;

use serde_json::Map;

use super::*;
use crate::model::{Code, Kind, Nanos, Source, Status};

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
fn a_resent_span_replaces_itself() {
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
    let sides =
        [side(Kind::Client, Source::Otlp), failed(side(Kind::Server, Source::Otlp)), side(Kind::Segment, Source::Xray)];
    store.add(sides.to_vec());
    store.add(sides.to_vec());
    let summary = &store.newest(10)[0];
    assert_eq!((store.counts().spans, summary.span_count, summary.errors), (3, 2, 1));
    assert_eq!((summary.sources.otlp, summary.sources.xray), (2, 1));
}

#[test]
fn the_oldest_trace_is_evicted_first() {
    let store = store(2, 10, usize::MAX);
    for trace in 1..=3 {
        store.add(vec![span(trace, 1, 0, Source::Otlp)]);
    }
    let kept: Vec<_> = store.newest(10).iter().map(|summary| summary.trace_id).collect();
    assert_eq!(kept, [TraceId::from_bytes(&[3; 16]).unwrap(), TraceId::from_bytes(&[2; 16]).unwrap()]);
    assert_eq!(store.counts().evicted_traces, 1);
}

#[test]
fn bytes_are_bounded_even_by_zero() {
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
fn the_spans_of_a_trace_are_bounded() {
    let store = store(10, 2, usize::MAX);
    let unfit = store.add((1..=5).map(|id| span(1, id, 0, Source::Otlp)).collect());
    assert_eq!((unfit, store.counts().spans, store.counts().rejected), (3, 2, 3));
}
