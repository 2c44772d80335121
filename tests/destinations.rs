//! Honeycomb, X-Ray and the viewer together: one trace id, and each key only at its own destination.

use serde_json::json;

use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::{Honeycomb, Trouble};
use crate::support::{Folder, eventually, http};

const KEY: &str = "hcaik_a_key_of_this_test";

#[test]
fn one_trace_reaches_honeycomb_x_ray_and_the_viewer() {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    everywhere(cruddur, &honeycomb);
}

#[test]
fn the_lessons_variables_have_the_same_effect() {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let headers = format!("x-honeycomb-team={KEY}");
    let lesson = [("OTEL_EXPORTER_OTLP_ENDPOINT", honeycomb.url.as_str()), ("OTEL_EXPORTER_OTLP_HEADERS", &headers)];
    everywhere(Cruddur::up(&data, &lesson), &honeycomb);
}

fn everywhere(cruddur: Cruddur, honeycomb: &Honeycomb) {
    let answer = cruddur.get("/api/activities/home");
    let trace = answer.trace_id();
    let viewer = cruddur.spans(&trace, 5);
    let names = eventually("five spans at Honeycomb", || {
        let names = honeycomb.spans(&trace);
        (names.len() == 5).then_some(names)
    });
    let mut of_viewer: Vec<_> =
        viewer.iter().filter(|span| span["source"] == "otlp").map(|span| span["name"].as_str().unwrap()).collect();
    let mut of_honeycomb: Vec<_> = names.iter().map(String::as_str).collect();
    of_viewer.sort_unstable();
    of_honeycomb.sort_unstable();
    assert_eq!(of_honeycomb, of_viewer);
    let ended = cruddur.stop();
    assert!(ended.errors.contains("backend: honeycomb on: http://127.0.0.1:"), "{}", ended.errors);
    assert!(!ended.errors.contains(KEY), "the key is in no log");
}

#[test]
fn a_refused_key_is_logged_in_honeycombs_words_and_counted() {
    let honeycomb = Honeycomb::start("another key");
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let answer = cruddur.get("/api/trending");
    assert_eq!(answer.status, 200);
    cruddur.spans(&answer.trace_id(), 5);
    let ended = cruddur.stop();
    let account = ended.errors.lines().find(|line| line.starts_with("backend: honeycomb: ")).unwrap_or_default();
    assert!(
        account.starts_with("backend: honeycomb: 9 spans created = 0 delivered + 0 queued + 9 dropped (9 refused)"),
        "{account}"
    );
    assert!(account.contains("401") && account.contains("unknown API key - check your credentials"), "{account}");
    assert!(ended.errors.contains("backend: otlp: 9 spans created = 9 delivered"), "{}", ended.errors);
}

#[test]
fn a_busy_destination_is_retried_and_nothing_is_lost() {
    let honeycomb = Honeycomb::troubled(KEY, Trouble::Busy(503, 2));
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let trace = cruddur.get("/api/activities/home").trace_id();
    eventually("five spans at Honeycomb", || (honeycomb.spans(&trace).len() == 5).then_some(()));
    let ended = cruddur.stop();
    for service in ["backend", "frontend-proxy"] {
        let account = ended.errors.lines().find(|line| line.starts_with(&format!("{service}: honeycomb: ")));
        assert!(account.is_some_and(|account| account.contains("0 queued + 0 dropped")), "{}", ended.errors);
    }
}

#[test]
fn each_service_serves_its_ledger() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let trace = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&trace, 5);
    for (service, base, spans) in [("frontend-proxy", &cruddur.page, 2), ("backend", &cruddur.backend, 9)] {
        // The viewer has the spans before its response confirms them.
        let ledger = eventually("delivered", || {
            let ledger = http::get(&format!("{base}/health/telemetry")).json();
            (ledger["destinations"].as_array().unwrap().iter().all(|one| one["delivered"] == spans)).then_some(ledger)
        });
        assert_eq!(ledger["service"], service);
        let otlp = &ledger["destinations"][0];
        assert_eq!(
            otlp,
            &json!({"name": "otlp", "kind": "otlp_http", "records": "spans", "endpoint": format!("{}/v1/traces", cruddur.viewer),
                    "created": spans, "delivered": spans, "queued": 0, "dropped": {}, "last_error": null})
        );
        let metrics = http::get(&format!("{base}/metrics"));
        assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
        let sample = format!("telemetry_spans_delivered_total{{service=\"{service}\",destination=\"xray\"}} {spans}\n");
        assert!(String::from_utf8(metrics.body).unwrap().contains(&sample));
    }
    let list = http::get(&format!("{}/api/traces", cruddur.viewer)).json();
    assert_eq!(list.as_array().unwrap().len(), 2, "reading a ledger is not traced: {list:#}");
}
