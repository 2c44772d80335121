use ::awc::Client;
use axum::Router;
use axum::http::HeaderMap as Headers;
use axum::response::Redirect;
use axum::routing::get;

use super::*;
use crate::testing::attribute;
use crate::testing::runtime::spans_of;
use crate::testing::servers::{closed, serve};
use crate::testing::traces::chain;

#[path = "../../examples/awc.rs"]
#[expect(dead_code, reason = "`main` installs telemetry for its process")]
mod example;

#[test]
fn the_examples_request_is_one_trace() {
    let spans = spans_of(async { assert_eq!(example::check().await.unwrap(), "2 in stock") });
    let chain = chain(&spans);
    let kinds: Vec<(&str, i32)> = chain.iter().map(|span| (&*span.name, span.kind)).collect();
    assert_eq!(kinds, [("check stock", 1), ("GET", 3), ("GET /stock/{id}", 2)]);
    let of = |key| attribute(&chain[1].attributes, key);
    let url = of("url.full").unwrap();
    assert!(url.starts_with("http://127.0.0.1:") && url.ends_with("/stock/7"), "{url}");
    assert_eq!(of("http.response.status_code").as_deref(), Some("200"));
    assert_eq!(of("server.address").as_deref(), Some("127.0.0.1"));
}

fn client() -> Client {
    Client::builder().wrap(ClientTransform).finish()
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn the_body_ends_the_span_and_each_redirect_has_its_own() {
    let mut seen = String::new();
    let spans = spans_of(async {
        let moved = get(|| async { Redirect::temporary("/here") });
        let here = get(|headers: Headers| async move { headers["traceparent"].to_str().unwrap().to_owned() });
        let address = serve(Router::new().route("/moved", moved).route("/here", here)).await;
        // A frozen request keeps its head, and sends what is added to it.
        let frozen = client().get(format!("http://{address}/moved?q=1")).freeze().unwrap();
        let mut response = frozen.send().await.unwrap();
        drop(tracing::info_span!("before the body"));
        seen = String::from_utf8(response.body().await.unwrap().to_vec()).unwrap();
        drop(tracing::info_span!("after the body"));
    });
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["GET", "before the body", "GET", "after the body"]);
    let statuses = [0, 2].map(|index| attribute(&spans[index].attributes, "http.response.status_code").unwrap());
    assert_eq!(statuses, ["307", "200"]);
    assert_eq!(seen.get(3..52), Some(&*format!("{}-{}", hex(&spans[2].trace_id), hex(&spans[2].span_id))), "{seen}");
}

#[test]
fn an_error_status_and_a_missing_server_are_errors() {
    let spans = spans_of(async {
        let address = serve(Router::new()).await;
        drop(client().get(format!("http://{address}/")).send().await.unwrap());
        assert!(client().get(format!("http://{}/", closed().await)).send().await.is_err());
    });
    let errors: Vec<_> = spans.iter().map(|span| attribute(&span.attributes, "error.type")).collect();
    assert_eq!(errors, [Some("404".to_owned()), Some("connect".to_owned())]);
}
