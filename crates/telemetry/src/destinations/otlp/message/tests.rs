use std::io::Read;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use prost::Message;

use super::*;
use crate::address::Url;
use crate::context::SpanIds;
use crate::testing;

fn writer(protocol: Protocol, gzip: bool, resource: &[u8]) -> MessageWriter {
    let url = Url::of("https://example.org/v1/traces");
    MessageWriter::new(&Endpoint::plain(url, gzip, protocol), Signal::Traces, resource)
}

#[test]
fn a_batch_is_one_message_in_both_encodings() {
    let mut resource = Vec::new();
    crate::attribute::attribute(&mut resource, 1, "service.name", "backend".into(), 100);
    let batch = [testing::span("one"), testing::span("two")].map(testing::Made::record);
    let [protobuf, json] = [Protocol::Protobuf, Protocol::Json].map(|protocol| {
        let plain = writer(protocol, false, &resource).write(&batch).unwrap().to_vec();
        let mut writer = writer(protocol, true, &resource);
        // The second message is packed by the same state as the first.
        for _ in 0..2 {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(writer.write(&batch).unwrap()).read_to_end(&mut unpacked).unwrap();
            assert_eq!(unpacked, plain);
        }
        plain
    });
    let message = ExportTraceServiceRequest::decode(protobuf.as_slice()).unwrap();
    assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), message);
    let of_resource = &message.resource_spans[0];
    let name = &of_resource.resource.as_ref().unwrap().attributes[0];
    assert_eq!(name.value.as_ref().unwrap().value, Some(Any::StringValue("backend".to_owned())));
    let scope = &of_resource.scope_spans[0];
    assert_eq!(scope.scope.as_ref().unwrap().name, "cruddur-telemetry");
    assert_eq!([&of_resource.schema_url, &scope.schema_url], [SCHEMA_URL; 2]);
    assert_eq!(scope.spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["one", "two"]);
}

/// Every field of a span, and texts and numbers of every kind.
#[test]
fn a_span_with_every_field_is_the_same_in_json() {
    let own = opentelemetry::trace::SpanContext::new(
        opentelemetry::trace::TraceId::from_bytes([0xab; 16]),
        opentelemetry::trace::SpanId::from_bytes([0xcd; 8]),
        opentelemetry::trace::TraceFlags::SAMPLED,
        true,
        opentelemetry::trace::TraceState::NONE,
    );
    let full = testing::child(true).with(|span| {
        for (key, value) in [("a", "\"\u{1}é\n"), ("", "")] {
            span.set(key, value);
        }
        span.set("least", i64::MIN);
        span.set("zero", 0);
        span.set("no", false);
        span.set("float", 0.1);
        span.set("texts", ["a", "b\"", ""]);
        span.set("numbers", [i64::MIN, 0]);
        span.set("doubles", [0.1, 1e300]);
        span.set("empty", Vec::<bool>::new());
        span.exception("E", "m", "s");
        span.link((&own).into(), Some("a=1"));
        span.exception("E", "m", "s");
        span.fail("timeout");
        span.describe("too late");
        span.drop_more(1, 2, 3);
    });
    let batch = [full.record()];
    let [protobuf, json] = [Protocol::Protobuf, Protocol::Json]
        .map(|protocol| writer(protocol, false, &[]).write(&batch).unwrap().to_vec());
    let message = ExportTraceServiceRequest::decode(protobuf.as_slice()).unwrap();
    assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), message);
}

#[test]
fn a_log_record_is_the_same_in_json() {
    let recorded = testing::recorded(Default::default(), Default::default(), true, || {
        tracing::info_span!("work").in_scope(|| tracing::info!(n = 1.5, "it happened"));
    });
    let batch = [Record::from(recorded.logs[0].encode_to_vec())];
    let bodies = [Protocol::Protobuf, Protocol::Json].map(|protocol| {
        let mut writer = MessageWriter { signal: Signal::Logs, ..writer(protocol, false, &[]) };
        writer.write(&batch).unwrap().to_vec()
    });
    let message = ExportLogsServiceRequest::decode(bodies[0].as_slice()).unwrap();
    assert_eq!(serde_json::from_slice::<ExportLogsServiceRequest>(&bodies[1]).unwrap(), message);
}

/// Every kind of point, and numbers of every kind.
#[test]
fn metrics_are_the_same_in_json() {
    use opentelemetry_proto::tonic::metrics::v1::exponential_histogram_data_point::Buckets;
    use opentelemetry_proto::tonic::metrics::v1::metric::Data;
    use opentelemetry_proto::tonic::metrics::v1::*;

    let exemplar =
        |value| Exemplar { time_unix_nano: 5, span_id: vec![1; 8], trace_id: vec![2; 16], value, ..<_>::default() };
    let exemplars = vec![exemplar(Some(exemplar::Value::AsDouble(0.5))), exemplar(Some(exemplar::Value::AsInt(-7)))];
    let number = |value| NumberDataPoint { time_unix_nano: 7, value: Some(value), ..Default::default() };
    let histogram = HistogramDataPoint {
        start_time_unix_nano: 1,
        count: u64::MAX,
        sum: Some(0.25),
        bucket_counts: vec![0, 1 << 60],
        explicit_bounds: vec![0.005, 10.0],
        exemplars: exemplars.clone(),
        min: Some(0.0),
        ..Default::default()
    };
    let exponential = ExponentialHistogramDataPoint {
        count: 3,
        scale: -4,
        zero_count: 1,
        positive: Some(Buckets { offset: -300, bucket_counts: vec![1, 0, 300, 1 << 40] }),
        exemplars,
        ..Default::default()
    };
    let sum = Sum {
        data_points: vec![number(number_data_point::Value::AsInt(-1))],
        aggregation_temporality: 2,
        is_monotonic: true,
    };
    let kinds = [
        Data::Gauge(Gauge { data_points: vec![number(number_data_point::Value::AsDouble(1.5))] }),
        Data::Sum(sum),
        Data::Histogram(Histogram { data_points: vec![histogram], aggregation_temporality: 1 }),
        Data::ExponentialHistogram(ExponentialHistogram { data_points: vec![exponential], aggregation_temporality: 1 }),
    ];
    let metrics =
        kinds.map(|data| Metric { name: "n".into(), unit: "s".into(), data: Some(data), ..Default::default() });
    let scope = ScopeMetrics { metrics: metrics.to_vec(), schema_url: SCHEMA_URL.to_owned(), ..Default::default() };
    let resource = ResourceMetrics { scope_metrics: vec![scope], ..Default::default() };
    let message = ExportMetricsServiceRequest { resource_metrics: vec![resource] };
    let mut writer = MessageWriter { signal: Signal::Metrics, ..writer(Protocol::Json, false, &[]) };
    let json = writer.write(&[Record::from(message.encode_to_vec())]).unwrap();
    assert_eq!(serde_json::from_slice::<ExportMetricsServiceRequest>(json).unwrap(), message);
}

#[test]
fn a_double_that_json_cannot_represent_is_a_text() {
    let record = testing::span("floats").with(|span| {
        for (key, float) in [("a", f64::NAN), ("b", f64::INFINITY), ("c", f64::NEG_INFINITY), ("d", 1e300)] {
            span.set(key, float);
        }
    });
    let json = writer(Protocol::Json, false, &[]).write(&[record.record()]).unwrap().to_vec();
    let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
    let attributes = &json["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"];
    let values = [0, 1, 2, 3].map(|index| attributes[index]["value"]["doubleValue"].clone());
    assert_eq!(values, ["NaN".into(), "Infinity".into(), "-Infinity".into(), serde_json::json!(1e300)]);
}

#[test]
fn the_records_of_each_library_are_in_its_own_scope() {
    let of = |name: &str| {
        let record = |attributes: &mut crate::attribute::Attributes| attributes.set("a", "x".into());
        std::sync::Arc::new(crate::scope::LibraryScope::new(name, "1.2", "https://example.org/schema", record))
    };
    let (one, two) = (of("one"), of("two"));
    let to = SpanIds::local(1.into(), 2.into(), Default::default());
    let mut attributes = Vec::new();
    crate::attribute::attribute(&mut attributes, 4, "of", "link".into(), 100);
    let batch = [
        testing::span("own").record(),
        testing::span("1").record().made_within(&one),
        testing::span("2").with(|span| span.link_with(to, None, &attributes)).record().made_within(&two),
        testing::span("3").record().made_within(&of("one")),
    ];
    let [protobuf, json] = [Protocol::Protobuf, Protocol::Json]
        .map(|protocol| writer(protocol, false, &[]).write(&batch).unwrap().to_vec());
    let message = ExportTraceServiceRequest::decode(protobuf.as_slice()).unwrap();
    assert_eq!(serde_json::from_slice::<ExportTraceServiceRequest>(&json).unwrap(), message);
    let scopes = message.resource_spans.iter().flat_map(|resource| &resource.scope_spans).map(|scope| {
        let names: Vec<_> = scope.spans.iter().map(|span| span.name.as_str()).collect();
        let by = scope.scope.as_ref().unwrap();
        (by.name.as_str(), by.version.as_str(), by.attributes.len(), scope.schema_url.as_str(), names)
    });
    let schema = "https://example.org/schema";
    let expected = [
        (env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), 0, SCHEMA_URL, vec!["own"]),
        ("one", "1.2", 1, schema, vec!["1", "3"]),
        ("two", "1.2", 1, schema, vec!["2"]),
    ];
    assert_eq!(scopes.collect::<Vec<_>>(), expected);
}

#[test]
fn the_records_of_each_maker_are_in_its_own_resource() {
    let mut writer = writer(Protocol::Protobuf, false, &[]);
    let page = std::sync::Arc::new(crate::resource::Resource::named("page"));
    let [own, its] = [testing::span("own").record(), testing::span("its").record().made_by(&page)];
    let names = |message: &[u8]| -> Vec<(usize, Vec<String>)> {
        let message = ExportTraceServiceRequest::decode(message).unwrap();
        let of = |part: &opentelemetry_proto::tonic::trace::v1::ResourceSpans| {
            let spans = part.scope_spans.iter().flat_map(|scope| &scope.spans).map(|span| span.name.clone());
            (part.resource.as_ref().unwrap().attributes.len(), spans.collect())
        };
        message.resource_spans.iter().map(of).collect()
    };
    let (own_name, its_name) = (vec!["own".to_owned()], vec!["its".to_owned(), "its".to_owned()]);
    let mixed = writer.write(&[its.clone(), own, its.clone()]).unwrap();
    assert_eq!(names(mixed), [(0, own_name), (1, its_name.clone())]);
    assert_eq!(names(writer.write(&[its.clone(), its]).unwrap()), [(1, its_name)]);
}
