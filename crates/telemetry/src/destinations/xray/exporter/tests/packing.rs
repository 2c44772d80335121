//! Each span is in exactly one document: nested, alone, or with less detail.

use super::*;

#[test]
fn children_are_within_their_parent_in_the_order_in_which_they_ended() {
    let batch: Vec<Record> = [(Some(1), 2), (Some(3), 4), (Some(1), 3), (None, 1), (Some(9), 5)]
        .map(|(parent, id)| testing::within(parent, id).record())
        .into();
    let (documents, fitted) = packed(&batch, &origin(&[], &[]));
    let [(root, 4), (orphan, 1)] = documents.as_slice() else { panic!("{documents:?}") };
    let id = |span: &Json| span["id"].as_str().unwrap().trim_start_matches('0').to_owned();
    let children: Vec<_> = root["subsegments"].as_array().unwrap().iter().map(id).collect();
    assert_eq!(
        (id(root), children, id(&root["subsegments"][1]["subsegments"][0])),
        ("1".to_owned(), vec!["2".to_owned(), "3".to_owned()], "4".to_owned())
    );
    let nested = &root["subsegments"][0];
    assert!(["trace_id", "type", "parent_id"].iter().all(|key| nested.get(key).is_none()));
    assert_eq!((&orphan["type"], &orphan["parent_id"]), (&json!("subsegment"), &json!("0000000000000009")));
    assert_eq!(fitted, FitCounts::default());
}

#[test]
fn a_child_that_does_not_fit_is_sent_separately_and_counted() {
    let text = "x".repeat(8_000);
    let filled = |parent, id| testing::within(parent, id).with(|span| span.set("text", &text)).record();
    let mut batch: Vec<Record> = (2..12).map(|id| filled(Some(1), id)).collect();
    batch.push(filled(None, 1));
    let (documents, fitted) = packed(&batch, &origin(&[], &[]));
    let spans: Vec<_> = documents.iter().map(|(_, spans)| *spans).collect();
    assert_eq!(spans, [7, 1, 1, 1, 1]);
    assert!(
        documents[1..]
            .iter()
            .all(|(alone, _)| alone["parent_id"] == "0000000000000001" && alone["type"] == "subsegment")
    );
    assert_eq!(fitted, FitCounts { split: 4, ..FitCounts::default() });
}

#[test]
fn a_document_has_fifty_annotations_and_others_are_metadata() {
    let annotated = |parent, id, count: usize| {
        let record = |span: &mut Recording| (0..count).for_each(|n| span.set(&format!("annotation.{id}_{n}"), n));
        testing::within(parent, id).with(record).record()
    };
    let batch = [annotated(Some(1), 2, 30), annotated(None, 1, 40)];
    let (documents, fitted) = packed(&batch, &origin(&[], &[]));
    let (root, child) = (&documents[0].0, &documents[0].0["subsegments"][0]);
    let count = |span: &Json| span["annotations"].as_object().map_or(0, serde_json::Map::len);
    let others = child["metadata"]["otel"]["attributes"].as_object().unwrap();
    assert_eq!((count(root), count(child), others.len(), fitted.truncated), (40, 10, 20, 1));
}

#[test]
fn an_oversized_span_drops_metadata_then_stacks_then_texts() {
    let (text, stack) = ("💣".repeat(2_000), "0: frame of a stack that is long\n".repeat(200));
    let large = |attributes: usize, exceptions: usize, annotations: usize| {
        let (document, fitted) = document_by(
            &origin(&[], &[]),
            testing::child(false).with(|span| {
                span.set(DB_SYSTEM_NAME, "sqlite");
                span.set(DB_QUERY_TEXT, &text);
                (0..annotations).for_each(|n| span.set(&format!("annotation.{n}"), &text));
                (0..attributes).for_each(|n| span.set(&format!("text{n}"), &text));
                (0..exceptions).for_each(|_| span.exception("E", &text, &stack));
            }),
        );
        assert_eq!(fitted.shrunk, 1);
        let exceptions = document["cause"]["exceptions"].as_array().map_or(0, Vec::len);
        let stacks = document.to_string().matches("frame of a stack").count();
        let query = document["sql"].get("sanitized_query").is_some();
        let annotations = document["annotations"].as_object().map_or(0, serde_json::Map::len);
        (document.get("metadata").is_some(), stacks, query, exceptions, annotations)
    };
    assert_eq!(large(9, 1, 0), (false, 50, true, 1, 0), "metadata");
    assert_eq!(large(0, 6, 0), (false, 0, true, 6, 0), "stacks too");
    assert_eq!(large(0, 20, 20), (false, 0, false, 20, 20), "SQL and long texts too");
    assert_eq!(large(0, 20, 60), (false, 0, false, 1, 0), "all that has no bound");
}

/// Packs spans, given by their parents and the bytes of their text, into documents. Checks that each span is in exactly one,
/// either inside its parent or in a separate document with its parent's id.
fn assert_none_is_lost(spans: &[(Option<u64>, usize)]) -> usize {
    let text = "x".repeat(9_000);
    let batch: Vec<Record> = spans
        .iter()
        .zip(1..)
        .map(|((parent, size), id)| {
            testing::within(*parent, id).with(|span| span.set("text", text.get(..*size).unwrap())).record()
        })
        .collect();
    let (documents, _) = packed(&batch, &origin(&[], &[]));
    let mut seen = Vec::new();
    for (document, spans) in &documents {
        let before = seen.len();
        walk(document, document["parent_id"].as_str(), &mut seen);
        assert_eq!(seen.len() - before, *spans);
    }
    seen.sort_unstable();
    let expected: Vec<_> = spans.iter().zip(1..).map(|((parent, _), id)| (id, *parent)).collect();
    assert_eq!(seen, expected);
    batch.iter().map(|record| record.len()).sum()
}

proptest! {
    /// With any parents, including cycles, and any sizes.
    #[test]
    fn every_span_is_in_one_document(spans in proptest::collection::vec((proptest::option::of(1_u64..60), 0_usize..9_000), 1..60)) {
        assert_none_is_lost(&spans);
    }
}

#[test]
fn ten_megabytes_of_random_trees_lose_no_span() {
    let mut random = 0x2545_f491_4f6c_dd1d_u64;
    let mut below = |bound: u64| {
        random ^= random << 13;
        random ^= random >> 7;
        random ^= random << 17;
        random % bound
    };
    let mut bytes = 0;
    while bytes < 10_000_000 {
        let spans: Vec<_> = (0..1 + below(600))
            .map(|index| {
                // Mostly deep, sometimes wide, occasionally a root or an orphan.
                let parent = match below(10) {
                    0 => None,
                    1 => Some(1 + below(700)),
                    2..6 => Some(index.max(1)),
                    _ => Some(1 + below(index + 1)),
                };
                (parent, usize::try_from(below(2_000) * below(5)).unwrap())
            })
            .collect();
        bytes += assert_none_is_lost(&spans);
    }
}

/// Collects the ids of a document and of everything within it, with their parents' ids.
fn walk(document: &Json, parent: Option<&str>, seen: &mut Vec<(u64, Option<u64>)>) {
    let number = |text: &str| u64::from_str_radix(text, 16).unwrap();
    let id = document["id"].as_str().unwrap();
    seen.push((number(id), parent.map(number)));
    for child in document["subsegments"].as_array().into_iter().flatten() {
        walk(child, Some(id), seen);
    }
}
