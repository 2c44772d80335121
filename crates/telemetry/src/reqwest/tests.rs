use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use reqwest_middleware::reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware};

use super::*;
use crate::testing::attribute;
use crate::testing::runtime::spans_of;
use crate::testing::servers::{closed, serve};
use crate::testing::traces::chain;

#[path = "../../examples/reqwest.rs"]
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
    assert_eq!(of("network.peer.address").as_deref(), Some("127.0.0.1"));
    assert_eq!(of("network.peer.port"), of("server.port"));
    assert_eq!(of("network.protocol.version").as_deref(), Some("1.1"));
}

fn client() -> ClientWithMiddleware {
    ClientBuilder::new(Client::new()).with(ClientMiddleware).build()
}

#[test]
fn a_response_keeps_what_it_has_and_its_body_ends_the_span() {
    let spans = spans_of(async {
        let moved = get(|| async { Redirect::temporary("/here") });
        let here = get(|| async { ([("seen", "yes")], "text") });
        let address = serve(Router::new().route("/moved", moved).route("/here", here)).await;
        let response = client().get(format!("http://a:b@{address}/moved?q=1")).send().await.unwrap();
        drop(tracing::info_span!("before the body"));
        assert_eq!((response.url().path(), response.remote_addr()), ("/here", Some(address)));
        assert_eq!(
            (response.content_length(), &response.headers()["seen"]),
            (Some(4), &HeaderValue::from_static("yes"))
        );
        assert_eq!(response.text().await.unwrap(), "text");
        drop(tracing::info_span!("after the body"));
    });
    let names: Vec<&str> = spans.iter().map(|span| &*span.name).collect();
    assert_eq!(names, ["before the body", "GET", "after the body"]);
    let url = attribute(&spans[1].attributes, "url.full").unwrap();
    assert!(url.ends_with("/moved") && !url.contains('@'), "{url}");
}

#[test]
fn an_error_status_and_a_missing_server_are_errors() {
    let spans = spans_of(async {
        let address = serve(Router::new()).await;
        drop(client().get(format!("http://{address}/")).send().await.unwrap());
        client().get(format!("http://{}/", closed().await)).send().await.unwrap_err();
    });
    let errors: Vec<_> = spans.iter().map(|span| attribute(&span.attributes, "error.type")).collect();
    assert_eq!(errors, [Some("404".to_owned()), Some("connect".to_owned())]);
}
