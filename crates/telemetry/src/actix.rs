//! The adapter for actix-web: `App::new().wrap(TracingLogger::<RootSpan>::new())` makes the SERVER span of each request, with
//! the stable conventions' names and 5xx alone as errors. Continues every caller's trace: use it in services that only
//! other services of yours reach. Health checks are not traced.
//!
//! [`answer`], inside it, answers a caller that asks by X-Ray's header whether its trace is recorded:
//!
//! ```
//! use actix_web::{App, middleware};
//! use telemetry::actix::{RootSpan, answer};
//! use tracing_actix_web::TracingLogger;
//!
//! let app = App::new().wrap(middleware::from_fn(answer)).wrap(TracingLogger::<RootSpan>::new());
//! # drop(app);
//! ```

use actix_web::body::MessageBody;
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::Version;
use actix_web::http::header::{
    FORWARDED, HOST, HeaderMap, HeaderName, HeaderValue, USER_AGENT, X_FORWARDED_HOST, X_FORWARDED_PROTO,
};
use actix_web::middleware::Next;
use tracing::Span;
use tracing_actix_web::RootSpanBuilder;

use crate::http::{self, Served, Side};
use crate::propagation::{self, Headers, Trust};

/// Builds the root span of a request.
pub struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let route = request.match_pattern();
        if route.as_deref().is_some_and(is_untraced) {
            return Span::none();
        }
        let peer = request.peer_addr().map(http::peer);
        // Without `Forwarded`, whose grammar is left to actix-web, no text is copied.
        let info = request.headers().contains_key(&FORWARDED).then(|| request.connection_info());
        let forwarded = |name: &HeaderName| {
            let text = request.headers().get(name)?.to_str().ok()?;
            text.split(',').next().map(str::trim).filter(|text| !text.is_empty())
        };
        let of_connection = || if request.app_config().secure() { "https" } else { "http" };
        let of_request = || request.headers().get(HOST).and_then(|host| host.to_str().ok());
        let served = Served {
            method: request.method().as_str(),
            route: route.as_deref(),
            path: request.path(),
            query: Some(request.query_string()),
            scheme: match &info {
                Some(info) => info.scheme(),
                None => forwarded(&X_FORWARDED_PROTO).unwrap_or_else(of_connection),
            },
            host: match &info {
                Some(info) => Some(info.host()),
                None => forwarded(&X_FORWARDED_HOST).or_else(of_request),
            },
            peer,
            client: None,
            user_agent: request.headers().get(USER_AGENT).and_then(|value| value.to_str().ok()),
            version: match request.version() {
                Version::HTTP_10 => Some("1.0"),
                Version::HTTP_11 => Some("1.1"),
                Version::HTTP_2 => Some("2"),
                _ => None,
            },
        };
        http::server_span(&served, &propagation::extract(request.headers(), &Trust::ALWAYS, peer))
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let status = match outcome {
            Ok(response) => response.status(),
            Err(error) => error.as_response_error().status_code(),
        };
        http::record_status(&span, Side::Server, status.as_u16());
    }
}

/// A middleware that puts [`propagation::answer`] on the response: the span is that of the `TracingLogger` around it, which
/// itself only sees responses.
///
/// # Errors
/// Those of the service within.
pub async fn answer<B: MessageBody>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, actix_web::Error> {
    let answer = propagation::answer(&Span::current());
    let mut response = next.call(request).await?;
    if let Some((name, value)) = answer.and_then(|(name, value)| Some((name, HeaderValue::from_str(&value).ok()?))) {
        response.headers_mut().insert(HeaderName::from_static(name), value);
    }
    Ok(response)
}

/// What is asked by machines, again and again.
fn is_untraced(route: &str) -> bool {
    route.ends_with("/health-check") || route.starts_with("/health/") || route == "/metrics"
}

/// What [`propagation::FIELDS`] names, parsed: to look a text up, actix-web makes a name of it, each time.
static FIELDS: [HeaderName; 4] = [
    HeaderName::from_static("traceparent"),
    HeaderName::from_static("tracestate"),
    HeaderName::from_static("baggage"),
    HeaderName::from_static("x-amzn-trace-id"),
];

impl Headers for HeaderMap {
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        let values = FIELDS.iter().find(|field| field.as_str() == name).map(|field| self.get_all(field));
        values.into_iter().flatten().map(|value| value.to_str().unwrap_or(propagation::UNREADABLE))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_field_that_is_propagated_is_looked_up() {
        for name in propagation::FIELDS {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            assert_eq!(headers.values(name).collect::<Vec<_>>(), ["x"]);
        }
    }
}
