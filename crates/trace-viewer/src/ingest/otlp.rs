//! OTLP's spans in the viewer's form. A faulty value or span affects no other, and the response reports what was lost and why.

mod fields;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;

use otlp::{Attribute, Bounds, Encoding, Fault, Malformed, Parent, Resource, StatusCode, Value};

use self::fields::Fields;
use crate::model::{Code, Details, Event, Kind, Link, Nanos, Source, Span, SpanId, Status, TraceId, short};

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
    // Consecutive spans mostly share these names.
    let (mut service, mut database) = (Shared::default(), Shared::default());
    otlp::spans(encoding, body, &BOUNDS, |resource, _, span| match span {
        Ok(span) => {
            let service = service.get(short(resource.service().unwrap_or("unknown_service")));
            let database = text(&span.attributes.kept, "db.system.name").map(|name| database.get(short(name)));
            let is_browser = is_of_browser(resource) || span.attributes.get(RELAYED) == Some(&Value::Bool(true));
            for fault in &span.faults {
                *read.lost.entry(*fault).or_default() += 1;
            }
            match self::span(&span, service, database, is_browser) {
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

/// A name that is shared as long as it stays the same.
#[derive(Default)]
struct Shared(Arc<str>);

impl Shared {
    fn get(&mut self, name: &str) -> Arc<str> {
        if *name != *self.0 {
            self.0 = name.into();
        }
        Arc::clone(&self.0)
    }
}

/// An attribute that Cruddur's proxy gives to the spans that it accepts from pages.
const RELAYED: &str = "telemetry.relayed";

/// Whether a [browser's resource](https://opentelemetry.io/docs/specs/semconv/resource/browser/) made the spans.
fn is_of_browser(resource: &Resource<'_>) -> bool {
    let attributes = &resource.attributes.kept;
    text(attributes, "telemetry.sdk.language") == Some("webjs")
        || attributes.iter().any(|attribute| attribute.key.starts_with("browser."))
}

fn text<'s>(attributes: &'s [Attribute<'_>], key: &str) -> Option<&'s str> {
    match &attributes.iter().find(|attribute| attribute.key == key)?.value {
        Value::Text(text) => Some(text),
        _ => None,
    }
}

fn span(span: &otlp::Span<'_>, service: Arc<str>, database: Option<Arc<str>>, is_browser: bool) -> Option<Span> {
    let kind = match span.kind {
        otlp::Kind::Server => Kind::Server,
        otlp::Kind::Client => Kind::Client,
        otlp::Kind::Producer => Kind::Producer,
        otlp::Kind::Consumer => Kind::Consumer,
        otlp::Kind::Internal | otlp::Kind::Unspecified => Kind::Internal,
    };
    let details = details(span);
    Some(Span {
        trace_id: TraceId::from_bytes(&span.trace_id)?,
        span_id: SpanId::from_bytes(&span.span_id)?,
        parent: match span.parent {
            Parent::Span(id) => SpanId::from_bytes(&id),
            Parent::None | Parent::Invalid => None,
        },
        service: Some(service),
        name: short(&span.name).into(),
        kind,
        start: Nanos(span.start),
        end: Some(Nanos(span.end.max(span.start))),
        outcome: details.status.code,
        database,
        is_browser,
        source: Source::Otlp,
        document: None,
        details: details.to_json(),
    })
}

fn details<'s>(span: &'s otlp::Span<'_>) -> Details<'s, Fields<'s>> {
    let message = &*span.status.message;
    Details {
        attributes: Fields::of(&span.attributes.kept),
        events: span.events.iter().map(event).collect(),
        links: span.links.iter().filter_map(link).collect(),
        status: Status {
            code: match span.status.code {
                StatusCode::Unset => Code::Unset,
                StatusCode::Ok => Code::Ok,
                StatusCode::Error => Code::Error,
            },
            message: (!message.is_empty()).then(|| message.into()),
        },
    }
}

fn event<'s>(event: &'s otlp::Event<'_>) -> Event<'s, Fields<'s>> {
    Event { name: (&*event.name).into(), time: Some(Nanos(event.time)), attributes: Fields::of(&event.attributes.kept) }
}

fn link<'s>(link: &'s otlp::Link<'_>) -> Option<Link<Fields<'s>>> {
    let (trace_id, span_id) = (TraceId::from_bytes(&link.trace_id)?, SpanId::from_bytes(&link.span_id)?);
    Some(Link { trace_id, span_id, attributes: Fields::of(&link.attributes.kept) })
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
    use proptest::prelude::*;
    use prost::Message;
    use serde_json::{Value, json};

    use super::*;

    const JSON: &str = r#"{"resourceSpans":[{"resource":{"attributes":[{"key":"service.name","value":{"stringValue":"backend"}}]},
        "scopeSpans":[{"spans":[
          {"traceId":"5759e988bd862e3fe1be46a994272793","spanId":"53995c3f42cd8ad8","parentSpanId":"","name":"GET /","kind":2,
           "startTimeUnixNano":"1700000000000000001","endTimeUnixNano":"1700000000000000003",
           "attributes":[{"key":"n","value":{"intValue":"3"}}],"status":{"code":2,"message":"no"}},
          {"traceId":"","spanId":"53995c3f42cd8ad8","name":"no trace"}]}]}]}"#;

    fn read_json(body: &[u8]) -> Result<OtlpSpans, Malformed> {
        read(Encoding::Json, body)
    }

    fn attributes(span: &Span) -> Value {
        serde_json::from_str::<Value>(span.details.get()).unwrap()["attributes"].take()
    }

    #[test]
    fn json_has_its_ids_in_hex_and_a_span_without_an_id_is_counted() {
        let read = read_json(JSON.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected()), (1, 1));
        let span = &read.spans[0];
        assert_eq!(span.trace_id.to_string(), "5759e988bd862e3fe1be46a994272793");
        assert_eq!((span.kind, span.parent, span.outcome), (Kind::Server, None, Code::Error));
        assert_eq!((span.start.0, span.duration_ms()), (1_700_000_000_000_000_001, Some(2e-6)));
        assert_eq!((span.service.as_deref(), &attributes(span)["n"]), (Some("backend"), &json!(3)));
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
        let read = read_json(body.as_bytes()).unwrap();
        assert_eq!((read.spans.len(), read.rejected(), attributes(&read.spans[0])), (1, 1, json!({})));
        assert_eq!(
            read.message(),
            "spans rejected: 1 (traceId is missing or all zero); values dropped: 1 (attributes.value is not an object)"
        );
    }

    #[test]
    fn a_non_finite_number_is_a_string() {
        for (number, text) in [("NaN", "NaN"), ("Infinity", "Infinity"), ("-Infinity", "-Infinity")] {
            let body = JSON.replace("\"intValue\":\"3\"", &format!("\"doubleValue\":\"{number}\""));
            assert_eq!(attributes(&read_json(body.as_bytes()).unwrap().spans[0])["n"], text);
        }
    }

    #[test]
    fn a_repeated_key_has_its_last_value() {
        let repeated = r#""value":{"intValue":"3"}},{"key":"a","value":{"kvlistValue":{"values":[
            {"key":"z","value":{"boolValue":true}},{"key":"z","value":{"doubleValue":0.5}}]}}},{"key":"n","value":{"intValue":"4"}}"#;
        let body = JSON.replace(r#""value":{"intValue":"3"}}"#, repeated);
        let read = read_json(body.as_bytes()).unwrap();
        assert_eq!(attributes(&read.spans[0]), json!({"a": {"z": 0.5}, "n": 4}));
        assert_eq!(read.spans[0].details.get().matches(r#""n":"#).count(), 1);
    }

    #[test]
    fn a_browsers_spans_are_recognised() {
        let is_browser = |body: &str| read_json(body.as_bytes()).unwrap().spans[0].is_browser;
        let resource = |key: &str, value: &str| {
            let attribute = format!(r#"{{"key":"{key}","value":{{"stringValue":"{value}"}}}}"#);
            JSON.replacen(r#""attributes":["#, &format!(r#""attributes":[{attribute},"#), 1)
        };
        assert!(!is_browser(JSON) && !is_browser(&resource("telemetry.sdk.language", "rust")));
        assert!(
            is_browser(&resource("telemetry.sdk.language", "webjs")) && is_browser(&resource("browser.brands", "x"))
        );
        assert!(is_browser(
            &JSON.replace(r#""n","value":{"intValue":"3"}"#, r#""telemetry.relayed","value":{"boolValue":true}"#)
        ));
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = read_json(&bytes);
            let _ = read(Encoding::Protobuf, &bytes);
        }
    }
}
