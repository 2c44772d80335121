//! Spans of HTTP requests by OpenTelemetry's
//! [semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), for any framework. Names are
//! templates: no path, id or query ever becomes a name. Only the keys of a query string are recorded, never a value. Of every
//! text that a caller can make long, only the first 1,024 bytes are recorded, so that the size of a full queue is bounded.

mod query;

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT, URL_FULL, URL_PATH,
    URL_QUERY, URL_SCHEME, USER_AGENT_ORIGINAL,
};
use tracing::Span;

use crate::context::{Incoming, PendingRequest};
use crate::limits::{CALLER_BYTES, bounded};
use crate::span::start::{self, HTTP};
use crate::span::{self, Recording, SpanExt, SpanKind};

/// A method that the conventions do not know.
const OTHER: &str = "_OTHER";

/// A request that is being served.
#[derive(Debug, Clone, Copy, Default)]
pub struct Served<'a> {
    /// The method as it came; unknown methods are recorded as `_OTHER`.
    pub method: &'a str,
    /// The template of the route, `/api/activities/{uuid}`; `None` if no route matches.
    pub route: Option<&'a str>,
    /// The path without its query.
    pub path: &'a str,
    /// The text after the path, without its `?`; the span records only its keys.
    pub query: Option<&'a str>,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The `Host` header or authority.
    pub host: Option<&'a str>,
    /// The address of the connected peer.
    pub peer: Option<IpAddr>,
    /// The port from which the peer is connected.
    pub peer_port: Option<u16>,
    /// The client, if it is known not to be the peer: behind a trusted proxy.
    pub client: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// `1.1`, `2`.
    pub version: Option<&'a str>,
}

/// The SERVER span of a request. It continues the context that the request brought, or is linked to it.
pub fn server_span(request: &Served<'_>, incoming: &Incoming) -> Span {
    let make = || tracing::info_span!(target: "telemetry::http", parent: None, "HTTP");
    let tell = |span: &mut Recording| {
        span.kind(SpanKind::Server);
        let method = known(request.method);
        let name = if method == OTHER { HTTP } else { method };
        match request.route {
            None => span.name_of([name]),
            Some(route) => span.name_of([name, " ", route]),
        }
        span.add(HTTP_REQUEST_METHOD, method);
        if method == OTHER {
            span.add(HTTP_REQUEST_METHOD_ORIGINAL, bounded(request.method));
        }
        span.add(URL_PATH, bounded(request.path));
        if let Some(query) = request.query.filter(|query| !query.is_empty()) {
            span.add(URL_QUERY, &query::redacted(query));
        }
        span.add(URL_SCHEME, request.scheme);
        if let Some(route) = request.route {
            span.add(HTTP_ROUTE, route);
        }
        if let Some(host) = request.host {
            let (address, port) = split_port(host);
            span.add(SERVER_ADDRESS, bounded(address));
            if let Some(port) = port {
                span.add(SERVER_PORT, port);
            }
        }
        let peer = request.peer.map(address);
        if let Some(peer) = &peer {
            span.add(NETWORK_PEER_ADDRESS, &**peer);
            if let Some(port) = request.peer_port {
                span.add(NETWORK_PEER_PORT, port);
            }
        }
        let client = request.client.filter(|client| Some(*client) != request.peer).map(address);
        if let Some(client) = client.or(peer) {
            span.add(CLIENT_ADDRESS, &*client);
        }
        if let Some(user_agent) = request.user_agent {
            span.add(USER_AGENT_ORIGINAL, bounded(user_agent));
        }
        if let Some(version) = request.version {
            span.add(NETWORK_PROTOCOL_VERSION, version);
        }
    };
    let request = PendingRequest { method: request.method, host: request.host, path: request.path };
    start::serving(request, incoming, tell, make)
}

/// The CLIENT span of a request to `authority` (`host:port`), a child of `parent`.
pub fn client_span(parent: &Span, method: &str, scheme: &str, authority: &str, path: &str) -> Span {
    let make = || tracing::info_span!(target: "telemetry::http", parent: parent, "HTTP");
    let tell = |span: &mut Recording| {
        span.kind(SpanKind::Client);
        let known = known(method);
        span.name_of([if known == OTHER { HTTP } else { known }]);
        let (address, port) = split_port(authority);
        span.add(HTTP_REQUEST_METHOD, known);
        if known == OTHER {
            span.add(HTTP_REQUEST_METHOD_ORIGINAL, bounded(method));
        }
        span.add_joined(URL_FULL, [scheme, "://", authority, path], CALLER_BYTES);
        span.add(SERVER_ADDRESS, address);
        let default_port = if scheme == "https" { 443 } else { 80 };
        span.add(SERVER_PORT, port.unwrap_or(default_port));
    };
    start::calling(parent, tell, make)
}

/// Which end of an exchange a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It served: a 4xx is the caller's error.
    Server,
    /// It called: a 4xx is an error too.
    Client,
}

/// Records a response's status code, and an error if the conventions require it.
pub fn record_status(span: &Span, side: Side, status: u16) {
    span::tell(span, |span| set_status(span, side, status));
}

/// Records a response on a CLIENT span, and its connection: the server's address, and HTTP's version, `1.1`.
pub fn record_response(span: &Span, status: u16, peer: Option<SocketAddr>, version: &str) {
    span::tell(span, |span| {
        set_status(span, Side::Client, status);
        if let Some(peer) = peer {
            span.set(NETWORK_PEER_ADDRESS, &*address(peer.ip().to_canonical()));
            span.set(NETWORK_PEER_PORT, peer.port());
        }
        span.set(NETWORK_PROTOCOL_VERSION, version);
    });
}

fn set_status(span: &mut Recording, side: Side, status: u16) {
    let first_error = match side {
        Side::Server => 500,
        Side::Client => 400,
    };
    span.set(HTTP_RESPONSE_STATUS_CODE, status);
    if status >= first_error {
        span.fail(&status.to_string());
    }
}

/// Records that there is no response: `kind` is a low-cardinality name such as `timeout`.
pub fn record_error(span: &Span, kind: &str) {
    span.fail(kind);
}

/// The address of a peer in the form that spans record.
pub fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// The methods that the conventions know; every other one is `_OTHER`, so that a caller cannot invent names.
pub fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}

/// An address as text, without an allocation: IPv6's longest has 39 characters.
#[derive(Debug, Clone, Copy)]
pub struct AddressText {
    bytes: [u8; 39],
    length: usize,
}

impl AddressText {
    fn push(&mut self, text: &str) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
    }
}

impl Deref for AddressText {
    type Target = str;

    fn deref(&self) -> &str {
        self.bytes.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// The same text as `Display`, which takes ten times as long for IPv4.
pub fn address(peer: IpAddr) -> AddressText {
    let mut text = AddressText { bytes: [0; 39], length: 0 };
    match peer {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(".");
                }
                text.push(itoa::Buffer::new().format(octet));
            }
        }
        // Writing to it does not fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
    text
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    // A port is short, so its colon is searched from the end.
    let colon = authority.bytes().rposition(|byte| byte == b':');
    let parts = colon.and_then(|colon| Some((authority.get(..colon)?, authority.get(colon + 1..)?.parse().ok()?)));
    parts.map_or((authority, None), |(host, port)| (host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::span::sampler::Sampler;
    use crate::testing::{attribute, recorded};

    fn told(served: Served<'_>, keys: &[&str]) -> Vec<Option<String>> {
        let spans =
            recorded(Sampler::default(), Limits::default(), false, || drop(server_span(&served, &Incoming::default())))
                .spans;
        keys.iter().map(|key| attribute(&spans[0].attributes, key)).collect()
    }

    #[test]
    fn the_client_is_the_peer_unless_somebody_else_is_known_to_be() {
        let ip = |text: &str| Some(text.parse::<IpAddr>().unwrap());
        let addresses = |peer, client| {
            let served = Served { method: "GET", path: "/", scheme: "http", peer, client, ..Served::default() };
            told(served, &["network.peer.address", "client.address"])
        };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(addresses(ip("10.0.0.1"), None), [some("10.0.0.1"), some("10.0.0.1")]);
        assert_eq!(addresses(ip("10.0.0.1"), ip("2001:db8::7")), [some("10.0.0.1"), some("2001:db8::7")]);
        assert_eq!(addresses(None, None), [None, None]);
    }

    #[test]
    fn a_peer_has_a_port_and_an_unknown_method_its_original_on_both_sides() {
        let peer = Some([127, 0, 0, 1].into());
        let served =
            Served { method: "BREW", path: "/", scheme: "http", peer, peer_port: Some(4711), ..Served::default() };
        let some = |text: &str| Some(text.to_owned());
        assert_eq!(told(served, &["network.peer.port"]), [some("4711")]);
        assert_eq!(told(Served { peer: None, ..served }, &["network.peer.port"]), [None], "a port of nowhere");
        let keys = ["http.request.method", "http.request.method_original"];
        assert_eq!(told(served, &keys), [some("_OTHER"), some("BREW")]);
        for (method, told) in [("BREW", [some("_OTHER"), some("BREW")]), ("GET", [some("GET"), None])] {
            let make = || drop(client_span(&Span::none(), method, "http", "next:81", "/"));
            let spans = recorded(Sampler::default(), Limits::default(), false, make).spans;
            assert_eq!(keys.map(|key| attribute(&spans[0].attributes, key)), told);
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
    fn a_query_is_told_by_its_keys() {
        let of = |query| {
            let served = Served { method: "GET", path: "/", query, scheme: "http", ..Served::default() };
            told(served, &["url.query"])
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
    fn an_address_is_written_as_it_is_read() {
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
    fn a_method_that_nobody_knows_is_other() {
        assert_eq!(known("GET"), "GET");
        assert_eq!(known("get"), "_OTHER");
        assert_eq!(known("BREW"), "_OTHER");
    }
}
