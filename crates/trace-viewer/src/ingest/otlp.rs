//! OTLP's spans in the viewer's form. A faulty value or span affects no other, and the response reports what was lost and why.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use otlp::{Attribute, Attributes, Bounds, Encoding, Fault, Malformed, Parent, Resource, StatusCode, Value as Any};
use serde_json::{Map, Value, json};

use crate::model::{Code, Event, Kind, Link, NAME, Nanos, Source, Span, SpanId, Status, TraceId, short};

/// The bounds of a span. OpenTelemetry's SDKs send at most 128 of each unless they are configured otherwise.
const BOUNDS: Bounds = Bounds { attributes: 1_024, events: 1_024, links: 1_024, inner_attributes: 128 };

/// The spans of a request, and its losses.
#[derive(Default)]
pub(crate) struct OtlpSpans {
    pub(crate) spans: Vec<Span>,
    /// The number of rejected spans, by fault.
    rejected: BTreeMap<Fault, u64>,
    /// The number of lost values in spans that were kept, by fault.
    lost: BTreeMap<Fault, u64>,
}

/// Reads an `ExportTraceServiceRequest`.
///
/// # Errors
/// The bytes are not a valid request.
pub(crate) fn read(encoding: Encoding, body: &[u8]) -> Result<OtlpSpans, Malformed> {
    let mut read = OtlpSpans::default();
    // The last resource's service, which all of its spans share.
    let mut service: Arc<str> = "".into();
    otlp::spans(encoding, body, &BOUNDS, |resource, _, span| match span {
        Ok(span) => {
            let name = service_of(resource);
            if *name != *service {
                service = name.into();
            }
            for fault in &span.faults {
                *read.lost.entry(*fault).or_default() += 1;
            }
            match self::span(span, &service) {
                Some(span) => read.spans.push(span),
                None => read.reject(Fault { field: "spanId", why: "is not valid" }),
            }
        }
        Err(fault) => read.reject(fault),
    })?;
    Ok(read)
}

impl OtlpSpans {
    fn reject(&mut self, fault: Fault) {
        *self.rejected.entry(fault).or_default() += 1;
    }

    /// How many spans were rejected.
    pub(crate) fn rejected(&self) -> u64 {
        self.rejected.values().sum()
    }

    /// A report of the losses for the sender; empty if there were none.
    pub(crate) fn message(&self) -> String {
        let mut message = String::new();
        let spans = self.rejected.iter().map(|(fault, count)| ("spans rejected", fault, count));
        let values = self.lost.iter().map(|(fault, count)| ("values dropped", fault, count));
        for (what, fault, count) in spans.chain(values) {
            let separator = if message.is_empty() { "" } else { "; " };
            // Writing to a String does not fail.
            let _: std::fmt::Result = write!(message, "{separator}{what}: {count} ({fault})");
        }
        message
    }
}

fn service_of<'r>(resource: &'r Resource<'_>) -> &'r str {
    let name = resource.service().unwrap_or("unknown_service");
    name.get(..name.floor_char_boundary(NAME)).unwrap_or_default()
}

fn span(span: otlp::Span<'_>, service: &Arc<str>) -> Option<Span> {
    let kind = match span.kind {
        otlp::Kind::Server => Kind::Server,
        otlp::Kind::Client => Kind::Client,
        otlp::Kind::Producer => Kind::Producer,
        otlp::Kind::Consumer => Kind::Consumer,
        otlp::Kind::Internal | otlp::Kind::Unspecified => Kind::Internal,
    };
    Some(Span {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        parent: match span.parent {
            Parent::Span(id) => SpanId::from_bytes(&id),
            Parent::None | Parent::Invalid => None,
        },
        service: Some(Arc::clone(service)),
        name: short(span.name.into_owned()),
        kind,
        start: Nanos(span.start),
        end: Some(Nanos(span.end.max(span.start))),
        attributes: attributes(span.attributes),
        events: span.events.into_iter().map(event).collect(),
        links: span.links.into_iter().filter_map(link).collect(),
        status: Status {
            code: match span.status.code {
                StatusCode::Unset => Code::Unset,
                StatusCode::Ok => Code::Ok,
                StatusCode::Error => Code::Error,
            },
            message: (!span.status.message.is_empty()).then(|| span.status.message.into_owned()),
        },
        source: Source::Otlp,
        document: None,
    })
}

fn event(event: otlp::Event<'_>) -> Event {
    Event { name: event.name.into_owned(), time: Some(Nanos(event.time)), attributes: attributes(event.attributes) }
}

fn link(link: otlp::Link<'_>) -> Option<Link> {
    let (trace_id, span_id) = (TraceId::from_bytes(&link.trace_id)?, SpanId::from_bytes(&link.span_id)?);
    Some(Link { trace_id, span_id, attributes: attributes(link.attributes) })
}

fn attributes(attributes: Attributes<'_>) -> Map<String, Value> {
    map(attributes.kept)
}

fn map(attributes: Vec<Attribute<'_>>) -> Map<String, Value> {
    attributes.into_iter().map(|attribute| (attribute.key.into_owned(), value(attribute.value))).collect()
}

fn value(value: Any<'_>) -> Value {
    match value {
        Any::Empty => Value::Null,
        Any::Text(text) => Value::String(text.into_owned()),
        Any::Bool(flag) => Value::Bool(flag),
        Any::Int(number) => json!(number),
        // JSON has no number for NaN or an infinity.
        Any::Double(number) if !number.is_finite() => Value::String(non_finite(number).to_owned()),
        Any::Double(number) => json!(number),
        Any::Array(values) => Value::Array(values.into_iter().map(self::value).collect()),
        Any::Map(entries) => Value::Object(map(entries)),
        Any::Bytes(bytes) => Value::String(format!("{} bytes", bytes.len())),
    }
}

/// The number in the form of [protobuf's JSON](https://protobuf.dev/programming-guides/json/).
fn non_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use proptest::prelude::*;
    use prost::Message;

    use super::*;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"backend"}}]},
        "scopeSpans":[{"spans":[
          {"traceId":"5759e988bd862e3fe1be46a994272793","spanId":"53995c3f42cd8ad8","parentSpanId":"","name":"GET /","kind":2,
           "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000003",
           "attributes":[{"key":"n","value":{"intValue":"3"}}],"status":{"code":2,"message":"no"}},
          {"traceId":"","spanId":"53995c3f42cd8ad8","name":"no trace"}]}]}]}"#;

    fn json(body: &[u8]) -> Result<OtlpSpans, Malformed> {
        read(Encoding::Json, body)
    }

    #[test]
    fn json_has_its_ids_in_hex_and_a_span_without_an_id_is_counted() {
        let read = json(JSON.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected()), (1, 1));
        let span = &read.spans[0];
        assert_eq!(span.trace_id.to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!((span.kind, span.parent, span.status.code), (Kind::Server, None, Code::Error));
        assert_eq!((span.start.0, span.duration_ms()), (1_700_000_000_000_000_001, Some(2e-6)));
        assert_eq!((span.service.as_deref(), span.attributes["n"].as_i64()), (Some("backend"), Some(3)));
    }

    #[test]
    fn protobuf_and_json_give_the_same_span() {
        let request: ExportTraceServiceRequest = serde_json::from_str(JSON).unwrap();
        let read = read(Encoding::Protobuf, &request.encode_to_vec()).unwrap();
        assert_eq!((read.spans.len(), read.rejected()), (1, 1));
        assert_eq!(read.spans[0].service.as_deref(), Some("backend"));
    }

    #[test]
    fn an_invalid_value_drops_only_itself_and_is_reported() {
        let body = JSON.replace("\"n\",\"value\":{\"intValue\":\"3\"}", "\"n\",\"value\":5");
        let read = json(body.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected(), read.spans[0].attributes.len()), (1, 1, 0));
        assert_eq!(
            read.message(),
            "spans rejected: 1 (traceId is missing or all zero); values dropped: 1 (attributes.value is not an object)"
        );
    }

    #[test]
    fn a_non_finite_number_is_a_string() {
        for (number, text) in [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity")] {
            let body = JSON.replace("\"intValue\":\"3\"", &format!("\"doubleValue\":\"{number}\""));
            assert_eq!(json(body.as_bytes()).unwrap().spans[0].attributes["n"], text);
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = json(&bytes);
            let _ = read(Encoding::Protobuf, &bytes);
        }
    }
}
