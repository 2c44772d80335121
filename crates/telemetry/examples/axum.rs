//! A traced axum service that calls another with a traced client: one trace through both. Sends nothing unless a variable names a destination.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -p cruddur-telemetry --features tower --example axum
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::future::poll_fn;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{ConnectInfo, MatchedPath, Path, Request, State};
use axum::http::StatusCode;
use axum::routing::get;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use telemetry::propagation::Trust;
use telemetry::tower::{ClientLayer, ServerLayer, TracedClient};
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tower_layer::Layer;
use tower_service::Service;

/// The stock's address, and the client for it.
#[derive(Clone)]
struct Shop {
    stock: SocketAddr,
    client: TracedClient<Client<HttpConnector, Body>>,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("shop")?;
    println!("{}", buy().await?);
    telemetry.shutdown();
    Ok(())
}

/// Serves the shop and its stock on one port, requests an order, and stops.
pub(crate) async fn buy() -> Result<String, Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let client = ClientLayer.layer(Client::builder(TokioExecutor::new()).build_http());
    let shop = Shop { stock: listener.local_addr()?, client };
    let spans = ServerLayer::new(Trust::default())
        .route(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0));
    let app = Router::new()
        .route("/orders/{id}", get(order))
        .route("/stock/{id}", get(stock))
        .layer(spans)
        .with_state(shop.clone());
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());
    let order = shop.fetch("/orders/7").await?;
    drop((stop, shop));
    server.await??;
    Ok(order)
}

async fn order(State(shop): State<Shop>, Path(id): Path<u32>) -> Result<String, StatusCode> {
    let stock = shop.fetch(&format!("/stock/{id}")).await.map_err(|_| StatusCode::BAD_GATEWAY)?;
    Ok(format!("order {id}: {stock}"))
}

async fn stock(Path(id): Path<u32>) -> String {
    tracing::info_span!("count", app.id = id).in_scope(|| format!("{} in stock", id % 5))
}

impl Shop {
    async fn fetch(&self, path: &str) -> Result<String, Box<dyn Error + Send + Sync>> {
        let mut client = self.client.clone();
        poll_fn(|context| Service::<Request>::poll_ready(&mut client, context)).await?;
        let request = Request::get(format!("http://{}{path}", self.stock)).body(Body::empty())?;
        let response = client.call(request).await?;
        let body = to_bytes(Body::new(response.into_body()), 1_024).await?;
        Ok(String::from_utf8(body.to_vec())?)
    }
}
