//! An axum service.
#![allow(clippy::print_stdout, reason = "the test reads the address")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Path};
use axum::routing::get;
use telemetry::propagation::Trust;
use telemetry::span::task;
use telemetry::tower::ServerLayer;
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::yield_now;

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.install("stock")?;
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    println!("{}", listener.local_addr()?);
    let spans = ServerLayer::new(Trust::default())
        .route(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0));
    let app = Router::new().route("/stock/{id}", get(stock)).layer(spans);
    let mut terminated = signal(SignalKind::terminate())?;
    axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async move {
            terminated.recv().await;
        })
        .await?;
    telemetry.shutdown();
    Ok(())
}

#[tracing::instrument(name = "count", fields(app.id = id), skip_all)]
async fn stock(Path(id): Path<u32>) -> String {
    // The response does not wait for it.
    tokio::spawn(task("reorder", yield_now()));
    format!("{} in stock", id % 5)
}
