//! The adapter for actix-web: `App::new().wrap(TracingLogger::<RootSpan>::new())` makes the SERVER span of each request, with
//! the names of the stable conventions. Only a 5xx is an error. It has the `exception` that the handler returned: the name of its
//! type and its `Display`, which is exported unchanged. Continues every caller's trace: use it in services that only other
//! services of yours reach. Health checks are not traced.
//!
//! [`client`] is the only place where such a service gets its client's address, scheme and host: from `X-Forwarded-*` if the
//! app has a [`Trust`] among its data (`App::app_data`) and that trusts the peer, otherwise from the connection.
//!
//! [`finish`], directly inside `TracingLogger`, reports whether the trace is recorded to a caller that requests it in X-Ray's
//! header. It also ends the span with the last byte of the response, even if a task that the handler has spawned holds
//! a clone of the span:
//!
//! ```
//! use actix_web::{App, middleware};
//! use telemetry::actix::{RootSpan, finish};
//! use tracing_actix_web::TracingLogger;
//!
//! let app = App::new().wrap(middleware::from_fn(finish)).wrap(TracingLogger::<RootSpan>::new());
//! # drop(app);
//! ```

#[cfg(test)]
mod tests;

use std::net::{IpAddr, Ipv4Addr};
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::body::{BodySize, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT};
use actix_web::middleware::Next;
use actix_web::web::Bytes;
use actix_web::{HttpMessage, HttpRequest};
use tracing::Span;
use tracing_actix_web::{RootSpan as Root, RootSpanBuilder};

use crate::forwarded::Client;
use crate::http::{self, ServerRequest, Side};
use crate::metrics::Timer;
use crate::propagation::headers::UNREADABLE;
use crate::propagation::{self, Headers, Incoming, Trust};
use crate::span::{OwnedSpan, SpanExt, kind};

/// Builds the root span of a request.
pub struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let route = request.match_pattern();
        if route.as_deref().is_some_and(is_untraced) {
            return Span::none();
        }
        let connected = request.peer_addr();
        let peer = connected.map(http::peer);
        let found = SpanHeaders::of(request.headers());
        let client = client_by(request.request(), &found);
        let served = ServerRequest {
            method: request.method().as_str(),
            route: route.as_deref(),
            path: request.path(),
            query: Some(request.query_string()),
            scheme: client.scheme,
            host: client.host.as_deref(),
            peer,
            peer_port: connected.map(|address| address.port()),
            client: peer.map(|_| client.address),
            user_agent: text(found.user_agent),
            version: version(request.version()),
        };
        let incoming = match found.carries_context {
            true => propagation::extract(request.headers(), &Trust::ALWAYS, peer),
            false => Incoming::default(),
        };
        http::server_span(&served, &incoming)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        if let Some(error) = error.filter(|_| status.is_server_error()) {
            let error = error.as_response_error();
            span.record_with(|span| {
                // If there is an exception already, the code that recorded it knew more.
                if !span.has_exception() {
                    span.exception(&kind(&error).unwrap_or_default(), &error.to_string(), "");
                }
            });
        }
        http::record_status(&span, Side::Server, status.as_u16());
    }
}

/// The client of a request.
pub fn client(request: &HttpRequest) -> Client<'_> {
    client_by(request, &SpanHeaders::of(request.headers()))
}

fn client_by<'a>(request: &'a HttpRequest, found: &SpanHeaders<'a>) -> Client<'a> {
    let connected = Client {
        // A peer without an address is on this machine: a Unix socket.
        address: request.peer_addr().map_or(IpAddr::V4(Ipv4Addr::LOCALHOST), http::peer),
        scheme: if request.app_config().secure() { "https" } else { "http" },
        host: text(found.host).map(Into::into),
    };
    match request.app_data::<Trust>().filter(|_| found.is_forwarded) {
        Some(trust) => connected.resolve_behind(request.headers(), trust),
        None => connected,
    }
}

/// A middleware that puts [`propagation::decision`] on the response, and ends the request's span with the response. The span is
/// that of the `TracingLogger` around it, which itself only sees responses. A request without a span is timed, if the service has
/// metrics.
///
/// # Errors
/// Those of the service within.
pub async fn finish<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<Ended<B>>, actix_web::Error> {
    let span = request.extensions().get::<Root>().map_or_else(Span::none, |root| Span::clone(root));
    let decision = propagation::decision(&span);
    let mut timer = span.is_none().then(|| timer(&request));
    let mut response = next.call(request).await?;
    if let Some((name, value)) = decision.and_then(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    if let Some(timer) = &mut timer {
        timer.status(response.status().as_u16());
    }
    Ok(response.map_body(|_, body| Ended { body, _span: OwnedSpan::of(span), _timer: timer }))
}

/// Times a request that has no span.
fn timer(request: &ServiceRequest) -> Timer {
    let scheme = client(request.request()).scheme;
    let (route, version) = (request.match_pattern(), version(request.version()));
    Timer::server(request.method().as_str(), scheme, route.as_deref(), version)
}

fn version(version: Version) -> Option<&'static str> {
    match version {
        Version::HTTP_10 => Some("1.0"),
        Version::HTTP_11 => Some("1.1"),
        Version::HTTP_2 => Some("2"),
        _ => None,
    }
}

pin_project_lite::pin_project! {
    /// A response's body that ends the request's span when the body is dropped, which happens once it has been sent.
    #[doc(hidden)]
    pub struct Ended<B> {
        #[pin]
        body: B,
        _span: OwnedSpan,
        _timer: Option<Timer>,
    }
}

impl<B: MessageBody> MessageBody for Ended<B> {
    type Error = B::Error;

    fn size(&self) -> BodySize {
        self.body.size()
    }

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, B::Error>>> {
        self.project().body.poll_next(cx)
    }
}

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

/// The headers that a span records, each by its first value. Found in one pass: a look-up hashes its name, and a request has few
/// headers.
#[derive(Default)]
struct SpanHeaders<'a> {
    host: Option<&'a HeaderValue>,
    user_agent: Option<&'a HeaderValue>,
    /// Whether there is a context to extract.
    carries_context: bool,
    /// Whether a proxy says who the client is.
    is_forwarded: bool,
}

impl<'a> SpanHeaders<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            if *name == HOST {
                found.host.get_or_insert(value);
            } else if *name == USER_AGENT {
                found.user_agent.get_or_insert(value);
            } else {
                found.carries_context |= FIELDS.contains(name);
                found.is_forwarded |= X_FORWARDED.contains(name);
            }
        }
        found
    }
}

/// Routes that machines request again and again.
fn is_untraced(route: &str) -> bool {
    route.ends_with("/health-check") || route.starts_with("/health/") || route == "/metrics"
}

/// The names in [`propagation::FIELDS`], parsed once: actix-web would parse a text at each look-up.
static FIELDS: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("x-amzn-trace-id"),
];

/// The names that [`Client::resolve_behind`] reads, parsed likewise.
static X_FORWARDED: [HeaderName; 4] = [
    HeaderName::from_static("x-forwarded-for"),
    HeaderName::from_static("x-forwarded-proto"),
    HeaderName::from_static("x-forwarded-host"),
    HeaderName::from_static("x-forwarded-port"),
];

impl Headers for HeaderMap {
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let name = FIELDS.iter().chain(&X_FORWARDED).find(|field| field.as_str() == name);
        let values = name.map(|name| self.get_all(name));
        values.into_iter().flatten().map(|value| value.to_str().unwrap_or(UNREADABLE))
    }
}
