//! Failures of every route but OTLP's, as problems ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use serde_json::json;
use settings::allowed_hosts::HostFault;

pub(super) const NOT_A_TRACE_ID: &str = "a trace id is 32 hex digits";
pub(super) const NO_SUCH_TRACE: &str = "no such trace; it has not arrived, or was evicted";

/// The response for a host that is not served.
pub(crate) fn refuse_host(status: StatusCode, fault: HostFault) -> HttpResponse {
    problem(status.as_u16(), &fault.to_string())
}

pub(super) fn problem(status: u16, detail: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    HttpResponse::build(status)
        .insert_header(ContentType("application/problem+json".parse().unwrap_or(ContentType::json().0)))
        .body(body.to_string())
}
