//! OTLP over gRPC, as platforms configure it for every service.

use serde_json::Value;

use crate::support::Folder;
use crate::support::certificate::Authority;
use crate::support::cruddur::{Cruddur, Ended, command};
use crate::support::eventually;
use crate::support::grpc_collector::GrpcCollector;

const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const GRPC: (&str, &str) = ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc");
const METRICS: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const LOGS: (&str, &str) = ("OTEL_LOGS_EXPORTER", "otlp");
const CERTIFICATE: &str = "OTEL_EXPORTER_OTLP_CERTIFICATE";

/// The backend alone, from its start, which makes spans, until `received` is true of it.
fn backend(variables: &[(&str, &str)], received: impl Fn() -> bool) -> Ended {
    let data = Folder::new();
    let own = [GRPC, ("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let backend = Cruddur::service("backend", &[&own, variables].concat());
    eventually("the exports", || received().then_some(()));
    backend.stop()
}

/// The backend's final ledger of a destination.
fn ledger<'a>(ended: &'a Ended, name: &str) -> &'a str {
    let start = format!("backend: {name}: ");
    let line = ended.errors.lines().find(|line| line.starts_with(&start));
    line.unwrap_or_else(|| panic!("no ledger of {name} in {}", ended.errors))
}

fn names(exports: &[Value], kind: &str) -> usize {
    exports.iter().filter(|export| export["kind"] == kind).map(|export| export["names"].as_array().unwrap().len()).sum()
}

#[test]
fn spans_log_records_and_metric_points_arrive_by_grpc_each_once() {
    let Some(collector) = GrpcCollector::start(&[]) else { return };
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let canary = ("OTEL_EXPORTER_OTLP_HEADERS", "x-canary=a%20key");
    let gzip = ("OTEL_EXPORTER_OTLP_COMPRESSION", "gzip");
    let variables = [(ENDPOINT, endpoint.as_str()), canary, gzip, LOGS, METRICS];
    let ended = backend(&variables, || ["spans", "logs"].iter().all(|kind| names(&collector.exports(), kind) > 0));
    // At its end the backend measures once more.
    eventually("the metrics", || (names(&collector.exports(), "metrics") > 0).then_some(()));
    let exports = collector.exports();
    for (kind, name) in [("spans", "otlp"), ("logs", "otlp-logs"), ("metrics", "otlp-metrics")] {
        let received = names(&exports, kind);
        let line = ledger(&ended, name);
        assert!(line.contains(&format!("= {received} delivered + 0 queued + 0 dropped")), "{received}: {line}");
    }
    for export in &exports {
        assert_eq!(export["service"], "backend");
        assert_eq!(export["metadata"]["x-canary"], "a key");
        let agent = export["metadata"]["user-agent"].as_str().unwrap();
        assert!(agent.starts_with("OTel-OTLP-Exporter-Rust/"), "{agent}");
    }
    for name in ["otlp", "otlp-logs", "otlp-metrics"] {
        let line = format!("backend: {name} on: {endpoint}, grpc, gzip (by ");
        assert!(ended.errors.contains(&line), "{}", ended.errors);
    }
}

#[test]
fn a_batch_is_repeated_until_a_collector_takes_it() {
    let Some(collector) = GrpcCollector::start(&["UNAVAILABLE", "RETRY"]) else { return };
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let ended = backend(&[(ENDPOINT, &endpoint)], || collector.exports().iter().any(|export| export["status"] == "OK"));
    let exports = collector.exports();
    let statuses: Vec<&str> = exports.iter().map(|export| export["status"].as_str().unwrap()).collect();
    assert_eq!(statuses[..3], ["UNAVAILABLE", "RETRY", "OK"]);
    assert_eq!(exports[0]["names"], exports[2]["names"]);
    let [created, delivered, queued, dropped] = counts(ledger(&ended, "otlp"));
    assert_eq!((delivered, queued, dropped), (created, 0, 0), "{}", ended.errors);
}

#[test]
fn metric_points_are_repeated_and_counted_as_spans_are() {
    let Some(collector) = GrpcCollector::start(&["UNAVAILABLE", "RETRY", "PART"]) else { return };
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let often = ("OTEL_METRIC_EXPORT_INTERVAL", "100");
    let variables = [(ENDPOINT, endpoint.as_str()), ("OTEL_TRACES_EXPORTER", "none"), METRICS, often];
    let ended = backend(&variables, || collector.exports().iter().any(|export| export["status"] == "OK"));
    let exports = collector.exports();
    let statuses: Vec<&str> = exports.iter().map(|export| export["status"].as_str().unwrap()).collect();
    assert_eq!(statuses[..4], ["UNAVAILABLE", "RETRY", "PART", "OK"]);
    assert_eq!((&exports[0]["names"], &exports[1]["names"]), (&exports[1]["names"], &exports[2]["names"]));
    let [created, delivered, queued, dropped] = counts(ledger(&ended, "otlp-metrics"));
    assert_eq!((created, queued, dropped), (delivered + 1, 0, 1), "{}", ended.errors);
}

#[test]
fn the_key_of_each_destination_goes_to_no_other() {
    const KEYS: [&str; 2] = ["hcaik_canary_of_honeycomb", "canary-of-collector"];
    let (Some(honeycomb), Some(collector)) = (GrpcCollector::start(&[]), GrpcCollector::start(&[])) else { return };
    let [at_honeycomb, at_collector] = [&honeycomb, &collector].map(|to| format!("http://127.0.0.1:{}", to.port));
    let headers = format!("x-token={}", KEYS[1]);
    let variables = [
        ("HONEYCOMB_API_KEY", KEYS[0]),
        ("HONEYCOMB_API_ENDPOINT", at_honeycomb.as_str()),
        (ENDPOINT, at_collector.as_str()),
        ("OTEL_EXPORTER_OTLP_HEADERS", headers.as_str()),
        METRICS,
    ];
    let has = |kind: &str| [&honeycomb, &collector].iter().all(|to| names(&to.exports(), kind) > 0);
    backend(&variables, || has("spans"));
    eventually("the metrics", || has("metrics").then_some(()));
    for (to, key, of_other) in [(honeycomb, "x-honeycomb-team", KEYS[1]), (collector, "x-token", KEYS[0])] {
        for export in to.exports() {
            assert!(KEYS.contains(&export["metadata"][key].as_str().unwrap()), "{export}");
            assert!(!export.to_string().contains(of_other), "{export}");
        }
    }
}

#[test]
fn what_a_collector_refuses_is_dropped_with_its_words() {
    for (status, reason) in [
        ("INVALID_ARGUMENT", "answered InvalidArgument: by the test"),
        ("PART", "took a part: one is too old"),
        ("UNAUTHENTICATED", "answered Unauthenticated: by the test"),
    ] {
        let Some(collector) = GrpcCollector::start(&[status]) else { return };
        let endpoint = format!("http://127.0.0.1:{}", collector.port);
        let ended = backend(&[(ENDPOINT, &endpoint)], || !collector.exports().is_empty());
        let line = ledger(&ended, "otlp");
        assert!(line.contains(reason), "{status}: {line}");
        // Of a batch that is taken in part, the collector refuses one span.
        let [created, delivered, queued, dropped] = counts(line);
        assert_eq!(created, delivered + queued + dropped, "{line}");
        assert_eq!(dropped, if status == "PART" { 1 } else { created }, "{line}");
    }
}

/// What a line of the ledger counts: created, delivered, queued and dropped.
fn counts(line: &str) -> [u64; 4] {
    let numbers = line.split(|c: char| !c.is_ascii_digit()).filter_map(|number| number.parse().ok());
    let counts: Vec<u64> = numbers.take(4).collect();
    counts.try_into().unwrap_or_else(|_| panic!("{line}"))
}

#[test]
fn a_client_of_grpc_trusts_and_shows_what_a_client_of_http_does() {
    let Some(authority) = Authority::make() else { return };
    let ([certificate, key], own) = (authority.issue("server"), authority.issue("client"));
    let ca = authority.file();
    for clients in ["", ca.as_str()] {
        let Some(collector) = GrpcCollector::run([&certificate, &key, clients], &[]) else { return };
        let endpoint = format!("https://localhost:{}", collector.port);
        let ended = backend(&[(ENDPOINT, &endpoint)], || true);
        assert!(collector.exports().is_empty(), "{}", ended.errors);
        assert!(ledger(&ended, "otlp").contains(CERTIFICATE), "{}", ended.errors);
        let client = [
            ("OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE", own[0].as_str()),
            ("OTEL_EXPORTER_OTLP_CLIENT_KEY", own[1].as_str()),
        ];
        let known = [(ENDPOINT, endpoint.as_str()), (CERTIFICATE, &ca), client[0], client[1]];
        let ended = backend(&known, || !collector.exports().is_empty());
        let [created, delivered, ..] = counts(ledger(&ended, "otlp"));
        assert!(created > 0 && created == delivered, "{}", ended.errors);
    }
}

#[test]
fn the_doctor_checks_a_collector_of_grpc() {
    let Some(collector) = GrpcCollector::start(&[]) else { return };
    let endpoint = format!("http://127.0.0.1:{}", collector.port);
    let data = Folder::new();
    let own = [GRPC, (ENDPOINT, endpoint.as_str()), ("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let output = command(&["doctor"], &own).current_dir(data.path()).output().unwrap();
    let report = String::from_utf8(output.stdout).unwrap();
    assert!(report.contains(&format!("{endpoint} accepts spans; none were sent")), "{report}");
}

#[test]
fn a_viewer_gets_spans_whatever_the_protocol_of_other_collectors() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[GRPC]);
    let trace = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&trace, 5);
}
