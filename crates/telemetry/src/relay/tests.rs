//! A message is read the same way in both encodings, and every fault in it is reported.

use std::time::UNIX_EPOCH;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1 as wire;
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value as Json, json};

use super::*;
use crate::testing::attribute as value_of;

const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";
const NOW: Duration = Duration::from_secs(1_700_000_000);

fn nanos(seconds: u64) -> String {
    (1_700_000_000_000_000_000 + i128::from(seconds) * 1_000_000_000 - 10_000_000_000).to_string()
}

fn text(key: &str, value: &str) -> Json {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span() -> Json {
    json!({
        "traceId": TRACE, "spanId": "46422517bae0bb00", "parentSpanId": "46422517bae0bb01", "flags": 0x301,
        "name": "documentLoad", "kind": 1, "startTimeUnixNano": nanos(1), "endTimeUnixNano": nanos(2),
        "attributes": [
            text(TOKEN, "good"), text("url.full", "http://localhost/?q=secret#x"), text("user.id", "andrew"),
            text("SampleRate", "100"), text("url.query", "q=secret"),
            {"key": "http.response.status_code", "value": {"intValue": "200"}},
            {"key": "browser.mobile", "value": {"boolValue": true}},
            {"key": "browser.brands", "value": {"arrayValue": {"values": []}}},
        ],
        "events": [
            {"timeUnixNano": nanos(1), "name": "domInteractive", "attributes": [text("error.type", "x"), text("user.id", "andrew")]},
            {"timeUnixNano": nanos(9), "name": "later"},
        ],
        "links": [{"traceId": TRACE, "spanId": "46422517bae0bb02"}],
        "status": {"code": 2, "message": "it failed"},
    })
}

fn message(service: &str, spans: &[Json]) -> Json {
    let resource = json!({"attributes": [text("host.name", "x"), text("service.name", service)]});
    json!({"resourceSpans": [{"resource": resource, "scopeSpans": [{"scope": {"name": "x"}, "spans": spans}]}]})
}

/// The result of reading a message, which is the same in both encodings.
fn read(message: &Json) -> (BTreeMap<Rejection, u64>, Vec<Record>) {
    let relay = Relay::new(["cruddur-page"]);
    let admits = |trace: &str, token: &str| trace == TRACE && token == "good";
    let of = |encoding, bytes: &[u8]| relay.read(encoding, bytes, UNIX_EPOCH + NOW, admits).unwrap();
    let json = of(Encoding::Json, message.to_string().as_bytes());
    let decoded: ExportTraceServiceRequest = serde_json::from_value(message.clone()).unwrap();
    let protobuf = of(Encoding::Protobuf, &decoded.encode_to_vec());
    assert_eq!(json.rejected, protobuf.rejected);
    assert_eq!(bytes_of(&json.records), bytes_of(&protobuf.records));
    (json.rejected, json.records)
}

fn bytes_of(records: &[Record]) -> Vec<Vec<u8>> {
    records.iter().map(|record| record.to_vec()).collect()
}

#[test]
fn an_accepted_span_keeps_allowed_attributes_and_its_service() {
    let (rejected, records) = read(&message("cruddur-page", &[span()]));
    assert_eq!((rejected, records.len()), (BTreeMap::new(), 1));
    let span = wire::Span::decode(&*records[0]).unwrap();
    assert_eq!((span.name.as_str(), span.kind, span.flags), ("documentLoad", 1, 0x303));
    assert_eq!(span.parent_span_id, 0x4642_2517_bae0_bb01_u64.to_be_bytes());
    assert_eq!((span.end_time_unix_nano - span.start_time_unix_nano, span.status.unwrap().code), (1_000_000_000, 2));
    let of = |key: &str| value_of(&span.attributes, key);
    assert_eq!(of("url.full").as_deref(), Some("http://localhost/"), "a query may contain any data");
    assert_eq!(of("http.response.status_code").as_deref(), Some("200"));
    assert_eq!((of(RELAYED).as_deref(), of("browser.mobile").as_deref()), (Some("true"), Some("true")));
    for key in [TOKEN, "user.id", "SampleRate", "url.query", "browser.brands"] {
        assert_eq!(of(key), None, "{key}");
    }
    assert_eq!(span.dropped_attributes_count, 4, "the token does not count");
    let [event] = span.events.as_slice() else { panic!("{:?}", span.events) };
    assert_eq!((event.name.as_str(), event.attributes.len()), ("domInteractive", 1));
    assert_eq!((span.dropped_events_count, span.links.len(), span.dropped_links_count), (1, 0, 1));
    assert_eq!(Record::makers(&records)[0].service(), "cruddur-page");
}

#[test]
fn an_invalid_span_is_rejected_with_its_reason() {
    let changed = |member: &str, value: Json| {
        let mut span = span();
        span[member] = value;
        span
    };
    for (why, span) in [
        (Rejection::Invalid, changed("traceId", json!("0".repeat(32)))),
        (Rejection::Invalid, changed("spanId", json!(""))),
        (Rejection::Invalid, changed("name", json!(""))),
        (Rejection::Invalid, changed("kind", json!(2))),
        (Rejection::Time, changed("startTimeUnixNano", json!("1"))),
        (Rejection::Time, changed("startTimeUnixNano", json!(nanos(3)))),
        (Rejection::Time, changed("endTimeUnixNano", json!(nanos(100)))),
        (Rejection::Token, changed("traceId", json!("6b02f03a54f4980499a5c1872558fcbe"))),
        (Rejection::Token, changed("attributes", json!([text(TOKEN, "bad")]))),
        (Rejection::Token, changed("attributes", json!([]))),
    ] {
        let (rejected, records) = read(&message("cruddur-page", std::slice::from_ref(&span)));
        assert_eq!((rejected.keys().copied().collect::<Vec<_>>(), records.len()), (vec![why], 0), "{span}");
    }
    let (rejected, _) = read(&message("backend", &[span()]));
    assert_eq!(rejected, BTreeMap::from([(Rejection::Service, 1)]), "the page must not send spans of the backend");
    let (rejected, records) = read(&message("cruddur-page", &vec![span(); SPANS + 2]));
    assert_eq!((rejected, records.len()), (BTreeMap::from([(Rejection::TooMany, 2)]), SPANS));
}

#[test]
fn a_message_that_is_not_otlp_is_refused_whole() {
    let relay = Relay::new(["cruddur-page"]);
    for json in ["", "1", "[]", "{\"resourceSpans\": 1}", "{\"resourceSpans\": [{\"scopeSpans\": [{\"spans\": 1}]}]}"] {
        let read = relay.read(Encoding::Json, json.as_bytes(), UNIX_EPOCH + NOW, |_, _| true);
        assert!(read.is_err(), "{json}");
    }
    let decoded: ExportTraceServiceRequest = serde_json::from_value(message("cruddur-page", &[span()])).unwrap();
    let whole = decoded.encode_to_vec();
    for length in 1..whole.len() {
        let read = relay.read(Encoding::Protobuf, &whole[..length], UNIX_EPOCH + NOW, |_, _| true);
        assert!(read.is_err(), "cut off at {length}");
    }
}

#[test]
fn an_invalid_value_does_not_affect_other_spans() {
    let mut odd = span();
    odd["attributes"][5] = json!({"key": "http.response.status_code", "value": {"intValue": "x"}});
    odd["status"] = json!(null);
    let (relay, now) = (Relay::new(["cruddur-page"]), UNIX_EPOCH + NOW);
    let json = message("cruddur-page", &[odd, span(), json!({"kind": "INTERNAL"}), json!(1)]).to_string();
    let batch = relay.read(Encoding::Json, json.as_bytes(), now, |_, token| token == "good").unwrap();
    assert_eq!((batch.accepted(), batch.rejected), (2, BTreeMap::from([(Rejection::Invalid, 2)])));
}

#[test]
fn the_response_counts_rejected_spans_with_reasons() {
    let batch =
        RelayedSpans { records: Vec::new(), rejected: BTreeMap::from([(Rejection::Token, 2), (Rejection::Time, 1)]) };
    let json: Json = serde_json::from_slice(&batch.response(Encoding::Json)).unwrap();
    assert_eq!(json["partialSuccess"]["rejectedSpans"], "3");
    use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
    let decoded = ExportTraceServiceResponse::decode(batch.response(Encoding::Protobuf).as_slice()).unwrap();
    let partial = decoded.partial_success.unwrap();
    assert_eq!(
        (partial.rejected_spans, json["partialSuccess"]["errorMessage"].as_str()),
        (3, Some(&*partial.error_message))
    );
    assert_eq!(RelayedSpans::default().response(Encoding::Json), b"{}");
}

proptest! {
    #[test]
    fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
        let relay = Relay::new(["cruddur-page"]);
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let _: Result<_, String> = relay.read(encoding, &bytes, UNIX_EPOCH + NOW, |_, _| true);
        }
    }

    /// A message with one changed byte may be a different message. It never has more spans, and each has valid ids.
    #[test]
    fn a_changed_byte_never_yields_a_span_without_ids(at in 0usize..600, byte: u8) {
        let decoded: ExportTraceServiceRequest = serde_json::from_value(message("cruddur-page", &[span()])).unwrap();
        let mut encoded = decoded.encode_to_vec();
        let length = encoded.len();
        encoded[at % length] = byte;
        let relay = Relay::new(["cruddur-page"]);
        if let Ok(batch) = relay.read(Encoding::Protobuf, &encoded, UNIX_EPOCH + NOW, |_, _| true) {
            for record in batch.records {
                let span = wire::Span::decode(&*record).unwrap();
                prop_assert!(span.trace_id.len() == 16 && span.span_id.len() == 8 && !span.name.is_empty());
            }
        }
    }
}
