//! Spans of HTTP requests by OpenTelemetry's [semantic conventions](https://opentelemetry.io/docs/specs/semconv/http/http-spans/),
//! for any framework. Names are templates: no path, id or query ever becomes a name. Query strings are not recorded, and of
//! whatever a caller can make long only the first 1,024 bytes are, so that a full queue has a size.

use std::net::{IpAddr, SocketAddr};

use opentelemetry::trace::Status;
use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, HTTP_REQUEST_METHOD, HTTP_REQUEST_METHOD_ORIGINAL, HTTP_RESPONSE_STATUS_CODE,
    HTTP_ROUTE, NETWORK_PEER_ADDRESS, NETWORK_PROTOCOL_VERSION, SERVER_ADDRESS, SERVER_PORT, URL_FULL, URL_PATH,
    URL_SCHEME, USER_AGENT_ORIGINAL,
};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::propagation::Incoming;

const MAX_VALUE: usize = 1_024;

/// A request that is being served.
#[derive(Debug, Clone, Copy)]
pub struct Served<'a> {
    /// As it came; unknown methods are recorded as `_OTHER`.
    pub method: &'a str,
    /// The template of the route, `/api/activities/{uuid}`; `None` where no route matches.
    pub route: Option<&'a str>,
    /// The path without its query.
    pub path: &'a str,
    /// `http` or `https`.
    pub scheme: &'a str,
    /// The `Host` header or authority.
    pub host: Option<&'a str>,
    /// Who is connected.
    pub peer: Option<IpAddr>,
    /// The `User-Agent` header.
    pub user_agent: Option<&'a str>,
    /// `1.1`, `2`.
    pub version: Option<&'a str>,
}

/// The SERVER span of a request, which continues what the request brought or is linked to it.
pub fn server_span(request: &Served<'_>, incoming: &Incoming) -> Span {
    let method = known(request.method);
    let shown = if method == "_OTHER" { "HTTP" } else { method };
    let name = request.route.map_or_else(|| shown.to_owned(), |route| format!("{shown} {route}"));
    let span = tracing::info_span!(target: "telemetry::http", "server", otel.name = name, otel.kind = "server");
    if let Some(parent) = &incoming.parent {
        use opentelemetry::trace::TraceContextExt;
        // Fails only for a span that has begun or is not traced: this one is new, and untraced ones have no parent.
        drop(span.set_parent(opentelemetry::Context::new().with_remote_span_context(parent.clone())));
    }
    if let Some(link) = &incoming.link {
        span.add_link(link.clone());
    }
    span.set_attribute(HTTP_REQUEST_METHOD, method);
    if method == "_OTHER" {
        span.set_attribute(HTTP_REQUEST_METHOD_ORIGINAL, bounded(request.method));
    }
    span.set_attribute(URL_PATH, bounded(request.path));
    span.set_attribute(URL_SCHEME, request.scheme.to_owned());
    if let Some(route) = request.route {
        span.set_attribute(HTTP_ROUTE, route.to_owned());
    }
    if let Some(host) = request.host {
        let (address, port) = split_port(host);
        span.set_attribute(SERVER_ADDRESS, bounded(address));
        if let Some(port) = port {
            span.set_attribute(SERVER_PORT, i64::from(port));
        }
    }
    if let Some(peer) = request.peer {
        span.set_attribute(CLIENT_ADDRESS, peer.to_string());
        span.set_attribute(NETWORK_PEER_ADDRESS, peer.to_string());
    }
    if let Some(user_agent) = request.user_agent {
        span.set_attribute(USER_AGENT_ORIGINAL, bounded(user_agent));
    }
    if let Some(version) = request.version {
        span.set_attribute(NETWORK_PROTOCOL_VERSION, version.to_owned());
    }
    span
}

/// The CLIENT span of a request to `authority` (`host:port`), a child of `parent`.
pub fn client_span(parent: &Span, method: &str, scheme: &str, authority: &str, path: &str) -> Span {
    let method = known(method);
    let name = if method == "_OTHER" { "HTTP" } else { method };
    let span = tracing::info_span!(
        target: "telemetry::http", parent: parent, "client", otel.name = name, otel.kind = "client"
    );
    let (address, port) = split_port(authority);
    span.set_attribute(HTTP_REQUEST_METHOD, method);
    span.set_attribute(URL_FULL, bounded(&format!("{scheme}://{authority}{path}")));
    span.set_attribute(SERVER_ADDRESS, address.to_owned());
    let default_port = if scheme == "https" { 443 } else { 80 };
    span.set_attribute(SERVER_PORT, i64::from(port.unwrap_or(default_port)));
    span
}

/// Which end of an exchange a span is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    /// It served: a 4xx is the caller's error.
    Server,
    /// It called: a 4xx is an error too.
    Client,
}

/// Records a response's status code, and that it is an error where the conventions say so.
pub fn record_status(span: &Span, side: Side, status: u16) {
    span.set_attribute(HTTP_RESPONSE_STATUS_CODE, i64::from(status));
    let first_error = match side {
        Side::Server => 500,
        Side::Client => 400,
    };
    if status >= first_error {
        record_error(span, &status.to_string());
    }
}

/// Records that there is no response: `kind` is a low-cardinality name such as `timeout`.
pub fn record_error(span: &Span, kind: &str) {
    span.set_attribute(ERROR_TYPE, kind.to_owned());
    span.set_status(Status::error(""));
}

/// The address of a peer as a span wants it.
pub fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// The methods that the conventions know; every other is `_OTHER`, so that a caller cannot make up names.
fn known(method: &str) -> &'static str {
    const KNOWN: [&str; 10] = ["GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "QUERY"];
    KNOWN.into_iter().find(|known| *known == method).unwrap_or("_OTHER")
}

/// At most [`MAX_VALUE`] bytes, cut between characters.
fn bounded(text: &str) -> String {
    text.get(..text.floor_char_boundary(MAX_VALUE)).unwrap_or_default().to_owned()
}

fn split_port(authority: &str) -> (&str, Option<u16>) {
    match authority.rsplit_once(':').map(|(host, port)| (host, port.parse().ok())) {
        Some((host, Some(port))) => (host, Some(port)),
        _ => (authority, None),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_is_split_at_its_port() {
        assert_eq!(split_port("localhost:3000"), ("localhost", Some(3000)));
        assert_eq!(split_port("localhost"), ("localhost", None));
        assert_eq!(split_port("[::1]:80"), ("[::1]", Some(80)));
        assert_eq!(split_port("[::1]"), ("[::1]", None));
    }

    #[test]
    fn a_long_value_is_cut_between_characters() {
        assert_eq!(bounded("short"), "short");
        assert_eq!(bounded(&"💣".repeat(1_000)).len(), 1_024);
        assert_eq!(bounded(&format!("x{}", "💣".repeat(1_000))).len(), 1_021);
    }

    #[test]
    fn a_method_that_nobody_knows_is_other() {
        assert_eq!(known("GET"), "GET");
        assert_eq!(known("get"), "_OTHER");
        assert_eq!(known("BREW"), "_OTHER");
    }
}
