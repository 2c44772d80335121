//! Forwarding: headers that are for one hop only are left behind, the trace's headers are our own, and bodies stream through.

use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use crate::received::{Fault, Received};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::uri::PathAndQuery;
use http::{Request, Response, StatusCode};
use http_body_util::Either;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use telemetry::http::{Side, client_span, record_error, record_status};
use telemetry::propagation;
use tracing::{Instrument, Span};

use crate::body::{Forwarded, Outgoing, UnderWay};
use crate::respond;
use crate::upstream::Servers;

const CONNECT: Duration = Duration::from_secs(2);
const IDLE: Duration = Duration::from_secs(60);
const IDLE_CONNECTIONS: usize = 64;

/// Headers that are between two neighbours only, [RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1).
const HOP_BY_HOP: [HeaderName; 8] = [
    header::CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
];

/// Pooled connections to upstreams.
#[derive(Clone)]
pub(crate) struct Forwarder {
    client: Client<HttpConnector, Received>,
}

impl Forwarder {
    pub(crate) fn new() -> Self {
        let mut connector = HttpConnector::new();
        connector.set_connect_timeout(Some(CONNECT));
        connector.set_nodelay(true);
        let client = Client::builder(TokioExecutor::new())
            .timer(TokioTimer::new())
            .pool_timer(TokioTimer::new())
            .pool_idle_timeout(IDLE)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            .build(connector);
        Self { client }
    }

    /// Sends `request` on as `path` of `upstream`. With a SERVER span it is traced: a CLIENT span goes with it, and both end
    /// with the last byte of the answer.
    pub(crate) async fn forward(
        &self,
        mut request: Request<Received>,
        peer: SocketAddr,
        servers: &Servers,
        path: PathAndQuery,
        server: Option<&Span>,
    ) -> Response<Outgoing> {
        let untraced = Span::none();
        let within = server.unwrap_or(&untraced);
        let Some(upstream) = servers.first() else {
            return respond::problem(StatusCode::BAD_GATEWAY, "no upstream is configured", within);
        };
        let client = server.map_or_else(Span::none, |server| {
            client_span(server, request.method().as_str(), "http", upstream.authority(), path.path())
        });
        let Ok(uri) = upstream.uri(path) else {
            return respond::problem(StatusCode::BAD_REQUEST, "the path is not right", within);
        };
        *request.uri_mut() = uri;
        *request.version_mut() = http::Version::HTTP_11;
        prepare(request.headers_mut(), peer, &client);
        let mut under_way = UnderWay::new(&client);
        let answer = tokio::time::timeout(servers.limits().answer, self.client.request(request))
            .instrument(client.clone())
            .await;
        under_way.over();
        let failure = match answer {
            Ok(Ok(response)) => {
                record_status(&client, Side::Client, response.status().as_u16());
                let spans = server.into_iter().cloned().chain(server.map(|_| client));
                let mut response = response.map(|body| Either::Right(Forwarded::new(body, spans)));
                strip_hop_by_hop(response.headers_mut());
                return response;
            }
            Ok(Err(error)) => Failure::of(&error),
            Err(_) => Failure::Timeout,
        };
        record_error(&client, failure.kind());
        if !matches!(failure, Failure::Request(_)) {
            within.in_scope(|| tracing::warn!(%upstream, kind = failure.kind(), "{}", failure.detail()));
        }
        respond::problem(failure.status(), &failure.detail(), within)
    }
}

/// Why there is no answer to send on.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Failure {
    /// The client's own body did not come whole.
    Request(Fault),
    Connect,
    /// The upstream broke off, or answered what is not HTTP.
    Upstream,
    Timeout,
}

impl Failure {
    fn of(error: &hyper_util::client::legacy::Error) -> Self {
        let hyper = error.source().and_then(|source| source.downcast_ref::<hyper::Error>());
        let fault = hyper.and_then(Error::source).and_then(|source| source.downcast_ref::<Fault>());
        if error.is_connect() {
            Self::Connect
        } else if let Some(fault) = fault {
            Self::Request(*fault)
        } else {
            Self::Upstream
        }
    }

    fn status(self) -> StatusCode {
        match self {
            Self::Request(fault) => fault.status(),
            Self::Connect | Self::Upstream => StatusCode::BAD_GATEWAY,
            Self::Timeout => StatusCode::GATEWAY_TIMEOUT,
        }
    }

    /// The `error.type` of the CLIENT span.
    fn kind(self) -> &'static str {
        match self {
            Self::Request(_) => "request_body",
            Self::Connect => "connect",
            Self::Upstream => "upstream",
            Self::Timeout => "timeout",
        }
    }

    fn detail(self) -> String {
        match self {
            Self::Request(fault) => fault.to_string(),
            Self::Connect => "the upstream cannot be reached".to_owned(),
            Self::Upstream => "the upstream broke off".to_owned(),
            Self::Timeout => "the upstream did not answer in time".to_owned(),
        }
    }
}

/// What a client said of its own hop, of the trace or of forwarding is replaced by what we know.
fn prepare(headers: &mut HeaderMap, peer: SocketAddr, client: &Span) {
    strip_hop_by_hop(headers);
    for name in propagation::FIELDS {
        headers.remove(name);
    }
    for (name, value) in propagation::outgoing(client) {
        if let Ok(value) = HeaderValue::from_str(&value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    headers.remove(header::FORWARDED);
    let host = headers.remove(header::HOST);
    let peer = HeaderValue::from_str(&peer.ip().to_canonical().to_string()).ok();
    let proto = Some(HeaderValue::from_static("http"));
    for (name, value) in [("x-forwarded-host", host), ("x-forwarded-for", peer), ("x-forwarded-proto", proto)] {
        headers.remove(name);
        if let Some(value) = value {
            headers.insert(name, value);
        }
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in named.iter().chain(&HOP_BY_HOP) {
        headers.remove(name);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_connection_names_goes_no_further() {
        let mut headers = HeaderMap::new();
        for (name, value) in
            [("connection", "x-secret, close"), ("x-secret", "1"), ("te", "trailers"), ("accept", "*/*")]
        {
            headers.insert(name, HeaderValue::from_static(value));
        }
        strip_hop_by_hop(&mut headers);
        assert_eq!(headers.keys().collect::<Vec<_>>(), ["accept"]);
    }

    #[test]
    fn what_a_client_says_of_the_trace_and_of_itself_is_replaced() {
        let mut headers = HeaderMap::new();
        for (name, value) in [
            ("host", "cruddur.example"),
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("baggage", "a=b"),
            ("x-forwarded-for", "192.0.2.9"),
            ("forwarded", "for=192.0.2.9"),
        ] {
            headers.insert(name, HeaderValue::from_static(value));
        }
        prepare(&mut headers, "[::ffff:127.0.0.1]:9".parse().unwrap(), &Span::none());
        let mut left: Vec<_> = headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        left.sort_unstable();
        assert_eq!(
            left,
            [("x-forwarded-for", "127.0.0.1"), ("x-forwarded-host", "cruddur.example"), ("x-forwarded-proto", "http")]
        );
    }
}
