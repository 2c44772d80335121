use super::*;
use crate::ingest::xray;
use crate::store::BOUNDS;

/// A segment that takes about `more` bytes more than the smallest one.
fn segment(trace: u8, id: u8, more: usize) -> (Document, Vec<Span>) {
    let padding = "x".repeat(more);
    let text = format!(
        r#"{{"id":"{id:016x}","name":"backend","trace_id":"1-{trace:08x}-000000000000000000000000",
           "start_time":{id},"end_time":100,"metadata":{{"default":{{"padding":"{padding}"}}}}}}"#
    );
    let sent = xray::datagram(&[::xray::datagram::HEADER, text.as_bytes()].concat(), Nanos(0)).unwrap();
    (sent.document, sent.spans)
}

fn add(store: &Store, (document, spans): (Document, Vec<Span>)) {
    store.add_document(document, spans);
}

fn size(of: &(Document, Vec<Span>)) -> usize {
    of.0.size() + of.1.iter().map(Span::size).sum::<usize>()
}

#[test]
fn documents_are_listed_by_their_start_and_found_by_their_id() {
    let store = Store::new(BOUNDS);
    let (first, _) = segment(1, 1, 0);
    for id in [2, 1, 3] {
        add(&store, segment(1, id, 0));
    }
    let listed = store.documents(first.trace_id).unwrap();
    assert_eq!(
        listed.iter().map(|document| document.start.0).collect::<Vec<_>>(),
        [1, 2, 3].map(|s| s * 1_000_000_000)
    );
    assert_eq!(store.document(first.trace_id, first.id).unwrap().text.get(), first.text.get());
    assert!(store.documents(segment(2, 1, 0).0.trace_id).is_none());
    assert!(store.document(first.trace_id, segment(1, 4, 0).0.id).is_none());
}

#[test]
fn a_resent_document_replaces_itself_and_its_bytes() {
    let store = Store::new(BOUNDS);
    for more in [0, 60_000, 10] {
        add(&store, segment(1, 1, more));
    }
    let last = segment(1, 1, 10);
    assert_eq!(store.documents(last.0.trace_id).unwrap().len(), 1);
    assert_eq!(store.document(last.0.trace_id, last.0.id).unwrap().text.get(), last.0.text.get());
    assert_eq!(store.counts().bytes, size(&last));
}

#[test]
fn a_document_counts_against_all_bytes_and_is_evicted_with_its_trace() {
    let one = size(&segment(1, 1, 1_000));
    let store = Store::new(Bounds { bytes: 3 * one, ..BOUNDS });
    for trace in 1..=50 {
        add(&store, segment(trace, 1, 1_000));
        assert!(store.counts().bytes <= 3 * one);
    }
    assert_eq!((store.counts().traces, store.counts().evicted_traces), (3, 47));
    assert!(store.documents(segment(1, 1, 0).0.trace_id).is_none());
    let none = Store::new(Bounds { traces: 0, bytes: 0, ..BOUNDS });
    add(&none, segment(1, 1, 0));
    assert_eq!((none.counts().bytes, none.counts().traces, none.counts().rejected), (0, 0, 0));
}

#[test]
fn a_full_trace_keeps_the_span_and_counts_the_document() {
    let (document, spans) = segment(1, 1, 1_000);
    let bytes_of_a_trace = size(&segment(1, 1, 1_000)) - 1;
    let store = Store::new(Bounds { bytes_of_a_trace, ..BOUNDS });
    let id = document.trace_id;
    store.add_document(document, spans);
    assert_eq!((store.counts().spans, store.counts().rejected), (1, 1));
    assert!(store.documents(id).unwrap().is_empty());
    // A smaller document fits, and a larger one that follows leaves nothing stale.
    add(&store, segment(1, 1, 0));
    assert_eq!(store.documents(id).unwrap().len(), 1);
    add(&store, segment(1, 1, 1_000));
    assert_eq!((store.documents(id).unwrap().len(), store.counts().rejected), (0, 2));
}

#[test]
fn a_trace_keeps_no_more_documents_than_spans() {
    let store = Store::new(Bounds { spans_of_a_trace: 2, ..BOUNDS });
    for id in 1..=5 {
        add(&store, segment(1, id, 0));
    }
    let kept = store.documents(segment(1, 1, 0).0.trace_id).unwrap();
    assert_eq!((kept.len(), store.counts().spans, store.counts().rejected), (2, 2, 3));
}
