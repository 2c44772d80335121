//! What wraps every handler: CORS, the refusal of encoded bodies, configured faults, and the end of the drain.

use actix_cors::{Cors, CorsError};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::{ResponseError, web};
use settings::origin::{EXPOSED_HEADERS, Origin};

use super::problem::Problem;
use super::state::State;

/// Makes some requests fail, as if something were wrong, if `CRUDDUR_FAULTS` is set to do so.
pub(super) async fn fail_as_asked<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let percent = request.app_data::<web::Data<State>>().map_or(0, |state| state.faults.error_percent);
    let is_health = matches!(request.path(), "/api/health-check" | "/health/ready");
    if percent > 0 && !is_health && rand::random_range(0..100) < percent {
        let (request, _) = request.into_parts();
        let response = Problem::Asked.error_response();
        return Ok(ServiceResponse::new(request, response).map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// No body is decoded: pages send no compressed ones, and a body that is not inflated cannot grow.
pub(super) async fn refuse_encoded<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if request.headers().get_all(header::CONTENT_ENCODING).all(is_identity) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let (request, _) = request.into_parts();
    let response = Problem::Encoded.error_response();
    Ok(ServiceResponse::new(request, response).map_into_right_body())
}

fn is_identity(encoding: &HeaderValue) -> bool {
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    encoding.to_str().is_ok_and(|codings| codings.split(',').map(str::trim).all(is_identity))
}

/// Gives a response to a request that still waits at the end of the drain.
pub(super) async fn answer_in_time<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let ending = request.app_data::<web::Data<State>>().map(|state| state.drain.ending.clone());
    let Some(ending) = ending else { return next.call(request).await };
    tokio::select! {
        biased;
        answer = next.call(request) => answer,
        () = ending.cancelled() => {
            Err(Problem::Other(StatusCode::SERVICE_UNAVAILABLE, "the server is stopping".to_owned()).into())
        }
    }
}

/// The refusal of a preflight is a problem document too.
pub(super) fn refusal<B: MessageBody>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let error = response.response().error().and_then(actix_web::Error::as_error::<CorsError>);
    let Some(why) = error.map(ToString::to_string) else {
        return response.map_into_left_body();
    };
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, Problem::bad_request(why).error_response()).map_into_right_body()
}

/// Only pages of these origins may call the API. A page that this API's own proxy serves needs no configured origin.
pub(super) fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::OPTIONS, Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allowed_headers([header::CONTENT_TYPE, header::IF_MODIFIED_SINCE, header::AUTHORIZATION])
        .allowed_headers(["idempotency-key", "traceparent", "tracestate", "baggage"])
        .expose_headers(EXPOSED_HEADERS)
        .supports_credentials()
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}
