//! Failures of every route but OTLP's, as problems ([RFC 9457](https://www.rfc-editor.org/rfc/rfc9457)).

use actix_web::HttpResponse;
use actix_web::http::StatusCode;
use actix_web::http::header::ContentType;
use serde_json::{Value, json};
use settings::allowed_hosts::HostFault;

use crate::search::syntax::QueryFault;

pub(super) const NOT_A_TRACE_ID: &str = "a trace id is 32 hex digits";
pub(super) const NO_SUCH_TRACE: &str = "no such trace; it has not arrived, or was evicted";

/// The response for a host that is not served.
pub(crate) fn refuse_host(status: StatusCode, fault: HostFault) -> HttpResponse {
    problem(status.as_u16(), &fault.to_string())
}

/// Why a search is not made.
#[derive(Debug)]
pub(super) enum SearchError {
    Parameter(String),
    Query(QueryFault),
    Busy,
    Failed,
}

impl SearchError {
    pub(super) fn response(&self) -> HttpResponse {
        match self {
            Self::Parameter(detail) => problem(400, detail),
            Self::Query(fault) => respond(400, &fault.to_string(), &[("position", json!(fault.position))]),
            Self::Busy => problem(503, "too many searches are running; try again later"),
            Self::Failed => problem(500, "the search failed; report the query as a bug"),
        }
    }
}

pub(super) fn problem(status: u16, detail: &str) -> HttpResponse {
    respond(status, detail, &[])
}

fn respond(status: u16, detail: &str, members: &[(&str, Value)]) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let title = status.canonical_reason().unwrap_or_default();
    let mut body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    if let Some(body) = body.as_object_mut() {
        body.extend(members.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    }
    HttpResponse::build(status)
        .insert_header(ContentType("application/problem+json".parse().unwrap_or(ContentType::json().0)))
        .body(body.to_string())
}
