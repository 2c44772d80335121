//! Parses any text as trust, without a panic. Spaces around networks are ignored. No peer causes a panic, and the trace of a
//! peer whose address is listed is continued.
//!
//! The first line of the input is the trust, each further line the address of a peer.

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
    let spaced: Trust = line.replace(',', " , ").parse().expect("spaces are ignored");
    assert_eq!(spaced, trust);
    let headers =
        HeaderMap::from_iter([(http::header::HeaderName::from_static("traceparent"), HeaderValue::from_static(VALID))]);
    for peer in lines.filter_map(|line| line.parse::<IpAddr>().ok()) {
        let _ = extract(&headers, &trust, Some(peer));
        check(&headers, peer);
    }
    for peer in line.split(',').filter_map(|network| network.trim().parse::<IpAddr>().ok()) {
        assert_eq!(extract(&headers, &trust, Some(peer)), extract(&headers, &Trust::ALWAYS, None), "{peer} is listed");
    }
});

/// Checks that trust in any network that contains `peer` continues the peer's trace.
fn check(headers: &HeaderMap, peer: IpAddr) {
    let prefixes = match (peer, peer.to_canonical()) {
        (IpAddr::V4(_), _) => 0..=32,
        // A network wider than all IPv4 addresses is an IPv6 network.
        (IpAddr::V6(_), IpAddr::V4(_)) => 96..=128,
        (IpAddr::V6(_), IpAddr::V6(_)) => 0..=128,
    };
    for prefix in prefixes {
        let trust: Trust = format!("{peer}/{prefix}").parse().expect("a valid network");
        let incoming = extract(headers, &trust, Some(peer));
        assert_eq!(incoming, extract(headers, &Trust::ALWAYS, None), "{peer}/{prefix}");
    }
}
