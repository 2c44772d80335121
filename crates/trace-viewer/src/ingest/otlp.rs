//! OTLP/HTTP: protobuf, or JSON with ids in hex.

use std::sync::Arc;

use actix_web::web::Bytes;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use opentelemetry_proto::tonic::trace::v1::{self as wire};
use prost::Message;
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::model::{Code, Event, Kind, Link, Nanos, Source, Span, SpanId, Status, TraceId, short};

/// The spans of a request, and how many more there were that are none.
pub(crate) struct Read {
    pub(crate) spans: Vec<Span>,
    pub(crate) rejected: usize,
}

/// `ExportTraceServiceRequest` with its spans still packed: two bytes of an empty span would unpack to hundreds.
#[derive(Clone, PartialEq, Message)]
struct Packed {
    #[prost(message, repeated, tag = "1")]
    resource_spans: Vec<PackedResource>,
}

#[derive(Clone, PartialEq, Message)]
struct PackedResource {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scope_spans: Vec<PackedScope>,
}

#[derive(Clone, PartialEq, Message)]
struct PackedScope {
    #[prost(bytes = "bytes", repeated, tag = "2")]
    spans: Vec<Bytes>,
}

/// The same in JSON.
#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Text<'a> {
    #[serde(borrow)]
    resource_spans: Vec<TextResource<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TextResource<'a> {
    resource: Option<Resource>,
    #[serde(borrow)]
    scope_spans: Vec<TextScope<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct TextScope<'a> {
    #[serde(borrow)]
    spans: Vec<&'a RawValue>,
}

pub(crate) fn protobuf(body: Bytes) -> Result<Read, String> {
    let packed = Packed::decode(body).map_err(|error| error.to_string())?;
    let mut read = Read { spans: Vec::new(), rejected: 0 };
    for resource_spans in packed.resource_spans {
        let service = service(resource_spans.resource);
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            read.push(wire::Span::decode(span).ok(), &service);
        }
    }
    Ok(read)
}

pub(crate) fn json(body: &[u8]) -> Result<Read, String> {
    // To serde a list is a struct whose fields have their order.
    if body.trim_ascii_start().first() != Some(&b'{') {
        return Err("it is not an object".to_owned());
    }
    let text: Text = serde_json::from_slice(body).map_err(|error| error.to_string())?;
    let mut read = Read { spans: Vec::new(), rejected: 0 };
    for resource_spans in text.resource_spans {
        let service = service(resource_spans.resource);
        for span in resource_spans.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            read.push(serde_json::from_str(span.get()).ok(), &service);
        }
    }
    Ok(read)
}

impl Read {
    fn push(&mut self, span: Option<wire::Span>, service: &Arc<str>) {
        match span.and_then(|span| self::span(span, service)) {
            Some(span) => self.spans.push(span),
            None => self.rejected += 1,
        }
    }
}

fn service(resource: Option<Resource>) -> Arc<str> {
    let attributes = resource.map(|resource| resource.attributes).unwrap_or_default();
    let name = attributes.into_iter().find(|attribute| attribute.key == "service.name");
    match name.and_then(|name| name.value?.value) {
        Some(Any::StringValue(name)) => short(name).into(),
        _ => "unknown_service".into(),
    }
}

fn span(span: wire::Span, service: &Arc<str>) -> Option<Span> {
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
        service: Some(Arc::clone(service)),
        name: short(span.name),
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
        links: span.links.into_iter().filter_map(link).collect(),
        status: Status {
            code: match status.code() {
                StatusCode::Unset => Code::Unset,
                StatusCode::Ok => Code::Ok,
                StatusCode::Error => Code::Error,
            },
            message: (!status.message.is_empty()).then_some(status.message),
        },
        source: Source::Otlp,
        document: None,
    })
}

/// One without a span to go to is left out.
fn link(link: wire::span::Link) -> Option<Link> {
    let (trace_id, span_id) = (TraceId::from_bytes(&link.trace_id)?, SpanId::from_bytes(&link.span_id)?);
    Some(Link { trace_id, span_id, attributes: attributes(link.attributes) })
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
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
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
        let read = protobuf(request.encode_to_vec().into()).unwrap();
        assert_eq!((read.spans.len(), read.rejected), (1, 1));
        assert_eq!(read.spans[0].service.as_deref(), Some("backend"));
    }

    #[test]
    fn a_bad_span_costs_only_itself() {
        let body = JSON.replace("\"n\",\"value\":{\"intValue\":\"3\"}", "\"n\",\"value\":5");
        let read = json(body.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected), (0, 2));
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = json(&bytes);
            let _ = protobuf(bytes.into());
        }
    }
}
