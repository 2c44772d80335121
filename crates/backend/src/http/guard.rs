//! What every request must satisfy before a handler sees it: a host that this listener answers to.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use actix_web::http::{StatusCode, Version};
use actix_web::middleware::Next;
use actix_web::{Error, ResponseError};
use settings::allowed_hosts::{AllowedHosts, HostFault};

use super::problem::Problem;

type Checked<B> = Result<ServiceResponse<EitherBody<B>>, Error>;

/// A middleware that answers only to the [`AllowedHosts`] among the app's data.
pub(super) async fn host<B: MessageBody + 'static>(request: ServiceRequest, next: Next<B>) -> Checked<B> {
    let checked = request.app_data::<AllowedHosts>().map_or(Ok(()), |hosts| {
        let target = request.uri().authority().map(Authority::as_str);
        hosts.check(target, request.headers().get_all(HOST).map(|host| host.as_bytes()))
    });
    match checked {
        Err(HostFault::Foreign) => {
            refused(request, &Problem::Other(StatusCode::MISDIRECTED_REQUEST, HostFault::Foreign.to_string()))
        }
        Err(HostFault::Missing) if request.version() == Version::HTTP_10 => passed(request, next).await,
        Err(fault) => refused(request, &Problem::bad_request(fault.to_string())),
        Ok(()) => passed(request, next).await,
    }
}

async fn passed<B: MessageBody + 'static>(request: ServiceRequest, next: Next<B>) -> Checked<B> {
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

fn refused<B>(request: ServiceRequest, problem: &Problem) -> Checked<B> {
    let (request, _) = request.into_parts();
    Ok(ServiceResponse::new(request, problem.error_response()).map_into_right_body())
}
