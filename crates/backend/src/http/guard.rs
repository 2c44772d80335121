//! What every request must satisfy before a handler sees it: a host that this listener serves, a body that is not encoded, and JSON in a write's body. Also decides which site's page made
//! a write: the [session](super::session) checks that before it acts on a cookie.

use actix_web::dev::ServiceRequest;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderValue, ORIGIN, TRANSFER_ENCODING,
};
use actix_web::http::uri::Authority;
use actix_web::http::{Method, StatusCode, Version};
use actix_web::{HttpMessage, HttpRequest};
use futures_util::StreamExt;
use settings::allowed_hosts::{AllowedHosts, HostFault};
use settings::origin::Origin;
use telemetry::actix::client;

use super::problem::Problem;

/// Checks that the request's host is one of the [`AllowedHosts`] among the app's data.
///
/// # Errors
/// The host is not served here, or the request has no valid one.
pub(super) fn host(request: &ServiceRequest) -> Result<(), Problem> {
    let Some(hosts) = request.app_data::<AllowedHosts>() else { return Ok(()) };
    let target = request.uri().authority().map(Authority::as_str);
    match hosts.check(target, request.headers().get_all(HOST).map(|host| host.as_bytes())) {
        Ok(()) => Ok(()),
        Err(HostFault::Missing) if request.version() == Version::HTTP_10 => Ok(()),
        Err(HostFault::Foreign) => Err(Problem::Other(StatusCode::MISDIRECTED_REQUEST, HostFault::Foreign.to_string())),
        Err(fault) => Err(Problem::bad_request(fault.to_string())),
    }
}

/// Checks that the body is not encoded, since none is decoded: pages send no compressed ones, and a body that is not inflated cannot grow.
///
/// # Errors
/// It is encoded.
pub(super) fn encoding(request: &ServiceRequest) -> Result<(), Problem> {
    if request.headers().get_all(CONTENT_ENCODING).all(is_identity) { Ok(()) } else { Err(Problem::Encoded) }
}

fn is_identity(encoding: &HeaderValue) -> bool {
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    encoding.to_str().is_ok_and(|codings| codings.split(',').map(str::trim).all(is_identity))
}

/// Checks that the body of a write, if there is one, is `application/json`. A browser sends that to another origin only after a preflight, unlike the types of
/// a form.
///
/// # Errors
/// It has another type. The body cannot be read afterwards.
pub(super) async fn json(request: &mut ServiceRequest) -> Result<(), Problem> {
    if is_read(request.method()) || is_json(request.headers()) || !has_body(request).await {
        Ok(())
    } else {
        Err(Problem::media_type())
    }
}

pub(super) fn is_read(method: &Method) -> bool {
    [Method::GET, Method::HEAD, Method::OPTIONS].contains(method)
}

/// Whether a request came from a page of this site or of a configured origin, or from no browser. A browser sends `Sec-Fetch-Site` over HTTPS and to this
/// machine, and `Origin` with every write; `same-site` includes pages of other ports. A client that sends neither is not a browser: it sends its cookie deliberately.
pub(super) fn is_ours(request: &HttpRequest, configured: &[Origin]) -> bool {
    let headers = request.headers();
    let mut origins = headers.get_all(ORIGIN);
    let origin = match (origins.next(), origins.next()) {
        (origin, None) => origin.map(|origin| origin.to_str().unwrap_or_default()),
        _ => return false,
    };
    if origin.is_some_and(|origin| configured.iter().any(|own| own.as_str() == origin)) {
        return true;
    }
    let mut sites = headers.get_all("sec-fetch-site").peekable();
    match (sites.peek(), origin) {
        (Some(_), _) => sites.all(|site| site == "same-origin" || site == "none"),
        (None, Some(origin)) => client(request).is_origin(origin),
        (None, None) => true,
    }
}

/// Whether a body has any bytes; the body cannot be read afterwards. A chunked body may be empty.
async fn has_body(request: &mut ServiceRequest) -> bool {
    let headers = request.headers();
    let is_chunked = headers.contains_key(TRANSFER_ENCODING);
    if !is_chunked {
        return headers.get(CONTENT_LENGTH).is_some_and(|length| length != "0");
    }
    let mut payload = request.take_payload();
    payload.next().await.is_some()
}

fn is_json(headers: &HeaderMap) -> bool {
    let mut types = headers.get_all(CONTENT_TYPE);
    let (Some(one), None) = (types.next(), types.next()) else { return false };
    let essence = one.to_str().unwrap_or_default().split(';').next().unwrap_or_default();
    essence.trim().eq_ignore_ascii_case("application/json")
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    fn request(headers: &[(&'static str, &'static str)]) -> HttpRequest {
        let request = TestRequest::post().insert_header((HOST, "localhost:3000"));
        headers.iter().fold(request, |request, header| request.append_header(*header)).to_http_request()
    }

    #[test]
    fn a_write_may_come_from_our_page_a_configured_origin_or_no_browser() {
        let configured = ["http://app.example:8000".parse().unwrap()];
        let (own, app, port) = (
            ("origin", "http://localhost:3000"),
            ("origin", "http://app.example:8000"),
            ("origin", "http://localhost:8000"),
        );
        let site = |site| ("sec-fetch-site", site);
        for (headers, ours) in [
            (&[][..], true),
            (&[site("same-origin")], true),
            (&[site("none")], true),
            (&[site("same-origin"), own], true),
            (&[own], true),
            (&[app], true),
            (&[app, site("same-site")], true),
            (&[app, site("cross-site")], true),
            (&[site("same-site")], false),
            (&[site("cross-site")], false),
            (&[site("Same-Origin")], false),
            (&[site("")], false),
            (&[site("same-origin"), site("cross-site")], false),
            (&[own, site("same-site")], false),
            (&[port], false),
            (&[port, site("same-site")], false),
            (&[("origin", "null")], false),
            (&[("origin", "https://localhost:3000")], false),
            (&[("origin", "http://localhost:3000.evil.example")], false),
            (&[("origin", "")], false),
            (&[own, app], false),
        ] {
            assert_eq!(is_ours(&request(headers), &configured), ours, "{headers:?}");
        }
    }

    #[test]
    fn json_is_one_media_type() {
        for (types, json) in [
            (&["application/json"][..], true),
            (&["Application/JSON; charset=utf-8"], true),
            (&["text/json"], false),
            (&["application/problem+json"], false),
            (&["application/jsonx"], false),
            (&["application/json, text/plain"], false),
            (&["text/plain"], false),
            (&["text/plain; application/json"], false),
            (&["application/json", "application/json"], false),
            (&[], false),
        ] {
            let headers: Vec<_> = types.iter().map(|text| ("content-type", *text)).collect();
            assert_eq!(is_json(request(&headers).headers()), json, "{types:?}");
        }
    }
}
