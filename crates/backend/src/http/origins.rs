//! The origins whose pages may call the API: decides whether a page of one made a request, and warns of the first pages of other origins.

use std::sync::{Mutex, PoisonError};

use actix_web::HttpRequest;
use actix_web::dev::ServiceRequest;
use actix_web::http::Method;
use actix_web::http::header::{HeaderMap, HeaderName, ORIGIN, REFERER};
use telemetry::actix::client;

use crate::config::Origin;

/// Without a limit, a client that makes up origins would flood the log with warnings.
const MOST_REPORTED: usize = 4;
/// The longest name of a host, its scheme and its port.
const MOST_BYTES: usize = 270;

pub(super) struct Origins {
    allowed: Vec<Origin>,
    reported: Mutex<Vec<Origin>>,
}

impl Origins {
    pub(super) fn new(allowed: Vec<Origin>) -> Self {
        Self { allowed, reported: Mutex::default() }
    }

    pub(super) fn allowed(&self) -> &[Origin] {
        &self.allowed
    }

    /// Whether a page of a configured origin made this request. Browsers send `Origin` to another origin and with each write, and `Referer` when
    /// a page reads from its own. No page can forge either, and unlike `Host` neither follows a name that an attacker rebinds.
    pub(super) fn made(&self, request: &HttpRequest) -> bool {
        let headers = request.headers();
        let reads = [Method::GET, Method::HEAD].contains(request.method());
        let origin = match origin(headers, &ORIGIN) {
            None if reads && !headers.contains_key(ORIGIN) => origin(headers, &REFERER),
            origin => origin,
        };
        origin.is_some_and(|origin| self.allowed.contains(&origin))
    }

    /// Logs that the browser will keep the response from the page that made this request, if its origin is not configured.
    pub(super) fn report(&self, request: &ServiceRequest) {
        let Some(origin) = origin(request.headers(), &ORIGIN) else { return };
        if self.allowed.contains(&origin) || is_own(request, &origin) {
            return;
        }
        let mut reported = self.reported.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() >= MOST_REPORTED || reported.contains(&origin) {
            return;
        }
        let allowed = self.allowed.iter().map(Origin::as_str).collect::<Vec<_>>().join(" and ");
        let origin_text = origin.as_str();
        if allowed.is_empty() {
            tracing::warn!(
                "a page at {origin_text} cannot use the API: no origin is configured; set FRONTEND_URL={origin_text}"
            );
        } else {
            tracing::warn!(
                "a page at {origin_text} cannot use the API: only {allowed} may; open the page there, or set FRONTEND_URL={origin_text}"
            );
        }
        reported.push(origin);
    }
}

/// The origin in a header that occurs once, of an address that may have a path.
fn origin(headers: &HeaderMap, name: &HeaderName) -> Option<Origin> {
    let mut values = headers.get_all(name);
    let (Some(value), None) = (values.next(), values.next()) else { return None };
    let text = value.to_str().ok()?;
    let (scheme, rest) = text.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    let origin = format!("{scheme}://{authority}");
    (origin.len() <= MOST_BYTES).then(|| origin.parse().ok())?
}

/// Whether the page has the same origin as this API has for the client. In that case no origin needs to be configured.
fn is_own(request: &ServiceRequest, origin: &Origin) -> bool {
    let is_same = request.headers().get("sec-fetch-site").is_some_and(|site| site == "same-origin");
    let authority = origin.as_str().split_once("://").map(|(_, authority)| authority);
    is_same || client(request.request()).host.as_deref() == authority
}

#[cfg(test)]
mod tests {
    use actix_web::http::header::HOST;
    use actix_web::test::TestRequest;

    use super::*;

    fn made(method: Method, headers: &[(&str, &str)]) -> bool {
        let origins = ["http://localhost:3000", "https://cruddur.example"].map(|origin| origin.parse().unwrap());
        let request = TestRequest::default().method(method).insert_header((HOST, "evil.example"));
        let request = headers.iter().fold(request, |request, header| request.append_header(*header));
        Origins::new(origins.into()).made(&request.to_http_request())
    }

    #[test]
    fn a_request_is_made_by_the_page_that_its_headers_name() {
        for method in [Method::GET, Method::POST, Method::DELETE] {
            assert!(made(method.clone(), &[("origin", "http://localhost:3000")]));
            assert!(made(method, &[("origin", "https://cruddur.example"), ("sec-fetch-site", "cross-site")]));
        }
        assert!(made(Method::GET, &[("referer", "http://localhost:3000/notifications?x=1")]));
        assert!(made(Method::HEAD, &[("referer", "http://localhost:3000")]));
    }

    #[test]
    fn a_request_of_another_page_or_of_no_page_is_not_made_by_a_configured_one() {
        for headers in [
            &[][..],
            &[("origin", "null")],
            &[("origin", "")],
            &[("origin", "http://localhost:3001")],
            &[("origin", "https://localhost:3000")],
            &[("origin", "http://127.0.0.1:3000")],
            &[("origin", "http://localhost:3000.evil.example")],
            &[("origin", "http://localhost:3000@evil.example")],
            &[("origin", "http://evil.example"), ("host", "evil.example"), ("sec-fetch-site", "same-origin")],
            &[("origin", "http://evil.example"), ("referer", "http://localhost:3000/")],
            &[("origin", "null"), ("referer", "http://localhost:3000/")],
            &[("origin", "http://localhost:3000"), ("origin", "http://evil.example")],
            &[("referer", "http://evil.example/?http://localhost:3000/")],
            &[("referer", "http://localhost:3000@evil.example/")],
        ] {
            assert!(!made(Method::GET, headers), "{headers:?}");
        }
        assert!(!made(Method::POST, &[("referer", "http://localhost:3000/")]), "browsers send Origin with a write");
    }
}
