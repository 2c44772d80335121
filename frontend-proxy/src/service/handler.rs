//! Decides what handles a request: its route, the page, one of the page's files, the relay, or an endpoint for operators.
//! Handles nothing.

use http::request::Parts;
use http::{HeaderValue, StatusCode, header};
use settings::allowed_hosts::{AllowedHosts, HostFault};

use crate::routes::{Route, Routes, is_straight};
use crate::site::page::{File, Pages};
use crate::site::relay::Relay;

/// The path to which pages send spans.
pub(super) const RELAY: &str = "/v1/traces";

/// What handles a request.
pub(super) enum Handler<'a> {
    /// The request is refused, with this detail.
    Refusal(StatusCode, &'static str),
    /// The request is refused, because traces are not available to its host.
    ForeignHost,
    /// An endpoint for operators.
    Operation,
    /// A redirect to the trace viewer.
    ViewerRedirect,
    /// A destination within a SERVER span.
    Traced(Destination<'a>),
    /// A route without a span for this path.
    Untraced(&'a Route),
    /// A file of the page.
    File(&'a File),
    /// The relay of the page's spans.
    Relay(&'a Relay),
}

/// The destination of a traced request; the template is part of the span's name.
#[derive(Clone, Copy)]
pub(super) enum Destination<'a> {
    Page,
    Route(&'a Route),
    None,
}

impl<'a> Destination<'a> {
    pub(super) fn template(self, path: &str) -> Option<&'a str> {
        match self {
            Self::Page => Some("/"),
            Self::Route(route) => Some(route.rule.template(path)),
            Self::None => None,
        }
    }
}

impl<'a> Handler<'a> {
    pub(super) fn of(
        request: &Parts,
        routes: &'a Routes,
        pages: &'a Pages,
        relay: Option<&'a Relay>,
        hosts: &AllowedHosts,
    ) -> Self {
        let path = request.uri.path();
        if !is_straight(path) {
            return Self::Refusal(StatusCode::BAD_REQUEST, "a path must not have . or .. as a segment");
        }
        match path {
            "/health/live" | "/health/ready" | "/health/telemetry" | "/metrics" => return Self::Operation,
            "/traces" if routes.viewer().is_some() => return Self::ViewerRedirect,
            _ => {}
        }
        // A route for every path does not cover the relay's path: the pages behind that route send spans too.
        let relay = relay.filter(|_| path == RELAY);
        if let Some(route) = routes.find(path).filter(|route| relay.is_none() || route.rule.prefix != "/") {
            return Self::by_route(route, request, hosts);
        }
        match (pages.find(path), relay) {
            _ if path == "/" => Self::Traced(Destination::Page),
            (Some(file), _) => Self::File(file),
            (None, Some(relay)) => Self::Relay(relay),
            (None, None) => Self::Traced(Destination::None),
        }
    }

    fn by_route(route: &'a Route, request: &Parts, hosts: &AllowedHosts) -> Self {
        if route.rule.shows_traces && !shows_traces(request, hosts) {
            return Self::ForeignHost;
        }
        if route.rule.missing.is_some() {
            return Self::Refusal(StatusCode::NOT_FOUND, "no trace viewer is configured; set CRUDDUR_VIEWER");
        }
        match route.rule.traces(request.uri.path()) {
            true => Self::Traced(Destination::Route(route)),
            false => Self::Untraced(route),
        }
    }
}

/// Decided by the `Host` itself: a page whose name was made to resolve to this machine can write any other header.
fn shows_traces(request: &Parts, hosts: &AllowedHosts) -> bool {
    let named = request.headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
    // By now only an HTTP/1.0 request can lack a `Host`, and no page can send one.
    matches!(hosts.check(None, named), Ok(()) | Err(HostFault::Missing))
}
