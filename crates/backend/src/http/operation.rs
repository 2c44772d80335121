//! The handlers about the service itself: whether it is healthy and ready, and the outcome of its spans.

use actix_web::http::StatusCode;
use actix_web::{HttpResponse, web};
use telemetry::span::SpanExt;
use tracing::Span;

use super::drain::STOPPING;
use super::json;
use super::problem::{self, Problem};
use super::state::{HandlerResult, State};
use crate::config::Shape;
use crate::domain::FIRST_USER;

/// Whether the API responds
#[utoipa::path(get, path = "/api/health-check", tag = "operation", operation_id = "health_check",
    responses((status = 200, description = "It responds", body = json::Health)))]
pub(super) async fn health_check(state: web::Data<State>) -> HttpResponse {
    let accounts = state.credentials.are_issued().then_some("issued");
    let acts_as = (state.shape == Shape::Week2).then_some(FIRST_USER);
    HttpResponse::Ok().json(json::Health { success: true, ver: 1, faults: state.faults.to_string(), accounts, acts_as })
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
pub(super) async fn document(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state.document.clone())
}

/// Fail on purpose, to see whether errors are reported: the request's span gets an exception
#[utoipa::path(get, path = "/rollbar/test", tag = "operation", operation_id = "test_error", responses())]
pub(super) async fn test_error() -> HandlerResult {
    Span::current().exception("backend::TestError", "this error was requested", "");
    tracing::error!("this error was requested");
    Err(Problem::Other(StatusCode::INTERNAL_SERVER_ERROR, "this error was requested; find it in the trace".to_owned()))
}

/// Whether this server should receive requests
#[utoipa::path(get, path = "/health/ready", tag = "operation", operation_id = "ready",
    responses((status = 204, description = "It should"),
        (status = 503, description = "It is stopping, its database does not respond, or their clocks differ by more than a minute",
            body = problem::ProblemDocument, content_type = "application/problem+json")))]
pub(super) async fn ready(state: web::Data<State>) -> HandlerResult {
    if state.drain.has_begun() {
        return Err(Problem::unavailable(STOPPING));
    }
    match state.store.readiness().await {
        Ok(()) => Ok(HttpResponse::NoContent().finish()),
        Err(why) => Err(Problem::unavailable(&why.to_string())),
    }
}

/// The ledger: the outcome of every span
#[utoipa::path(get, path = "/health/telemetry", tag = "operation", operation_id = "ledger",
    responses((status = 200, description = "For each destination `created = delivered + queued + dropped`; null if \
        telemetry is not installed", body = Option<Object>)))]
pub(super) async fn ledger() -> HttpResponse {
    HttpResponse::Ok().json(telemetry::current_ledger())
}

/// The ledger and the metrics for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "In its text format 0.0.4", body = String)))]
pub(super) async fn metrics() -> HttpResponse {
    let mut text = telemetry::current_ledger().map(|ledger| ledger.prometheus()).unwrap_or_default();
    text.extend(telemetry::metrics::prometheus());
    HttpResponse::Ok().content_type(telemetry::prometheus::CONTENT_TYPE).body(text)
}
