//! The viewer's searches: both query languages, their errors, suggestions, routes and the map of services.

use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::http::{self, Answer};
use crate::support::{eventually, hex};

const SECOND: u64 = 1_000_000_000;
const START: u64 = 1_700_000_000 * SECOND;

fn trace_id(trace: u64) -> String {
    format!("{trace:032x}")
}

fn attributes(pairs: &Value) -> Value {
    let value = |value: &Value| match value {
        Value::String(text) => json!({"stringValue": text}),
        value => json!({"intValue": value.to_string()}),
    };
    pairs.as_object().unwrap().iter().map(|(key, one)| json!({"key": key, "value": value(one)})).collect()
}

/// A span of a trace that starts as many seconds after [`START`] as its number.
fn span(trace: u64, id: u64, parent: u64, name: &str, ms: u64, pairs: &Value) -> Value {
    let start = START + trace * SECOND;
    let kind = if pairs.get("db.system.name").is_some() { 3 } else { 2 };
    let span_id = |id: u64| format!("{id:016x}");
    json!({"traceId": trace_id(trace), "spanId": span_id(id), "parentSpanId": if parent == 0 { String::new() } else { span_id(parent) },
        "name": name, "kind": kind, "attributes": attributes(pairs),
        "startTimeUnixNano": start.to_string(), "endTimeUnixNano": (start + ms * 1_000_000).to_string()})
}

fn send(viewer: &Cruddur, service: &str, spans: &[Value]) {
    let resource = json!({"attributes": attributes(&json!({"service.name": service}))});
    let body = json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"spans": spans}]}]});
    assert_eq!(http::post(&format!("{}/v1/traces", viewer.viewer), &body).status, 200);
}

/// Four traces: of a fast page, of one that is slow and fails, of a health check, and of an X-Ray segment with a subsegment that was sent separately.
fn viewer() -> Cruddur {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy =
        |trace, ms| span(trace, 1, 0, "GET /api/*", ms, &json!({"url.path": format!("/api/activities/{trace}")}));
    send(&viewer, "frontend-proxy", &[proxy(1, 50), proxy(2, 900)]);
    let route = json!({"http.route": "/api/activities/{uuid}", "http.response.status_code": 200, "user.id": "Ada \"A.\" Lovelace"});
    let mut failed = span(2, 2, 1, "GET /api/activities/{uuid}", 800, &json!({"http.response.status_code": 500}));
    failed["status"] = json!({"code": 2, "message": "no space left"});
    failed["events"] = json!([{"name": "exception", "timeUnixNano": START.to_string(), "attributes": attributes(&json!({"exception.type": "StorageFull"}))}]);
    let sql = |trace, ms| span(trace, 3, 2, "SELECT activities", ms, &json!({"db.system.name": "sqlite"}));
    send(
        &viewer,
        "backend",
        &[span(1, 2, 1, "GET /api/activities/{uuid}", 40, &route), failed, sql(1, 10), sql(2, 20)],
    );
    send(&viewer, "backend", &[span(3, 1, 0, "health", 1, &json!({"http.response.status_code": 200}))]);
    let trace = trace_id(4);
    let trace = format!("1-{}-{}", &trace[..8], &trace[8..]);
    let start = 1_700_000_004.0;
    let segment = json!({"id": "00000000000000a1", "name": "bootcamp", "trace_id": trace, "start_time": start, "end_time": start + 0.3,
        "http": {"request": {"method": "POST", "url": "http://localhost/api/activities"}, "response": {"status": 429}},
        "error": true, "throttle": true, "annotations": {"user_id": "grace", "age": 85}});
    let alone = json!({"id": "00000000000000b1", "name": "query", "trace_id": trace, "type": "subsegment", "parent_id": "00000000000000a1",
        "start_time": start, "end_time": start + 0.1, "sql": {"database_type": "PostgreSQL"}});
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for document in [segment, alone] {
        let datagram = format!("{{\"format\": \"json\", \"version\": 1}}\n{document}");
        socket.send_to(datagram.as_bytes(), &viewer.xray).unwrap();
    }
    let status = || http::get(&format!("{}/api/status", viewer.viewer)).json();
    eventually("nine spans", || (status()["spans"] == 9).then_some(()));
    viewer
}

fn encoded(text: &str) -> String {
    text.bytes().map(|byte| format!("%{}", hex(&[byte]))).collect()
}

fn get(viewer: &Cruddur, path: &str, q: &str) -> Answer {
    http::get(&format!("{}/api/{path}q={}", viewer.viewer, encoded(q)))
}

/// The numbers of the traces that a query finds, in their order.
fn found(viewer: &Cruddur, q: &str) -> Vec<u64> {
    let answer = get(viewer, "traces?", q);
    let list = answer.json();
    assert_eq!(answer.status, 200, "{q}: {list}");
    let ids = list.as_array().unwrap().iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned());
    ids.map(|id| u64::from_str_radix(&id, 16).unwrap()).collect()
}

#[test]
fn a_search_finds_the_traces_that_a_query_describes() {
    let viewer = viewer();
    let expected: &[(&str, &[u64])] = &[
        ("", &[4, 3, 2, 1]),
        ("service=backend http.route=\"/api/activities/{uuid}\"", &[1]),
        ("service=backend", &[3, 2, 1]),
        ("dur>200ms", &[4, 2]),
        ("dur>200ms status=error -source=xray", &[2]),
        ("user.id=\"Ada \\\"A.\\\" Lovelace\"", &[1]),
        ("lovelace", &[1]),
        ("-name=health", &[4, 2, 1]),
        ("has:exception", &[2]),
        ("storagefull", &[2]),
        ("\"no space\"", &[2]),
        ("root:GET", &[2, 1]),
        ("root:activities/2", &[2]),
        ("http.status>=500", &[2]),
        ("http.status=429 OR http.status=500", &[4, 2]),
        ("service=frontend-proxy http.status=500", &[]),
        ("service=backend (http.status=500 OR name=health)", &[3, 2]),
        ("service=sqlite sort:dur:asc", &[1, 2]),
        ("sort:dur", &[2, 4, 1, 3]),
        ("sort:spans:asc", &[3, 4, 2, 1]),
        ("errors>0 spans>=2", &[4, 2]),
        ("last:15m", &[]),
        ("trace=*4", &[4]),
        ("1-00000000-000000000000000000000003", &[3]),
        ("00000000000000a1", &[4]),
        ("http.request.method=POST name=boot*", &[4]),
        (r#"service("backend") AND responsetime > 0.2"#, &[2]),
        ("duration < 0.1", &[3, 1]),
        ("http.status = 500", &[2]),
        ("http.url CONTAINS \"activities\" AND NOT http.method = \"POST\"", &[2, 1]),
        ("annotation.user_id = \"grace\"", &[4]),
        ("annotation[user_id] BEGINSWITH \"Ada\"", &[1]),
        ("annotation.age > 80", &[4]),
        ("fault", &[2]),
        ("throttle OR fault = true", &[4, 2]),
        ("error = true", &[4]),
        ("ok", &[3, 1]),
        ("service(\"backend\") { responsetime < 0.005 }", &[3]),
    ];
    // Once as the traces have arrived, and once with their entries in the index, which a trace has after about a second.
    let bytes = || http::get(&format!("{}/api/status", viewer.viewer)).json()["bytes"].as_u64().unwrap();
    let arrived = bytes();
    for (q, expected) in expected {
        assert_eq!(found(&viewer, q), *expected, "{q}");
    }
    eventually("all entries", || (bytes() >= arrived + 4 * 64).then_some(()));
    for (q, expected) in expected {
        assert_eq!(found(&viewer, q), *expected, "{q}");
    }
}

#[test]
fn a_list_has_a_limit_and_says_how_much_it_searched() {
    let viewer = viewer();
    let ids = |path: &str| http::get(&format!("{}/api/{path}", viewer.viewer)).json().as_array().unwrap().len();
    assert_eq!((ids("traces"), ids("traces?limit=3"), ids("traces?limit=1000&q=service=backend")), (4, 3, 3));
    let answer = get(&viewer, "traces?limit=1&", "service=backend sort:dur");
    let header = |name: &str| answer.header(name).to_owned();
    assert_eq!(
        (header("search-traces"), header("search-matches"), header("search-cut")),
        ("4".into(), "3".into(), String::new())
    );
    for path in [
        "traces?limit=0",
        "traces?limit=1001",
        "traces?limit=x",
        "traces?limit=1&limit=2",
        "traces?lmit=1",
        "routes?limit=1",
    ] {
        let answer = http::get(&format!("{}/api/{path}", viewer.viewer));
        assert_eq!((answer.status, answer.header("content-type")), (400, "application/problem+json"), "{path}");
    }
}

#[test]
fn an_invalid_query_is_a_problem_with_a_position() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    for (q, position, detail) in [
        ("dur>200", 7, "at character 7: dur>200: give a unit such as ms"),
        ("é \"open", 2, "at character 2: this quote is not closed; add \" at its end"),
        (
            "edge(\"a\", \"b\")",
            0,
            "at character 0: edge() is not supported here; GET /api/map has the edges between services",
        ),
    ] {
        for path in ["traces?", "routes?", "map?"] {
            let answer = get(&viewer, path, q);
            let problem = answer.json();
            assert_eq!((answer.status, answer.header("content-type")), (400, "application/problem+json"), "{q}");
            assert_eq!((&problem["position"], &problem["detail"]), (&json!(position), &json!(detail)), "{q}");
        }
    }
}

#[test]
fn keys_and_values_are_suggested() {
    let viewer = viewer();
    let texts = |q: &str| {
        let suggested = get(&viewer, "suggest?", q).json();
        let texts = suggested["suggestions"].as_array().unwrap().clone();
        (suggested, texts)
    };
    let (suggested, keys) = texts("dur>1ms http.ro");
    assert_eq!((&suggested["key"], &suggested["from"], &suggested["to"]), (&json!(null), &json!(8), &json!(15)));
    assert_eq!(keys, [json!({"text": "http.route=", "count": 1})]);
    let (suggested, values) = texts("service=");
    assert_eq!(suggested["key"], "service");
    assert_eq!(values[0], json!({"text": "backend", "count": 5}));
    assert_eq!(texts("user.id=").1, [json!({"text": "\"Ada \\\"A.\\\" Lovelace\"", "count": 1})]);
    assert_eq!(get(&viewer, "suggest?cursor=x&", "a").status, 400);
}

#[test]
fn routes_have_counts_percentiles_and_their_slowest_traces() {
    let viewer = viewer();
    let answer = http::get(&format!("{}/api/routes", viewer.viewer)).json();
    assert_eq!(
        (&answer["traces"], &answer["is_complete"], &answer["other_traces"]),
        (&json!(4), &json!(true), &json!(0))
    );
    let routes = answer["routes"].as_array().unwrap();
    assert_eq!(routes.len(), 3, "{answer:#}");
    let slowest = |trace: u64, ms: f64| json!({"trace_id": trace_id(trace), "duration_ms": ms});
    let expected = json!({"service": "frontend-proxy", "name": "GET /api/*", "count": 2, "errors": 1,
        "p50_ms": 50.0, "p95_ms": 900.0, "p99_ms": 900.0, "slowest": [slowest(2, 900.0), slowest(1, 50.0)]});
    assert_eq!(routes[0], expected);
    let slow = get(&viewer, "routes?", "dur>500ms").json();
    assert_eq!((&slow["routes"][0]["count"], &slow["routes"][1]), (&json!(1), &json!(null)));
}

#[test]
fn the_map_joins_both_protocols_and_has_databases() {
    let viewer = viewer();
    // The twin of a span is the same call.
    let id = trace_id(1);
    let twin = json!({"id": "0000000000000002", "name": "backend", "trace_id": format!("1-{}-{}", &id[..8], &id[8..]), "parent_id": "0000000000000001",
        "start_time": 1_700_000_001.0, "end_time": 1_700_000_001.04});
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.send_to(format!("{{\"format\": \"json\", \"version\": 1}}\n{twin}").as_bytes(), &viewer.xray).unwrap();
    let status = || http::get(&format!("{}/api/status", viewer.viewer)).json();
    eventually("ten spans", || (status()["spans"] == 10).then_some(()));

    let map = http::get(&format!("{}/api/map", viewer.viewer)).json();
    let edge = |from: &str, to: &str, errors: u64, calls: u64, p50: f64, p95: f64| json!({"from": from, "to": to, "calls": calls, "errors": errors, "p50_ms": p50, "p95_ms": p95});
    let expected = json!([
        edge("backend", "sqlite", 0, 2, 10.0, 20.0),
        edge("bootcamp", "PostgreSQL", 0, 1, 100.0, 100.0),
        edge("frontend-proxy", "backend", 1, 2, 40.0, 800.0),
    ]);
    assert_eq!(map["edges"], expected, "{map:#}");
    let services = map["services"].as_array().unwrap();
    let names: Vec<_> = services
        .iter()
        .map(|one| (one["name"].as_str().unwrap(), one["is_database"] == true, one["calls"].as_u64().unwrap()))
        .collect();
    let expected = [
        ("PostgreSQL", true, 1),
        ("backend", false, 3),
        ("bootcamp", false, 1),
        ("frontend-proxy", false, 2),
        ("sqlite", true, 2),
    ];
    assert_eq!(names, expected);
    let none = get(&viewer, "map?", "service=nowhere").json();
    assert_eq!((&none["edges"], &none["traces"]), (&json!([]), &json!(4)));
}
