//! What wraps every handler: the checks of a request, CORS, configured faults, and the end of the drain.

use std::future::{Future, ready};
use std::pin::pin;

use actix_cors::{Cors, CorsError};
use actix_web::body::{BoxBody, EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::http::Method;
use actix_web::http::header;
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError, web};
use futures_util::TryFutureExt;
use futures_util::future::Either;
use settings::origin::{EXPOSED_HEADERS, Origin};

use super::guard;
use super::problem::Problem;
use super::state::State;
use crate::faults::Faults;

/// Runs before CORS: refuses a host that is not served here, without headers that would let a page read the response.
pub(super) fn enter<S, B>(
    request: ServiceRequest,
    service: &S,
) -> impl Future<Output = Result<ServiceResponse<EitherBody<B>>, Error>> + use<S, B>
where
    S: Service<ServiceRequest, Response = ServiceResponse<B>, Error = Error>,
    B: MessageBody,
{
    if let Err(problem) = guard::host(&request) {
        return Either::Left(ready(Ok(refused(request, &problem).map_into_right_body())));
    }
    if let Some(state) = request.app_data::<web::Data<State>>() {
        state.origins.report(&request);
    }
    Either::Right(service.call(request).map_ok(refusal))
}

/// Runs between CORS and the handler: refuses invalid requests, makes some fail if `CRUDDUR_FAULTS` is set, and bounds the wait for a response during a drain.
/// It is one middleware, because each middleware boxes everything inside it.
pub(super) async fn admit(mut request: ServiceRequest, next: Next<BoxBody>) -> Result<ServiceResponse, Error> {
    let Some(state) = request.app_data::<web::Data<State>>().cloned() else { return next.call(request).await };
    let refusal = guard::encoding(&request).and_then(|()| fail_as_configured(&request, state.faults));
    if let Err(problem) = refusal {
        return Ok(refused(request, &problem));
    }
    let response = pin!(async {
        match guard::json(&mut request).await {
            Ok(()) => next.call(request).await,
            Err(problem) => Ok(refused(request, &problem)),
        }
    });
    state.drain.respond_in_time(response).await
}

fn refused(request: ServiceRequest, problem: &Problem) -> ServiceResponse {
    let (request, _) = request.into_parts();
    ServiceResponse::new(request, problem.error_response())
}

/// Makes some requests fail, as if something were wrong, if `CRUDDUR_FAULTS` is set to do so.
fn fail_as_configured(request: &ServiceRequest, faults: Faults) -> Result<(), Problem> {
    let percent = faults.error_percent;
    let is_health = matches!(request.path(), "/api/health-check" | "/health/ready");
    if percent > 0 && !is_health && rand::random_range(0..100) < percent { Err(Problem::Injected) } else { Ok(()) }
}

/// The refusal of a preflight is a problem document too.
fn refusal<B: MessageBody>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
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
