//! The proxy's own responses that are not errors.

use bytes::Bytes;
use http::header::{self, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{Either, Full};
use telemetry::prometheus;

use crate::answer::body::Outgoing;

/// Reports that the process responds; does not check its upstreams.
pub(crate) fn alive() -> Response<Outgoing> {
    plain(StatusCode::NO_CONTENT, Bytes::new())
}

/// The ledger of all spans.
pub(crate) fn ledger() -> Response<Outgoing> {
    let ledger = serde_json::to_vec(&telemetry::current_ledger()).unwrap_or_default();
    typed(StatusCode::OK, "application/json", ledger.into())
}

/// The ledger and the metrics in Prometheus' format, and the proxy's further counts.
pub(crate) fn metrics(write: impl FnOnce(&mut String)) -> Response<Outgoing> {
    let mut text = telemetry::current_ledger().map(|ledger| ledger.prometheus()).unwrap_or_default();
    text.extend(telemetry::metrics::prometheus());
    write(&mut text);
    typed(StatusCode::OK, prometheus::CONTENT_TYPE, text.into())
}

pub(crate) fn redirect(to: &'static str) -> Response<Outgoing> {
    let mut response = plain(StatusCode::PERMANENT_REDIRECT, Bytes::new());
    response.headers_mut().insert(header::LOCATION, HeaderValue::from_static(to));
    response
}

pub(crate) fn typed(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Outgoing> {
    let mut response = plain(status, body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

pub(crate) fn plain(status: StatusCode, body: Bytes) -> Response<Outgoing> {
    let mut response = Response::new(Either::Left(Full::new(body)));
    *response.status_mut() = status;
    response
}
