//! Every signal in the trouble that `faults` makes for spans over HTTP: log records and metric points, and all three over gRPC.
//! Whatever a collector does, each is counted exactly at every moment, and for the right reason at the end.

use std::fmt::Debug;

use serde_json::Value;

use crate::faults::{assert_exact, number};
use crate::metrics::points;
use crate::support::cruddur::{Cruddur, Ended};
use crate::support::grpc_collector::GrpcCollector;
use crate::support::h2_server::{self, H2Server};
use crate::support::honeycomb::{Honeycomb, Trouble};
use crate::support::{Folder, eventually, free_port, http};

const HTTP: &str = "http/protobuf";
const GRPC: &str = "grpc";
/// The ledger's destinations, and what it counts for each.
const SIGNALS: [(&str, &str); 3] = [("otlp", "spans"), ("otlp-logs", "log records"), ("otlp-metrics", "metric points")];
/// Time limits of an export in milliseconds: longer than a shutdown may take, and much shorter.
const PATIENT: &str = "60000";
const IMPATIENT: &str = "200";

/// Each trouble in which a collector accepts nothing, the time limit, and why the ledger drops what was sent.
fn troubles(elsewhere: &str) -> [(Trouble, &'static str, &'static str); 8] {
    [
        (Trouble::Hangs, PATIENT, "shutdown"),
        (Trouble::Hangs, IMPATIENT, "unreachable"),
        (Trouble::Drips, IMPATIENT, "unreachable"),
        (Trouble::Resets, PATIENT, "unreachable"),
        (Trouble::Redirects(elsewhere.to_owned()), PATIENT, "refused"),
        (Trouble::Refuses(400), PATIENT, "refused"),
        (Trouble::Refuses(401), PATIENT, "refused"),
        (Trouble::Answers("text/html", "<!doctype html>"), PATIENT, "unconfirmed"),
    ]
}

/// A backend that sends all signals to one collector alone.
struct SignalsBackend {
    backend: Cruddur,
    _data: Folder,
}

impl SignalsBackend {
    fn start(protocol: &str, collector: &str, limit: &str) -> Self {
        let data = Folder::new();
        let variables = [
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector),
            ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", limit),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
            ("OTEL_BLRP_SCHEDULE_DELAY", "50"),
            ("OTEL_METRIC_EXPORT_INTERVAL", "500"),
            // Each statement is a log record.
            ("RUST_LOG", "info,sqlx=debug"),
        ];
        let backend = Cruddur::service("backend", &variables);
        assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
        Self { backend, _data: data }
    }

    /// Waits until `is_enough` accepts the counts of each signal, which are exact at every moment.
    fn wait(&self, is_enough: impl Fn(&Value) -> bool) {
        eventually("the expected ledger", || {
            let ledger = http::get(&format!("{}/health/telemetry", self.backend.backend)).json();
            let signals = ledger["destinations"].as_array().unwrap();
            assert_eq!(signals.len(), SIGNALS.len());
            signals.iter().for_each(assert_exact);
            signals.iter().all(&is_enough).then_some(())
        });
    }

    fn stop(self) -> Ended {
        let ended = self.backend.stop();
        assert!(ended.status.success(), "{}", ended.errors);
        ended
    }
}

/// Runs a backend before a collector that accepts nothing.
fn assert_all_dropped(protocol: &str, collector: &str, limit: &str, reason: &str, what: &dyn Debug) {
    let backend = SignalsBackend::start(protocol, collector, limit);
    let is_queued = |counts: &Value| number(counts, "queued") > 0;
    backend.wait(if reason == "shutdown" { is_queued } else { has_error });
    assert_counted(&backend.stop(), [0; 3], Some(reason), what);
}

fn has_error(counts: &Value) -> bool {
    counts["last_error"].is_string()
}

fn is_delivered(counts: &Value) -> bool {
    number(counts, "delivered") > 0
}

/// Asserts that the final ledger counts what the collector accepted as delivered, and everything else as dropped for `reason`.
fn assert_counted(ended: &Ended, accepted: [usize; 3], reason: Option<&str>, what: &dyn Debug) {
    for ((name, records), delivered) in SIGNALS.into_iter().zip(accepted) {
        let start = format!("backend: {name}: ");
        let line = ended.errors.lines().find_map(|line| line.strip_prefix(&start));
        let line = line.unwrap_or_else(|| panic!("{what:?}: no {name} in {}", ended.errors));
        let created: usize = line.split(' ').next().unwrap().parse().unwrap();
        let lost = created.saturating_sub(delivered);
        let reasons = reason.map(|reason| format!(" ({lost} {reason})")).unwrap_or_default();
        let expected =
            format!("{created} {records} created = {delivered} delivered + 0 queued + {lost} dropped{reasons}");
        assert!(line.starts_with(&expected), "{what:?}: {name}: {line}, and not {expected}");
        assert_eq!((created > 0, lost > 0), (true, reason.is_some()), "{what:?}: {name}: {line}");
    }
}

/// What a collector of HTTP accepted of each signal.
fn accepted(collector: &Honeycomb) -> [usize; 3] {
    let points = collector.metrics().iter().map(|(message, _)| points(message)).sum();
    [collector.accepted().len(), collector.logs().len(), points]
}

#[test]
fn what_no_collector_of_http_accepts_is_dropped_for_the_right_reason() {
    let elsewhere = Honeycomb::start("");
    for (trouble, limit, reason) in troubles(&elsewhere.url) {
        let collector = Honeycomb::troubled("", trouble.clone());
        assert_all_dropped(HTTP, &collector.url, limit, reason, &trouble);
    }
    let closed = format!("http://127.0.0.1:{}", free_port());
    assert_all_dropped(HTTP, &closed, PATIENT, "unreachable", &closed);
    assert!(elsewhere.heads().is_empty(), "{:?}", elsewhere.heads());
}

#[test]
fn what_no_collector_of_grpc_accepts_is_dropped_for_the_right_reason() {
    let elsewhere = Honeycomb::start("");
    let no_message = Trouble::Answers(h2_server::GRPC, "<!doctype html>");
    for (trouble, limit, reason) in troubles(&elsewhere.url).into_iter().chain([(no_message, PATIENT, "unconfirmed")]) {
        let collector = H2Server::troubled(trouble.clone());
        assert_all_dropped(GRPC, &collector.url, limit, reason, &trouble);
    }
    let closed = format!("http://127.0.0.1:{}", free_port());
    assert_all_dropped(GRPC, &closed, PATIENT, "unreachable", &closed);
    assert!(elsewhere.heads().is_empty(), "{:?}", elsewhere.heads());
    // A collector that receives OTLP over HTTP alone.
    assert_all_dropped(GRPC, &elsewhere.url, PATIENT, "unreachable", &"HTTP/1.1");
}

#[test]
fn a_recovered_collector_of_http_gets_everything() {
    for trouble in [Trouble::Busy(503, usize::MAX), Trouble::Busy(429, usize::MAX), Trouble::Resets] {
        let collector = Honeycomb::troubled("", trouble.clone());
        let backend = SignalsBackend::start(HTTP, &collector.url, PATIENT);
        backend.wait(has_error);
        collector.get_into(Trouble::None);
        backend.wait(is_delivered);
        let ended = backend.stop();
        assert_counted(&ended, accepted(&collector), None, &trouble);
    }
}

/// The statuses of HTTP are those of a proxy before the collector, and gRPC's own are below.
#[test]
fn a_recovered_collector_of_grpc_gets_everything() {
    for trouble in [Trouble::Refuses(503), Trouble::Refuses(429), Trouble::Resets] {
        let collector = H2Server::troubled(trouble.clone());
        let backend = SignalsBackend::start(GRPC, &collector.url, PATIENT);
        backend.wait(has_error);
        collector.get_into(Trouble::None);
        backend.wait(is_delivered);
        let errors = backend.stop().errors;
        assert_eq!(errors.matches(" delivered + 0 queued + 0 dropped").count(), 3, "{trouble:?}: {errors}");
    }
}

#[test]
fn what_a_collector_of_http_accepts_in_part_is_counted() {
    let collector = Honeycomb::troubled("", Trouble::TakesAPart);
    let backend = SignalsBackend::start(HTTP, &collector.url, PATIENT);
    backend.wait(|counts| has_error(counts) && is_delivered(counts));
    let ended = backend.stop();
    // The fake keeps all points, and reports that it rejected one of each message.
    let [spans, records, points] = accepted(&collector);
    assert_counted(&ended, [spans, records, points - collector.metrics().len()], Some("refused"), &"a part");
}

#[test]
fn the_statuses_of_grpc_are_counted_for_every_signal() {
    for (statuses, reason) in [
        (["UNAVAILABLE", "RETRY"].as_slice(), None),
        (&["INVALID_ARGUMENT"], Some("refused")),
        (&["UNAUTHENTICATED"], Some("refused")),
        (&["RESOURCE_EXHAUSTED"], Some("refused")),
        (&["PART"], Some("refused")),
    ] {
        let Some(collector) = GrpcCollector::start(statuses) else { return };
        let backend = SignalsBackend::start(GRPC, &format!("http://127.0.0.1:{}", collector.port), PATIENT);
        backend.wait(|counts| has_error(counts) && (reason.is_some() || is_delivered(counts)));
        let ended = backend.stop();
        let exports = collector.finish();
        let accepted =
            ["spans", "logs", "metrics"].map(|kind| exports.iter().filter(|of| of["kind"] == kind).map(kept).sum());
        assert_counted(&ended, accepted, reason, &statuses);
    }
}

/// How many records of an export the collector accepted.
fn kept(export: &Value) -> usize {
    let sent = export["names"].as_array().unwrap().len();
    match export["status"].as_str().unwrap() {
        "OK" => sent,
        "PART" => sent - 1,
        _ => 0,
    }
}
