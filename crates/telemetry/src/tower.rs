//! Services and clients of [`tower`](https://docs.rs/tower), as axum, hyper and tonic use it: the SERVER span of each request that a service
//! answers, and the CLIENT span of each request that a client makes. A span ends with the last byte of the response's body, or when the
//! body is dropped. Knows no framework: the caller says where a request's route and peer are.
//!
//! ```
//! use telemetry::propagation::Trust;
//! use telemetry::tower::{ClientLayer, ServerLayer};
//! # #[derive(Clone)] struct MatchedPath(String);
//! # #[derive(Clone)] struct ConnectInfo(std::net::SocketAddr);
//! // With axum: its own MatchedPath and ConnectInfo, and Router::layer(server).
//! let server = ServerLayer::new(Trust::default())
//!     .route(|extensions| extensions.get::<MatchedPath>().map(|path| path.0.as_str()))
//!     .peer(|extensions| extensions.get::<ConnectInfo>().map(|peer| peer.0));
//! let client = ClientLayer;
//! ```

mod body;
#[cfg(test)]
mod tests;

use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll};

use ::http::header::{HOST, USER_AGENT};
use ::http::{Extensions, HeaderName, HeaderValue, Request, Response, Version};
use tower_layer::Layer;
use tower_service::Service;
use tracing::Span;

pub use self::body::{TracedBody, TracedResponse};
use crate::http::{ServerRequest, Side, client_span, peer, server_span, without_user};
use crate::propagation::{Trust, extract, inject};
use crate::span::OwnedSpan;

/// Where a request's route is.
type RouteOf = fn(&Extensions) -> Option<&str>;
/// Where a request's peer is.
type PeerOf = fn(&Extensions) -> Option<SocketAddr>;

/// Gives each request that a service answers a SERVER span, which continues the context of a trusted caller.
#[derive(Debug, Clone)]
pub struct ServerLayer {
    trust: Arc<Trust>,
    route: RouteOf,
    peer: PeerOf,
}

/// Gives each request that a client makes a CLIENT span below the current span, and the headers that carry it.
#[derive(Debug, Clone, Copy, Default)]
pub struct ClientLayer;

/// A service with SERVER spans.
#[derive(Debug, Clone)]
pub struct TracedServer<S> {
    inner: S,
    layer: ServerLayer,
}

/// A client with CLIENT spans.
#[derive(Debug, Clone)]
pub struct TracedClient<S>(S);

impl ServerLayer {
    /// Continues the contexts of callers that `trust` names. Until [`ServerLayer::peer`] says where a request's peer is, no peer is known,
    /// and only `Trust::ALWAYS` trusts an unknown one.
    pub fn new(trust: Trust) -> Self {
        Self { trust: Arc::new(trust), route: |_| None, peer: |_| None }
    }

    /// Reads the route, such as `/users/{id}`, from a request's extensions. Without a route, a span is named by its method alone.
    #[must_use]
    pub fn route(self, route: fn(&Extensions) -> Option<&str>) -> Self {
        Self { route, ..self }
    }

    /// Reads the address of the peer from a request's extensions.
    #[must_use]
    pub fn peer(self, peer: fn(&Extensions) -> Option<SocketAddr>) -> Self {
        Self { peer, ..self }
    }

    fn span<B>(&self, request: &Request<B>) -> OwnedSpan {
        let address = (self.peer)(request.extensions());
        let from = address.map(peer);
        let uri = request.uri();
        let header = |name| request.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
        let incoming = extract(request.headers(), &self.trust, from);
        let request = ServerRequest {
            method: request.method().as_str(),
            route: (self.route)(request.extensions()),
            path: uri.path(),
            query: uri.query(),
            scheme: uri.scheme_str().unwrap_or("http"),
            host: uri.authority().map(|authority| authority.as_str()).or_else(|| header(HOST)),
            peer: from,
            peer_port: address.map(|address| address.port()),
            client: None,
            user_agent: header(USER_AGENT),
            version: version(request.version()),
        };
        OwnedSpan::of(server_span(&request, &incoming))
    }
}

impl<S> Layer<S> for ServerLayer {
    type Service = TracedServer<S>;

    fn layer(&self, inner: S) -> TracedServer<S> {
        TracedServer { inner, layer: self.clone() }
    }
}

impl<S> Layer<S> for ClientLayer {
    type Service = TracedClient<S>;

    fn layer(&self, inner: S) -> TracedClient<S> {
        TracedClient(inner)
    }
}

impl<S, B, R> Service<Request<B>> for TracedServer<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = TracedResponse<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let span = self.layer.span(&request);
        let response = span.in_scope(|| self.inner.call(request));
        TracedResponse::new(response, span, Side::Server)
    }
}

impl<S, B, R> Service<Request<B>> for TracedClient<S>
where
    S: Service<Request<B>, Response = Response<R>>,
{
    type Response = Response<TracedBody<R>>;
    type Error = S::Error;
    type Future = TracedResponse<S::Future>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.0.poll_ready(context)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let uri = request.uri();
        let header = || request.headers().get(HOST).and_then(|value| value.to_str().ok());
        let authority = uri.authority().map(|authority| authority.as_str()).or_else(header).unwrap_or_default();
        let (method, scheme) = (request.method().as_str(), uri.scheme_str().unwrap_or("http"));
        let span = OwnedSpan::of(client_span(&Span::current(), method, scheme, without_user(authority), uri.path()));
        inject(&span, |name, value| {
            if let Ok(value) = HeaderValue::from_str(value) {
                request.headers_mut().insert(HeaderName::from_static(name), value);
            }
        });
        let response = span.in_scope(|| self.0.call(request));
        TracedResponse::new(response, span, Side::Client)
    }
}

/// HTTP's version, as spans record it.
pub(crate) fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        Version::HTTP_3 => Some("3"),
        _ => None,
    }
}
