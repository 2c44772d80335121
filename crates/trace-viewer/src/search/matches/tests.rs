use std::sync::Arc;

use proptest::prelude::*;
use serde_json::{Value, json};

use super::super::syntax::{parse, tests};
use super::*;
use crate::model::{Code, Kind, Nanos, Source, SpanId};
use crate::store::entry::TraceEntry;

fn trace_id() -> TraceId {
    TraceId::parse("5759e988bd862e3fe1be46a994272793").unwrap()
}

fn span(id: u64, parent: u64, service: &str, name: &str, attributes: &Value) -> Span {
    let details =
        json!({"attributes": attributes, "events": [], "links": [], "status": {"code": "unset", "message": null}});
    Span {
        trace_id: trace_id(),
        span_id: SpanId::from_bytes(&id.to_be_bytes()).unwrap(),
        parent: SpanId::from_bytes(&parent.to_be_bytes()),
        service: Some(service.into()),
        name: name.into(),
        kind: Kind::Server,
        start: Nanos(1_000 * id),
        end: Some(Nanos(1_000 * id + 500_000_000)),
        outcome: Code::Unset,
        database: None,
        is_browser: false,
        source: Source::Otlp,
        document: None,
        details: serde_json::value::to_raw_value(&details).unwrap(),
    }
}

fn example() -> Vec<Arc<Span>> {
    let backend = json!({"http.response.status_code": 500, "http.route": "/api/activities/{uuid}", "url.path": "/api/activities/1",
        "user.id": "Ada Lovelace", "list": ["red", "blue"]});
    let failed = json!({"exception.type": "TimeoutError", "ratio": 0.5, "text": "2e2", "annotations": {"age": 29}});
    let failed =
        Span { outcome: Code::Error, database: Some("sqlite".into()), ..span(2, 1, "worker", "SELECT", &failed) };
    [span(1, 0, "backend", "GET /api/activities/{uuid}", &backend), failed].map(Arc::new).into()
}

/// Checks that the entry agrees.
fn accepts(text: &str, spans: &[Arc<Span>]) -> bool {
    let query = Compiled::new(&parse(text).unwrap_or_else(|fault| panic!("{text}: {fault}")), Nanos(1_000_000_000));
    let entry = TraceEntry::of(spans, 4_000, false).unwrap();
    let accepts = query.accepts(trace_id(), &entry.facts, spans);
    let verdict = query.verdict(trace_id(), &entry.facts, Some(&entry.filter));
    assert!(verdict.is_none_or(|verdict| verdict == accepts), "{text}");
    accepts
}

#[test]
fn a_query_accepts_what_it_describes() {
    for text in [
        "",
        "service=backend http.status=500",
        "service=sqlite",
        "database=sqlite status=error",
        "http.status>=500 http.status<501",
        "http.response.status_code=5e2",
        "http.route=\"/api/activities/{uuid}\"",
        "http.route=/api/* http.route=*{uuid}",
        "user.id=\"Ada Lovelace\"",
        "user.id:LOVE",
        "annotation.user_id:ada",
        "annotation.age=29",
        "annotation.age>28",
        "lovelace http.status=500",
        "timeouterror",
        "timeout",
        "list=red list=blue list!=green",
        "has:exception has:error has:user.id",
        "root:GET root:activities/1",
        "dur>=500ms span.dur=500ms spans=2 errors=1",
        "-name=health -service=frontend",
        "service=frontend OR service=worker",
        "name=nothing OR dur>1ms",
        "0000000000000002",
        "5759E988BD862E3FE1BE46A994272793",
        "trace=5759* trace:4272",
        "source=otlp kind=server",
        "last:1s",
        "ratio<0.75",
        "text=2e2",
        "user=\"Ada Lovelace\"",
        r#"service("backend") AND responsetime > 0.2"#,
        "fault",
        "!ok",
        "http.url CONTAINS \"activities\"",
    ] {
        assert!(accepts(text, &example()), "{text}");
    }
}

#[test]
fn a_query_rejects_what_it_does_not_describe() {
    for text in [
        "service=BACKEND",
        "service=back",
        "http.status=404",
        "http.status!=500",
        "list!=red",
        "missing!=1",
        "text=200",
        "service=worker http.status=500",
        "lovelace timeouterror",
        "service=worker (http.status=500 OR http.status=404)",
        "-service=backend",
        "-(service=backend http.status=500)",
        "lovelace!",
        "has:missing has:browser",
        "has:document",
        "root:SELECT",
        "dur>600ms",
        "dur<500ms",
        "source=xray",
        "last:100ms",
        "ok",
        "throttle",
        r#"service("worker") { http.status = 500 }"#,
    ] {
        assert!(!accepts(text, &example()), "{text}");
    }
}

fn value() -> impl Strategy<Value = Value> {
    let (_, texts) = tests::vocabulary();
    prop_oneof![
        proptest::sample::select(texts).prop_map(Value::from),
        proptest::sample::select(vec![
            json!(500),
            json!(200),
            json!(2e2),
            json!(-0.0),
            json!(true),
            json!(null),
            json!([]),
            json!(1.5)
        ]),
        proptest::collection::vec(proptest::sample::select(texts), 1..3).prop_map(Value::from),
    ]
}

fn trace_spans() -> impl Strategy<Value = Vec<Arc<Span>>> {
    let (keys, texts) = tests::vocabulary();
    let attributes = proptest::collection::btree_map(proptest::sample::select(keys), value(), 0..4);
    let names = (proptest::sample::select(texts), proptest::sample::select(texts));
    let one = (names, attributes, any::<[bool; 4]>(), 0..2_000_u64);
    let many = proptest::collection::vec(one, 1..4);
    many.prop_map(|many| {
        let spans = many.into_iter().zip(0xa1..).map(
            |(((service, name), attributes, [failed, calls, is_browser, nested], ns), id)| {
                let mut attributes: serde_json::Map<String, Value> =
                    attributes.into_iter().map(|(key, value)| (key.to_owned(), value)).collect();
                if nested {
                    attributes = [("annotations".to_owned(), json!({"user_id": attributes.get("user.id")}))]
                        .into_iter()
                        .collect();
                }
                let span = span(id, 0, service, name, &attributes.into());
                Arc::new(Span {
                    outcome: if failed { Code::Error } else { Code::Ok },
                    database: calls.then(|| "backend".into()),
                    is_browser,
                    end: Some(Nanos(span.start.0 + ns)),
                    ..span
                })
            },
        );
        spans.collect()
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]
    #[test]
    fn an_entry_never_contradicts_the_spans(query in tests::query(), spans in trace_spans(), is_cut in any::<bool>()) {
        let query = Compiled::new(&query, Nanos(1_000_000));
        let entry = TraceEntry::of(&spans, 16_000, is_cut).unwrap();
        let accepts = query.accepts(trace_id(), &entry.facts, &spans);
        for filter in [Some(&entry.filter), None] {
            let verdict = query.verdict(trace_id(), &entry.facts, filter);
            prop_assert!(verdict.is_none_or(|verdict| verdict == accepts), "{:?} but {}", verdict, accepts);
        }
    }
}

/// The property above would hold for a filter that excludes nothing.
#[test]
fn an_entry_excludes_most_other_traces() {
    let spans = example();
    let entry = TraceEntry::of(&spans, 4_000, false).unwrap();
    for text in [
        "service=frontend",
        "user.id=\"Charles Babbage\"",
        "http.status=404",
        "babbage",
        "name=POST*",
        "has:missing",
        "http.route:users",
    ] {
        let query = Compiled::new(&parse(text).unwrap(), Nanos(0));
        assert_eq!(query.verdict(trace_id(), &entry.facts, Some(&entry.filter)), Some(false), "{text}");
    }
}
