use actix_web::body::to_bytes;
use actix_web::dev::Service;
use actix_web::middleware::from_fn;
use actix_web::test::{TestRequest, call_service, init_service};
use actix_web::{App, ResponseError, rt, web};
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use tracing::Instrument;
use tracing_actix_web::TracingLogger;

use super::*;
use crate::limits::Limits;
use crate::span::sampler::Sampler;
use crate::testing::{Recorded, attribute, recorded};

#[derive(Debug)]
struct NoDisk;

impl std::fmt::Display for NoDisk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the disk is away")
    }
}

/// Responds 500 by default.
impl ResponseError for NoDisk {}

#[test]
fn a_5xx_error_of_a_handler_is_an_exception_unless_one_is_recorded() {
    let Recorded { spans, .. } = recorded(Sampler::default(), Limits::default(), false, || {
        rt::System::new().block_on(async {
            let silent = || async { Err::<&str, _>(NoDisk) };
            let recording = || async {
                Span::current().exception("Disk", "", "");
                Err::<&str, _>(NoDisk)
            };
            let refusing = || async { Err::<&str, _>(actix_web::error::ErrorBadRequest("no")) };
            let app = App::new()
                .route("/silent", web::get().to(silent))
                .route("/recording", web::get().to(recording))
                .route("/refusing", web::get().to(refusing))
                .wrap(TracingLogger::<RootSpan>::new());
            let app = init_service(app).await;
            for path in ["/silent", "/recording", "/refusing"] {
                call_service(&app, TestRequest::get().uri(path).to_request()).await;
            }
        });
    });
    let exceptions = |route: &str| {
        let span = spans.iter().find(|span| attribute(&span.attributes, "http.route").as_deref() == Some(route));
        let of =
            |key| move |event: &opentelemetry_proto::tonic::trace::v1::span::Event| attribute(&event.attributes, key);
        let events = &span.unwrap().events;
        (
            events.iter().filter_map(of("exception.type")).collect(),
            events.iter().filter_map(of("exception.message")).collect(),
        )
    };
    let texts = |texts: &[&str]| -> Vec<String> { texts.iter().map(|text| (*text).to_owned()).collect() };
    assert_eq!(exceptions("/silent"), (texts(&["NoDisk"]), texts(&["the disk is away"])));
    assert_eq!(exceptions("/recording"), (texts(&["Disk"]), texts(&[])));
    assert_eq!(exceptions("/refusing"), (texts(&[]), texts(&[])));
}

#[test]
fn a_handler_that_panics_fails_its_span() {
    let Recorded { spans, .. } = recorded(Sampler::default(), Limits::default(), false, || {
        rt::System::new().block_on(async {
            let panics = || async { if true { panic!("by this test") } else { "" } };
            let app = App::new()
                .route("/panics", web::get().to(panics))
                .wrap(from_fn(finish))
                .wrap(TracingLogger::<RootSpan>::new());
            let app = init_service(app).await;
            // As the server does it: each connection is a task, which a panic ends.
            let call = async move { drop(call_service(&app, TestRequest::get().uri("/panics").to_request()).await) };
            assert!(rt::spawn(call).await.unwrap_err().is_panic());
        });
    });
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(span.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(attribute(&span.events[0].attributes, "exception.type").as_deref(), Some("panic"));
    assert_eq!(attribute(&span.attributes, "http.response.status_code"), None, "the client gets no response");
}

#[test]
fn a_request_ends_with_its_response_even_if_a_spawned_task_runs_on() {
    let Recorded { spans, .. } = recorded(Sampler::default(), Limits::default(), false, || {
        rt::System::new().block_on(async {
            let app = App::new()
                .route("/", web::get().to(|| async { "done" }))
                .wrap_fn(|request, service| {
                    rt::spawn(std::future::pending::<()>().in_current_span());
                    service.call(request)
                })
                .wrap(from_fn(finish))
                .wrap(TracingLogger::<RootSpan>::new());
            let app = init_service(app).await;
            let response = call_service(&app, TestRequest::get().uri("/").to_request()).await;
            assert_eq!(to_bytes(response.into_body()).await.unwrap(), "done");
            tracing::info_span!("after").in_scope(|| {});
        });
    });
    let [request, after] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((request.name.as_str(), after.name.as_str()), ("GET /", "after"));
    assert_eq!(attribute(&request.attributes, "http.response.status_code").as_deref(), Some("200"));
}

#[test]
fn every_propagated_header_is_looked_up() {
    let mut headers = HeaderMap::new();
    headers.insert(HOST, HeaderValue::from_static("x"));
    assert!(!SpanHeaders::of(&headers).carries_context);
    assert_eq!(propagation::extract(&headers, &Trust::ALWAYS, None), Incoming::default());
    for name in propagation::FIELDS {
        let mut headers = HeaderMap::new();
        headers.insert(HeaderName::from_static(name), HeaderValue::from_static("x"));
        assert_eq!(headers.values(name).collect::<Vec<_>>(), ["x"]);
        assert!(SpanHeaders::of(&headers).carries_context, "{name}");
    }
}

/// The address, scheme and host of a request from 10.0.0.1 with these headers, in an app that trusts `trust`.
fn client_of(trust: Option<&str>, headers: &[(&'static str, &'static str)]) -> (String, &'static str, String) {
    let peer = "10.0.0.1:4711".parse().unwrap();
    let request = TestRequest::get().peer_addr(peer).insert_header((HOST, "own.example"));
    let request = headers.iter().fold(request, |request, header| request.append_header(*header));
    let request = match trust {
        Some(trust) => request.app_data(trust.parse::<Trust>().unwrap()),
        None => request,
    };
    let request = request.to_http_request();
    let Client { address, scheme, host } = client(&request);
    (address.to_string(), scheme, host.unwrap_or_default().into_owned())
}

#[test]
fn a_forwarded_client_is_believed_only_from_a_trusted_proxy() {
    let headers = [
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-port", "8443"),
        ("forwarded", "for=192.0.2.8;proto=http;host=other.example"),
        ("x-real-ip", "192.0.2.9"),
    ];
    let own = ("10.0.0.1".to_owned(), "http", "own.example".to_owned());
    assert_eq!(client_of(None, &headers), own);
    assert_eq!(client_of(Some("127.0.0.1"), &headers), own);
    let believed = ("192.0.2.7".to_owned(), "https", "app.example:8443".to_owned());
    assert_eq!(client_of(Some("10.0.0.0/8"), &headers), believed);
}
