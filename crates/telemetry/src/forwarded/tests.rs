use ::http::{HeaderMap, HeaderName, HeaderValue};
use proptest::prelude::*;

use super::*;

const TRUSTED: &str = "10.0.0.0/8,127.0.0.1,2001:db8::/32";

fn headers(lines: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        let name = match *name {
            "f" => "forwarded",
            "for" => "x-forwarded-for",
            "proto" => "x-forwarded-proto",
            "host" => "x-forwarded-host",
            "port" => "x-forwarded-port",
            name => name,
        };
        headers.append(HeaderName::from_static(name), HeaderValue::from_bytes(value.as_bytes()).unwrap());
    }
    headers
}

fn connected() -> Client<'static> {
    Client { address: "10.0.0.1".parse().unwrap(), scheme: "http", host: Some("own.example".into()) }
}

fn resolved(trust: &str, lines: &[(&'static str, &str)]) -> Client<'static> {
    connected().resolve(&headers(lines), &trust.parse().unwrap()).into_owned()
}

fn address(trust: &str, lines: &[(&'static str, &str)]) -> String {
    resolved(trust, lines).address.to_string()
}

/// The scheme and host that are believed.
fn url(lines: &[(&'static str, &str)]) -> String {
    let client = resolved(TRUSTED, lines);
    format!("{}://{}", client.scheme, client.host.unwrap())
}

#[test]
fn the_rightmost_untrusted_hop_is_the_client() {
    for (lines, client) in [
        (&[("for", "192.0.2.7")][..], "192.0.2.7"),
        (&[("for", "198.51.100.1, 192.0.2.7, 10.0.0.2")], "192.0.2.7"),
        (&[("for", "198.51.100.1"), ("for", "192.0.2.7\t, 10.9.9.9")], "192.0.2.7"),
        (&[("for", "10.0.0.3, 10.0.0.2")], "10.0.0.3"),
        (&[("for", "192.0.2.7:4711, [2001:db8::1]:80, [2001:db8::2]")], "192.0.2.7"),
        (&[("for", "::ffff:192.0.2.7")], "192.0.2.7"),
        (&[("for", "192.0.2.7, unknown")], "10.0.0.1"),
        (&[("for", "192.0.2.7,, 10.0.0.2")], "10.0.0.2"),
        (&[("for", "")], "10.0.0.1"),
        (&[("for", "192.0.2.7, caf\u{e9}")], "10.0.0.1"),
        (&[("for", "\", 192.0.2.7")], "192.0.2.7"),
        (&[("f", "for=192.0.2.7;proto=https, For=\"[2001:db8::1]:4711\";by=x")], "192.0.2.7"),
        (&[("f", "for=198.51.100.1"), ("f", "proto=http; for=192.0.2.7")], "192.0.2.7"),
        (&[("f", "for=192.0.2.7;x=\"a,b;for=10.0.0.9\\\"\"")], "192.0.2.7"),
        (&[("f", "for=\"198.51.100.1, for=192.0.2.7")], "192.0.2.7"),
        (&[("f", "for=\"\\, for=\"[2001:db9::7]\"")], "2001:db9::7"),
        (&[("f", "for=192.0.2.7, for=_hidden")], "10.0.0.1"),
        (&[("f", "for=192.0.2.7, proto=http")], "10.0.0.1"),
        (&[("f", "for=192.0.2.7;for=192.0.2.8")], "10.0.0.1"),
        (&[("f", "for=2001:db8::1, for=10.0.0.2")], "10.0.0.2"),
        (&[], "10.0.0.1"),
    ] {
        assert_eq!(address(TRUSTED, lines), client, "{lines:?}");
    }
}

#[test]
fn an_untrusted_peer_is_the_client_whatever_it_claims() {
    let lines = [("for", "198.51.100.1"), ("proto", "https"), ("host", "their.example"), ("f", "for=198.51.100.1")];
    for trust in ["never", "link", "192.0.2.0/24"] {
        assert_eq!(resolved(trust, &lines), connected(), "{trust}");
    }
    assert_eq!(address("always", &[("for", "198.51.100.1, 192.0.2.7")]), "198.51.100.1");
}

#[test]
fn headers_that_disagree_are_both_ignored() {
    assert_eq!(address(TRUSTED, &[("for", "192.0.2.7"), ("f", "for=192.0.2.7")]), "192.0.2.7");
    assert_eq!(address(TRUSTED, &[("for", "1.1.1.1, 192.0.2.7"), ("f", "for=2.2.2.2, for=192.0.2.7")]), "192.0.2.7");
    assert_eq!(
        resolved(TRUSTED, &[("for", "192.0.2.7"), ("proto", "https"), ("f", "for=192.0.2.8;proto=https")]),
        connected()
    );
    assert_eq!(address(TRUSTED, &[("for", "192.0.2.7"), ("f", "for=192.0.2.8, for=10.0.0.2")]), "10.0.0.1");
    // A trusted proxy appended to both, and the one before it knew only one of them.
    assert_eq!(address(TRUSTED, &[("for", "192.0.2.7, 10.0.0.2"), ("f", "for=10.0.0.2")]), "192.0.2.7");
    assert_eq!(address(TRUSTED, &[("for", "10.0.0.2"), ("f", "for=192.0.2.7, for=10.0.0.2")]), "192.0.2.7");
    let long = "for=10.0.0.2,".repeat(400);
    assert_eq!(address(TRUSTED, &[("for", "192.0.2.7"), ("f", &long)]), "10.0.0.1");
}

#[test]
fn a_chain_is_read_within_bounds() {
    let hops = |count: usize| vec!["10.0.0.2"; count].join(",");
    assert_eq!(address(TRUSTED, &[("for", &format!("192.0.2.7,{}", hops(31)))]), "192.0.2.7");
    assert_eq!(address(TRUSTED, &[("for", &format!("192.0.2.7,{}", hops(32)))]), "10.0.0.2");
    assert_eq!(address(TRUSTED, &[("for", &" ".repeat(4_097)), ("for", "192.0.2.7")]), "10.0.0.1");
}

#[test]
fn the_scheme_is_that_of_the_client() {
    for (lines, expected) in [
        (&[("proto", "https")][..], "https"),
        (&[("proto", "HTTPS")], "https"),
        (&[("proto", "wss")], "https"),
        (&[("proto", "ws")], "http"),
        (&[("proto", "gopher")], "http"),
        (&[("proto", "https://")], "http"),
        (&[("proto", "")], "http"),
        // As many values as addresses: one for each hop.
        (&[("for", "192.0.2.7, 10.0.0.2"), ("proto", "https,http")], "https"),
        (&[("for", "198.51.100.1, 192.0.2.7"), ("proto", "https, http")], "http"),
        // Otherwise the outermost proxy's value applies to all.
        (&[("for", "192.0.2.7"), ("proto", "https,http")], "https"),
        (&[("proto", "https,http")], "https"),
        (&[("for", "192.0.2.7, 10.0.0.2"), ("proto", "https")], "https"),
        (&[("f", "for=192.0.2.7;proto=https, for=10.0.0.2;proto=http")], "https"),
        (&[("f", "for=198.51.100.1;proto=https, for=192.0.2.7;proto=http")], "http"),
        (&[("f", "For=_hidden;Proto=\"HTTPS\"")], "https"),
        (&[("f", "proto=https;proto=http")], "http"),
        (&[("for", "192.0.2.7"), ("proto", "https"), ("f", "for=192.0.2.7;proto=https")], "https"),
        (&[("for", "192.0.2.7"), ("proto", "https"), ("f", "for=192.0.2.7")], "https"),
        (&[("proto", "https"), ("f", "for=192.0.2.7")], "https"),
        (&[("for", "192.0.2.7"), ("proto", "https"), ("f", "for=192.0.2.7;proto=http")], "http"),
    ] {
        assert_eq!(resolved(TRUSTED, lines).scheme, expected, "{lines:?}");
    }
}

#[test]
fn the_host_is_the_one_that_the_client_addressed() {
    for (lines, expected) in [
        (&[("host", "app.example")][..], "http://app.example"),
        (&[("host", "app.example"), ("proto", "https"), ("port", "443")], "https://app.example"),
        (&[("host", "app.example"), ("proto", "https"), ("port", "80")], "https://app.example"),
        (&[("host", "app.example"), ("port", "8443")], "http://app.example:8443"),
        (&[("host", "app.example:3000"), ("port", "8443")], "http://app.example:3000"),
        (&[("port", "8443")], "http://own.example:8443"),
        (&[("port", "99999")], "http://own.example"),
        (&[("host", "me@app.example")], "http://own.example"),
        (&[("host", "app.example/x")], "http://own.example"),
        (&[("for", "192.0.2.7, 10.0.0.2"), ("host", "app.example, inner.example")], "http://app.example"),
        (&[("for", "198.51.100.1, 192.0.2.7"), ("host", "their.example, app.example")], "http://app.example"),
        (&[("f", "host=\"app.example:8443\";proto=https")], "https://app.example:8443"),
        (&[("f", "host=\"app\\.example\"")], "http://own.example"),
        (&[("f", "host=\"[::1]:80\"")], "http://[::1]:80"),
        (&[("f", "for=192.0.2.7;host=a.example"), ("host", "A.example"), ("port", "80")], "http://a.example"),
        (&[("f", "for=192.0.2.7;host=a.example"), ("host", "b.example")], "http://own.example"),
    ] {
        assert_eq!(url(lines), expected, "{lines:?}");
    }
}

#[test]
fn a_service_behind_a_proxy_reads_one_form() {
    let lines = [("for", "192.0.2.7"), ("proto", "https"), ("host", "app.example"), ("f", "for=192.0.2.8;proto=http")];
    let (headers, trust) = (headers(&lines), TRUSTED.parse().unwrap());
    let client = connected().resolve_behind(&headers, &trust);
    assert_eq!(
        (client.address.to_string().as_str(), client.scheme, client.host.as_deref()),
        ("192.0.2.7", "https", Some("app.example"))
    );
    assert_eq!(connected().resolve_behind(&headers, &"never".parse().unwrap()), connected());
}

#[test]
fn an_origin_is_compared_by_scheme_host_and_port() {
    let client = |scheme, host: &'static str| Client { scheme, host: Some(host.into()), ..connected() };
    for (scheme, host, origin, same) in [
        ("http", "a:3000", "http://a:3000", true),
        ("https", "A:443", "https://a", true),
        ("https", "a", "http://a", false),
        ("http", "a:3000", "http://a:8000", false),
        ("http", "a", "null", false),
        ("http", "a", "http://a.evil", false),
        ("http", "a", "http://a/x", false),
    ] {
        assert_eq!(client(scheme, host).is_origin(origin), same, "{scheme} {host} {origin}");
    }
    assert!(!Client { host: None, ..connected() }.is_origin("http://own.example"));
}

#[test]
fn ipv6_clients_count_by_their_network() {
    for (address, expected) in [
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ("2001:db8:1:2:ffff::", "2001:db8:1:2::"),
        ("192.0.2.7", "192.0.2.7"),
        ("::ffff:192.0.2.7", "192.0.2.7"),
        ("::1", "::"),
    ] {
        assert_eq!(network(address.parse().unwrap()).to_string(), expected);
    }
}

proptest! {
    #[test]
    fn any_text_leaves_a_valid_client(
        x in ".{0,60}|[0-9a-f:., \\[\\]\"]{0,60}",
        f in ".{0,60}|(for=|proto=https|host=|[0-9.:,;\"\\\\ ]){0,30}",
        proto in "(https|http|wss|,| |[a-z]){0,6}|.{0,20}",
        host in "[a-z.:@/,\\[\\]0-9 ]{0,30}",
        port in "[0-9, ]{0,8}",
    ) {
        let lines: Vec<_> = [("for", &x), ("f", &f), ("proto", &proto), ("host", &host), ("port", &port)]
            .into_iter()
            .map(|(name, value)| (name, value.as_str()))
            .filter(|(_, value)| HeaderValue::from_bytes(value.as_bytes()).is_ok())
            .collect();
        let client = resolved(TRUSTED, &lines);
        prop_assert_eq!(client.address.to_canonical(), client.address);
        prop_assert!(matches!(client.scheme, "http" | "https"));
        prop_assert!(Authority::parse(&client.host.unwrap()).is_some());
    }

    #[test]
    fn a_false_claim_of_the_client_is_ignored(lie in "[0-9a-f:.,\" ]{0,40}", client in 1u32..0x0900_0000) {
        let client = IpAddr::from(client.to_be_bytes());
        for chain in [format!("{lie}, {client}"), format!("{lie}, {client}, 10.0.0.7")] {
            prop_assert_eq!(address(TRUSTED, &[("for", &chain)]), client.to_string());
        }
    }

    #[test]
    fn an_element_from_the_client_is_ignored(lie in "(for=|proto=https|[0-9.,;\"\\\\ ]){0,12}", client in 1u32..0x0900_0000) {
        let client = IpAddr::from(client.to_be_bytes());
        for appended in [format!("{lie}, for={client};proto=http"), format!("{lie}, for=\"{client}:80\";proto=http")] {
            let found = resolved(TRUSTED, &[("f", &appended)]);
            prop_assert_eq!((found.address, found.scheme), (client, "http"));
        }
    }
}
