use std::future::{Ready, ready};
use std::pin::{Pin, pin};
use std::task::Waker;

use http_body::{Body, Frame};
use opentelemetry_proto::tonic::trace::v1::Span as Exported;

use super::*;
use crate::limits::Limits;
use crate::span::sampler::Sampler;
use crate::testing::runtime::spans_of;
use crate::testing::traces::chain;
use crate::testing::{attribute, recorded};

/// Answers with a status and a short body; an invalid status is an error. Makes a span, and repeats the request's `traceparent`.
#[derive(Clone)]
struct Echo(u16);

struct Text(Option<&'static [u8]>);

impl Body for Text {
    type Data = &'static [u8];
    type Error = &'static str;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<&'static [u8]>, &'static str>>> {
        Poll::Ready(self.0.take().map(|text| Ok(Frame::data(text))))
    }
}

impl Service<Request<()>> for Echo {
    type Response = Response<Text>;
    type Error = &'static str;
    type Future = Ready<Result<Response<Text>, &'static str>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), &'static str>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<()>) -> Self::Future {
        drop(tracing::info_span!("handler"));
        let traceparent = request.headers().get("traceparent").cloned();
        let response =
            Response::builder().status(self.0).header("seen", traceparent.unwrap_or(HeaderValue::from_static("-")));
        ready(response.body(Text(Some(b"text"))).map_err(|_| "refused"))
    }
}

fn poll<T>(future: impl Future<Output = T>) -> T {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing waits here"),
    }
}

/// Reads the body to its end.
fn read(body: impl Body) {
    let mut body = pin!(body);
    while let Poll::Ready(Some(_)) = body.as_mut().poll_frame(&mut Context::from_waker(Waker::noop())) {}
}

fn spans(run: impl FnOnce()) -> Vec<Exported> {
    recorded(Sampler::default(), Limits::default(), false, run).spans
}

fn names(spans: &[Exported]) -> Vec<&str> {
    spans.iter().map(|span| &*span.name).collect()
}

fn request(uri: &str) -> Request<()> {
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    let mut request = Request::builder().uri(uri).header("traceparent", traceparent).body(()).unwrap();
    request.extensions_mut().insert("/users/{id}");
    request
}

#[test]
fn a_served_request_continues_its_callers_trace_until_its_body_ends() {
    let spans = spans(|| {
        let layer = ServerLayer::new(Trust::ALWAYS).route(|extensions| extensions.get::<&'static str>().copied());
        let response = poll(layer.layer(Echo(200)).call(request("/users/7?token=x"))).unwrap();
        drop(tracing::info_span!("before the body"));
        read(response.into_body());
        drop(tracing::info_span!("after the body"));
    });
    assert_eq!(names(&spans), ["handler", "before the body", "GET /users/{id}", "after the body"]);
    let (handler, server) = (&spans[0], &spans[2]);
    assert_eq!((server.kind, &handler.parent_span_id), (2, &server.span_id));
    assert_eq!(server.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!(attribute(&server.attributes, "http.response.status_code").as_deref(), Some("200"));
    assert_eq!(attribute(&server.attributes, "url.path").as_deref(), Some("/users/7"));
}

#[test]
fn a_stranger_is_linked_and_a_body_that_is_dropped_ends_the_span() {
    let spans = spans(|| {
        let stranger = |_: &Extensions| Some("192.0.2.1:80".parse().unwrap());
        let mut server = ServerLayer::new(Trust::default()).peer(stranger).layer(Echo(503));
        drop(poll(server.call(request("/"))).unwrap());
    });
    assert_eq!(names(&spans), ["handler", "GET"]);
    assert!(spans[1].parent_span_id.is_empty() && spans[1].links.len() == 1);
    assert_eq!(attribute(&spans[1].attributes, "error.type").as_deref(), Some("503"));
}

#[test]
fn a_call_is_below_the_current_span_and_carries_its_own() {
    let mut seen = String::new();
    let spans = spans(|| {
        let job = tracing::info_span!("job");
        let response =
            job.in_scope(|| poll(ClientLayer.layer(Echo(404)).call(request("https://a:b@api.example:81/x?q=1"))));
        let response = response.unwrap();
        seen = response.headers()["seen"].to_str().unwrap().to_owned();
        read(response.into_body());
    });
    assert_eq!(names(&spans), ["handler", "GET", "job"]);
    let [handler, call, job] = spans.as_slice() else { unreachable!() };
    assert_eq!((call.kind, &call.parent_span_id, &handler.parent_span_id), (3, &job.span_id, &call.span_id));
    let id: String = call.span_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(seen.contains(&format!("-{id}-")), "{seen}");
    assert_eq!(attribute(&call.attributes, "url.full").as_deref(), Some("https://api.example:81/x"));
    assert_eq!(attribute(&call.attributes, "error.type").as_deref(), Some("404"));
}

#[test]
fn a_call_without_a_response_is_an_error() {
    let spans = spans(|| {
        let called = poll(ClientLayer.layer(Echo(9)).call(request("http://api.example/")));
        assert_eq!(called.err(), Some("refused"));
    });
    assert_eq!(attribute(&spans[1].attributes, "error.type").as_deref(), Some("no_response"));
}

#[path = "../../examples/axum.rs"]
#[expect(dead_code, reason = "`main` installs telemetry for its process")]
mod example;

#[test]
fn the_examples_requests_are_one_trace() {
    let spans = spans_of(async { assert_eq!(example::buy().await.unwrap(), "order 7: 2 in stock") });
    let chain = chain(&spans);
    let kinds: Vec<(&str, i32)> = chain.iter().map(|span| (&*span.name, span.kind)).collect();
    assert_eq!(kinds, [("GET", 3), ("GET /orders/{id}", 2), ("GET", 3), ("GET /stock/{id}", 2), ("count", 1)]);
    for span in &chain[..4] {
        assert_eq!(attribute(&span.attributes, "http.response.status_code").as_deref(), Some("200"), "{span:?}");
    }
    assert_eq!(attribute(&chain[3].attributes, "url.path").as_deref(), Some("/stock/7"));
    assert_eq!(attribute(&chain[3].attributes, "network.peer.address").as_deref(), Some("127.0.0.1"));
}
