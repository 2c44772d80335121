//! The page's spans: accepted from pages of this origin, for traces that were served here, and delivered with our own.

use std::io::Write;
use std::net::TcpStream;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::{ExportTraceServiceRequest, ExportTraceServiceResponse};
use prost::Message;
use serde_json::{Value, json};

use crate::listeners::gzip;
use crate::proxy::read_head;
use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::http::{self, Answer, JSON};
use crate::support::upstream::Upstream;
use crate::support::{Folder, eventually};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");

/// The page's knowledge of the trace that served it.
struct ServedPage {
    trace: String,
    parent: String,
    token: String,
}

impl ServedPage {
    fn of(proxy: &Cruddur) -> Self {
        let html = String::from_utf8(proxy.get("/").body).unwrap();
        let meta = |name: &str| {
            let (_, rest) = html.split_once(&format!("<meta name=\"{name}\" content=\"")).unwrap();
            rest.split('"').next().unwrap().to_owned()
        };
        let context = meta("traceparent");
        let [_, trace, parent, _] = context.split('-').collect::<Vec<_>>()[..] else { panic!("{context}") };
        Self { trace: trace.to_owned(), parent: parent.to_owned(), token: meta("trace-token") }
    }

    fn span(&self, id: &str) -> Value {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let at = |time: Duration| time.as_nanos().to_string();
        json!({"traceId": self.trace, "spanId": id, "parentSpanId": self.parent, "flags": 0x301, "name": "documentLoad", "kind": 1,
            "startTimeUnixNano": at(now - Duration::from_millis(90)), "endTimeUnixNano": at(now),
            "attributes": [text("telemetry.relay.token", &self.token), text("url.path", "/"), text("user.id", "canary")]})
    }
}

fn text(key: &str, value: &str) -> Value {
    json!({"key": key, "value": {"stringValue": value}})
}

fn message(spans: &[Value]) -> Value {
    message_of("cruddur-page", spans)
}

fn message_of(service: &str, spans: &[Value]) -> Value {
    json!({"resourceSpans": [{"resource": {"attributes": [text("service.name", service)]}, "scopeSpans": [{"spans": spans}]}]})
}

fn relay(proxy: &Cruddur, headers: &[(&str, &str)], body: &[u8]) -> Answer {
    http::send(&format!("{}/v1/traces", proxy.page), headers, body)
}

fn relay_json(proxy: &Cruddur, message: &Value) -> Answer {
    relay(proxy, &[JSON, SAME], message.to_string().as_bytes())
}

#[test]
fn a_pages_span_reaches_every_destination_and_is_in_the_ledger() {
    const KEY: &str = "hcaik_a_key_of_this_test";
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let page = ServedPage::of(&cruddur);
    let answer = relay_json(&cruddur, &message(&[page.span("00000000000000a1")]));
    assert_eq!((answer.status, answer.json()), (200, json!({})));

    let spans = cruddur.spans(&page.trace, 2);
    let of_page: Vec<_> = spans.iter().filter(|span| span["service"] == "cruddur-page").collect();
    assert_eq!(of_page.len(), 2, "by OTLP and to X-Ray, as a separate service: {spans:#?}");
    let otlp = of_page.iter().find(|span| span["source"] == "otlp").unwrap();
    assert_eq!((&otlp["name"], &otlp["parent_span_id"]), (&json!("documentLoad"), &json!(page.parent)), "{otlp:#}");
    assert_eq!(otlp["attributes"]["telemetry.relayed"], true);
    assert!(!spans.iter().any(|span| span.to_string().contains("canary") || span.to_string().contains(&page.token)));

    let names =
        eventually("two spans at Honeycomb", || Some(honeycomb.spans(&page.trace)).filter(|names| names.len() == 2));
    assert!(names.contains(&"documentLoad".to_owned()), "{names:?}");
    let ledger = cruddur.get("/health/telemetry").json();
    for account in ledger["destinations"].as_array().unwrap() {
        let of = |key: &str| account[key].as_u64().unwrap();
        assert_eq!((of("created"), of("delivered") + of("queued")), (2, 2), "{account}");
    }
}

#[test]
fn both_encodings_are_accepted_plain_and_gzipped_and_answered_in_kind() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let page = ServedPage::of(&proxy);
    let mut forged = page.span("00000000000000a2");
    forged["traceId"] = json!("6b02f03a54f4980499a5c1872558fcbf");
    let message = message(&[page.span("00000000000000a1"), forged]);
    let json = message.to_string().into_bytes();
    let protobuf = serde_json::from_value::<ExportTraceServiceRequest>(message).unwrap().encode_to_vec();
    for packed in [false, true] {
        let encoding = ("content-encoding", if packed { "gzip" } else { "identity" });
        let pack = |body: &[u8]| if packed { gzip(body) } else { body.to_vec() };
        let answer = relay(&proxy, &[JSON, SAME, encoding], &pack(&json));
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/json"));
        assert_eq!(answer.json()["partialSuccess"]["rejectedSpans"], "1");
        let answer = relay(&proxy, &[PROTOBUF, SAME, encoding], &pack(&protobuf));
        assert_eq!((answer.status, answer.header("content-type")), (200, "application/x-protobuf"));
        let partial = ExportTraceServiceResponse::decode(&*answer.body).unwrap().partial_success.unwrap();
        assert_eq!(partial.rejected_spans, 1);
        assert!(partial.error_message.contains("token"), "{}", partial.error_message);
    }
}

#[test]
fn spans_without_a_token_or_for_another_service_are_rejected() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let page = ServedPage::of(&proxy);
    let rejected = |message: &Value| {
        let answer = relay_json(&proxy, message);
        assert_eq!(answer.status, 200);
        answer.json()["partialSuccess"]["errorMessage"].as_str().unwrap_or_default().to_owned()
    };
    let span = || page.span("00000000000000a1");
    let with = |member: &str, value: Value| {
        let mut span = span();
        span[member] = value;
        message(&[span])
    };
    for (message, why) in [
        (message_of("backend", &[span()]), "service"),
        (with("attributes", json!([])), "token"),
        (with("attributes", json!([text("telemetry.relay.token", &page.token.replace('-', "-0"))])), "token"),
        (with("traceId", json!("6b02f03a54f4980499a5c1872558fcbf")), "token"),
        (with("kind", json!(2)), "INTERNAL"),
        (with("endTimeUnixNano", json!("9000000000000000000")), "future"),
    ] {
        assert!(rejected(&message).contains(why), "{why}");
    }
    assert_eq!(rejected(&message(&[span()])), "");
    let metrics = String::from_utf8(proxy.get("/metrics").body).unwrap();
    for (labels, count) in [
        ("outcome=\"accepted\"", 1),
        ("outcome=\"rejected\",reason=\"token\"", 3),
        ("outcome=\"rejected\",reason=\"time\"", 1),
    ] {
        assert!(metrics.contains(&format!("frontend_proxy_relay_spans_total{{{labels}}} {count}\n")), "{metrics}");
    }
}

#[test]
fn an_invalid_message_is_refused_with_its_reason() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let body = message(&[ServedPage::of(&proxy).span("00000000000000a1")]).to_string().into_bytes();
    let bomb = gzip(&vec![b' '; 3 * 1024 * 1024]);
    let here = format!("http://{}", proxy.page.trim_start_matches("http://"));
    assert_eq!(relay(&proxy, &[JSON, ("origin", &here)], &body).status, 200);
    for (headers, body, status) in [
        (&[JSON][..], &body, 403),
        (&[JSON, ("sec-fetch-site", "cross-site")], &body, 403),
        (&[JSON, ("sec-fetch-site", "cross-site"), ("origin", &here)], &body, 403),
        (&[JSON, ("origin", "http://evil.example")], &body, 403),
        (&[SAME, ("content-type", "text/plain")], &body, 415),
        (&[SAME, JSON, ("content-encoding", "br")], &body, 415),
        (&[SAME, JSON, ("content-encoding", "gzip")], &body, 400),
        (&[SAME, JSON], &b"{".to_vec(), 400),
        (&[SAME, PROTOBUF], &body, 400),
        (&[SAME, JSON, ("content-encoding", "gzip")], &bomb, 413),
    ] {
        let answer = relay(&proxy, headers, body);
        assert_eq!(answer.status, status, "{headers:?}");
        if answer.header("content-type") == "application/json" {
            assert!(!answer.json()["message"].as_str().unwrap().is_empty(), "{headers:?}");
        }
    }
    // The request declares its size, so the proxy does not wait for the body.
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    let head =
        "POST /v1/traces HTTP/1.1\r\nhost: x\r\nsec-fetch-site: same-origin\r\ncontent-type: application/json\r\n";
    write!(client, "{head}content-length: {}\r\n\r\n", 512 * 1024 + 1).unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 413 Payload Too Large");
    let get = http::request("GET", &format!("{}/v1/traces", proxy.page), &[SAME]);
    assert_eq!((get.status, get.header("allow")), (405, "POST"));
}

#[test]
fn a_client_that_sends_too_often_gets_retry_after() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let empty = json!({});
    let refused = eventually("a refusal", || {
        let answer = relay_json(&proxy, &empty);
        (answer.status != 200).then_some(answer)
    });
    assert_eq!(refused.status, 429);
    assert!(refused.header("retry-after").parse::<u64>().is_ok_and(|seconds| seconds >= 1));
}

#[test]
fn a_page_cannot_push_our_spans_out_of_the_queues() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let page = ServedPage::of(&proxy);
    let many: Vec<Value> = (1..=512).map(|id| page.span(&format!("{id:016x}"))).collect();
    let message = message(&many);
    let accepted = (0..8).map(|_| relay_json(&proxy, &message).status).filter(|status| *status == 200).count();
    assert!((4..8).contains(&accepted), "{accepted} messages of 512 spans");
    assert_eq!(relay_json(&proxy, &json!({})).status, 200, "another message is still accepted");
}

#[test]
fn proxies_with_one_key_accept_each_others_tokens() {
    let shared = [("CRUDDUR_RELAY_KEY", "a key of at least thirty-two characters")];
    let [one, other, alone] =
        [&shared[..], &shared[..], &[]].map(|variables| Cruddur::service("frontend-proxy", variables));
    let message = message(&[ServedPage::of(&one).span("00000000000000a1")]);
    assert_eq!(relay_json(&other, &message).json(), json!({}));
    assert_eq!(relay_json(&alone, &message).json()["partialSuccess"]["rejectedSpans"], "1");
}

/// The page uses the trace in a response's headers, as any page's own script can read them.
#[test]
fn a_page_of_another_service_may_send_spans_too() {
    let (upstream, folder) = (Upstream::start(), Folder::new());
    let routes = folder.path().join("routes.toml");
    std::fs::write(&routes, format!("[[route]]\nprefix = \"/\"\nupstreams = [\"{}\"]\n", upstream.address)).unwrap();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", routes.to_str().unwrap())]);
    let answer = http::request("GET", &format!("{}/", proxy.page), &[("trace-token", "?")]);
    assert!(!upstream.head().iter().any(|line| line.starts_with("trace-token")));
    let timing = answer.header("server-timing").to_owned();
    let parent = timing.split('-').nth(2).unwrap().to_owned();
    let page = ServedPage { trace: answer.trace_id(), parent, token: answer.header("trace-token").to_owned() };
    assert_eq!(relay_json(&proxy, &message(&[page.span("00000000000000a1")])).json(), json!({}));
}

#[test]
fn the_relay_can_be_turned_off() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_RELAY_SERVICES", "none")]);
    assert_eq!(relay_json(&proxy, &json!({})).status, 404);
    assert!(!String::from_utf8(proxy.get("/").body).unwrap().contains("trace-token"));
}
