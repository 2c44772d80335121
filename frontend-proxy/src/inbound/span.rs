//! The SERVER span of a request.

use http::request::Parts;
use http::{Version, header};
use telemetry::http::{ServerRequest, server_span};
use telemetry::propagation::{self, Trust};
use tracing::Span;

use crate::inbound::received::Caller;

/// Starts the span: in the caller's trace if the caller is trusted.
pub(crate) fn begin(request: &Parts, caller: &Caller, trust: &Trust, route: Option<&str>) -> Span {
    let Caller { client, peer, peer_port, .. } = caller;
    let header = |name| request.headers.get(name).and_then(|value| value.to_str().ok());
    let served = ServerRequest {
        method: request.method.as_str(),
        route,
        path: request.uri.path(),
        query: request.uri.query(),
        scheme: client.scheme,
        host: client.host.as_deref(),
        peer: Some(*peer),
        peer_port: Some(*peer_port),
        client: Some(client.address),
        user_agent: header(header::USER_AGENT),
        version: Some(version(request.version)),
    };
    server_span(&served, &propagation::extract(&request.headers, trust, Some(*peer)))
}

/// HTTP's version as the conventions write it.
pub(crate) fn version(version: Version) -> &'static str {
    match version {
        Version::HTTP_10 => "1.0",
        Version::HTTP_2 => "2",
        _ => "1.1",
    }
}
