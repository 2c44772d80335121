//! The adapter for actix-web: `App::new().wrap(TracingLogger::<RootSpan>::new())` makes the SERVER span of each request, with
//! the stable conventions' names and 5xx alone as errors, each with the `exception` that the handler returned: the name
//! of its type and its `Display`, which leaves the process so. Continues every caller's trace: use it in services that only
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
use crate::propagation::{self, Headers, Incoming, Trust};
use crate::span::{SpanExt, kind};

/// Builds the root span of a request.
pub struct RootSpan;

impl RootSpanBuilder for RootSpan {
    fn on_request_start(request: &ServiceRequest) -> Span {
        let route = request.match_pattern();
        if route.as_deref().is_some_and(is_untraced) {
            return Span::none();
        }
        let peer = request.peer_addr().map(http::peer);
        let found = Found::of(request.headers());
        // Without `Forwarded`, whose grammar is left to actix-web, no text is copied.
        let info = found.forwarded.map(|_| request.connection_info());
        let forwarded = |value| text(value)?.split(',').next().map(str::trim).filter(|text| !text.is_empty());
        let of_connection = || if request.app_config().secure() { "https" } else { "http" };
        let served = Served {
            method: request.method().as_str(),
            route: route.as_deref(),
            path: request.path(),
            query: Some(request.query_string()),
            scheme: match &info {
                Some(info) => info.scheme(),
                None => forwarded(found.forwarded_proto).unwrap_or_else(of_connection),
            },
            host: match &info {
                Some(info) => Some(info.host()),
                None => forwarded(found.forwarded_host).or_else(|| text(found.host)),
            },
            peer,
            client: None,
            user_agent: text(found.user_agent),
            version: match request.version() {
                Version::HTTP_10 => Some("1.0"),
                Version::HTTP_11 => Some("1.1"),
                Version::HTTP_2 => Some("2"),
                _ => None,
            },
        };
        let incoming = match found.carries_context {
            true => propagation::extract(request.headers(), &Trust::ALWAYS, peer),
            false => Incoming::default(),
        };
        http::server_span(&served, &incoming)
    }

    fn on_request_end<B: MessageBody>(span: Span, outcome: &Result<ServiceResponse<B>, actix_web::Error>) {
        let (status, error) = match outcome {
            Ok(response) => (response.status(), response.response().error()),
            Err(error) => (error.as_response_error().status_code(), Some(error)),
        };
        if let Some(error) = error.filter(|_| status.is_server_error()) {
            let error = error.as_response_error();
            span.record_with(|span| {
                // Whoever knows more has told it.
                if !span.has_exception() {
                    span.exception(&kind(&error).unwrap_or_default(), &error.to_string(), "");
                }
            });
        }
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

fn text(value: Option<&HeaderValue>) -> Option<&str> {
    value?.to_str().ok()
}

/// The headers that a span tells of, each by its first value. Found in one pass: a look-up hashes its name, and a request has few
/// headers.
#[derive(Default)]
struct Found<'a> {
    host: Option<&'a HeaderValue>,
    user_agent: Option<&'a HeaderValue>,
    forwarded: Option<&'a HeaderValue>,
    forwarded_host: Option<&'a HeaderValue>,
    forwarded_proto: Option<&'a HeaderValue>,
    /// There is something to extract.
    carries_context: bool,
}

impl<'a> Found<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut found = Self::default();
        for (name, value) in headers {
            let field = match *name {
                HOST => &mut found.host,
                USER_AGENT => &mut found.user_agent,
                FORWARDED => &mut found.forwarded,
                _ if *name == X_FORWARDED_HOST => &mut found.forwarded_host,
                _ if *name == X_FORWARDED_PROTO => &mut found.forwarded_proto,
                _ => {
                    found.carries_context |= FIELDS.contains(name);
                    continue;
                }
            };
            field.get_or_insert(value);
        }
        found
    }
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
    use actix_web::test::{TestRequest, call_service, init_service};
    use actix_web::{App, ResponseError, rt, web};
    use tracing_actix_web::TracingLogger;

    use super::*;
    use crate::span::Limits;
    use crate::span::sampler::Sampler;
    use crate::testing::{Recorded, attribute, recorded};

    #[derive(Debug)]
    struct NoDisk;

    impl std::fmt::Display for NoDisk {
        fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
            f.write_str("the disk is away")
        }
    }

    /// 500, unless it says otherwise.
    impl ResponseError for NoDisk {}

    #[test]
    fn what_a_handler_returns_for_a_5xx_is_an_exception_unless_it_has_told_one() {
        let Recorded { spans, .. } = recorded(Sampler::default(), Limits::default(), false, || {
            rt::System::new().block_on(async {
                let silent = || async { Err::<&str, _>(NoDisk) };
                let telling = || async {
                    Span::current().exception("Disk", "", "");
                    Err::<&str, _>(NoDisk)
                };
                let refusing = || async { Err::<&str, _>(actix_web::error::ErrorBadRequest("no")) };
                let app = App::new()
                    .route("/silent", web::get().to(silent))
                    .route("/telling", web::get().to(telling))
                    .route("/refusing", web::get().to(refusing))
                    .wrap(TracingLogger::<RootSpan>::new());
                let app = init_service(app).await;
                for path in ["/silent", "/telling", "/refusing"] {
                    call_service(&app, TestRequest::get().uri(path).to_request()).await;
                }
            });
        });
        let told = |route: &str| {
            let span = spans.iter().find(|span| attribute(&span.attributes, "http.route").as_deref() == Some(route));
            let of = |key| {
                move |event: &opentelemetry_proto::tonic::trace::v1::span::Event| attribute(&event.attributes, key)
            };
            let events = &span.unwrap().events;
            (
                events.iter().filter_map(of("exception.type")).collect(),
                events.iter().filter_map(of("exception.message")).collect(),
            )
        };
        let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
        assert_eq!(told("/silent"), (texts(&["NoDisk"]), texts(&["the disk is away"])));
        assert_eq!(told("/telling"), (texts(&["Disk"]), texts(&[])));
        assert_eq!(told("/refusing"), (texts(&[]), texts(&[])));
    }

    #[test]
    fn every_field_that_is_propagated_is_looked_up() {
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("x"));
        assert!(!Found::of(&headers).carries_context);
        assert_eq!(propagation::extract(&headers, &Trust::ALWAYS, None), Incoming::default());
        for name in propagation::FIELDS {
            let mut headers = HeaderMap::new();
            headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
            assert_eq!(headers.values(name).collect::<Vec<_>>(), ["x"]);
            assert!(Found::of(&headers).carries_context, "{name}");
        }
    }

    #[test]
    fn of_a_header_that_came_twice_the_first_is_told() {
        let mut headers = HeaderMap::new();
        for name in [HOST, USER_AGENT, FORWARDED, X_FORWARDED_HOST, X_FORWARDED_PROTO] {
            for value in ["first", "second"] {
                headers.append(name.clone(), HeaderValue::from_static(value));
            }
        }
        let Found { host, user_agent, forwarded, forwarded_host, forwarded_proto, carries_context } =
            Found::of(&headers);
        let told = [host, user_agent, forwarded, forwarded_host, forwarded_proto].map(text);
        assert_eq!((told, carries_context), ([Some("first"); 5], false));
    }
}
