//! OTLP/HTTP: protobuf, or JSON with ids in hex.

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as wire};
use prost::Message;
use serde_json::{Map, Value, json};

use crate::model::{Code, Event, Kind, Nanos, Source, Span, SpanId, Status, TraceId};

/// The spans of a request, and how many more there were that have no valid id.
pub(crate) struct Read {
    pub(crate) spans: Vec<Span>,
    pub(crate) rejected: usize,
}

pub(crate) fn protobuf(body: &[u8]) -> Result<Read, String> {
    ExportTraceServiceRequest::decode(body).map(read).map_err(|error| error.to_string())
}

pub(crate) fn json(body: &[u8]) -> Result<Read, String> {
    serde_json::from_slice(body).map(read).map_err(|error| error.to_string())
}

fn read(request: ExportTraceServiceRequest) -> Read {
    let mut spans = Vec::new();
    let mut rejected = 0;
    for resource_spans in request.resource_spans {
        let resource = attributes(resource_spans.resource.map(|resource| resource.attributes).unwrap_or_default());
        let service = resource.get("service.name").and_then(Value::as_str).unwrap_or("unknown_service").to_owned();
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            match self::span(span, &service) {
                Some(span) => spans.push(span),
                None => rejected += 1,
            }
        }
    }
    Read { spans, rejected }
}

fn span(span: wire::Span, service: &str) -> Option<Span> {
    let status = span.status.clone().unwrap_or_default();
    let kind = match span.kind() {
        SpanKind::Server => Kind::Server,
        SpanKind::Client => Kind::Client,
        SpanKind::Producer => Kind::Producer,
        SpanKind::Consumer => Kind::Consumer,
        SpanKind::Internal | SpanKind::Unspecified => Kind::Internal,
    };
    Some(Span {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        parent: SpanId::from_bytes(&span.parent_span_id),
        service: Some(service.to_owned()),
        name: span.name,
        kind,
        start: Nanos(span.start_time_unix_nano),
        end: Some(Nanos(span.end_time_unix_nano.max(span.start_time_unix_nano))),
        attributes: attributes(span.attributes),
        events: span
            .events
            .into_iter()
            .map(|event| Event {
                name: event.name,
                time: Some(Nanos(event.time_unix_nano)),
                attributes: attributes(event.attributes),
            })
            .collect(),
        status: Status {
            code: match status.code() {
                StatusCode::Unset => Code::Unset,
                StatusCode::Ok => Code::Ok,
                StatusCode::Error => Code::Error,
            },
            message: (!status.message.is_empty()).then_some(status.message),
        },
        source: Source::Otlp,
    })
}

fn attributes(attributes: Vec<KeyValue>) -> Map<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key, value(attribute.value))).collect()
}

/// prost bounds how deep a value may nest.
fn value(value: Option<AnyValue>) -> Value {
    match value.and_then(|value| value.value) {
        None => Value::Null,
        Some(Any::StringValue(text)) => Value::String(text),
        Some(Any::BoolValue(flag)) => Value::Bool(flag),
        Some(Any::IntValue(number)) => json!(number),
        Some(Any::DoubleValue(number)) => json!(number),
        Some(Any::ArrayValue(array)) => {
            Value::Array(array.values.into_iter().map(|value| self::value(Some(value))).collect())
        }
        Some(Any::KvlistValue(list)) => Value::Object(attributes(list.values)),
        Some(Any::BytesValue(bytes)) => Value::String(format!("{} bytes", bytes.len())),
        // An index into a table that only profiles have.
        Some(_) => Value::Null,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"backend"}}]},
        "scopeSpans":[{"spans":[
          {"traceId":"5759e988bd862e3fe1be46a994272793","spanId":"53995c3f42cd8ad8","parentSpanId":"","name":"GET /","kind":2,
           "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000003",
           "attributes":[{"key":"n","value":{"intValue":"3"}}],"status":{"code":2,"message":"no"}},
          {"traceId":"","spanId":"53995c3f42cd8ad8","name":"no trace"}]}]}]}"#;

    #[test]
    fn json_has_its_ids_in_hex_and_a_span_without_an_id_is_counted() {
        let read = json(JSON.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected), (1, 1));
        let span = &read.spans[0];
        assert_eq!(span.trace_id.to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!((span.kind, span.parent, span.status.code), (Kind::Server, None, Code::Error));
        assert_eq!((span.start.0, span.duration_ms()), (1_700_000_000_000_000_001, Some(2e-6)));
        assert_eq!((span.service.as_deref(), span.attributes["n"].as_i64()), (Some("backend"), Some(3)));
    }

    #[test]
    fn protobuf_says_the_same() {
        let request: ExportTraceServiceRequest = serde_json::from_str(JSON).unwrap();
        let read = protobuf(&request.encode_to_vec()).unwrap();
        assert_eq!((read.spans.len(), read.rejected), (1, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = protobuf(&bytes);
            let _ = json(&bytes);
        }
    }
}
