//! Each service's main: reads every variable, starts telemetry, serves until stopped, and flushes.

use std::future::Future;
use std::io::{Write, stderr, stdout};
use std::path::PathBuf;

use anyhow::{Context, Result};
use backend::domain::Password;
use backend::{Faults, Store};
use clap::Args;
use telemetry::propagation::Trust;
use tokio::signal::unix::{SignalKind, signal};
use tracing::Instrument;

use crate::lifetime::{Lifetime, stopped};
use crate::ready::Ready;

/// The version of each service in traces.
const VERSION: &str = env!("CARGO_PKG_VERSION");

#[derive(Args)]
pub(crate) struct Proxy {
    /// The routes file, instead of CRUDDUR_PROXY_CONFIG; SIGHUP reloads it
    #[arg(long, value_name = "FILE")]
    pub(crate) config: Option<PathBuf>,
    /// Callers whose traces are continued and whose X-Forwarded-* headers are believed, instead of TRACE_TRUST: never, link,
    /// always, or networks such as 10.0.0.0/8,::1
    #[arg(long, value_name = "CALLERS")]
    pub(crate) trust: Option<Trust>,
    /// Check the environment and the routes file, print the resulting routes, and exit; exit code 64 if something is wrong
    #[arg(long)]
    pub(crate) check: bool,
    #[command(flatten)]
    pub(crate) lifetime: Lifetime,
}

#[derive(Args, Clone)]
pub(crate) struct Viewer {
    /// The memory for traces, such as 64MiB or 1GiB, instead of CRUDDUR_VIEWER_MEMORY
    #[arg(long, value_name = "SIZE")]
    memory: Option<trace_viewer::Memory>,
    /// The folder in which traces are kept too, instead of CRUDDUR_VIEWER_DATA
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    #[command(flatten)]
    lifetime: Lifetime,
}

pub(crate) async fn backend(lifetime: Lifetime) -> Result<()> {
    let (config, telemetry) =
        settings::from_env(|settings| (backend::Config::read(settings), telemetry::Config::read(settings)))?;
    let telemetry = telemetry.service_version(VERSION).serving_metrics().install("backend")?;
    let served = serve_backend(config, lifetime, stopped(lifetime)?).await;
    telemetry.shutdown();
    served
}

async fn serve_backend(config: backend::Config, lifetime: Lifetime, stop: impl Future<Output = ()>) -> Result<()> {
    let mut stop = std::pin::pin!(stop);
    // Opening a database may take long; a stop signal must still take effect meanwhile.
    let (store, token) = tokio::select! {
        opened = open_store(&config).instrument(tracing::info_span!("start")) => opened?,
        () = &mut stop => return Ok(()),
    };
    if !lifetime.until_stdin_closes {
        drop(writeln!(stderr(), "backend: {}", store.bounds()));
    }
    if config.faults != Faults::NONE {
        drop(writeln!(stderr(), "backend: faults are on (CRUDDUR_FAULTS): {}", config.faults));
    }
    if let Some(notice) = config.week2_notice() {
        drop(writeln!(stderr(), "backend: week 2 mode is on (CRUDDUR_API): {notice}"));
    }
    let server = backend::Server::bind(config, store)?;
    let mut ready = Ready::new("backend").at("http", format_args!("http://{}", server.addr()));
    if let Some(token) = token {
        ready = ready.at("sign-in", token.expose());
    }
    ready.announce();
    Ok(server.run_until(stop).await?)
}

/// Opens the store, and issues a token that signs in once if one is configured. The first start prints the first users' password.
async fn open_store(config: &backend::Config) -> Result<(Store, Option<backend::domain::Token>)> {
    let announce = |password: &Password| {
        drop(writeln!(
            stderr(),
            "backend: a new database; its users are {}, and the password of each is {} (shown only once)",
            backend::store::FIRST_USERS.join(", "),
            password.expose()
        ));
    };
    let store = Store::open(&config.database, config.faults, announce).await?;
    let token = match &config.one_time_sign_in {
        Some(handle) => store.offer_sign_in(handle, backend::store::now()).await?,
        None => None,
    };
    Ok((store, token))
}

pub(crate) async fn frontend_proxy(options: Proxy) -> Result<()> {
    let command_line = frontend_proxy::CommandLine { config: options.config, trust: options.trust };
    let (config, telemetry) = settings::from_env(|settings| {
        (frontend_proxy::Config::read(settings, command_line), telemetry::Config::read(settings))
    })?;
    if options.check {
        return Ok(stdout().write_all(config.table().as_bytes())?);
    }
    let telemetry = telemetry.service_version(VERSION).serving_metrics().install("frontend-proxy")?;
    let served = serve_frontend_proxy(config, options.lifetime, stopped(options.lifetime)?).await;
    telemetry.shutdown();
    served
}

async fn serve_frontend_proxy(
    config: frontend_proxy::Config,
    lifetime: Lifetime,
    stop: impl Future<Output = ()>,
) -> Result<()> {
    let server = frontend_proxy::Server::bind(config).await?;
    // Without a file there is nothing to reload, and SIGHUP stops the process as usual.
    if let Some(reloader) = server.reloader() {
        tokio::spawn(reload_at_hangup(reloader)?);
    }
    // Bounds are for the operator of a service. Under `up`, they would hide what a developer must read.
    if !lifetime.until_stdin_closes {
        // Standard error may be closed.
        drop(writeln!(stderr(), "frontend-proxy: {}", server.bounds()));
    }
    Ready::new("frontend-proxy").at("http", format_args!("{}://{}", server.scheme(), server.addr())).announce();
    server.run_until(stop).await;
    Ok(())
}

/// Reloads at each SIGHUP. Signals that arrive during a reload count as one.
fn reload_at_hangup(reloader: frontend_proxy::Reloader) -> Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup()).context("cannot handle signals")?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let reloader = reloader.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "cannot reload the files");
            }
        }
    })
}

/// The viewer logs, and is not traced.
pub(crate) async fn trace_viewer(viewer: Viewer) -> Result<()> {
    let (mut config, console) =
        settings::from_env(|settings| (trace_viewer::Config::read(settings), telemetry::Console::read(settings)))?;
    config.memory = viewer.memory.unwrap_or(config.memory);
    config.data = viewer.data.or(config.data);
    console.install()?;
    let stop = stopped(viewer.lifetime)?;
    let server = trace_viewer::Server::bind(&config).await?;
    Ready::new("trace-viewer")
        .at("http", format_args!("http://{}", server.addr()))
        .at("xray", server.xray())
        .announce();
    Ok(server.run_until(stop).await?)
}
