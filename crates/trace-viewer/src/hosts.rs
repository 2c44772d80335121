//! Each listener serves only [allowed](AllowedHosts) hosts. Otherwise a page whose host name resolves to this machine would have the listener's origin, and
//! could read every trace.

use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::HOST;
use actix_web::http::uri::Authority;
use actix_web::http::{StatusCode, Version};
use actix_web::middleware::Next;
use actix_web::{Error, HttpResponse};
use settings::allowed_hosts::{AllowedHosts, HostFault};

/// Builds a listener's refusal.
pub(crate) type Refuse = fn(StatusCode, HostFault) -> HttpResponse;

/// A middleware that refuses a request for another host than the [`AllowedHosts`] among the app's data.
pub(crate) async fn check<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, Error> {
    let (Some(hosts), Some(refuse)) = (request.app_data::<AllowedHosts>(), request.app_data::<Refuse>()) else {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    };
    let target = request.uri().authority().map(Authority::as_str);
    let checked = hosts.check(target, request.headers().get_all(HOST).map(|host| host.as_bytes()));
    let status = match checked {
        Err(HostFault::Foreign) => StatusCode::MISDIRECTED_REQUEST,
        _ => StatusCode::BAD_REQUEST,
    };
    match checked {
        Err(HostFault::Missing) if request.version() == Version::HTTP_10 => {}
        Err(fault) => {
            let response = refuse(status, fault);
            return Ok(request.into_response(response).map_into_right_body());
        }
        Ok(()) => {}
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}
