//! A collector that is not ours, between a service and the destinations.

use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::rotel::Rotel;
use crate::support::{Folder, eventually, http};

const KEY: &str = "hcaik_behind_rotel";

/// What the backend's last ledger of a destination counts: all of it was delivered.
fn count(errors: &str, destination: &str) -> usize {
    let start = format!("backend: {destination}: ");
    let line = errors.lines().find_map(|line| line.strip_prefix(&start)).unwrap_or_else(|| panic!("{errors}"));
    let count = line.split(' ').next().unwrap().parse().unwrap();
    assert!(line.ends_with(&format!(" created = {count} delivered + 0 queued + 0 dropped")), "{line}");
    count
}

#[test]
fn every_span_record_and_point_arrives_through_rotel() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let honeycomb = Honeycomb::start(KEY);
    let header = format!("x-honeycomb-team={KEY}");
    let Some(rotel) = Rotel::start(&viewer.viewer, &honeycomb.url, &header) else { return };
    let (mut spans, mut records, mut points) = (0, 0, 0);
    // Not by JSON, of which rotel (0.0.1a15) reads no histogram.
    for (protocol, address) in [("http/protobuf", &rotel.http), ("grpc", &rotel.grpc)] {
        let data = Folder::new();
        let backend = Cruddur::service(
            "backend",
            &[
                ("CRUDDUR_DATA", data.path().to_str().unwrap()),
                ("OTEL_EXPORTER_OTLP_ENDPOINT", &format!("http://{address}")),
                ("OTEL_EXPORTER_OTLP_PROTOCOL", protocol),
                ("OTEL_LOGS_EXPORTER", "otlp"),
                ("OTEL_METRICS_EXPORTER", "otlp"),
            ],
        );
        assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
        let ended = backend.stop();
        spans += count(&ended.errors, "otlp");
        records += count(&ended.errors, "otlp-logs");
        points += count(&ended.errors, "otlp-metrics");
        let sent = (spans, records, points);
        eventually(format_args!("{sent:?} by {protocol}"), || {
            let status = http::get(&format!("{}/api/status", viewer.viewer)).json();
            let spans = usize::try_from(status["spans"].as_u64().unwrap()).unwrap();
            let points = honeycomb.metrics().iter().map(|(message, _)| super::metrics::points(message)).sum();
            ((spans, honeycomb.logs().len(), points) == sent).then_some(())
        });
    }
    assert!(records > 0 && points > 0);
}
