//! Who asks, where it is not who is connected: read from `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)) or
//! `X-Forwarded-For`, from the right, as far as those who wrote are trusted. A proxy adds to the right; what stands left of
//! the first address that is not trusted is that caller's own word and is not read. Bounded; believes nothing of what it
//! cannot read.

use std::net::{IpAddr, SocketAddr};

use http::HeaderMap;
use http::header::{self, HeaderName};
use telemetry::propagation::Trust;

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// Hops that are read.
const MAX_HOPS: usize = 32;
/// Bytes of all headers of one name; of what is longer nothing is read.
const MAX_BYTES: usize = 4_096;

/// The right-most address of the chain that is not trusted, or its left-most where all are. Where both headers are there, one
/// may be longer, if somebody trusted wrote only that; where they disagree, one of them was written by nobody who is
/// trusted, and neither is believed.
pub(crate) fn find(headers: &HeaderMap, trust: &Trust, peer: IpAddr) -> IpAddr {
    let peer = peer.to_canonical();
    if !trust.trusts(peer) {
        return peer;
    }
    let forwarded = chain(headers, &header::FORWARDED, elements);
    let x_forwarded_for = chain(headers, &X_FORWARDED_FOR, addresses);
    match (forwarded, x_forwarded_for) {
        (None, None) => peer,
        (Some(hops), None) | (None, Some(hops)) => walk(&hops, trust, peer),
        (Some(one), Some(other)) => {
            let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
            let client = walk(&long, trust, peer);
            if long.ends_with(&short) || client == walk(&short, trust, peer) { client } else { peer }
        }
    }
}

/// A hop of the chain; `None` where the text names no address.
type Hop = Option<IpAddr>;

fn walk(hops: &[Hop], trust: &Trust, peer: IpAddr) -> IpAddr {
    let mut nearest = peer;
    for hop in hops.iter().rev().take(MAX_HOPS) {
        match hop {
            Some(address) if trust.trusts(*address) => nearest = *address,
            Some(address) => return *address,
            None => return nearest,
        }
    }
    nearest
}

/// All hops, in order; `None` without such a header. One that is too long or no text ends the chain.
fn chain(headers: &HeaderMap, name: &HeaderName, read: impl Fn(&str, &mut Vec<Hop>)) -> Option<Vec<Hop>> {
    let mut hops = Vec::new();
    let (mut bytes, mut there) = (0, false);
    for value in headers.get_all(name) {
        there = true;
        bytes += value.len();
        match value.to_str() {
            Ok(text) if bytes <= MAX_BYTES => read(text, &mut hops),
            _ => hops.push(None),
        }
    }
    if bytes > MAX_BYTES {
        hops = vec![None];
    }
    there.then_some(hops)
}

fn addresses(list: &str, hops: &mut Vec<Hop>) {
    hops.extend(list.split(',').map(|text| address(text.trim_matches([' ', '\t']))));
}

/// The elements of a `Forwarded` header: each is pairs, of which `for` names the hop.
fn elements(list: &str, hops: &mut Vec<Hop>) {
    for element in unquoted(list, ',') {
        let mut named = unquoted(element, ';').filter_map(|pair| {
            let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
            name.eq_ignore_ascii_case("for").then_some(value)
        });
        hops.push(match (named.next(), named.next()) {
            (Some(value), None) => node(value),
            _ => None,
        });
    }
}

/// A token, or a quoted text; no address needs a backslash.
fn node(value: &str) -> Hop {
    match value.strip_prefix('"') {
        Some(quoted) => address(quoted.strip_suffix('"')?),
        None => address(value).filter(IpAddr::is_ipv4),
    }
}

/// An address, with or without a port; IPv6 in brackets where there is one.
fn address(text: &str) -> Hop {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Splits where `separator` is not within quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let (mut quoted, mut escaped) = (false, false);
    text.split(move |character| {
        let ends = character == separator && !quoted;
        match character {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            _ => {}
        }
        ends
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;

    use super::*;

    const TRUSTED: &str = "10.0.0.0/8,127.0.0.1,2001:db8::/32";

    /// Lines of `x:`, `f:` for either header; the peer is 10.0.0.1 unless said.
    fn found(trust: &str, lines: &[(&'static str, &str)]) -> String {
        let mut headers = HeaderMap::new();
        for (name, value) in lines {
            let name = if *name == "f" { header::FORWARDED } else { X_FORWARDED_FOR };
            headers.append(name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        find(&headers, &trust.parse().unwrap(), "10.0.0.1".parse().unwrap()).to_string()
    }

    #[test]
    fn the_right_most_that_is_not_trusted_asks() {
        for (lines, client) in [
            (&[("x", "192.0.2.7")][..], "192.0.2.7"),
            (&[("x", "198.51.100.1, 192.0.2.7, 10.0.0.2")], "192.0.2.7"),
            (&[("x", "198.51.100.1"), ("x", "192.0.2.7\t, 10.9.9.9")], "192.0.2.7"),
            (&[("x", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
            (&[("x", "192.0.2.7:4711, [2001:db8::1]:80, [2001:db8::2]")], "192.0.2.7"),
            (&[("x", "::ffff:192.0.2.7")], "192.0.2.7"),
            (&[("x", "192.0.2.7, unknown")], "10.0.0.1"),
            (&[("x", "192.0.2.7,, 10.0.0.2")], "10.0.0.2"),
            (&[("x", "")], "10.0.0.1"),
            (&[("x", "192.0.2.7, caf\u{e9}")], "10.0.0.1"),
            (&[("f", "for=192.0.2.7;proto=https, For=\"[2001:db8::1]:4711\";by=x")], "192.0.2.7"),
            (&[("f", "for=198.51.100.1"), ("f", "proto=http; for=192.0.2.7")], "192.0.2.7"),
            (&[("f", "for=192.0.2.7;x=\"a,b;for=10.0.0.9\\\"\"")], "192.0.2.7"),
            (&[("f", "for=192.0.2.7, for=_hidden")], "10.0.0.1"),
            (&[("f", "for=192.0.2.7, proto=http")], "10.0.0.1"),
            (&[("f", "for=192.0.2.7;for=192.0.2.8")], "10.0.0.1"),
            (&[("f", "for=2001:db8::1, for=10.0.0.2")], "10.0.0.2"),
            (&[], "10.0.0.1"),
        ] {
            assert_eq!(found(TRUSTED, lines), client, "{lines:?}");
        }
    }

    #[test]
    fn who_is_not_trusted_says_nothing_of_others() {
        for trust in ["never", "link", "192.0.2.0/24"] {
            assert_eq!(found(trust, &[("x", "198.51.100.1")]), "10.0.0.1", "{trust}");
        }
        assert_eq!(found("always", &[("x", "198.51.100.1, 192.0.2.7")]), "198.51.100.1");
    }

    #[test]
    fn two_headers_that_disagree_say_nothing() {
        assert_eq!(found(TRUSTED, &[("x", "192.0.2.7"), ("f", "for=192.0.2.7")]), "192.0.2.7");
        assert_eq!(found(TRUSTED, &[("x", "1.1.1.1, 192.0.2.7"), ("f", "for=2.2.2.2, for=192.0.2.7")]), "192.0.2.7");
        assert_eq!(found(TRUSTED, &[("x", "192.0.2.7"), ("f", "for=192.0.2.8")]), "10.0.0.1");
        assert_eq!(found(TRUSTED, &[("x", "192.0.2.7"), ("f", "for=192.0.2.8, for=10.0.0.2")]), "10.0.0.1");
        // Somebody who is trusted added to both, and the one before knew but one of them.
        assert_eq!(found(TRUSTED, &[("x", "192.0.2.7, 10.0.0.2"), ("f", "for=10.0.0.2")]), "192.0.2.7");
        assert_eq!(found(TRUSTED, &[("x", "10.0.0.2"), ("f", "for=192.0.2.7, for=10.0.0.2")]), "192.0.2.7");
        let long = "for=10.0.0.2,".repeat(400);
        assert_eq!(found(TRUSTED, &[("x", "192.0.2.7"), ("f", &long)]), "10.0.0.1");
    }

    #[test]
    fn a_chain_is_read_within_bounds() {
        let hops = |count: usize| vec!["10.0.0.2"; count].join(",");
        assert_eq!(found(TRUSTED, &[("x", &format!("192.0.2.7,{}", hops(31)))]), "192.0.2.7");
        assert_eq!(found(TRUSTED, &[("x", &format!("192.0.2.7,{}", hops(32)))]), "10.0.0.2");
        assert_eq!(found(TRUSTED, &[("x", &" ".repeat(4_097)), ("x", "192.0.2.7")]), "10.0.0.1");
    }

    proptest! {
        #[test]
        fn any_text_is_a_chain_or_none(x in ".{0,60}|[0-9a-f:., \\[\\]]{0,60}", f in ".{0,60}|(for=|[0-9.:,;\"\\\\ ]){0,30}") {
            let lines: Vec<_> = [("x", x.as_str()), ("f", f.as_str())]
                .into_iter()
                .filter(|(_, value)| HeaderValue::from_bytes(value.as_bytes()).is_ok())
                .collect();
            let client: IpAddr = found(TRUSTED, &lines).parse().unwrap();
            // Whoever is found stands in one of the texts, or is the peer.
            prop_assert!(client.to_canonical() == client);
        }

        #[test]
        fn what_a_stranger_writes_is_not_believed(lie in "[0-9a-f:., ]{0,40}", stranger in 1u32..0x0900_0000) {
            let stranger = IpAddr::from(stranger.to_be_bytes());
            for chain in [format!("{lie}, {stranger}"), format!("{lie}, {stranger}, 10.0.0.7")] {
                prop_assert_eq!(found(TRUSTED, &[("x", &chain)]), stranger.to_string());
            }
        }
    }
}
