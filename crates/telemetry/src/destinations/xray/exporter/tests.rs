//! The content of documents: written through [`Packer`], as the daemon receives them.

mod metadata;
mod packing;
mod validity;

use opentelemetry::trace::{SpanId, SpanKind, TraceFlags, TraceId};
use opentelemetry_semantic_conventions::attribute::{
    DB_NAMESPACE, DB_QUERY_TEXT, DB_SYSTEM_NAME, HTTP_RESPONSE_STATUS_CODE, SERVER_ADDRESS, SERVER_PORT, URL_FULL,
    URL_PATH, URL_SCHEME,
};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use xray::datagram::MAX_DOCUMENT_BYTES;

use super::origin::Origin;
use super::pack::{FitCounts, Packer};
use super::text_cache::TextCache;
use crate::context::SpanIds;
use crate::pipeline::Record;
use crate::resource::Resource;
use crate::span::Recording;
use crate::testing::{self, Made};
use crate::value::Value;

/// The documents of a batch, each with its number of spans, and the changes that made them fit. Checks that documents from
/// cached texts equal those that were written first.
fn packed(batch: &[Record], origin: &Origin) -> (Vec<(Json, usize)>, FitCounts) {
    let mut cache = TextCache::default();
    let first = packed_with(&mut cache, batch, origin);
    for _ in 0..2 {
        assert_eq!(packed_with(&mut cache, batch, origin), first);
    }
    first
}

fn packed_with(cache: &mut TextCache, batch: &[Record], origin: &Origin) -> (Vec<(Json, usize)>, FitCounts) {
    let mut packer = Packer::new(origin, cache, batch);
    let (mut documents, mut out) = (Vec::new(), Vec::new());
    while let Some(spans) = packer.next(&mut out) {
        assert!(out.len() <= MAX_DOCUMENT_BYTES, "{} bytes", out.len());
        // Every document must be readable and have only known fields.
        let document = xray::Document::parse(&out).unwrap();
        assert!(document.other.keys().all(|key| ["origin", "links"].contains(&key.as_str())), "{:?}", document.other);
        documents.push((xray_schema::document(&out), spans));
        out.clear();
    }
    (documents, packer.fitted())
}

fn origin(more: &[(&str, &str)], indexed: &[&str]) -> Origin {
    let more: Vec<_> = more.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
    let indexed: Vec<_> = indexed.iter().map(|key| (*key).to_owned()).collect();
    Origin::new(&Resource::new("backend", Some(env!("CARGO_PKG_VERSION")), &more), &indexed)
}

fn document_by(origin: &Origin, span: Made) -> (Json, FitCounts) {
    let (documents, fitted) = packed(&[span.record()], origin);
    let [(document, 1)] = documents.as_slice() else { panic!("{documents:?}") };
    (document.clone(), fitted)
}

fn document_of(span: Made) -> Json {
    document_by(&origin(&[], &[]), span).0
}

fn call(record: impl FnOnce(&mut Recording)) -> Made {
    testing::child(false).with(|span| {
        span.kind(SpanKind::Client);
        record(span);
    })
}

#[test]
fn equal_content_is_written_with_each_spans_own_ids() {
    let (origin, mut cache) = (origin(&[], &["indexed"]), TextCache::default());
    let linked = SpanIds { trace: 7.into(), span: 8.into(), flags: TraceFlags::SAMPLED, is_remote: true };
    let recordings: [&dyn Fn(&mut Recording); 6] = [
        &|span| span.kind(SpanKind::Client),
        &|span| span.set(URL_FULL, "http://127.0.0.1/"),
        &|span| span.set("indexed", "x".repeat(2_000).as_str()),
        &|span| span.event_at(1, "exception", &[]),
        &|span| span.link(linked, None),
        &|span| {
            // Its exception has a separate id, derived from the span's.
            span.fail("timeout");
            span.describe("too late");
        },
    ];
    for record in recordings {
        for parent in [None, Some(9)] {
            let [first, second] = [1, 2].map(|id| testing::within(parent, id).with(record).record());
            let batch = [first.clone(), first, second.clone()];
            let (packed, fitted) = packed_with(&mut cache, &batch, &origin);
            let (alone, of_one) = packed_with(&mut TextCache::default(), &[second], &origin);
            assert_eq!(packed[2..], alone);
            assert_eq!(fitted.truncated, 3 * of_one.truncated);
        }
    }
}

#[test]
fn a_cached_text_is_used_only_if_its_annotations_fit() {
    let record = |span: &mut Recording| (0..30).for_each(|n| span.set(&format!("annotation.{n}"), n));
    let annotated = |parent, id| testing::within(parent, id).with(record).record();
    let (origin, mut cache) = (origin(&[], &[]), TextCache::default());
    let of = |document: &Json| document["annotations"].as_object().unwrap().len();
    let mut document_of = |batch: &[Record]| packed_with(&mut cache, batch, &origin).0.remove(0).0;
    let nested = [annotated(Some(1), 2), annotated(None, 1)];
    let counts = |document: Json| [of(&document), of(&document["subsegments"][0])];
    // A text is kept when it is written for the second time.
    for _ in 0..3 {
        assert_eq!(counts(document_of(&nested)), [30, 20]);
    }
    for _ in 0..3 {
        assert_eq!(of(&document_of(&[annotated(Some(9), 3)])), 30);
    }
    // Conversely, a kept text is not used if its annotations do not fit.
    assert_eq!(counts(document_of(&nested)), [30, 20]);
}

#[test]
fn a_span_without_a_parent_here_is_a_segment_named_by_its_service() {
    let root = document_of(testing::span("test"));
    assert_eq!((&root["name"], &root["id"]), (&json!("backend"), &json!("53995c3f42cd8ad8")));
    assert_eq!(root["trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
    assert_eq!((&root["start_time"], &root["end_time"]), (&json!(1_700_000_000.0), &json!(1_700_000_000.25)));
    assert_eq!(root["service"]["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(root["aws"]["xray"]["sdk"], "cruddur-telemetry");
    assert!(root.get("type").is_none() && root.get("parent_id").is_none());
    for kind in [SpanKind::Client, SpanKind::Internal, SpanKind::Consumer] {
        let remote = document_of(testing::child(true).with(|span| span.kind(kind)));
        assert_eq!((&remote["name"], &remote["parent_id"]), (&json!("backend"), &json!("0707070707070707")));
        assert!(remote.get("type").is_none());
    }
}

#[test]
fn any_other_span_is_a_subsegment_named_by_its_callee() {
    let database = (DB_SYSTEM_NAME, Value::Text("postgresql"));
    let (host, port) = ((SERVER_ADDRESS, Value::Text("db")), (SERVER_PORT, Value::Int(80)));
    let aws = [("rpc.system", "aws-api"), ("rpc.service", "DynamoDB")].map(|(key, text)| (key, Value::Text(text)));
    for (attributes, name, namespace) in [
        (vec![], "test", "remote"),
        (vec![host, port], "db:80", "remote"),
        (vec![host], "db", "remote"),
        (vec![database, host], "postgresql@db", "remote"),
        (vec![database, host, port, (DB_NAMESPACE, Value::Text("cruddur"))], "cruddur@db", "remote"),
        (vec![(DB_SYSTEM_NAME, Value::Text("sqlite"))], "sqlite", "remote"),
        (vec![host, ("peer.service", Value::Text("billing"))], "billing", "remote"),
        ([&aws[..], &[host]].concat(), "DynamoDB", "aws"),
    ] {
        let document = document_of(call(|span| attributes.into_iter().for_each(|(key, value)| span.set(key, value))));
        assert_eq!((&document["name"], &document["type"]), (&json!(name), &json!("subsegment")));
        assert_eq!(document["namespace"], namespace);
    }
    let internal = document_of(testing::child(false).with(|span| span.set(SERVER_ADDRESS, "db")));
    assert_eq!((&internal["name"], internal.get("namespace")), (&json!("test"), None));
}

#[test]
fn the_http_status_determines_the_flags() {
    for (status, failed, flags) in [
        (200, false, [false, false, false]),
        (404, true, [true, false, false]),
        (429, false, [true, true, false]),
        (503, false, [false, false, true]),
        (200, true, [false, false, true]),
    ] {
        let document = document_of(call(|span| {
            span.set(HTTP_RESPONSE_STATUS_CODE, status);
            if failed {
                span.fail("timeout");
            }
        }));
        assert_eq!(["error", "throttle", "fault"].map(|flag| document.get(flag).is_some()), flags, "{status}");
    }
}

#[test]
fn an_exception_and_its_causes_are_exceptions_of_a_fault() {
    let stack = "  0: app::main\n     at src/main.rs:5:3\n  1: start\ncaused by: no disk\ncaused by: no power\n";
    let document = document_of(testing::span("test").with(|span| {
        span.exception("StoreError", "no", stack);
        span.event("another", &[]);
    }));
    let [store, disk, power] = document["cause"]["exceptions"].as_array().unwrap().as_slice() else { panic!() };
    assert_eq!((&store["type"], &store["message"]), (&json!("StoreError"), &json!("no")));
    let frames = json!([{"path": "src/main.rs", "line": 5, "label": "app::main"}, {"label": "start"}]);
    assert_eq!(store["stack"], frames);
    assert_eq!((&store["cause"], &disk["cause"], power.get("cause")), (&disk["id"], &power["id"], None));
    assert_eq!((&disk["message"], &power["message"]), (&json!("no disk"), &json!("no power")));
    assert_ne!(store["id"], document["id"]);
    let events = &document["metadata"]["otel"]["events"];
    assert_eq!(
        (&document["fault"], &events[0]["name"], &events[1]["name"]),
        (&json!(true), &json!("exception"), &json!("another"))
    );
    assert!(events[0].get("attributes").is_none(), "the fields record all of it");
}

#[test]
fn a_described_failure_is_an_exception() {
    let recorded = testing::recorded_one(|| {
        drop(tracing::info_span!("a", otel.status_code = "ERROR", otel.status_description = "boom"))
    });
    let (documents, _) = packed(&[recorded], &origin(&[], &[]));
    let document = &documents[0].0;
    assert_eq!((&document["fault"], &document["cause"]["exceptions"][0]["message"]), (&json!(true), &json!("boom")));
}

#[test]
fn a_statement_has_sql_and_a_request_has_http() {
    let statement = document_of(call(|span| {
        for (key, text) in [(DB_SYSTEM_NAME, "postgresql"), (DB_NAMESPACE, "cruddur"), (SERVER_ADDRESS, "db")] {
            span.set(key, text);
        }
        span.set(SERVER_PORT, 5_432);
        span.set(DB_QUERY_TEXT, "SELECT $1");
    }));
    let sql =
        json!({"url": "postgresql://db:5432/cruddur", "database_type": "postgresql", "sanitized_query": "SELECT $1"});
    assert_eq!((&statement["sql"], statement["metadata"]["otel"].get("attributes")), (&sql, None));
    let request = document_of(testing::span("test").with(|span| {
        for (key, text) in [(URL_SCHEME, "http"), (SERVER_ADDRESS, "a"), (URL_PATH, "/\"x\""), ("user.id", "andrew")] {
            span.set(key, text);
        }
        span.set("http.response.body.size", 7);
        span.set(HTTP_RESPONSE_STATUS_CODE, 200);
    }));
    assert_eq!(request["http"]["request"]["url"], "http://a/\"x\"");
    assert_eq!(request["http"]["response"], json!({"status": 200, "content_length": 7}));
    assert_eq!((&request["user"], request["metadata"]["otel"].get("attributes")), (&json!("andrew"), None));
}

#[test]
fn a_platform_is_an_origin() {
    let attributes = [("cloud.platform", "aws_ec2"), ("host.id", "i-0"), ("cloud.account.id", "123456789012")];
    let (document, _) = document_by(
        &origin(&attributes, &[]),
        testing::span("test").with(|span| {
            span.set("aws.xray.sampling_rule_name", "home");
        }),
    );
    assert_eq!(
        (&document["origin"], &document["aws"]["ec2"]["instance_id"]),
        (&json!("AWS::EC2::Instance"), &json!("i-0"))
    );
    assert_eq!(
        (&document["aws"]["account_id"], &document["aws"]["xray"]["sampling_rule_name"]),
        (&json!("123456789012"), &json!("home"))
    );
}

#[test]
fn a_link_keeps_its_span() {
    let document = document_of(testing::span("test").with(|span| {
        let (trace, id) = (TraceId::from_bytes([1; 16]), SpanId::from_bytes([2; 8]));
        span.link(SpanIds { trace, span: id, flags: TraceFlags::SAMPLED, is_remote: true }, None);
    }));
    let link = json!({"trace_id": "1-01010101-010101010101010101010101", "id": "0202020202020202"});
    assert_eq!(document["links"], json!([link]));
}
