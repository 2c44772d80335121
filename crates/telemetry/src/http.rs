//! Spans of HTTP requests by OpenTelemetry's [semantic
//! conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/), for any framework. Names are templates: no path,
//! id or query ever becomes a name. Only the keys of a query string are recorded, never its values. Only the first 1,024 bytes
//! are recorded of any text that a caller can make long, so that the size of a full queue is bounded.

mod address;
mod query;
#[cfg(test)]
mod tests;

use std::net::{IpAddr, SocketAddr};

use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_STATUS_CODE, HTTP_ROUTE,
    NETWORK_PEER_ADDRESS, NETWORK_PEER_PORT, NETWORK_PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT, URL_FULL, URL_PATH,
    URL_QUERY, URL_SCHEME, USER_AGENT_ORIGINAL,
};
use tracing::Span;

use self::address::split_port;
#[cfg(any(feature = "awc", feature = "tower"))]
pub(crate) use self::address::without_user;
use crate::context::{Incoming, PendingRequest};
use crate::limits::{CALLER_BYTES, bounded};
use crate::metrics::measure::Measure;
use crate::span::start::{self, HTTP};
use crate::span::{self, Recording, SpanExt, SpanKind};

pub use self::address::{AddressText, address, peer};

/// A method that the conventions do not know.
const OTHER: &str = "_OTHER";

/// A request that is being served.
#[derive(Debug, Clone, Copy, Default)]
pub struct ServerRequest<'a> {
    /// The method as received; unknown methods are recorded as `_OTHER`.
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
    /// The peer's port.
    pub peer_port: Option<u16>,
    /// The client, if it is known to differ from the peer, as behind a trusted proxy.
    pub client: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// `1.1`, `2`.
    pub version: Option<&'a str>,
}

/// The SERVER span of a request. It continues the request's context, or is linked to it.
pub fn server_span(request: &ServerRequest<'_>, incoming: &Incoming) -> Span {
    let make = || tracing::info_span!(target: "telemetry::http", parent: None, "HTTP");
    let record = |span: &mut Recording| {
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
            span.add(URL_QUERY, query::redacted(query));
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
    let pending = PendingRequest { method: request.method, host: request.host, path: request.path };
    let measure = || Measure::served(known(request.method), request.scheme, request.route, request.version);
    start::serving(pending, incoming, record, measure, make)
}

/// The CLIENT span of a request to `authority` (`host:port`), a child of `parent`.
pub fn client_span(parent: &Span, method: &str, scheme: &str, authority: &str, path: &str) -> Span {
    let make = || tracing::info_span!(target: "telemetry::http", parent: parent, "HTTP");
    let record = |span: &mut Recording| {
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
        span.add(SERVER_PORT, port.unwrap_or(default_port(scheme)));
    };
    let measure = || {
        let (address, port) = split_port(authority);
        Measure::called(known(method), scheme, address, port.unwrap_or(default_port(scheme)))
    };
    start::calling(parent, record, measure, make)
}

fn default_port(scheme: &str) -> u16 {
    if scheme == "https" { 443 } else { 80 }
}

/// The side of an exchange that a span represents.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// The span of the server: a 4xx is the caller's error.
    Server,
    /// The span of the client: a 4xx is an error too.
    Client,
}

impl Side {
    /// The first status that is an error on this side.
    fn first_error(self) -> u16 {
        match self {
            Self::Server => 500,
            Self::Client => 400,
        }
    }
}

/// Records a response's status code, and an error if the conventions require it.
pub fn record_status(span: &Span, side: Side, status: u16) {
    let measured = |measure: &mut Measure| measure.status(status, status >= side.first_error());
    span::record_on(span, measured, |span| set_status(span, side, status));
}

/// Records a response on a CLIENT span, and its connection: the server's address, and HTTP's version, `1.1`.
pub fn record_response(span: &Span, status: u16, peer: Option<SocketAddr>, version: &str) {
    let measured = |measure: &mut Measure| measure.status(status, status >= Side::Client.first_error());
    span::record_on(span, measured, |span| {
        set_status(span, Side::Client, status);
        if let Some(peer) = peer {
            span.set(NETWORK_PEER_ADDRESS, &*address(peer.ip().to_canonical()));
            span.set(NETWORK_PEER_PORT, peer.port());
        }
        span.set(NETWORK_PROTOCOL_VERSION, version);
    });
}

fn set_status(span: &mut Recording, side: Side, status: u16) {
    span.set(HTTP_RESPONSE_STATUS_CODE, status);
    if status >= side.first_error() {
        span.fail(&status.to_string());
    }
}

/// Records that there was no response. `kind` is a low-cardinality name such as `timeout`.
pub fn record_error(span: &Span, kind: &str) {
    span.fail(kind);
}

/// The method if the conventions know it, otherwise `_OTHER`, so that a caller cannot invent names.
pub fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or(OTHER)
}
