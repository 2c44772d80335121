//! Both encodings give the same message, and a fault affects only the part that has it.

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use proptest::prelude::*;
use prost::Message;
use serde_json::{Value as Json, json};

use super::*;

const BOUNDS: Bounds = Bounds { attributes: 4, events: 2, links: 2, inner_attributes: 2 };

fn text(key: &str, value: &str) -> Json {
    json!({"key": key, "value": {"stringValue": value}})
}

fn span() -> Json {
    json!({
        "traceId": "6b02f03a54f4980499a5c1872558fcbf", "spanId": "46422517bae0bb00", "parentSpanId": "46422517bae0bb01",
        "traceState": "a=b", "flags": 0x301, "name": "GET /", "kind": 2,
        "startTimeUnixNano": "1700000000000000001", "endTimeUnixNano": "1700000000000000003",
        "attributes": [
            text("text", "x"), {"key": "int", "value": {"intValue": "-3"}},
            {"key": "list", "value": {"arrayValue": {"values": [{"boolValue": true}, {"doubleValue": 1.5}]}}},
            {"key": "map", "value": {"kvlistValue": {"values": [text("inner", "y")]}}},
        ],
        "droppedAttributesCount": 1,
        "events": [{"timeUnixNano": "1700000000000000002", "name": "exception", "attributes": [text("a", "b")]}],
        "links": [{"traceId": "6b02f03a54f4980499a5c1872558fcbe", "spanId": "46422517bae0bb02", "attributes": [text("c", "d")]}],
        "status": {"code": 2, "message": "no"},
    })
}

fn message(spans: &Json) -> Json {
    let resource = json!({"attributes": [text("service.name", "backend")], "droppedAttributesCount": 2});
    let scope = json!({"name": "x", "version": "1"});
    json!({"resourceSpans": [{"resource": resource, "schemaUrl": "https://example/1", "scopeSpans": [{"scope": scope, "spans": spans}]}]})
}

type Found<'a> = Vec<(Resource<'a>, Scope<'a>, Result<Span<'a>, Fault>)>;

fn read(encoding: Encoding, message: &[u8]) -> Result<Found<'_>, Malformed> {
    let mut found = Vec::new();
    spans(encoding, message, &BOUNDS, |resource, scope, span| {
        found.push((resource.clone(), scope.clone(), span));
    })?;
    Ok(found)
}

/// The attributes and faults of the only span of a JSON message.
type One = (Vec<(String, String)>, Vec<String>);

fn one(span: &Json) -> Result<One, Fault> {
    let message = message(&json!([span])).to_string();
    let [(.., span)] = <[_; 1]>::try_from(read(Encoding::Json, message.as_bytes()).unwrap()).unwrap();
    span.map(|span| {
        let attributes = span.attributes.kept.iter();
        let attributes = attributes.map(|one| (one.key.to_string(), format!("{:?}", one.value))).collect();
        (attributes, span.faults.iter().map(ToString::to_string).collect())
    })
}

fn with(member: &str, value: Json) -> Json {
    let mut span = span();
    span[member] = value;
    span
}

#[test]
fn both_encodings_give_the_same_spans() {
    let message = message(&json!([span(), {"name": "without ids"}]));
    let decoded: ExportTraceServiceRequest = serde_json::from_value(message.clone()).unwrap();
    let (json, protobuf) = (message.to_string(), decoded.encode_to_vec());
    let json = read(Encoding::Json, json.as_bytes()).unwrap();
    assert_eq!(json, read(Encoding::Protobuf, &protobuf).unwrap());
    let [(resource, scope, Ok(span)), (.., Err(fault))] = json.as_slice() else { panic!("{json:?}") };
    assert_eq!(fault.to_string(), "traceId is missing or all zero");
    assert_eq!((resource.service(), resource.attributes.dropped), (Some("backend"), 2));
    assert_eq!((&*resource.schema_url, &*scope.name, &*scope.version), ("https://example/1", "x", "1"));
    assert_eq!((&*span.name, span.kind, &*span.trace_state), ("GET /", Kind::Server, "a=b"));
    assert_eq!((span.start, span.end), (1_700_000_000_000_000_001, 1_700_000_000_000_000_003));
    assert_eq!(span.parent, Parent::Span(0x4642_2517_bae0_bb01_u64.to_be_bytes()));
    assert_eq!(span.has_remote_parent(), Some(true));
    assert_eq!((span.attributes.kept.len(), span.attributes.dropped), (4, 1));
    assert_eq!(span.attributes.get("int"), Some(&Value::Int(-3)));
    assert_eq!(span.attributes.get("list"), Some(&Value::Array(vec![Value::Bool(true), Value::Double(1.5)])));
    assert_eq!((span.events.len(), span.links.len(), span.status.code), (1, 1, StatusCode::Error));
    assert_eq!((&*span.status.message, span.faults.len()), ("no", 0));
}

#[test]
fn the_excess_over_a_bound_is_counted() {
    let many = |item: Json, count: usize| Json::Array(vec![item; count]);
    let mut span = with("attributes", many(text("k", "v"), 7));
    span["events"] = many(json!({"name": "e", "attributes": many(text("k", "v"), 5)}), 3);
    span["links"] = many(span["links"][0].clone(), 5);
    let message = message(&json!([span]));
    let decoded: ExportTraceServiceRequest = serde_json::from_value(message.clone()).unwrap();
    let (json, protobuf) = (message.to_string(), decoded.encode_to_vec());
    let json = read(Encoding::Json, json.as_bytes()).unwrap();
    assert_eq!(json, read(Encoding::Protobuf, &protobuf).unwrap());
    let span = json[0].2.as_ref().unwrap();
    assert_eq!((span.attributes.kept.len(), span.attributes.dropped), (4, 1 + 3));
    assert_eq!((span.events.len(), span.dropped_events, span.links.len(), span.dropped_links), (2, 1, 2, 3));
    assert_eq!((span.events[0].attributes.kept.len(), span.events[0].attributes.dropped), (2, 3));
}

#[test]
fn null_is_the_default_of_every_field() {
    let names: Vec<String> = span().as_object().unwrap().keys().cloned().collect();
    for name in names {
        match (name.as_str(), one(&with(&name, Json::Null))) {
            ("traceId" | "spanId", Err(fault)) => assert_eq!(fault.why, "is missing or all zero"),
            (_, Ok((_, faults))) => assert_eq!(faults, [""; 0], "{name}"),
            (name, other) => panic!("{name}: {other:?}"),
        }
    }
    for body in [
        json!({"resourceSpans": null}),
        json!({"resourceSpans": [{"scopeSpans": null, "resource": null, "schemaUrl": null}]}),
        json!({"resourceSpans": [{"resource": {"attributes": null, "droppedAttributesCount": null}}]}),
        json!({"resourceSpans": [{"scopeSpans": [{"spans": null, "scope": null}]}]}),
        json!({"resourceSpans": [null]}),
        json!({}),
    ] {
        assert_eq!(read(Encoding::Json, body.to_string().as_bytes()), Ok(Vec::new()), "{body}");
    }
}

#[test]
fn a_value_may_be_an_empty_list_or_nothing() {
    for (value, is) in [
        (json!({"arrayValue": {}}), "Array([])"),
        (json!({"arrayValue": {"values": null}}), "Array([])"),
        (json!({"kvlistValue": {}}), "Map([])"),
        (json!({"arrayValue": {"values": [{}, null]}}), "Array([Empty, Empty])"),
        (json!({}), "Empty"),
        (json!(null), "Empty"),
        (json!({"stringValue": null}), "Empty"),
        (json!({"bytesValue": "AQI"}), "Bytes([1, 2])"),
        (json!({"doubleValue": "NaN"}), "Double(NaN)"),
        (json!({"doubleValue": "1.5"}), "Double(1.5)"),
        (json!({"intValue": 3}), "Int(3)"),
        (json!({"intValue": 3.0}), "Int(3)"),
        (json!({"intValue": "1e2"}), "Int(100)"),
        (json!({"intValue": "9007199254740993"}), "Int(9007199254740993)"),
        (json!({"unknownValue": 1}), "Empty"),
    ] {
        let (attributes, faults) = one(&with("attributes", json!([{"key": "k", "value": value}]))).unwrap();
        assert_eq!((attributes, faults.len()), (vec![("k".to_owned(), is.to_owned())], 0), "{value}");
    }
}

#[test]
fn an_invalid_value_is_dropped_alone_with_its_reason() {
    for (value, fault) in [
        (json!({"intValue": "x"}), "attributes.value is not a whole number"),
        (json!({"intValue": 1.5}), "attributes.value is not a whole number"),
        (json!({"intValue": "9223372036854775808"}), "attributes.value is out of range"),
        (json!({"doubleValue": "x"}), "attributes.value is not a number"),
        (json!({"boolValue": "true"}), "attributes.value is not true or false"),
        (json!({"stringValue": 1}), "attributes.value is not a text"),
        (json!({"bytesValue": "~"}), "attributes.value is not base64"),
        (json!({"arrayValue": []}), "attributes.value is not an object"),
        (json!({"arrayValue": {"values": {}}}), "attributes.value is not a list"),
        (json!("x"), "attributes.value is not an object"),
    ] {
        let entries = json!([{"key": "bad", "value": value}, text("good", "x"), {"value": {}}, 1]);
        let (attributes, faults) = one(&with("attributes", entries)).unwrap();
        assert_eq!(attributes, [("good".to_owned(), "Text(\"x\")".to_owned())], "{value}");
        assert_eq!(faults, [fault, "attributes.key is empty", "attributes is not an object"], "{value}");
    }
    for (member, value, fault) in [
        ("kind", json!("SPAN_KIND_SERVER"), "kind is a text; enumerations are numbers in OTLP/JSON"),
        ("name", json!(1), "name is not a text"),
        ("startTimeUnixNano", json!("-1"), "startTimeUnixNano is out of range"),
        ("parentSpanId", json!("46422517"), "parentSpanId is not 16 hex digits"),
        ("attributes", json!({}), "attributes is not a list"),
        ("status", json!([]), "status is not an object"),
        ("status", json!({"code": "ERROR"}), "status.code is a text; enumerations are numbers in OTLP/JSON"),
        ("events", json!([{"timeUnixNano": "x"}]), "events.timeUnixNano is not a whole number"),
        ("links", json!([{"traceId": "x"}]), "links.traceId is not 32 hex digits"),
        ("links", json!([{}]), "links have no valid traceId and spanId"),
        ("flags", json!(1e10), "flags is out of range"),
    ] {
        let (_, faults) = one(&with(member, value.clone())).unwrap();
        assert_eq!(faults, [fault], "{member} {value}");
    }
}

#[test]
fn an_invalid_span_is_dropped_alone() {
    for (bad, fault) in [
        (with("traceId", json!("0".repeat(32))), "traceId is missing or all zero"),
        (with("traceId", json!("6b02")), "traceId is not 32 hex digits"),
        (with("spanId", json!(7)), "spanId is not a text"),
        (json!(1), "spans is not an object"),
        (json!([]), "spans is not an object"),
        (json!(null), "traceId is missing or all zero"),
    ] {
        let message = message(&json!([span(), bad, span()])).to_string();
        let found = read(Encoding::Json, message.as_bytes()).unwrap();
        let faults: Vec<_> = found.iter().map(|(.., span)| span.as_ref().err().map(ToString::to_string)).collect();
        assert_eq!(faults, [None, Some(fault.to_owned()), None], "{bad}");
    }
}

#[test]
fn a_message_of_another_structure_is_malformed() {
    for body in [
        "",
        "[]",
        "[[]]",
        "1",
        "\"x\"",
        "{",
        "{\"resourceSpans\":1}",
        "{\"resourceSpans\":{}}",
        "{\"resourceSpans\":[1]}",
        "{\"resourceSpans\":[{\"scopeSpans\":1}]}",
        "{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":1}]}]}",
        "{\"resourceSpans\":[{\"resource\":1}]}",
        "{} x",
    ] {
        assert!(read(Encoding::Json, body.as_bytes()).is_err(), "{body}");
    }
    let decoded: ExportTraceServiceRequest = serde_json::from_value(message(&json!([span()]))).unwrap();
    let whole = decoded.encode_to_vec();
    for length in 1..whole.len() {
        assert!(read(Encoding::Protobuf, &whole[..length]).is_err(), "cut off at {length}");
    }
}

#[test]
fn unknown_members_are_ignored() {
    let mut message = message(&json!([with("entityRefs", json!([{"x": [1, {}]}]))]));
    message["x"] = json!({"y": null});
    message["resourceSpans"][0]["resource"]["entityRefs"] = json!([{"type": "service"}]);
    message["resourceSpans"][0]["scopeSpans"][0]["spans"][0]["attributes"][0]["x"] = json!(1);
    let message = message.to_string();
    assert!(read(Encoding::Json, message.as_bytes()).unwrap()[0].2.as_ref().unwrap().faults.is_empty());
}

#[test]
fn a_value_may_nest_32_deep() {
    let nested = |depth: usize| {
        let value = (1..depth).fold(json!({"intValue": 1}), |value, _| json!({"arrayValue": {"values": [value]}}));
        one(&with("attributes", json!([{"key": "k", "value": value}]))).unwrap()
    };
    assert_eq!((nested(32).0.len(), nested(32).1.len()), (1, 0));
    assert_eq!((nested(33).0.len(), nested(33).1), (0, vec!["attributes.value nests deeper than 32".to_owned()]));
    // Deeper than the parser of JSON itself goes by recursion.
    assert_eq!(nested(200).0.len(), 0);
}

#[test]
fn a_fault_in_protobuf_affects_only_its_part() {
    let attribute = |key: &[u8], value: &[u8]| {
        let (mut entry, mut any) = (Vec::new(), Vec::new());
        wire::bytes(&mut entry, 1, key);
        wire::bytes(&mut any, 1, value);
        wire::bytes(&mut entry, 2, &any);
        entry
    };
    let mut span = Vec::new();
    wire::bytes(&mut span, 1, &[1; 16]);
    wire::bytes(&mut span, 2, &[2; 8]);
    wire::bytes(&mut span, 4, &[3; 4]);
    wire::bytes(&mut span, 5, b"\xff");
    wire::number(&mut span, 7, 1);
    for entry in [attribute(b"bad", b"\xff"), attribute(b"good", b"x"), attribute(b"", b"x"), b"\x0a\x09".to_vec()] {
        wire::bytes(&mut span, 9, &entry);
    }
    let (mut scope, mut part, mut message) = (Vec::new(), Vec::new(), Vec::new());
    for span in [span.as_slice(), b"\x0a\x01\x01", b"\x0a\x09"] {
        wire::bytes(&mut scope, 2, span);
    }
    wire::bytes(&mut part, 2, &scope);
    wire::bytes(&mut message, 1, &part);
    let found = read(Encoding::Protobuf, &message).unwrap();
    let [Ok(span), Err(short), Err(cut)] = found.iter().map(|(.., span)| span).collect::<Vec<_>>()[..] else {
        panic!("{found:?}")
    };
    let faults: Vec<_> = span.faults.iter().map(ToString::to_string).collect();
    assert_eq!(
        faults,
        [
            "parentSpanId is not 8 bytes long",
            "name is not UTF-8",
            "span has the wrong type",
            "attributes.value is not UTF-8",
            "attributes.key is empty",
            "attributes is truncated or is not protobuf"
        ]
    );
    assert_eq!((span.attributes.kept.len(), span.attributes.dropped, span.parent), (1, 3, Parent::Invalid));
    assert_eq!(
        [short, cut].map(ToString::to_string),
        ["traceId is not 16 bytes long", "span is truncated or is not protobuf"]
    );
}

#[test]
fn a_response_is_valid_otlp() {
    let success = |rejected, message| {
        let json: Json = serde_json::from_slice(&response::success(Encoding::Json, rejected, message)).unwrap();
        let protobuf = response::success(Encoding::Protobuf, rejected, message);
        (json, ExportTraceServiceResponse::decode(&*protobuf).unwrap().partial_success)
    };
    assert_eq!(success(0, ""), (json!({}), None));
    let (json, partial) = success(3, "why");
    let partial = partial.unwrap();
    assert_eq!((partial.rejected_spans, &*partial.error_message), (3, "why"));
    assert_eq!(json, json!({"partialSuccess": {"rejectedSpans": "3", "errorMessage": "why"}}));
    assert!(success(0, "a warning").1.is_some());
    assert_eq!(response::failure(Encoding::Json, 3, "why"), br#"{"code":3,"message":"why"}"#);
    assert_eq!(response::failure(Encoding::Protobuf, 3, "why"), b"\x08\x03\x12\x03why");
}

proptest! {
    #[test]
    fn any_bytes_are_spans_or_malformed(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let _: Result<_, Malformed> = read(encoding, &bytes);
        }
    }

    /// A message with one byte changed may be another message; each of its spans still has ids and stays within the bounds.
    #[test]
    fn a_changed_byte_breaks_no_bound(at in 0usize..900, byte: u8, json: bool) {
        let message = message(&json!([span(), span()]));
        let decoded: ExportTraceServiceRequest = serde_json::from_value(message.clone()).unwrap();
        let (encoding, mut bytes) = if json {
            (Encoding::Json, message.to_string().into_bytes())
        } else {
            (Encoding::Protobuf, decoded.encode_to_vec())
        };
        let length = bytes.len();
        bytes[at % length] = byte;
        for (.., span) in read(encoding, &bytes).unwrap_or_default() {
            if let Ok(span) = span {
                prop_assert!(span.trace_id != [0; 16] && span.span_id != [0; 8]);
                prop_assert!(span.attributes.kept.len() <= BOUNDS.attributes && span.events.len() <= BOUNDS.events);
            }
        }
    }
}
