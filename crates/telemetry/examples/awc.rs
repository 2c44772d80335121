//! A job that requests a traced service with awc: one trace, from the job to the service. Sends nothing unless a variable names a destination.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -p cruddur-telemetry --features awc,tower --example awc
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use std::error::Error;
use std::net::{Ipv4Addr, SocketAddr};

use awc::Client;
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath};
use axum::routing::get;
use telemetry::awc::ClientTransform;
use telemetry::propagation::Trust;
use telemetry::tower::ServerLayer;
use tokio::net::TcpListener;
use tokio::sync::oneshot;
use tokio::task::LocalSet;
use tracing::Instrument;

// awc's client stays on one thread, as within `#[actix_web::main]`.
#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error + Send + Sync>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("shop")?;
    println!("{}", LocalSet::new().run_until(check()).await?);
    telemetry.shutdown();
    Ok(())
}

/// Serves the stock, requests a part of it, and stops.
pub(crate) async fn check() -> Result<String, Box<dyn Error + Send + Sync>> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
    let stock = listener.local_addr()?;
    let spans = ServerLayer::new(Trust::default())
        .route(|extensions| extensions.get::<MatchedPath>().map(MatchedPath::as_str))
        .peer(|extensions| extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0));
    let app = Router::new().route("/stock/{id}", get(|| async { "2 in stock" })).layer(spans);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = axum::serve(listener, app.into_make_service_with_connect_info::<SocketAddr>())
        .with_graceful_shutdown(async { drop(stopped.await) });
    let server = tokio::spawn(server.into_future());

    let client = Client::builder().wrap(ClientTransform).finish();
    let job = async {
        let mut response = client.get(format!("http://{stock}/stock/7")).send().await.map_err(|e| e.to_string())?;
        response.body().await.map_err(|e| e.to_string())
    };
    let found = job.instrument(tracing::info_span!("check stock")).await?;

    drop((stop, client));
    server.await??;
    Ok(String::from_utf8(found.to_vec())?)
}
