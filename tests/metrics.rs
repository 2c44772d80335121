//! Metrics from outside: sent to each destination with its own key and counted exactly, shown to Prometheus, decoded by
//! implementations that are not ours.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Write;
use std::process::{Command, Stdio};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::metrics::v1::metric::Data;
use opentelemetry_proto::tonic::metrics::v1::{HistogramDataPoint, Metric};
use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, Ended};
use crate::support::honeycomb::Honeycomb;
use crate::support::{Folder, cannot_run, eventually, http, python};

const KEY: &str = "hcaik_canary_of_honeycomb";
const ON: (&str, &str) = ("OTEL_METRICS_EXPORTER", "otlp");
const OFTEN: (&str, &str) = ("OTEL_METRIC_EXPORT_INTERVAL", "100");
const ENDPOINT: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HOME: &str = "GET /api/activities/home";
const REQUESTS: &str = "http.server.request.duration";

/// The backend alone, which serves a request, until `enough` says so.
fn backend(variables: &[(&str, &str)], enough: impl Fn(&Cruddur) -> bool) -> Ended {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ON];
    let backend = Cruddur::service("backend", &[&own, variables].concat());
    assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    eventually("enough", || enough(&backend).then_some(()));
    backend.stop()
}

fn metrics(message: &ExportMetricsServiceRequest) -> impl Iterator<Item = &Metric> {
    message.resource_metrics.iter().flat_map(|resource| &resource.scope_metrics).flat_map(|scope| &scope.metrics)
}

/// The number of a message's points.
pub(crate) fn points(message: &ExportMetricsServiceRequest) -> usize {
    let count = |metric: &Metric| match metric.data.as_ref().unwrap() {
        Data::Gauge(gauge) => gauge.data_points.len(),
        Data::Sum(sum) => sum.data_points.len(),
        Data::Histogram(histogram) => histogram.data_points.len(),
        Data::ExponentialHistogram(histogram) => histogram.data_points.len(),
        Data::Summary(_) => unreachable!("no summary is made"),
    };
    metrics(message).map(count).sum()
}

fn texts(attributes: &[KeyValue]) -> BTreeMap<&str, String> {
    let text = |value: &Option<AnyValue>| match value.as_ref().and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(int)) => int.to_string(),
        other => format!("{other:?}"),
    };
    attributes.iter().map(|attribute| (attribute.key.as_str(), text(&attribute.value))).collect()
}

/// The points of a histogram, in the order of the messages.
fn histogram(messages: &[ExportMetricsServiceRequest], name: &str) -> Vec<HistogramDataPoint> {
    let of_name = messages.iter().flat_map(metrics).filter(|metric| metric.name == name);
    let points = of_name.filter_map(|metric| match metric.data.clone() {
        Some(Data::Histogram(histogram)) => Some(histogram.data_points),
        _ => None,
    });
    points.flatten().collect()
}

fn messages(collector: &Honeycomb) -> Vec<ExportMetricsServiceRequest> {
    collector.metrics().into_iter().map(|(message, _)| message).collect()
}

/// The last line of the ledger for `destination`.
fn ledger<'e>(ended: &'e Ended, destination: &str) -> &'e str {
    let start = format!("backend: {destination}: ");
    let line = ended.errors.lines().find_map(|line| line.strip_prefix(&start));
    line.unwrap_or_else(|| panic!("no {destination} in {}", ended.errors))
}

#[test]
fn requests_and_statements_are_measured_with_exemplars_and_counted_exactly() {
    let collector = Honeycomb::start("");
    let ended = backend(&[(ENDPOINT, &collector.url), OFTEN], |_| collector.metrics().len() > 2);
    let messages = messages(&collector);
    let sent: usize = messages.iter().map(points).sum();
    let expected = format!("{sent} metric points created = {sent} delivered + 0 queued + 0 dropped");
    assert_eq!(ledger(&ended, "otlp-metrics"), expected, "{}", ended.errors);

    let requests = histogram(&messages, REQUESTS);
    let last = requests.last().unwrap();
    assert_eq!((last.count, last.explicit_bounds.len(), last.bucket_counts.len()), (1, 14, 15), "cumulative");
    let attributes = texts(&last.attributes);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.response.status_code", "200"),
        ("http.route", "/api/activities/home"),
        ("network.protocol.version", "1.1"),
        ("url.scheme", "http"),
    ] {
        assert_eq!(attributes[key], value, "{attributes:?}");
    }
    let exemplars: Vec<_> = requests.iter().flat_map(|point| &point.exemplars).collect();
    let [exemplar] = exemplars.as_slice() else { panic!("{exemplars:?}") };
    let spans = collector.accepted();
    let span = spans.iter().find(|span| span.name == HOME).unwrap();
    assert_eq!((&exemplar.trace_id, &exemplar.span_id), (&span.trace_id, &span.span_id));

    let statements = histogram(&messages, "db.client.operation.duration");
    let selects = statements.iter().map(|point| texts(&point.attributes));
    let selects = selects.filter(|of| of.get("db.collection.name").is_some_and(|of| of == "activities"));
    let select = selects.into_iter().find(|of| of["db.operation.name"] == "SELECT").unwrap();
    assert_eq!(select["db.system.name"], "sqlite");
    let names: BTreeSet<&str> = messages.iter().flat_map(metrics).map(|metric| metric.name.as_str()).collect();
    for name in [
        "db.client.connection.count",
        "db.client.connection.max",
        "http.server.active_requests",
        "process.cpu.time",
        "process.memory.usage",
        "process.thread.count",
        "telemetry.metric_points.created",
        "telemetry.spans.delivered",
    ] {
        assert!(names.contains(name), "{name} in {names:?}");
    }
    assert!(ended.errors.contains("/v1/metrics, http/protobuf"), "start says where they go: {}", ended.errors);
}

#[test]
fn each_key_goes_to_its_own_destination_and_metrics_have_their_own_dataset() {
    let (honeycomb, collector) = (Honeycomb::start(KEY), Honeycomb::start(""));
    let own = [
        ("HONEYCOMB_API_KEY", KEY),
        ("HONEYCOMB_API_ENDPOINT", &honeycomb.url),
        ("HONEYCOMB_DATASET", "spans"),
        ("HONEYCOMB_METRICS_DATASET", "points"),
        (ENDPOINT, &collector.url),
        ("OTEL_EXPORTER_OTLP_HEADERS", "x-token=canary-of-all"),
        ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", "x-token=canary-of-metrics"),
    ];
    let ended = backend(&own, |_| true);
    assert!(!honeycomb.metrics().is_empty() && !collector.metrics().is_empty(), "the last collection arrives");
    let of = |heads: Vec<String>, path| heads.into_iter().filter(|head| head.contains(path)).collect::<Vec<_>>();
    for head in of(honeycomb.heads(), "/v1/metrics") {
        assert!(head.contains(KEY) && head.contains("x-honeycomb-dataset: points"), "{head}");
    }
    let spans = of(honeycomb.heads(), "/v1/traces");
    assert!(!spans.is_empty());
    for head in spans {
        assert!(head.contains("x-honeycomb-dataset: spans"), "{head}");
    }
    assert!(
        honeycomb.heads().iter().all(|head| !head.contains("canary-of-all") && !head.contains("canary-of-metrics"))
    );
    for head in of(collector.heads(), "/v1/metrics") {
        assert!(head.contains("x-token: canary-of-metrics") && !head.contains("canary-of-all"), "{head}");
        assert!(head.contains("user-agent: OTel-OTLP-Exporter-Rust/"), "{head}");
    }
    assert!(collector.heads().iter().all(|head| !head.contains(KEY)), "{:#?}", collector.heads());
    for destination in ["honeycomb-metrics", "otlp-metrics"] {
        assert!(ledger(&ended, destination).contains(" 0 queued + 0 dropped"), "{}", ended.errors);
    }
    assert!(!ended.errors.contains("canary"), "{}", ended.errors);
}

#[test]
fn delta_points_count_from_the_last_export() {
    let collector = Honeycomb::start("");
    let delta = ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", "delta");
    backend(&[(ENDPOINT, &collector.url), OFTEN, delta], |backend| {
        http::get(&format!("{}/api/activities/home", backend.backend));
        histogram(&messages(&collector), REQUESTS).len() > 2
    });
    let points = histogram(&messages(&collector), REQUESTS);
    let starts: BTreeSet<u64> = points.iter().map(|point| point.start_time_unix_nano).collect();
    assert_eq!(starts.len(), points.len(), "each begins where the last one ended");
    let served: u64 = collector.accepted().iter().filter(|span| span.name == HOME).count() as u64;
    assert_eq!(points.iter().map(|point| point.count).sum::<u64>(), served);
}

#[test]
fn histograms_may_be_exponential_and_json() {
    let collector = Honeycomb::start("");
    let ended = backend(
        &[
            (ENDPOINT, &collector.url),
            ("OTEL_EXPORTER_OTLP_METRICS_PROTOCOL", "http/json"),
            ("OTEL_EXPORTER_OTLP_METRICS_COMPRESSION", "gzip"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", "base2_exponential_bucket_histogram"),
        ],
        |_| true,
    );
    let messages = messages(&collector);
    let [message] = messages.as_slice() else { panic!("{}", ended.errors) };
    let requests = metrics(message).find(|metric| metric.name == REQUESTS).unwrap();
    let Some(Data::ExponentialHistogram(histogram)) = &requests.data else { panic!("{requests:?}") };
    let point = &histogram.data_points[0];
    assert_eq!((point.count, point.positive.as_ref().unwrap().bucket_counts.iter().sum::<u64>()), (1, 1));
    assert!(point.sum.unwrap() > 0.0 && point.exemplars.len() == 1, "{point:?}");
    let sent = points(message);
    assert!(ledger(&ended, "otlp-metrics").starts_with(&format!("{sent} metric points created = {sent} delivered")));
}

#[test]
fn nothing_is_sent_unless_it_is_requested_and_nothing_warns() {
    let collector = Honeycomb::start("");
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[(ENDPOINT, &collector.url)]);
    cruddur.get("/api/activities/home");
    let ended = cruddur.stop();
    assert!(collector.metrics().is_empty() && !ended.errors.contains("metric points"), "{}", ended.errors);
    // Under `up` the viewer gets spans, and no metrics even if they are requested: it does not accept them.
    let data = Folder::new();
    let ended = Cruddur::up(&data, &[("OTEL_METRICS_EXPORTER", "otlp")]).stop();
    assert!(ended.errors.contains("no destination accepts metrics"), "{}", ended.errors);
    assert!(!ended.errors.contains("v1/metrics"), "{}", ended.errors);
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("OTEL_METRICS_EXPORTER", "none")]);
    let page = cruddur.get("/metrics");
    let ended = cruddur.stop();
    assert!(!ended.errors.contains("warning") && !ended.errors.contains("v1/metrics"), "{}", ended.errors);
    assert!(!String::from_utf8(page.body).unwrap().contains("http_server_request_duration"), "nothing is measured");
}

/// Reads a text in Prometheus' format, and prints each family's type and samples as JSON.
const PARSE: &str = r"
import json, sys
from prometheus_client.parser import text_string_to_metric_families
families = {}
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.name not in families, family.name
    families[family.name] = [family.type, [[s.name, s.labels, s.value] for s in family.samples]]
print(json.dumps(families))
";

/// What Python prints, as JSON, if it runs `code` with this input.
pub(crate) fn run_python(python: &std::path::Path, code: &str, input: &[u8]) -> Value {
    let mut child =
        Command::new(python).args(["-c", code]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(input).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    serde_json::from_slice(&output.stdout).unwrap()
}

#[test]
fn prometheus_own_client_reads_the_metrics_of_both_services() {
    let Some(python) = python::with(&["prometheus-client"], "prometheus_client.parser") else {
        return cannot_run("pypi", "python3 with venv, and prometheus-client from PyPI, cannot be had");
    };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    cruddur.get("/api/activities/home");
    for (service, base) in [("backend", &cruddur.backend), ("frontend-proxy", &cruddur.page)] {
        let families = eventually("the request's end", || {
            let families = run_python(&python, PARSE, &http::get(&format!("{base}/metrics")).body);
            let samples = families["http_server_request_duration_seconds"][1].as_array();
            let is_home = |sample: &Value| sample[1]["http_route"] == "/api/activities/home";
            samples.is_some_and(|samples| samples.iter().any(is_home)).then_some(families)
        });
        let [kind, samples] = families["http_server_request_duration_seconds"].as_array().unwrap().as_slice() else {
            panic!("{families:#}")
        };
        assert_eq!(kind, "histogram");
        let of_home = |suffix: &str| {
            let name = format!("http_server_request_duration_seconds{suffix}");
            let is_home = |sample: &&Value| sample[0] == name && sample[1]["http_route"] == "/api/activities/home";
            samples.as_array().unwrap().iter().filter(is_home).collect::<Vec<_>>()
        };
        let buckets = of_home("_bucket");
        assert_eq!((buckets.len(), &buckets[14][1]["le"], buckets[14][2].as_f64()), (15, &json!("+Inf"), Some(1.0)));
        assert_eq!(
            (of_home("_count")[0][2].as_f64(), &of_home("_count")[0][1]["http_response_status_code"]),
            (Some(1.0), &json!("200"))
        );
        for (family, kind) in [
            ("http_server_active_requests", "gauge"),
            ("process_cpu_time_seconds", "counter"),
            ("process_memory_usage_bytes", "gauge"),
            ("telemetry_spans_delivered", "counter"),
            ("target_info", "gauge"),
        ] {
            assert_eq!(families[family][0], kind, "{family} of {service} in {families:#}");
        }
        assert_eq!(families["target_info"][1][0][1]["service_name"], service);
        let own = if service == "backend" {
            "db_client_operation_duration_seconds"
        } else {
            "http_client_request_duration_seconds"
        };
        assert_eq!(families[own][0], "histogram");
    }
}
