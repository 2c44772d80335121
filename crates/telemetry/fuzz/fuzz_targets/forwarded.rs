//! Resolves the client of a request with any forwarding headers, without a panic. The headers of an untrusted peer change
//! nothing, the result is always valid, and the next service reads the same client from the headers that it receives.
//!
//! Each line of the input is the value of a header. The names are those of `NAMES`, in order and repeated.

#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use telemetry::forwarded::Client;
use telemetry::propagation::Trust;

const NAMES: [&str; 5] = ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];

fuzz_target!(|input: &[u8]| {
    let mut headers = HeaderMap::new();
    for (line, name) in input.split(|byte| *byte == b'\n').zip(NAMES.into_iter().cycle()) {
        if let Ok(value) = HeaderValue::from_bytes(line) {
            headers.append(HeaderName::from_static(name), value);
        }
    }
    let mut forwarded = headers.clone();
    let mut x_forwarded = headers.clone();
    x_forwarded.remove("forwarded");
    NAMES[1..].iter().for_each(|name| drop(forwarded.remove(*name)));
    for headers in [&headers, &forwarded, &x_forwarded] {
        for trust in ["always", "10.0.0.0/8,2001:db8::/32", "never"] {
            check(headers, &trust.parse().expect("trust"));
        }
    }
});

fn connected() -> Client<'static> {
    Client { address: IpAddr::from([10, 0, 0, 1]), scheme: "http", host: Some("own.example".into()) }
}

fn check(headers: &HeaderMap, trust: &Trust) {
    for client in [connected().resolve(headers, trust), connected().resolve_behind(headers, trust)] {
        if !trust.trusts(connected().address) {
            assert_eq!(client, connected(), "an untrusted peer's headers were used");
        }
        assert_eq!(client.address, client.address.to_canonical());
        assert!(matches!(client.scheme, "http" | "https"));
        let host = client.host.as_deref().expect("at least the connection's own host");
        let is_written = |byte: u8| byte.is_ascii_graphic() && !b"\"\\/?#@,".contains(&byte);
        assert!(!host.is_empty() && host.bytes().all(is_written), "{host}");
        let node = match client.address {
            IpAddr::V4(address) => address.to_string(),
            IpAddr::V6(address) => format!("\"[{address}]\""),
        };
        let mut next = HeaderMap::new();
        for (name, text) in [
            ("x-forwarded-for", client.address.to_string()),
            ("x-forwarded-proto", client.scheme.to_owned()),
            ("x-forwarded-host", host.to_owned()),
            ("forwarded", format!("for={node};host=\"{host}\";proto={}", client.scheme)),
        ] {
            next.insert(HeaderName::from_static(name), HeaderValue::try_from(text).expect("a valid header"));
        }
        let near: Trust = "10.0.0.1".parse().expect("an address");
        assert_eq!(connected().resolve(&next, &near), client, "the next service finds a different client");
        assert_eq!(connected().resolve_behind(&next, &near), client, "the next service finds a different client");
    }
}
