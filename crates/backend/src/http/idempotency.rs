//! `Idempotency-Key`: two equal requests with one key act once and get the same response.

use std::future::{Ready, ready};

use actix_web::dev::Payload;
use actix_web::http::header;
use actix_web::{FromRequest, HttpRequest, HttpResponse};
use serde::Serialize;
use telemetry::span::SpanExt;
use tracing::Span;
use utoipa::IntoParams;
use utoipa::openapi::path::{Parameter, ParameterBuilder, ParameterIn};
use utoipa::openapi::{Object, Required};

use super::problem::Problem;
use super::state::HandlerResult;
use crate::store::{IdempotencyKey, KeyedRequest, Outcome, Rendered};

/// The key of a request that has one, and its path.
pub(super) struct Idempotency(Option<(IdempotencyKey, String)>);

impl Idempotency {
    /// Identifies the request by its key, path and body. Bodies that differ only in spaces or in the order of fields are equal.
    pub(super) fn of(self, body: &impl Serialize) -> Option<KeyedRequest> {
        let (key, path) = self.0?;
        let body = serde_json::to_vec(body).unwrap_or_default();
        Some(KeyedRequest::new(key, &[path.as_bytes(), &body]))
    }
}

impl FromRequest for Idempotency {
    type Error = Problem;
    type Future = Ready<Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let Some(value) = request.headers().get("idempotency-key") else {
            return ready(Ok(Self(None)));
        };
        let key = value.to_str().unwrap_or_default().parse::<IdempotencyKey>();
        ready(match key {
            Ok(key) => Ok(Self(Some((key, request.path().to_owned())))),
            Err(error) => Err(Problem::bad_request(error.to_string())),
        })
    }
}

impl IntoParams for Idempotency {
    fn into_params(_: impl Fn() -> Option<ParameterIn>) -> Vec<Parameter> {
        let key = ParameterBuilder::new()
            .name("idempotency-key")
            .parameter_in(ParameterIn::Header)
            .required(Required::False)
            .description(Some("For a day, requests with the same key and body act once and get the same response"))
            .schema(Some(
                Object::builder().schema_type(utoipa::openapi::schema::Type::String).pattern(Some("^[!-~]{1,255}$")),
            ));
        vec![key.build()]
    }
}

/// The response to a write that has made something: the location of the new item, and its JSON.
pub(super) fn rendered(location: String, body: &impl Serialize) -> Rendered {
    Rendered { location, body: serde_json::to_string(body).unwrap_or_default() }
}

/// Responds to a write that was done now or before.
pub(super) fn respond<T>(outcome: Outcome<T>) -> HandlerResult {
    let Rendered { location, body } = match outcome {
        Outcome::Done(_, rendered) => rendered,
        Outcome::Before(rendered) => {
            Span::current().set("cruddur.idempotency.replayed", true);
            rendered
        }
        Outcome::AnotherRequest => {
            return Err(Problem::conflict("this Idempotency-Key was used for another request; use a new one"));
        }
    };
    Ok(HttpResponse::Ok().insert_header((header::LOCATION, location)).content_type("application/json").body(body))
}
