use super::*;
use crate::limits::Limits;
use crate::span::sampler::Sampler;
use crate::testing::{attribute, recorded};

fn values(request: ServerRequest<'_>, keys: &[&str]) -> Vec<Option<String>> {
    let spans =
        recorded(Sampler::default(), Limits::default(), false, || drop(server_span(&request, &Incoming::default())))
            .spans;
    keys.iter().map(|key| attribute(&spans[0].attributes, key)).collect()
}

#[test]
fn the_client_is_the_peer_unless_another_is_known() {
    let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
    let addresses = |peer, client| {
        let request =
            ServerRequest { method: "GET", path: "/", scheme: "http", peer, client, ..ServerRequest::default() };
        values(request, &["network.peer.address", "client.address"])
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(addresses(ip("10.0.0.1"), None), [some("10.0.0.1"), some("10.0.0.1")]);
    assert_eq!(addresses(ip("10.0.0.1"), ip("2001:db8::7")), [some("10.0.0.1"), some("2001:db8::7")]);
    assert_eq!(addresses(None, None), [None, None]);
}

#[test]
fn the_peers_port_and_an_unknown_methods_original_are_recorded() {
    let peer = Some([127, 0, 0, 1].into());
    let request = ServerRequest {
        method: "BREW",
        path: "/",
        scheme: "http",
        peer,
        peer_port: Some(4711),
        ..ServerRequest::default()
    };
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(values(request, &["network.peer.port"]), [some("4711")]);
    assert_eq!(
        values(ServerRequest { peer: None, ..request }, &["network.peer.port"]),
        [None],
        "a port without an address"
    );
    let keys = ["http.request.method", "http.request.method_original"];
    assert_eq!(values(request, &keys), [some("_OTHER"), some("BREW")]);
    for (method, expected) in [("BREW", [some("_OTHER"), some("BREW")]), ("GET", [some("GET"), None])] {
        let make = || drop(client_span(&Span::none(), method, "http", "next:81", "/"));
        let spans = recorded(Sampler::default(), Limits::default(), false, make).spans;
        assert_eq!(keys.map(|key| attribute(&spans[0].attributes, key)), expected);
    }
}

#[test]
fn a_response_is_recorded_with_its_connection() {
    let spans = recorded(Sampler::default(), Limits::default(), false, || {
        for (status, peer) in [(503, Some("[::ffff:10.0.0.7]:81".parse().unwrap())), (200, None)] {
            let span = client_span(&Span::none(), "GET", "http", "next:81", "/");
            record_response(&span, status, peer, "1.1");
        }
    })
    .spans;
    let keys = ["network.peer.address", "network.peer.port", "network.protocol.version", "error.type"];
    let some = |text: &str| Some(text.to_owned());
    let of = |index: usize| keys.map(|key| attribute(&spans[index].attributes, key));
    assert_eq!(of(0), [some("10.0.0.7"), some("81"), some("1.1"), some("503")]);
    assert_eq!(of(1), [None, None, some("1.1"), None]);
}

#[test]
fn a_query_is_recorded_by_its_keys() {
    let of = |query| {
        let request = ServerRequest { method: "GET", path: "/", query, scheme: "http", ..ServerRequest::default() };
        values(request, &["url.query"])
    };
    assert_eq!(of(Some("q=canary&n=1")), [Some("q=REDACTED&n=REDACTED".to_owned())]);
    assert_eq!([of(Some("")), of(None)], [[None], [None]]);
}

#[test]
fn an_authority_is_split_at_its_port() {
    assert_eq!(split_port("localhost:3000"), ("localhost", Some(3000)));
    assert_eq!(split_port("localhost"), ("localhost", None));
    assert_eq!(split_port("[::1]:80"), ("[::1]", Some(80)));
    assert_eq!(split_port("[::1]"), ("[::1]", None));
}

#[test]
fn an_address_is_written_as_it_was_parsed() {
    for text in [
        "0.0.0.0",
        "127.0.0.1",
        "10.20.100.209",
        "255.255.255.255",
        "::1",
        "2001:db8::7",
        "::ffff:255.255.255.255",
        "1111:2222:3333:4444:5555:6666:7777:8888",
    ] {
        assert_eq!(&*address(text.parse().unwrap()), text);
    }
}

#[test]
fn an_unknown_method_is_other() {
    assert_eq!(known("GET"), "GET");
    assert_eq!(known("get"), "_OTHER");
    assert_eq!(known("BREW"), "_OTHER");
}
