//! The viewer's inputs, and its handling of bytes that are not traces.

use std::io::Write;
use std::net::UdpSocket;

use flate2::Compression;
use flate2::write::GzEncoder;
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::{eventually, http};

const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const OTHER: &str = "5759e988bd862e3fe1be46a994272794";

fn request(name: &str) -> Value {
    json!({"resourceSpans": [{
        "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "from elsewhere"}}]},
        "scopeSpans": [{"spans": [
            {"traceId": TRACE, "spanId": "00000000000000a1", "name": name, "kind": 2,
             "startTimeUnixNano": "1700000000000000000", "endTimeUnixNano": "1700000000250000000",
             "events": [{"name": "exception", "timeUnixNano": "1700000000100000000",
                         "attributes": [{"key": "exception.type", "value": {"stringValue": "E"}}]}],
             "links": [{"traceId": OTHER, "spanId": "00000000000000d1", "attributes": [{"key": "n", "value": {"intValue": "1"}}]},
                       {"traceId": OTHER, "spanId": ""}],
             "status": {"code": 2, "message": "no"}},
            {"traceId": "", "spanId": "00000000000000a2", "name": "without a trace"}]}]}]})
}

#[test]
fn it_accepts_otlp_in_protobuf_and_json_gzipped_or_plain() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/v1/traces", viewer.viewer);
    let body = request("in json");
    let answer = http::post(&url, &body);
    assert_eq!((answer.status, &answer.json()["partialSuccess"]["rejectedSpans"]), (200, &json!("1")));

    let body = serde_json::from_value::<ExportTraceServiceRequest>(request("in protobuf")).unwrap().encode_to_vec();
    let mut gzip = GzEncoder::new(Vec::new(), Compression::fast());
    gzip.write_all(&body).unwrap();
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let answer = http::send(&url, &headers, &gzip.finish().unwrap());
    let response = ExportTraceServiceResponse::decode(answer.body.as_slice()).unwrap();
    assert_eq!((answer.status, response.partial_success.unwrap().rejected_spans), (200, 1));

    let trace = http::get(&format!("{}/api/traces/{TRACE}", viewer.viewer)).json();
    let [span] = trace["spans"].as_array().unwrap().as_slice() else { panic!("{trace:#}") };
    assert_eq!(
        (&span["name"], &span["service"], &span["kind"]),
        (&json!("in protobuf"), &json!("from elsewhere"), &json!("server"))
    );
    assert_eq!((&span["duration_ms"], &span["start"]), (&json!(250.0), &json!("2023-11-14T22:13:20.000000000Z")));
    assert_eq!(span["status"], json!({"code": "error", "message": "no"}));
    assert_eq!(span["events"][0]["attributes"]["exception.type"], "E");
    assert_eq!(span["links"], json!([{"trace_id": OTHER, "span_id": "00000000000000d1", "attributes": {"n": 1}}]));
    assert_eq!((&trace["errors"], &trace["sources"]), (&json!(1), &json!({"otlp": 1, "xray": 0})));
}

/// Other exporters use Protobuf's JSON mapping. A value that OTLP forbids affects no other value, and the response states the reason.
#[test]
fn an_invalid_value_loses_that_value_alone() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/v1/traces", viewer.viewer);
    let mut body = request("odd");
    let parts = body["resourceSpans"].as_array_mut().unwrap();
    parts[0]["resource"]["entityRefs"] = json!([{"type": "service", "idKeys": ["service.name"]}]);
    parts[0]["scopeSpans"][0]["schemaUrl"] = json!(null);
    let spans = parts[0]["scopeSpans"][0]["spans"].as_array_mut().unwrap();
    spans[0]["parentSpanId"] = json!(null);
    spans[0]["links"] = json!(null);
    spans[0]["kind"] = json!("SPAN_KIND_SERVER");
    spans[0]["attributes"] = json!([
        {"key": "list", "value": {"arrayValue": {}}},
        {"key": "map", "value": {"kvlistValue": {}}},
        {"key": "ratio", "value": {"doubleValue": "0.25"}},
        {"key": "count", "value": {"intValue": 2.0}},
        {"key": "none", "value": null},
        {"key": "bad", "value": {"intValue": "many"}},
    ]);
    spans[1] =
        json!({"traceId": TRACE, "spanId": "00000000000000a2", "name": "without any attributes", "attributes": null});
    let answer = http::post(&url, &body);
    let response = answer.json();
    assert_eq!((answer.status, &response["partialSuccess"]["rejectedSpans"]), (200, &json!("0")));
    assert_eq!(
        response["partialSuccess"]["errorMessage"],
        "values dropped: 1 (attributes.value is not a whole number); \
         values dropped: 1 (kind is a text; enumerations are numbers in OTLP/JSON)"
    );
    let trace = http::get(&format!("{}/api/traces/{TRACE}", viewer.viewer)).json();
    let spans = trace["spans"].as_array().unwrap();
    assert_eq!(spans.len(), 2, "{trace:#}");
    let odd = spans.iter().find(|span| span["name"] == "odd").unwrap();
    let kept = json!({"list": [], "map": {}, "ratio": 0.25, "count": 2, "none": null});
    assert_eq!((&odd["attributes"], &odd["parent_id"]), (&kept, &json!(null)), "{odd:#}");
    empty_parts_are_accepted(&url);
}

fn empty_parts_are_accepted(url: &str) {
    for body in [json!({"resourceSpans": null}), json!({"resourceSpans": [{"resource": {"attributes": null}}]})] {
        let answer = http::post(url, &body);
        assert_eq!((answer.status, answer.json()), (200, json!({})), "{body}");
    }
    for body in [json!(null), json!([]), json!({"resourceSpans": {}}), json!({"resourceSpans": [[]]})] {
        assert_eq!(http::post(url, &body).status, 400, "{body}");
    }
}

#[test]
fn a_segment_is_merged_with_the_span_of_its_trace() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    assert_eq!(http::post(&format!("{}/v1/traces", viewer.viewer), &request("a span")).status, 200);
    let segment = json!({"id": "00000000000000a1", "name": "from elsewhere", "trace_id": "1-5759e988-bd862e3fe1be46a994272793",
        "start_time": 1_700_000_000.0, "end_time": 1_700_000_000.25,
        "subsegments": [{"id": "00000000000000b1", "name": "nested", "start_time": 1_700_000_000.1, "end_time": 1_700_000_000.2}]});
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for datagram in [
        "garbage",
        "{\"format\": \"json\", \"version\": 1}\n{}",
        &format!("{{\"format\": \"json\", \"version\": 1}}\n{segment}"),
    ] {
        socket.send_to(datagram.as_bytes(), &viewer.xray).unwrap();
    }
    let trace = eventually("three spans", || {
        let trace = http::get(&format!("{}/api/traces/{TRACE}", viewer.viewer)).json();
        (trace["spans"].as_array().unwrap().len() == 3).then_some(trace)
    });
    assert_eq!((&trace["span_count"], &trace["sources"]), (&json!(2), &json!({"otlp": 1, "xray": 2})));
    // Two datagrams and the span without a trace id.
    assert_eq!(http::get(&format!("{}/api/status", viewer.viewer)).json()["rejected"], 3);
}

/// Two levels, in a notation that parsing and serialising would change.
const SEGMENT: &str = r#"{"id":"00000000000000a1", "name":"<b>backend</b>","trace_id":"1-5759e988-bd862e3fe1be46a994272793",
    "start_time":1700000000.250000,"end_time":17000000005e-1,"unknown":{"z":1,"a":"\u003cb\u003e"},"fault":true,
    "annotations":{"n":1.0},"metadata":{"default":{"</script>":"é"}},
    "subsegments":[{"id":"00000000000000b1","name":"outer } ] \" here","start_time":1700000000.3,"end_time":1700000000.4,
      "subsegments":[{"id":"00000000000000B2","name":"inner","start_time":1700000000.31,"in_progress":true}]}]}"#;
const ALONE: &str = r#"{"id":"00000000000000c1","name":"SELECT","trace_id":"1-5759e988-bd862e3fe1be46a994272793","type":"subsegment",
    "parent_id":"00000000000000a1","start_time":1700000000.2,"end_time":1700000000.3}"#;

#[test]
fn a_document_is_returned_unchanged_with_its_size() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/api/traces/{TRACE}", viewer.viewer);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let send = |document: &str| {
        let datagram = format!("{{\"format\": \"json\", \"version\": 1}}\n{document}");
        socket.send_to(datagram.as_bytes(), &viewer.xray).unwrap();
    };
    let running = SEGMENT.replace("\"end_time\":17000000005e-1", "\"in_progress\":true");
    send(&running);
    send("{\"id\":");
    let count = |count: usize| move |list: &Value| list["documents"].as_array().is_some_and(|all| all.len() == count);
    let list = |ready: &dyn Fn(&Value) -> bool| {
        eventually("the documents", || {
            let answer = http::get(&format!("{url}/xray"));
            (answer.status == 200 && ready(&answer.json())).then_some(answer)
        })
    };
    assert_eq!(list(&count(1)).json()["documents"][0]["in_progress"], true);
    // The whole segment replaces the one sent in progress; senders may pad a datagram to the length of another.
    send(&format!("{SEGMENT}      "));
    send(ALONE);
    let answer = list(&count(2));
    let list = answer.json();
    let [alone, segment] = list["documents"].as_array().unwrap().as_slice() else { panic!("{list:#}") };
    assert_eq!((&list["trace_id"], &segment["id"]), (&json!(TRACE), &json!("00000000000000a1")));
    assert_eq!((&segment["type"], &segment["parent_id"]), (&json!("segment"), &json!(null)));
    assert_eq!((&alone["type"], &alone["parent_id"]), (&json!("subsegment"), &json!("00000000000000a1")));
    assert_eq!((&segment["bytes"], &segment["limit"]), (&json!(SEGMENT.len()), &json!(63_000)));
    assert_eq!((&segment["subsegments"], &segment["in_progress"]), (&json!(2), &json!(false)));
    assert_eq!(segment["name"], "<b>backend</b>");
    assert!(segment["received"].as_str().unwrap() > segment["start"].as_str().unwrap(), "{segment:#}");
    let body = String::from_utf8(answer.body).unwrap();
    assert!(body.contains(SEGMENT) && body.contains(ALONE), "{body}");
    for (id, text) in [("00000000000000a1", SEGMENT), ("00000000000000c1", ALONE)] {
        let document = http::get(&format!("{url}/xray/{id}"));
        assert_eq!(
            (document.header("content-type"), document.header("x-content-type-options")),
            ("application/json", "nosniff")
        );
        assert_eq!(String::from_utf8(document.body).unwrap(), text);
    }

    let trace = http::get(&url).json();
    let place = |id: &str| {
        let span = trace["spans"].as_array().unwrap().iter().find(|span| span["span_id"] == id).unwrap();
        (span["document"].as_str().unwrap().to_owned(), span["bytes"].as_u64().unwrap())
    };
    let length = |from: &str, to: &str| {
        let start = SEGMENT.find(from).unwrap();
        u64::try_from(SEGMENT[start..].find(to).unwrap() + to.len()).unwrap()
    };
    let segment = || "00000000000000a1".to_owned();
    assert_eq!(place("00000000000000a1"), (segment(), u64::try_from(SEGMENT.len()).unwrap()));
    assert_eq!(place("00000000000000b1"), (segment(), length("{\"id\":\"00000000000000b1", "true}]}")));
    assert_eq!(place("00000000000000b2"), (segment(), length("{\"id\":\"00000000000000B2", "true}")));
    assert_eq!(place("00000000000000c1").0, "00000000000000c1");
    assert_eq!(http::get(&format!("{}/api/status", viewer.viewer)).json()["rejected"], 1);
    for (path, status) in [("/xray/00000000000000b1", 404), ("/xray/zzz", 400), ("/xray/0000000000000000", 400)] {
        assert_eq!(http::get(&format!("{url}{path}")).status, status, "{path}");
    }
    let none = format!("{}/api/traces/{}/xray", viewer.viewer, TRACE.replace('5', "6"));
    let post = http::post(&format!("{url}/xray"), &json!({}));
    assert_eq!((http::get(&none).status, post.status, post.header("allow")), (404, 405, "GET, HEAD"));
}

#[test]
fn each_documented_route_exists() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let (page, _) = include_str!("../docs/src/viewer-api.md").split_once("By TCP").unwrap();
    let routes: Vec<_> =
        page.lines().filter_map(|line| line.strip_prefix("| `")?.split_once('`')?.0.split_once(' ')).collect();
    assert!(routes.len() > 5, "{routes:?}");
    for (method, path) in routes {
        let (path, _) = path.split_once('?').unwrap_or((path, ""));
        let path = path.replace("{trace_id}", TRACE).replace("{id}", "00000000000000b1");
        let refused = http::request("DELETE", &format!("{}{path}", viewer.viewer), &[]);
        assert_eq!(refused.status, 405, "{path}");
        assert!(refused.header("allow").split(", ").any(|allowed| allowed == method), "{method} {path}");
    }
}

#[test]
fn an_invalid_message_is_refused_and_the_viewer_keeps_running() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/v1/traces", viewer.viewer);
    let protobuf = [("content-type", "application/x-protobuf")];
    assert_eq!(http::send(&url, &protobuf, b"\xff\xff\xff").status, 400);
    assert_eq!(http::send(&url, &[http::JSON], b"{\"resourceSpans\": 5}").status, 400);
    assert_eq!(http::send(&url, &[("content-type", "text/plain")], b"").status, 415);
    assert_eq!(http::get(&format!("{}/api/traces/{TRACE}", viewer.viewer)).status, 404);
    assert_eq!(http::get(&format!("{}/api/traces/zzz", viewer.viewer)).status, 400);

    assert_eq!(http::send(&url, &[protobuf[0], ("content-encoding", "br")], b"x").status, 415);
    let list = http::get(&format!("{}/api/traces", viewer.viewer));
    assert_eq!(list.header("content-length"), "2", "a short response is not chunked");
    assert_eq!(http::get(&format!("{}/api/traces", viewer.viewer)).json(), json!([]));
}

/// `google.rpc.Status`
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

#[test]
fn a_failure_is_a_status_in_the_requests_encoding() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/v1/traces", viewer.viewer);
    for method in ["GET", "PUT", "DELETE", "PATCH"] {
        let answer = http::request(method, &url, &[]);
        assert_eq!((answer.status, answer.header("allow")), (405, "POST"), "{method}");
        assert_eq!((answer.header("content-type"), &answer.json()["code"]), ("application/json", &json!(12)));
    }
    let large = vec![b' '; 5 * 1024 * 1024];
    for (headers, body, status, code) in [
        (&[][..], &b"{"[..], 400, 3),
        (&[], b"[]", 400, 3),
        (&[], b" [[]]", 400, 3),
        (&[], b"null", 400, 3),
        (&[("content-encoding", "br")], b"{}", 415, 3),
        (&[("content-encoding", "gzip")], b"{}", 400, 3),
        (&[], &large, 413, 8),
    ] {
        let with = |kind| [&[("content-type", kind)], headers].concat();
        let answer = http::send(&url, &with("application/json; charset=utf-8"), body);
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/json"), "{headers:?}");
        assert_eq!(answer.json()["code"], code, "{headers:?}");
        assert!(!answer.json()["message"].as_str().unwrap().is_empty(), "{headers:?}");
        let answer = http::send(&url, &with("application/x-protobuf"), body);
        assert_eq!((answer.status, answer.header("content-type")), (status, "application/x-protobuf"), "{headers:?}");
        let status = Status::decode(&*answer.body).unwrap();
        assert_eq!((status.code, status.message.is_empty()), (code, false), "{headers:?}");
    }
    let answer = http::send(&url, &[("content-type", "text/plain")], b"{}");
    assert_eq!((answer.status, answer.header("content-type")), (415, "application/json"));

    // If all spans were accepted, the response does not mention spans.
    assert_eq!(http::post(&url, &json!({})).json(), json!({}));
    assert!(http::send(&url, &[("content-type", "application/x-protobuf")], b"").body.is_empty());
}

#[test]
fn no_page_may_frame_the_viewer() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    for path in ["/", "/viewer.js", "/api/traces", "/nowhere"] {
        let answer = http::get(&format!("{}{path}", viewer.viewer));
        let policy = answer.header("content-security-policy");
        for directive in ["default-src 'self'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'none'"] {
            assert!(policy.split("; ").any(|one| one == directive), "{path}: {policy}");
        }
    }
}

#[test]
fn a_small_body_that_inflates_takes_little_memory() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = format!("{}/v1/traces", viewer.viewer);
    let headers = [("content-type", "application/x-protobuf"), ("content-encoding", "gzip")];
    let bomb = |body: &[u8]| {
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(body).unwrap();
        http::send(&url, &headers, &gzip.finish().unwrap())
    };
    assert_eq!(bomb(&vec![0; 32 * 1024 * 1024]).status, 413);

    // A service with a name of a megabyte and 600 spans, each of which carries the name.
    let field = |number: u8, body: &[u8]| {
        let mut bytes = vec![number << 3 | 2];
        let mut length = body.len();
        while length > 127 {
            bytes.push(u8::try_from(length & 127).unwrap() | 128);
            length >>= 7;
        }
        bytes.push(u8::try_from(length).unwrap());
        bytes.extend(body);
        bytes
    };
    let name = field(1, &[field(1, b"service.name"), field(2, &field(1, &vec![b's'; 1_000_000]))].concat());
    let span = |id: u64| field(2, &[field(1, &[7; 16]), field(2, &id.to_be_bytes())].concat());
    let spans = field(2, &(1..=600).flat_map(span).collect::<Vec<_>>());
    assert_eq!(bomb(&field(1, &[field(1, &name), spans].concat())).status, 200);
    let summary = http::get(&format!("{}/api/traces", viewer.viewer));
    assert_eq!(summary.json()[0]["span_count"], 600);
    assert!(summary.body.len() < 2_000, "names in lists are cut");

    // Two million empty spans.
    assert_eq!(bomb(&field(1, &field(2, &[0x12, 0].repeat(2_000_000)))).status, 200);
    assert_eq!(http::get(&format!("{}/api/status", viewer.viewer)).json()["rejected"], 2_000_001);
    assert!(viewer.peak_memory() < 300 * 1024, "{} KiB", viewer.peak_memory());
}
