//! The last step of every response, the proxy's own or a forwarded one: sets the headers with which it leaves. Does no I/O.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::request::Parts;
use http::{Method, Response, StatusCode};
use http_body_util::{Either, Full};
use hyper::body::Body;
use telemetry::propagation;
use tracing::Span;

use crate::answer::accept;
use crate::answer::body::Outgoing;
use crate::answer::cors::Cors;
use crate::answer::problem::{self, is_problem};
use crate::inbound::received::ClientConnection;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");
/// A page requests the token of the trace that serves it with this header, and gets it in the same header.
pub(crate) const TRACE_TOKEN: HeaderName = HeaderName::from_static("trace-token");

/// A year: a client that came over TLS must use TLS again.
const HSTS: &str = "max-age=31536000";
/// The headers of each of the proxy's own responses, unless the response sets them itself. No browser may guess another type,
/// and no other site may embed the response.
static OURS: [(HeaderName, HeaderValue); 4] = [
    (header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'none'; frame-ancestors 'none'")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
];

/// Request details needed to build its response.
pub(crate) struct ResponseContext {
    accept: Option<HeaderValue>,
    origin: Option<HeaderValue>,
    is_head: bool,
    secure: bool,
}

impl ResponseContext {
    pub(crate) fn of(request: &Parts, connection: ClientConnection) -> Self {
        let mut accepts = request.headers.get_all(header::ACCEPT).iter();
        let first = accepts.next();
        let accept = accepts.fold(first.cloned(), |before, next| {
            let both = [before?.as_bytes(), b",", next.as_bytes()].concat();
            HeaderValue::from_maybe_shared(Bytes::from(both)).ok()
        });
        let origin = request.headers.get(header::ORIGIN).cloned();
        Self { accept, origin, is_head: request.method == Method::HEAD, secure: connection.secure }
    }
}

/// Completes a response. Every response passes through here exactly once, and last: a header for all responses belongs here.
pub(crate) fn finish(
    response: Response<Outgoing>,
    context: &ResponseContext,
    cors: &Cors,
    has_viewer: impl FnOnce() -> bool,
) -> Response<Outgoing> {
    // A response that switches protocols has no body, and is an upstream's too.
    let is_forwarded =
        matches!(response.body(), Either::Right(_)) || response.status() == StatusCode::SWITCHING_PROTOCOLS;
    if is_forwarded { response } else { finish_own(response, context, cors, has_viewer) }
}

/// Completes one of the proxy's own responses.
fn finish_own(
    mut response: Response<Outgoing>,
    context: &ResponseContext,
    cors: &Cors,
    has_viewer: impl FnOnce() -> bool,
) -> Response<Outgoing> {
    if is_problem(&response) {
        if accept::prefers_html(context.accept.as_ref()) {
            response = problem::as_page(response, has_viewer());
        }
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        cors.allow(context.origin.as_ref(), response.headers_mut());
    }
    for (name, value) in &OURS {
        if !response.headers().contains_key(name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    if context.secure {
        response.headers_mut().insert(header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static(HSTS));
    }
    if context.is_head {
        if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
            response.headers_mut().entry(header::CONTENT_LENGTH).or_insert(length.into());
        }
        *response.body_mut() = Either::Left(Full::default());
    }
    response
}

/// Adds the ids of the span that served a response and, if the caller requested it, the sampling decision. Replaces the
/// upstream's headers of these names: to the caller, the proxy is the server.
pub(crate) fn add_trace<B>(mut response: Response<B>, span: &Span) -> Response<B> {
    response.headers_mut().remove("x-amzn-trace-id");
    propagation::report(span, |timing, id, answer| {
        let answer = answer.as_ref().map(|(name, value)| (HeaderName::from_static(name), value.as_str()));
        for (name, value) in [(SERVER_TIMING, timing), (REQUEST_ID, id)].into_iter().chain(answer) {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
    });
    response
}

/// Adds the token of the trace in which a page was served.
pub(crate) fn add_token<B>(response: &mut Response<B>, token: &str) {
    if let Ok(token) = HeaderValue::from_str(token) {
        response.headers_mut().insert(TRACE_TOKEN, token);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::answer::problem::problem;
    use crate::answer::respond::alive;

    fn context(secure: bool) -> ResponseContext {
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        ResponseContext::of(&http::Request::new(()).into_parts().0, ClientConnection { peer, secure })
    }

    #[test]
    fn accept_may_be_split_over_two_headers() {
        let (mut request, ()) = http::Request::new(()).into_parts();
        for accepted in ["application/json;q=0.1", "text/html"] {
            request.headers.append(header::ACCEPT, HeaderValue::from_static(accepted));
        }
        let peer = std::net::SocketAddr::from(([127, 0, 0, 1], 1));
        let context = ResponseContext::of(&request, ClientConnection { peer, secure: false });
        let response = finish(
            problem(StatusCode::NOT_FOUND, "no such page", &Span::none()),
            &context,
            &Cors::new(Vec::new()),
            || false,
        );
        assert!(response.headers()[header::CONTENT_TYPE].as_bytes().starts_with(b"text/html"));
    }

    #[test]
    fn a_response_over_tls_requires_tls_from_then_on() {
        for secure in [true, false] {
            let response = finish(alive(), &context(secure), &Cors::new(Vec::new()), || false);
            assert_eq!(response.headers().contains_key(header::STRICT_TRANSPORT_SECURITY), secure);
            assert_eq!(response.headers()[header::X_CONTENT_TYPE_OPTIONS], "nosniff");
        }
    }
}
