//! What is believed about a client: its address, scheme and host are decided once, at the edge, from the trusted peers. The
//! upstreams, the cookies, the limits and the spans all use that one decision.

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::http::{Answer, Headers, JSON};
use crate::support::person::PASSWORD;
use crate::support::upstream::{Upstream, values};
use crate::support::{Folder, http};

/// A backend behind a proxy.
struct Site {
    backend: Cruddur,
    proxy: Cruddur,
    _data: Folder,
}

impl Site {
    fn start(proxy: &[(&str, &str)]) -> Self {
        let data = Folder::new();
        let backend = backend(&data, &[]);
        let own = [("CRUDDUR_UPSTREAM", backend.backend.as_str())];
        let proxy = Cruddur::service("frontend-proxy", &[&own, proxy].concat());
        Self { backend, proxy, _data: data }
    }
}

fn backend(data: &Folder, variables: &[(&str, &str)]) -> Cruddur {
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    Cruddur::service("backend", &[&own, variables].concat())
}

fn sign_in(base: &str, login: &str, password: &str, headers: Headers<'_>) -> Answer {
    let body = json!({"login": login, "password": password}).to_string();
    http::send(&format!("{base}/api/auth/signin"), &[&[JSON], headers].concat(), body.as_bytes())
}

/// Whether the session cookie that `base` sets is restricted to HTTPS.
fn is_secure(base: &str, login: &str, headers: Headers<'_>) -> bool {
    let answer = sign_in(base, login, PASSWORD, headers);
    assert_eq!(answer.status, 200, "{headers:?}");
    answer.header("set-cookie").contains("; Secure")
}

#[test]
fn every_upstream_receives_one_client_in_forms_that_agree() {
    let upstream = Upstream::start();
    let trusting = [("CRUDDUR_UPSTREAM", &*upstream.address), ("TRACE_TRUST", "127.0.0.0/8,10.0.0.0/8")];
    let trusting = Cruddur::service("frontend-proxy", &trusting);
    let suspicious = [("CRUDDUR_UPSTREAM", &*upstream.address), ("TRACE_TRUST", "10.0.0.0/8")];
    let suspicious = Cruddur::service("frontend-proxy", &suspicious);
    let own = ("127.0.0.1", "http", "cruddur.example");
    let cases: [(Headers<'_>, (&str, &str, &str)); 11] = [
        (&[], own),
        (&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")], ("192.0.2.7", "https", own.2)),
        (
            &[("X-Forwarded-Proto", "HTTPS"), ("x-forwarded-host", "app.example"), ("x-forwarded-port", "443")],
            (own.0, "https", "app.example"),
        ),
        (
            &[("x-forwarded-for", "198.51.100.1, 192.0.2.7, 10.0.0.3"), ("x-forwarded-proto", "http,https,http")],
            ("192.0.2.7", "https", own.2),
        ),
        (
            &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https;host=\"a.example:8443\", for=10.0.0.3;proto=http")],
            ("2001:db8::7", "https", "a.example:8443"),
        ),
        (
            &[("forwarded", "for=192.0.2.7;proto=wss"), ("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "wss")],
            ("192.0.2.7", "https", own.2),
        ),
        (
            &[("x-forwarded-proto", "https,http"), ("x-forwarded-port", "8443")],
            (own.0, "https", "cruddur.example:8443"),
        ),
        (&[("x-forwarded-proto", "gopher"), ("x-forwarded-host", "me@evil.example")], own),
        (&[("forwarded", "for=192.0.2.7;proto=https"), ("x-forwarded-for", "192.0.2.8")], own),
        (&[("x-real-ip", "192.0.2.9"), ("true-client-ip", "192.0.2.9"), ("front-end-https", "on")], own),
        (&[("x-forwarded-ssl", "on"), ("x-forwarded-scheme", "https"), ("cf-connecting-ip", "192.0.2.9")], own),
    ];
    for (headers, expected) in cases {
        for (proxy, expected) in [(&trusting, expected), (&suspicious, own)] {
            let headers = [&[("host", "cruddur.example")], headers].concat();
            assert_eq!(http::request("GET", &format!("{}/api/x", proxy.page), &headers).status, 200);
            let head = upstream.head();
            let (address, scheme, host) = expected;
            assert_eq!(values(&head, "x-forwarded-for"), [address], "{headers:?}");
            assert_eq!(values(&head, "x-forwarded-proto"), [scheme], "{headers:?}");
            assert_eq!(values(&head, "x-forwarded-host"), [host], "{headers:?}");
            let node = if address.contains(':') { format!("\"[{address}]\"") } else { address.to_owned() };
            assert_eq!(
                values(&head, "forwarded"),
                [format!("for={node};host=\"{host}\";proto={scheme}")],
                "{headers:?}"
            );
            let others = ["x-forwarded-port", "x-forwarded-ssl", "x-forwarded-scheme", "x-real-ip", "true-client-ip"];
            for name in others.iter().chain(&["front-end-https", "cf-connecting-ip"]) {
                assert_eq!(values(&head, name), Vec::<&str>::new(), "{name} {headers:?}");
            }
        }
    }
    // Only a trusted proxy may send forwarded headers other than those of address, scheme and host.
    for (proxy, user) in [(&trusting, vec!["andrew"]), (&suspicious, vec![])] {
        http::request("GET", &format!("{}/api/x", proxy.page), &[("x-forwarded-user", "andrew")]);
        assert_eq!(values(&upstream.head(), "x-forwarded-user"), user);
    }
}

#[test]
fn the_connection_header_cannot_remove_the_clients_identity() {
    let upstream = Upstream::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &*upstream.address)]);
    let headers = [("x-forwarded-for", "192.0.2.7"), ("connection", "x-forwarded-for, forwarded, x-forwarded-proto")];
    http::request("GET", &format!("{}/api/x", proxy.page), &headers);
    let head = upstream.head();
    let count = |name| values(&head, name).len();
    assert_eq!([count("x-forwarded-for"), count("forwarded"), count("x-forwarded-proto")], [1, 1, 1]);
}

#[test]
fn a_cookie_is_secure_if_the_client_reached_a_trusted_proxy_by_https() {
    let site = Site::start(&[]);
    let login = site.backend.person().handle;
    for (headers, secure) in [
        (&[][..], false),
        (&[("x-forwarded-for", "192.0.2.7"), ("x-forwarded-proto", "https")], true),
        (&[("x-forwarded-proto", "HTTPS")], true),
        (&[("x-forwarded-proto", "https,http")], true),
        (&[("x-forwarded-proto", "http")], false),
        (&[("x-forwarded-proto", "gopher")], false),
        (&[("forwarded", "for=192.0.2.7;proto=https")], true),
        (&[("forwarded", "for=192.0.2.7;proto=https"), ("x-forwarded-for", "192.0.2.7")], true),
    ] {
        assert_eq!(is_secure(&site.proxy.page, &login, headers), secure, "{headers:?}");
    }
    let suspicious = [("CRUDDUR_UPSTREAM", site.backend.backend.as_str()), ("TRACE_TRUST", "link")];
    let suspicious = Cruddur::service("frontend-proxy", &suspicious);
    for name in ["x-forwarded-proto", "forwarded"] {
        let claim = if name == "forwarded" { "proto=https" } else { "https" };
        assert!(!is_secure(&suspicious.page, &login, &[(name, claim)]), "{name}");
    }
}

#[test]
fn a_backend_reads_one_form_from_trusted_proxies_alone() {
    let data = Folder::new();
    let trusting = backend(&data, &[]);
    let login = trusting.person().handle;
    assert!(is_secure(&trusting.backend, &login, &[("x-forwarded-proto", "https")]));
    assert!(!is_secure(&trusting.backend, &login, &[("forwarded", "for=192.0.2.7;proto=https")]));
    drop(trusting);
    for trust in ["never", "10.0.0.0/8"] {
        let suspicious = backend(&data, &[("CRUDDUR_BACKEND_TRUST", trust)]);
        assert!(!is_secure(&suspicious.backend, &login, &[("x-forwarded-proto", "https")]), "{trust}");
    }
}

#[test]
fn clients_behind_a_balancer_are_limited_individually() {
    let site = Site::start(&[]);
    let login = site.backend.person().handle;
    let attempt = |address: &str, password: &str| {
        let headers = [("x-forwarded-for", address), ("x-forwarded-proto", "https")];
        sign_in(&site.proxy.page, &login, password, &headers).status
    };
    for _ in 0..10 {
        assert_eq!(attempt("192.0.2.7", "a wrong one"), 401);
    }
    assert_eq!(attempt("192.0.2.7", PASSWORD), 429);
    assert_eq!(attempt("::ffff:192.0.2.7", PASSWORD), 429, "the same address");
    assert_eq!(attempt("198.51.100.9, 192.0.2.7", PASSWORD), 429, "a forged entry before the address changes nothing");
    assert_eq!(attempt("192.0.2.8", PASSWORD), 200, "another client is not locked out");
}

#[test]
fn addresses_of_one_ipv6_network_are_limited_together() {
    let site = Site::start(&[]);
    let login = site.backend.person().handle;
    let attempt = |address: String, password: &str| {
        sign_in(&site.proxy.page, &login, password, &[("x-forwarded-for", &address)]).status
    };
    for host in 0..10 {
        assert_eq!(attempt(format!("2001:db8:1:2::{host:x}"), "a wrong one"), 401, "{host}");
    }
    assert_eq!(attempt("2001:db8:1:2:ffff::1".to_owned(), PASSWORD), 429);
    assert_eq!(attempt("2001:db8:1:3::1".to_owned(), PASSWORD), 200);
}

#[test]
fn the_spans_of_both_services_have_the_same_client() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let telemetry = [("OTEL_EXPORTER_OTLP_ENDPOINT", &*viewer.viewer), ("AWS_XRAY_DAEMON_ADDRESS", &*viewer.xray)];
    let data = Folder::new();
    let backend = backend(&data, &telemetry);
    for (trust, header, client) in [
        (
            "127.0.0.0/8,10.0.0.0/8",
            &[
                ("x-forwarded-for", "198.51.100.1, 192.0.2.7, 10.0.0.3"),
                ("x-forwarded-proto", "https"),
                ("x-forwarded-host", "app.example:8443"),
            ][..],
            ["192.0.2.7", "https", "app.example", "8443"],
        ),
        (
            "127.0.0.0/8,10.0.0.0/8",
            &[("forwarded", "for=\"[2001:db8::7]:4711\";proto=https;host=\"app.example:8443\", for=10.0.0.3")],
            ["2001:db8::7", "https", "app.example", "8443"],
        ),
        (
            "link",
            &[("x-forwarded-for", "192.0.2.7"), ("host", "own.example:81")],
            ["127.0.0.1", "http", "own.example", "81"],
        ),
    ] {
        let own = [("CRUDDUR_UPSTREAM", backend.backend.as_str()), ("TRACE_TRUST", trust)];
        let proxy = Cruddur::service("frontend-proxy", &[own.as_slice(), &telemetry].concat());
        let answer = http::request("GET", &format!("{}/api/activities/home", proxy.page), header);
        let spans = viewer.spans(&answer.trace_id(), 5);
        let is_server = |span: &&Value| span["kind"] == "server" && span["source"] == "otlp";
        let servers: Vec<&Value> = spans.iter().filter(is_server).collect();
        assert_eq!(servers.len(), 2, "{spans:?}");
        for server in servers {
            let attribute = |key: &str| server["attributes"][key].to_string().trim_matches('"').to_owned();
            let found = ["client.address", "url.scheme", "server.address", "server.port"].map(attribute);
            assert_eq!(found, client, "{trust} {}", server["service"]);
            assert_eq!(attribute("network.peer.address"), "127.0.0.1");
        }
    }
}
