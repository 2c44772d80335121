//! Any text is trust or an error, spaces around networks mean nothing, no peer makes a verdict panic, and who is named by
//! an address is continued.
//!
//! The first line of the input is the trust, each further one the address of a peer.

#![no_main]

use std::net::IpAddr;

use http::{HeaderMap, HeaderValue};
use libfuzzer_sys::fuzz_target;
use telemetry::propagation::{Trust, extract};

const VALID: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

fuzz_target!(|input: &[u8]| {
    let Ok(text) = std::str::from_utf8(input) else { return };
    let mut lines = text.split('\n');
    let line = lines.next().unwrap_or_default();
    let Ok(trust) = line.parse::<Trust>() else { return };
    let spaced: Trust = line.replace(',', " , ").parse().expect("spaces mean nothing");
    assert_eq!(spaced, trust);
    let headers =
        HeaderMap::from_iter([(http::header::HeaderName::from_static("traceparent"), HeaderValue::from_static(VALID))]);
    for peer in lines.filter_map(|line| line.parse::<IpAddr>().ok()) {
        let _ = extract(&headers, &trust, Some(peer));
        check(&headers, peer);
    }
    for peer in line.split(',').filter_map(|network| network.trim().parse::<IpAddr>().ok()) {
        assert_eq!(extract(&headers, &trust, Some(peer)), extract(&headers, &Trust::ALWAYS, None), "{peer} is named");
    }
});

/// Every network that holds `peer`, written with each prefix, continues it.
fn check(headers: &HeaderMap, peer: IpAddr) {
    let prefixes = match (peer, peer.to_canonical()) {
        (IpAddr::V4(_), _) => 0..=32,
        // A wider network than that of all IPv4 addresses is one of IPv6.
        (IpAddr::V6(_), IpAddr::V4(_)) => 96..=128,
        (IpAddr::V6(_), IpAddr::V6(_)) => 0..=128,
    };
    for prefix in prefixes {
        let trust: Trust = format!("{peer}/{prefix}").parse().expect("it is a network");
        let incoming = extract(headers, &trust, Some(peer));
        assert_eq!(incoming, extract(headers, &Trust::ALWAYS, None), "{peer}/{prefix}");
    }
}
