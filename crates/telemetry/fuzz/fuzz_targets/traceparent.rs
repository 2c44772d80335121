//! Extracts the trace context from any headers, without a panic. Trace id, flags, tracestate and baggage reach the next
//! service, and the one after that unchanged.
//!
//! Each line of the input is the value of a header. The names are those of `FIELDS`, in order and repeated.

#![no_main]

use std::net::{IpAddr, Ipv4Addr};
use std::sync::OnceLock;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use settings::Settings;
use telemetry::http::{ServerRequest, server_span};
use telemetry::propagation::{FIELDS, Incoming, Trust, extract, outgoing};
use telemetry::{Config, Telemetry};

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const REQUEST: ServerRequest<'_> = ServerRequest {
    method: "GET",
    route: None,
    path: "/",
    query: None,
    scheme: "http",
    host: None,
    peer: None,
    peer_port: None,
    client: None,
    user_agent: None,
    version: None,
};

static TELEMETRY: OnceLock<Telemetry> = OnceLock::new();

fuzz_target!(|input: &[u8]| {
    TELEMETRY.get_or_init(|| {
        Config::read(&mut Settings::from_pairs(&[])).install("fuzz").expect("installed once in this process")
    });
    let mut headers = HeaderMap::new();
    for (line, name) in input.split(|byte| *byte == b'\n').zip(FIELDS.into_iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(name, value);
        }
    }
    check(&headers);
    // The tracestate is read only with a valid traceparent.
    headers.insert("traceparent", HeaderValue::from_static(VALID));
    check(&headers);
});

fn check(headers: &HeaderMap) {
    let peers = [None, Some(Ipv4Addr::LOCALHOST), Some(Ipv4Addr::new(192, 0, 2, 1))];
    let by_name = |text: &str| text.parse::<Trust>().expect("a valid trust").with_baggage(vec!["user".to_owned()]);
    let mut seen = Vec::new();
    for trust in [Trust::ALWAYS, Trust::loopback(), by_name("link"), by_name("never"), by_name("192.0.2.0/24")] {
        for peer in peers.map(|peer| peer.map(IpAddr::from)) {
            let incoming = extract(headers, &trust, peer);
            assert!(trust != by_name("never") || incoming == Incoming::default(), "some context was not ignored: {incoming:?}");
            if seen.contains(&incoming) {
                continue;
            }
            let next = propagated(&incoming);
            let after = propagated(&extract(&next, &Trust::ALWAYS, None));
            for name in FIELDS {
                assert_eq!(without_span(name, &next), without_span(name, &after), "{name} changed");
            }
            let state = next.get("tracestate").and_then(|state| state.to_str().ok()).unwrap_or_default();
            let keys: Vec<_> = state.split(',').filter_map(|member| member.split_once('=')).map(|(key, _)| key).collect();
            assert!((1..keys.len()).all(|index| !keys[..index].contains(&keys[index])), "a key appears twice: {state}");
            seen.push(incoming);
        }
    }
}

/// The headers that a service with the context `incoming` sends to the next service.
fn propagated(incoming: &Incoming) -> HeaderMap {
    let span = server_span(&REQUEST, incoming);
    let pair = |(name, value): (&'static str, String)| {
        (HeaderName::from_static(name), HeaderValue::from_str(&value).expect("a valid header"))
    };
    outgoing(&span).into_iter().map(pair).collect()
}

/// A header's value without the id of the span, which differs in each service.
fn without_span(name: &str, headers: &HeaderMap) -> Option<Vec<u8>> {
    let mut value = headers.get(name)?.as_bytes().to_vec();
    let span = match name {
        "traceparent" => 36..52,
        "x-amzn-trace-id" => 48..64,
        _ => 0..0,
    };
    value.get_mut(span).expect("our headers have a fixed length").fill(b'-');
    Some(value)
}
