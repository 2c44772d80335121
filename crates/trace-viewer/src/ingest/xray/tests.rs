use proptest::prelude::*;
use serde_json::json;

use super::*;

const SEGMENT: &str = r#"{"id":"00000000000000a1", "name":"backend","trace_id":"1-5759e988-bd862e3fe1be46a994272793",
    "start_time":1700000000.250000,"end_time":1700000000.5,"http":{"response":{"status":500}},"fault":true,
    "cause":{"exceptions":[{"id":"00000000000000a3","type":"E","message":"no"}]},
    "subsegments":[{"id":"00000000000000a2","name":"db","start_time":1700000000.3,"in_progress":true}]}"#;

fn sent(document: &str) -> Result<ReadDatagram, String> {
    datagram(&[xray::datagram::HEADER, document.as_bytes()].concat(), Nanos(7))
}

/// The JSON of a span's details.
fn details(span: &Span) -> Value {
    serde_json::from_str(span.details.get()).unwrap()
}

fn read(document: &str) -> Result<(Document, Vec<Span>), String> {
    sent(document).map(|sent| (sent.document, sent.spans))
}

#[test]
fn an_unreadable_field_drops_only_itself_and_is_counted() {
    let of = |text: &str| {
        let sent = sent(text).unwrap();
        (sent.spans, sent.skipped)
    };
    let (spans, skipped) = of(&SEGMENT.replace("\"status\":500", "\"status\":\"500\""));
    assert_eq!((spans.len(), skipped), (2, 1));
    assert_eq!(details(&spans[1])["attributes"]["http"]["response"].get("status"), None);
    let (spans, skipped) = of(&SEGMENT.replace("\"id\":\"00000000000000a3\",", ""));
    assert_eq!((details(&spans[1])["events"].as_array().unwrap().len(), skipped), (1, 0), "an exception needs no id");
    let (spans, skipped) = of(&SEGMENT.replace("\"id\":\"00000000000000a2\",", ""));
    assert_eq!((spans.len(), skipped), (1, 1), "a subsegment without an id");
    let (spans, skipped) = of(&SEGMENT.replace("\"name\":\"db\"", "\"name\":\"db\",\"sql\":5,\"subsegments\":{}"));
    assert_eq!((spans.len(), skipped), (2, 2), "fields of a subsegment");
    let (spans, skipped) = of(&SEGMENT.replace("\"start_time\":1700000000.3", "\"start_time\":1e999"));
    assert_eq!((spans.len(), skipped), (1, 1), "a number out of range");
    assert!(sent(&SEGMENT.replace("\"name\":\"backend\"", "\"name\":5")).is_err());
}

#[test]
fn nested_subsegments_are_spans_of_the_segments_service() {
    let (_, spans) = read(SEGMENT).unwrap();
    let [db, segment] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((db.kind, db.parent, db.end), (Kind::Subsegment, Some(segment.span_id), None));
    assert_eq!((db.service.as_deref(), segment.duration_ms()), (Some("backend"), Some(250.0)));
    let shown = details(segment);
    assert_eq!((segment.outcome, &shown["events"][0]["name"]), (Code::Error, &json!("exception")));
    assert_eq!(
        (&shown["attributes"]["http"]["response"]["status"], shown["attributes"].get("id")),
        (&json!(500), None)
    );
}

#[test]
fn a_document_is_kept_as_sent_without_the_padding_around_it() {
    let (document, spans) = read(&format!("\n {SEGMENT}   ")).unwrap();
    assert_eq!(document.text.get(), SEGMENT);
    assert_eq!((document.kind, document.subsegments, document.in_progress), (Kind::Segment, 1, false));
    assert_eq!((document.name.as_str(), document.received), ("backend", Nanos(7)));
    let nested = r#"{"id":"00000000000000a2","name":"db","start_time":1700000000.3,"in_progress":true}"#;
    let places: Vec<_> = spans.iter().map(|span| span.document.unwrap()).collect();
    let place = |text: &str| DocumentPart { id: document.id, bytes: text.len() };
    assert_eq!(places, [place(nested), place(SEGMENT)]);
}

#[test]
fn valid_links_are_links_and_invalid_ones_stay_a_field() {
    let linked = |links: &str| {
        let (_, mut spans) = read(&SEGMENT.replacen("\"http\"", &format!("\"links\":{links},\"http\""), 1)).unwrap();
        let mut segment = details(&spans.pop().unwrap());
        let is_field = segment["attributes"].get("links").is_some();
        (segment["links"].take(), is_field)
    };
    let (trace, id) = ("1-5759e988-bd862e3fe1be46a994272794", "00000000000000b1");
    let (links, kept) = linked(&format!(r#"[{{"trace_id":"{trace}","id":"{id}","attributes":{{"n":1}}}}]"#));
    let link = json!({"trace_id": "5759e988bd862e3fe1be46a994272794", "span_id": id, "attributes": {"n": 1}});
    assert_eq!((links, kept), (json!([link]), false));
    for odd in [format!(r#"[{{"trace_id":"{trace}","id":"0000000000000000"}}]"#), r#"[{"id":"x"}]"#.into(), "7".into()]
    {
        assert_eq!(linked(&odd), (json!([]), true), "{odd}");
    }
}

#[test]
fn ids_of_zero_are_refused() {
    let document = |id: &str, trace: &str| {
        read(&format!(r#"{{"id":"{id}","name":"a","trace_id":"{trace}","start_time":1,"end_time":2}}"#))
    };
    assert!(document("0000000000000000", "1-5759e988-bd862e3fe1be46a994272793").is_err());
    assert!(document("00000000000000a1", "1-00000000-000000000000000000000000").is_err());
}

/// Each id and the length of its text, children first.
fn sizes(tree: &Value) -> Vec<(String, usize)> {
    let nested = tree["subsegments"].as_array().into_iter().flatten().flat_map(sizes);
    nested.chain([(tree["id"].as_str().unwrap().to_owned(), tree.to_string().len())]).collect()
}

proptest! {
    #[test]
    fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
        let _ = datagram(&bytes, Nanos(0));
        let _ = datagram(&[xray::datagram::HEADER, &bytes].concat(), Nanos(0));
    }

    #[test]
    fn every_subsegment_of_any_tree_becomes_a_span(counts in proptest::collection::vec(0_usize..4, 0..5)) {
        // Each number is how many subsegments the last one of the level above has.
        let mut ids = 0;
        let mut leaf = || {
            ids += 1;
            json!({"id": format!("{ids:016x}"), "name": "a }] \" b", "start_time": 1, "end_time": 2})
        };
        let mut tree = leaf();
        for count in &counts {
            let mut above = leaf();
            let children: Vec<_> = (1..*count).map(|_| leaf()).chain((*count > 0).then_some(tree)).collect();
            above["subsegments"] = children.into();
            tree = above;
        }
        tree["trace_id"] = "1-5759e988-bd862e3fe1be46a994272793".into();
        let (document, spans) = read(&tree.to_string()).unwrap();
        prop_assert_eq!(document.subsegments + 1, spans.len());
        let parts = spans.iter().map(|span| (span.span_id.to_string(), span.document.unwrap().bytes));
        prop_assert_eq!(parts.collect::<Vec<_>>(), sizes(&tree));
    }

    #[test]
    fn any_number_of_seconds_is_a_valid_time(seconds in proptest::num::f64::ANY) {
        let _ = nanos(seconds);
    }
}
