//! How other implementations read our bytes: Python's official `opentelemetry-proto`, from PyPI, decodes our exports and finds the
//! same spans, log records and metrics, each with its values.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Instant;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Map, Value, json};

use crate::metrics::{points, run_python};
use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::{Folder, cannot_run, eventually, hex, http, python};

const KEY: &str = "hcaik_a_key_of_this_test";
const MODULE: &str = "opentelemetry.proto.collector.trace.v1.trace_service_pb2";
const HOME: &str = "/api/activities/home";

/// Reads a signal and one of its messages in hex from each line of its input, and prints the fields of what is in them as JSON.
const DECODE: &str = r"
import json, sys
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

def value(of):
    return getattr(of, of.WhichOneof('value'))

def attributes(of):
    return {a.key: value(a.value) for a in of.attributes}

def span(s):
    return [s.name, s.kind, s.trace_id.hex(), s.span_id.hex(), s.parent_span_id.hex(), s.start_time_unix_nano,
        s.end_time_unix_nano, s.flags, attributes(s)]

def record(r):
    return [value(r.body), r.severity_number, r.severity_text, r.trace_id.hex(), r.span_id.hex(), r.time_unix_nano,
        r.observed_time_unix_nano, r.flags, attributes(r)]

def values(p, kind):
    if kind == 'histogram':
        return [p.count, p.sum, p.min, p.max, list(p.explicit_bounds), list(p.bucket_counts)]
    if kind == 'exponential_histogram':
        return [p.count, p.sum, p.min, p.max, p.scale, p.zero_count, p.positive.offset, list(p.positive.bucket_counts)]
    return [value(p)]

def metric(m):
    kind = m.WhichOneof('data')
    data = getattr(m, kind)
    points = [[attributes(p), p.start_time_unix_nano, p.time_unix_nano, values(p, kind),
        [[e.trace_id.hex(), e.span_id.hex(), value(e)] for e in p.exemplars]] for p in data.data_points]
    return [m.name, m.unit, kind, getattr(data, 'aggregation_temporality', 0), getattr(data, 'is_monotonic', False), points]

signals = {
    'traces': (ExportTraceServiceRequest, 'resource_spans', 'scope_spans', 'spans', span),
    'logs': (ExportLogsServiceRequest, 'resource_logs', 'scope_logs', 'log_records', record),
    'metrics': (ExportMetricsServiceRequest, 'resource_metrics', 'scope_metrics', 'metrics', metric),
}
decoded = []
for line in sys.stdin:
    signal, body = line.split()
    request, resources, scopes, parts, fields = signals[signal]
    for resource in getattr(request.FromString(bytes.fromhex(body)), resources):
        for scope in getattr(resource, scopes):
            for part in getattr(scope, parts):
                decoded.append([attributes(resource.resource)['service.name'], scope.scope.name, *fields(part)])
print(json.dumps(decoded))
";

fn interpreter() -> Option<PathBuf> {
    let python = python::with(&["opentelemetry-proto"], MODULE);
    if python.is_none() {
        cannot_run("pypi", "python3 with venv, and opentelemetry-proto from PyPI, cannot be had");
    }
    python
}

/// What Python decodes of a signal's messages, in the order of their texts.
fn decoded(python: &Path, signal: &str, bodies: &[Vec<u8>]) -> Vec<Value> {
    let lines: Vec<String> = bodies.iter().map(|body| format!("{signal} {}", hex(body))).collect();
    sorted(&run_python(python, DECODE, lines.join("\n").as_bytes()))
}

/// The same numbers have the same text here and in Python, and become equal when that is parsed.
fn sorted(parts: &Value) -> Vec<Value> {
    let mut parts: Vec<Value> = serde_json::from_str(&parts.to_string()).unwrap();
    parts.sort_by_key(Value::to_string);
    parts
}

fn any(value: Option<&AnyValue>) -> Value {
    match value.and_then(|value| value.value.as_ref()) {
        Some(Any::StringValue(text)) => json!(text),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::BoolValue(flag)) => json!(flag),
        other => panic!("no such value is made here: {other:?}"),
    }
}

fn attributes(attributes: &[KeyValue]) -> Value {
    let pairs = attributes.iter().map(|attribute| (attribute.key.clone(), any(attribute.value.as_ref())));
    Value::Object(pairs.collect::<Map<_, _>>())
}

fn span(of: &Span) -> Value {
    json!([
        of.name,
        of.kind,
        hex(&of.trace_id),
        hex(&of.span_id),
        hex(&of.parent_span_id),
        of.start_time_unix_nano,
        of.end_time_unix_nano,
        of.flags,
        attributes(&of.attributes),
    ])
}

fn record(of: &LogRecord) -> Value {
    json!([
        any(of.body.as_ref()),
        of.severity_number,
        of.severity_text,
        hex(&of.trace_id),
        hex(&of.span_id),
        of.time_unix_nano,
        of.observed_time_unix_nano,
        of.flags,
        attributes(&of.attributes),
    ])
}

/// Removes the service and the scope of each decoded part, and checks both.
fn of_our_scope(decoded: Vec<Value>) -> Vec<Value> {
    let of_ours = decoded.into_iter().map(|part| {
        let [service, scope, fields @ ..] = part.as_array().unwrap().as_slice() else { panic!("{part}") };
        assert!(["backend", "frontend-proxy"].contains(&service.as_str().unwrap()), "{part}");
        assert_eq!(scope, "cruddur-telemetry");
        json!(fields)
    });
    sorted(&of_ours.collect())
}

#[test]
fn pythons_opentelemetry_decodes_the_same_spans_and_log_records() {
    let Some(python) = interpreter() else { return };
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let variables = [
        ("HONEYCOMB_API_KEY", KEY),
        ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        // Each statement is a record of its request's span.
        ("RUST_LOG", "info,sqlx=debug"),
    ];
    let cruddur = Cruddur::up(&data, &variables);
    let trace = cruddur.get(HOME).trace_id();
    eventually("the spans at Honeycomb", || (honeycomb.spans(&trace).len() == 5).then_some(()));
    cruddur.stop();

    let spans = of_our_scope(decoded(&python, "traces", &honeycomb.bodies()));
    assert_eq!(spans, sorted(&honeycomb.accepted().iter().map(span).collect()));
    let records = of_our_scope(decoded(&python, "logs", &honeycomb.log_bodies()));
    assert_eq!(records, sorted(&honeycomb.logs().iter().map(record).collect()));

    let is_statement = |record: &&Value| record[3] == trace && record[8]["target"] == "sqlx::query";
    let record = records.iter().find(is_statement).unwrap();
    let span = spans.iter().find(|span| span[3] == record[4]).unwrap();
    assert_eq!((&span[2], &record[1], &record[2]), (&json!(trace), &json!(5), &json!("DEBUG")), "{record} in {span}");
    assert!(record[8]["db.statement"].is_string() && record[8]["rows_returned"].is_u64(), "{record}");
    assert!(record[8]["elapsed_secs"].as_f64().unwrap() > 0.0, "{record}");
    // Above the eight flags of W3C's context, a span has OpenTelemetry's own.
    assert_eq!(span[7].as_u64().unwrap() & 0xff, record[7], "{record} in {span}");
    let [started, logged] = [&span[5], &record[5]].map(|time| time.as_u64().unwrap());
    assert!(started <= logged && record[5] == record[6], "{record} in {span}");
}

/// OpenTelemetry's numbers of the temporalities.
const DELTA: u64 = 1;
const CUMULATIVE: u64 = 2;

#[test]
fn pythons_opentelemetry_decodes_the_values_of_metrics() {
    let Some(python) = interpreter() else { return };
    for (preference, temporality, aggregation, kind) in [
        ("cumulative", CUMULATIVE, "explicit_bucket_histogram", "histogram"),
        ("delta", DELTA, "base2_exponential_bucket_histogram", "exponential_histogram"),
    ] {
        let since = Instant::now();
        let collector = Honeycomb::start("");
        let data = Folder::new();
        let variables = [
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url.as_str()),
            ("OTEL_METRICS_EXPORTER", "otlp"),
            ("OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION", aggregation),
            ("OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE", preference),
        ];
        let backend = Cruddur::service("backend", &variables);
        for _ in 0..3 {
            assert_eq!(http::get(&format!("{}{HOME}", backend.backend)).status, 200);
        }
        let errors = backend.stop().errors;
        // A process exports at its end, and this one has not run for the minute after which it would have exported before.
        let [(message, body)] = collector.metrics().try_into().unwrap_or_else(|_| panic!("{errors}"));
        let metrics = of_our_scope(decoded(&python, "metrics", &[body]));
        let all: usize = metrics.iter().map(|metric| metric[5].as_array().unwrap().len()).sum();
        assert_eq!(all, points(&message));

        let find = |name, unit, kind, temporality: u64, is_monotonic: bool| {
            let metric = metrics.iter().find(|metric| metric[0] == name).unwrap_or_else(|| panic!("no {name}"));
            let found = &metric.as_array().unwrap()[..5];
            assert_eq!(json!(found), json!([name, unit, kind, temporality, is_monotonic]));
            metric[5].as_array().unwrap().clone()
        };
        let value = |point: &Value| point[3][0].as_f64().unwrap();
        let created = find("telemetry.spans.created", "{span}", "sum", temporality, true);
        let ledger = format!("backend: otlp: {} spans created = ", created[0][3][0]);
        assert!(errors.contains(&ledger), "{ledger} in {errors}");
        let active = find("http.server.active_requests", "{request}", "sum", CUMULATIVE, false);
        assert_eq!(active[0][3], json!([0]));
        let cpu = find("process.cpu.time", "s", "sum", temporality, true);
        let modes: BTreeSet<&str> = cpu.iter().map(|point| point[0]["cpu.mode"].as_str().unwrap()).collect();
        assert_eq!(modes, BTreeSet::from(["system", "user"]));
        assert!(cpu.iter().map(value).sum::<f64>() > 0.0, "{cpu:?}");
        let uptime = value(&find("process.uptime", "s", "gauge", 0, false)[0]);
        assert!((0.0..since.elapsed().as_secs_f64()).contains(&uptime), "{uptime}");

        let requests = find("http.server.request.duration", "s", kind, temporality, false);
        let [point] = requests.as_slice() else { panic!("{requests:?}") };
        assert_eq!((&point[0]["http.route"], &point[0]["http.response.status_code"]), (&json!(HOME), &json!(200)));
        assert!(point[1].as_u64() < point[2].as_u64(), "{point}");
        assert_three_requests(&point[3], uptime);
        assert_exemplars(point, &collector.accepted());
    }
}

/// Asserts that a point of requests has exemplars, each with the ids of such a request and a value between the least and the most.
fn assert_exemplars(point: &Value, spans: &[Span]) {
    let exemplars = point[4].as_array().unwrap();
    assert!(!exemplars.is_empty(), "{point}");
    for exemplar in exemplars {
        let span = spans.iter().find(|span| exemplar[1] == hex(&span.span_id)).unwrap();
        assert_eq!((&exemplar[0], &*span.name), (&json!(hex(&span.trace_id)), "GET /api/activities/home"));
        let [least, value, most] = [&point[3][2], &exemplar[2], &point[3][3]].map(|of| of.as_f64().unwrap());
        assert!((least..=most).contains(&value), "{point}");
    }
}

/// Asserts that the values of a histogram of either kind are those of three requests in this time, in seconds.
fn assert_three_requests(values: &Value, time: f64) {
    let [sum, least, most] = [1, 2, 3].map(|index| values[index].as_f64().unwrap());
    assert_eq!(values[0], 3);
    assert!(0.0 < least && 3.0 * least <= sum && sum <= 3.0 * most && most < time, "{values}");
    let buckets =
        |counts: &Value| counts.as_array().unwrap().iter().map(|count| count.as_u64().unwrap()).collect::<Vec<_>>();
    if let Some(bounds) = values[4].as_array() {
        let expected = [0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
        assert_eq!(bounds.as_slice(), expected);
        let counts = buckets(&values[5]);
        let bucket = |of: f64| expected.iter().position(|bound| of <= *bound).unwrap();
        let used = bucket(least)..=bucket(most);
        assert_eq!((counts.len(), counts[used].iter().sum()), (15, 3_u64), "{values}");
    } else {
        let counts = buckets(&values[7]);
        assert_eq!((&values[5], counts.iter().sum()), (&json!(0), 3_u64), "{values}");
        // https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponential-scale
        let scale = values[4].as_f64().unwrap().exp2();
        let bucket = |of: f64| (of.log2() * scale).ceil() - 1.0;
        let first = values[6].as_f64().unwrap();
        let last = first + f64::from(u32::try_from(counts.len()).unwrap()) - 1.0;
        assert_eq!((first, last), (bucket(least), bucket(most)), "{values}");
    }
}
