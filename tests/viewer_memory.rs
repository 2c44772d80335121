//! The viewer's memory: its bound, the traces that outlive others, and the banner of a trace that is too large.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cruddur::{Cruddur, run};
use crate::support::{DEADLINE, http};

const MIB: u64 = 1024 * 1024;

fn trace_id(number: u64) -> String {
    format!("{number:032x}")
}

/// A span of about a KiB.
fn span(trace: u64, id: u64) -> Value {
    let text = json!([{"key": "text", "value": {"stringValue": "x".repeat(700)}}]);
    json!({"traceId": trace_id(trace), "spanId": format!("{id:016x}"), "name": "GET /", "kind": 2, "attributes": text,
        "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000"})
}

/// Sends spans of one service, and returns how many were rejected.
fn send(viewer: &Cruddur, resource: &Value, spans: impl IntoIterator<Item = Value>) -> u64 {
    let spans: Vec<Value> = spans.into_iter().collect();
    let body = json!({"resourceSpans": [{"resource": {"attributes": resource}, "scopeSpans": [{"spans": spans}]}]});
    let answer = http::post(&format!("{}/v1/traces", viewer.viewer), &body);
    assert_eq!(answer.status, 200);
    let rejected = &answer.json()["partialSuccess"]["rejectedSpans"];
    rejected.as_str().map_or(0, |count| count.parse().unwrap())
}

fn service(name: &str) -> Value {
    json!([{"key": "service.name", "value": {"stringValue": name}}])
}

#[test]
fn a_flood_of_spans_stays_within_the_memory_and_evicts_itself() {
    let viewer = Cruddur::service_with("trace-viewer", &["--memory", "16MiB"], &[("CRUDDUR_VIEWER_MEMORY", "64MiB")]);
    let status = || http::get(&format!("{}/api/status", viewer.viewer)).json();
    let page = json!([service("page")[0], {"key": "telemetry.sdk.language", "value": {"stringValue": "webjs"}}]);
    let mut failed = span(2, 1);
    failed["status"] = json!({"code": 2});
    send(&viewer, &page, [span(1, 1)]);
    send(&viewer, &service("busy"), [failed]);
    send(&viewer, &service("quiet"), [span(3, 1)]);
    send(&viewer, &service("busy"), [span(4, 1)]);
    assert_eq!(http::get(&format!("{}/api/traces/{}", viewer.viewer, trace_id(4))).status, 200, "a user opens it");

    // 48 MiB.
    for batch in 1..=48 {
        let traces = batch * 1_000..batch * 1_000 + 1_000;
        assert_eq!(send(&viewer, &service("busy"), traces.map(|trace| span(trace, 1))), 0);
        let status = status();
        assert!(status["bytes"].as_u64() <= status["bytes_max"].as_u64(), "{status}");
    }
    let status = status();
    assert_eq!((&status["bytes_max"], &status["trace_bytes_max"]), (&json!(16 * MIB), &json!(4 * MIB)));
    let evicted = &status["evicted"];
    assert!(evicted["common"].as_u64() > Some(25_000), "{status}");
    assert_eq!((&evicted["error"], &evicted["browser"], &evicted["opened"]), (&json!(0), &json!(0), &json!(0)));
    assert_eq!(status["rejected"], 0);
    for trace in 1..=4 {
        assert_eq!(http::get(&format!("{}/api/traces/{}", viewer.viewer, trace_id(trace))).status, 200, "{trace}");
    }
    // The spans, three tenths for fragments, and the process itself, which is larger without optimisation.
    let peak = viewer.peak_memory() / 1024;
    assert!(peak < 16 * 13 / 10 + 40, "{peak} MiB");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_trace_that_is_too_large_has_a_banner() {
    let Some(browser) = Browser::start().await else { return };
    let viewer = Cruddur::service("trace-viewer", &[("CRUDDUR_VIEWER_MEMORY", "16MiB")]);
    // A quarter of the memory holds about 4,000 of these.
    let rejected = tokio::task::block_in_place(|| {
        let batches = (0..10_u64)
            .map(|batch| send(&viewer, &service("large"), (1..=1_000).map(|id| span(1, batch * 1_000 + id))));
        batches.sum::<u64>()
    });
    assert!((1_000..9_000).contains(&rejected), "{rejected}");
    let url = format!("{}/api/traces/{}", viewer.viewer, trace_id(1));
    let trace = tokio::task::block_in_place(|| http::get(&url).json());
    assert_eq!((&trace["dropped"], &trace["span_count"]), (&json!(rejected), &json!(10_000 - rejected)));

    let client = &browser.client;
    let find = async |css: &str| client.wait().at_most(DEADLINE).for_element(Locator::Css(css)).await.unwrap();
    client.goto(&format!("{}/", viewer.viewer)).await.unwrap();
    let spans = find("[data-testid=trace-row] .spans").await.text().await.unwrap();
    assert!(spans.ends_with('+'), "{spans}");
    find("[data-testid=trace-row] a").await.click().await.unwrap();
    let banner = find("[data-testid=waterfall][data-state=ready] > .notice").await.text().await.unwrap();
    assert!(banner.contains("do not fit") && banner.contains("--memory"), "{banner}");
    assert_eq!(browser.console().await, Vec::<String>::new());
    browser.stop().await;
}

#[test]
fn an_invalid_memory_is_reported_at_the_start() {
    let ended = run(&["trace-viewer"], &[("CRUDDUR_VIEWER_MEMORY", "64MB")]);
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    let expected = "CRUDDUR_VIEWER_MEMORY: \"64MB\" is not valid (it is not a whole number followed by MiB or GiB); \
        give a size such as 256MiB or 1GiB, at least 16MiB";
    assert!(ended.errors.contains(expected), "{}", ended.errors);
    let ended = run(&["trace-viewer", "--memory", "1MiB"], &[]);
    assert!(ended.errors.contains("it is less than 16MiB"), "{}", ended.errors);
}
