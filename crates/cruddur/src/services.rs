//! Each service's main: read every variable, start telemetry, serve until told to stop, flush.

use anyhow::{Context, Result};
use backend::Store;
use settings::Settings;
use tokio::io::{AsyncReadExt, stdin};
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument;

use crate::cli::Lifetime;
use crate::ready::Ready;

pub(crate) async fn backend(lifetime: Lifetime) -> Result<()> {
    let mut settings = Settings::from_env();
    let read = (backend::Config::read(&mut settings), telemetry::Config::read(&mut settings));
    let (config, telemetry) = settings.finish(read)?;
    let telemetry = telemetry.install("backend")?;
    let stop = stopped(lifetime)?;
    let serve = async {
        let open = async {
            let store = Store::open(&config.database).await?;
            anyhow::Ok(backend::Server::bind(config, store).await?)
        };
        let server = open.instrument(tracing::info_span!("start")).await?;
        Ready::new("backend").at("http", format_args!("http://{}", server.addr())).announce();
        anyhow::Ok(server.run_until(stop).await?)
    };
    let served = serve.await;
    telemetry.shutdown();
    served
}

pub(crate) async fn frontend_proxy(lifetime: Lifetime) -> Result<()> {
    let mut settings = Settings::from_env();
    let read = (frontend_proxy::Config::read(&mut settings), telemetry::Config::read(&mut settings));
    let (config, telemetry) = settings.finish(read)?;
    let telemetry = telemetry.install("frontend-proxy")?;
    let stop = stopped(lifetime)?;
    let serve = async {
        let server = frontend_proxy::Server::bind(config).await?;
        Ready::new("frontend-proxy").at("http", format_args!("http://{}", server.addr())).announce();
        server.run_until(stop).await;
        anyhow::Ok(())
    };
    let served = serve.await;
    telemetry.shutdown();
    served
}

/// The viewer logs, and is not traced.
pub(crate) async fn trace_viewer(lifetime: Lifetime) -> Result<()> {
    let mut settings = Settings::from_env();
    let read = (trace_viewer::Config::read(&mut settings), telemetry::Console::read(&mut settings));
    let (config, console) = settings.finish(read)?;
    console.install()?;
    let stop = stopped(lifetime)?;
    let server = trace_viewer::Server::bind(&config).await?;
    Ready::new("trace-viewer")
        .at("http", format_args!("http://{}", server.addr()))
        .at("xray", server.xray())
        .announce();
    Ok(server.run_until(stop).await?)
}

/// Completes when the process is asked to stop.
pub(crate) fn stopped(lifetime: Lifetime) -> Result<impl Future<Output = ()>> {
    let signals = asked_to_stop()?;
    Ok(async move {
        if lifetime.until_stdin_closes {
            tokio::select! {
                () = signals => {}
                () = stdin_closes() => {}
            }
        } else {
            signals.await;
        }
    })
}

/// Completes at SIGTERM or SIGINT. Signals that come before it is first polled count too.
pub(crate) fn asked_to_stop() -> Result<impl Future<Output = ()>> {
    let handler = |kind| signal(kind).context("signals cannot be handled");
    let (mut terminate, mut interrupt) = (handler(SignalKind::terminate())?, handler(SignalKind::interrupt())?);
    Ok(async move {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    })
}

async fn stdin_closes() {
    let mut buffer = [0; 64];
    // What is written there means nothing; an error is as final as the end.
    while stdin().read(&mut buffer).await.is_ok_and(|length| length > 0) {}
}
