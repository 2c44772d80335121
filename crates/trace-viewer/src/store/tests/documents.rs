use super::*;
use crate::ingest::xray;

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

#[test]
fn documents_are_listed_by_their_start_and_found_by_their_id() {
    let store = Store::new(MIB);
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
    let store = Store::new(MIB);
    for more in [0, 60_000, 10] {
        add(&store, segment(1, 1, more));
    }
    let last = segment(1, 1, 10);
    let alone = Store::new(MIB);
    add(&alone, segment(1, 1, 10));
    assert_eq!(store.documents(last.0.trace_id).unwrap().len(), 1);
    assert_eq!(store.document(last.0.trace_id, last.0.id).unwrap().text.get(), last.0.text.get());
    assert_eq!(store.counts().bytes, alone.counts().bytes);
}

#[test]
fn a_document_counts_against_all_bytes_and_is_evicted_with_its_trace() {
    let store = Store::new(MIB);
    for trace in 1..=200 {
        add(&store, segment(trace, 1, 10_000));
        assert!(store.counts().bytes <= MIB);
    }
    let counts = store.counts();
    assert!(counts.traces > 20 && counts.traces < 100, "{counts:?}");
    assert_eq!(counts.traces + usize::try_from(counts.evicted_traces).unwrap(), 200);
    let kept = (1..=200).filter(|trace| store.documents(segment(*trace, 1, 0).0.trace_id).is_some()).count();
    assert_eq!(kept, counts.traces);
}

#[test]
fn a_full_trace_keeps_the_span_and_counts_the_document() {
    let store = Store::new(MIB);
    let (document, mut spans) = segment(1, 1, MIB / 4);
    // The span's own bytes would not fit either.
    spans.iter_mut().for_each(|span| span.details = segment(1, 1, 0).1.remove(0).details);
    let id = document.trace_id;
    store.add_document(document, spans);
    assert_eq!((store.counts().spans, store.counts().rejected), (1, 1));
    assert!(store.documents(id).unwrap().is_empty());
    assert_eq!(store.summary(id).unwrap().dropped, 1);
    // A smaller document fits, and a larger one that follows leaves nothing stale.
    add(&store, segment(1, 1, 0));
    assert_eq!(store.documents(id).unwrap().len(), 1);
    add(&store, segment(1, 1, MIB / 4));
    assert_eq!((store.documents(id).unwrap().len(), store.counts().rejected), (0, 3));
}
