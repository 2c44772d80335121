//! The proxy's own responses: files of the page, redirects, and errors as `application/problem+json` with the trace id.

use bytes::Bytes;
use http::header::{self, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use telemetry::{ledger, propagation};
use tracing::Span;

use crate::body::Outgoing;
use crate::page::File;

const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");
const SERVER_TIMING: HeaderName = HeaderName::from_static("server-timing");

pub(crate) fn file(file: File) -> Response<Outgoing> {
    let mut response = typed(StatusCode::OK, file.content_type, file.content);
    let headers = response.headers_mut();
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static("default-src 'self'"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// That the process answers; whether its upstreams do is not asked.
pub(crate) fn alive() -> Response<Outgoing> {
    plain(StatusCode::NO_CONTENT, Bytes::new())
}

/// What became of every span.
pub(crate) fn ledger() -> Response<Outgoing> {
    let ledger = serde_json::to_vec(&ledger::current()).unwrap_or_default();
    typed(StatusCode::OK, "application/json", ledger.into())
}

/// The same for Prometheus.
pub(crate) fn metrics() -> Response<Outgoing> {
    let text = ledger::current().map(|ledger| ledger.prometheus()).unwrap_or_default();
    typed(StatusCode::OK, ledger::PROMETHEUS, text.into())
}

pub(crate) fn redirect(to: &'static str) -> Response<Outgoing> {
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, Bytes::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

/// An error, with the trace in which it happened.
pub(crate) fn problem(status: StatusCode, detail: &str, span: &Span) -> Response<Outgoing> {
    let mut body = serde_json::json!({
        "type": "about:blank",
        "title": status.canonical_reason().unwrap_or_default(),
        "status": status.as_u16(),
        "detail": detail,
    });
    if let Some(trace_id) = propagation::trace_id(span) {
        body["trace_id"] = trace_id.into();
    }
    typed(status, "application/problem+json", body.to_string().into())
}

/// Tells the caller which span served it, and whether it is recorded where that was asked. An upstream's own word on this is
/// replaced: to the caller, we are the server.
pub(crate) fn tell_trace<B>(mut response: Response<B>, span: &Span) -> Response<B> {
    response.headers_mut().remove("x-amzn-trace-id");
    propagation::tell(span, |timing, id, answer| {
        let answer = answer.as_ref().map(|(name, value)| (HeaderName::from_static(name), value.as_str()));
        for (name, value) in [(SERVER_TIMING, timing), (REQUEST_ID, id)].into_iter().chain(answer) {
            if let Ok(value) = HeaderValue::from_str(value) {
                response.headers_mut().insert(name, value);
            }
        }
    });
    response
}

fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Outgoing> {
    let mut response = plain(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

fn plain(status: StatusCode, body: Bytes) -> Response<Outgoing> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
}
