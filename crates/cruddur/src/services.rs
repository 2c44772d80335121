//! Each service's main: reads every variable, starts telemetry, serves until stopped, and flushes.

use std::future::Future;
use std::io::{Read, Write, stderr, stdin, stdout};

use anyhow::{Context, Result};
use backend::domain::Password;
use backend::{Faults, Store};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;
use tracing::Instrument;

use crate::cli::{Lifetime, Proxy};
use crate::ready::Ready;

/// The version of each service in traces.
const VERSION: &str = env!("CARGO_PKG_VERSION");

pub(crate) async fn backend(lifetime: Lifetime) -> Result<()> {
    let (config, telemetry) =
        settings::from_env(|settings| (backend::Config::read(settings), telemetry::Config::read(settings)))?;
    let telemetry = telemetry.service_version(VERSION).install("backend")?;
    let served = serve_backend(config, stopped(lifetime)?).await;
    telemetry.shutdown();
    served
}

async fn serve_backend(config: backend::Config, stop: impl Future<Output = ()>) -> Result<()> {
    let mut stop = std::pin::pin!(stop);
    // Opening a database may take long; a stop signal must still take effect meanwhile.
    let (store, token) = tokio::select! {
        opened = open_store(&config).instrument(tracing::info_span!("start")) => opened?,
        () = &mut stop => return Ok(()),
    };
    if config.faults != Faults::NONE {
        drop(writeln!(stderr(), "backend: faults are on, by CRUDDUR_FAULTS: {}", config.faults));
    }
    if let Some(notice) = config.week2_notice() {
        drop(writeln!(stderr(), "backend: week 2 mode is on, by CRUDDUR_API: {notice}"));
    }
    let server = backend::Server::bind(config, store)?;
    let mut ready = Ready::new("backend").at("http", format_args!("http://{}", server.addr()));
    if let Some(token) = token {
        ready = ready.at("sign-in", token.expose());
    }
    ready.announce();
    Ok(server.run_until(stop).await?)
}

/// Opens the store, and the token that signs in once if one is configured. The first start prints the first users' password.
async fn open_store(config: &backend::Config) -> Result<(Store, Option<backend::domain::Token>)> {
    let announce = |password: &Password| {
        drop(writeln!(
            stderr(),
            "backend: a new database; its users are {}, and the password of each is {} (told this once)",
            backend::store::FIRST_USERS.join(", "),
            password.expose()
        ));
    };
    let store = Store::open(&config.database, config.faults, announce).await?;
    drop(writeln!(stderr(), "backend: {}", store.bounds()));
    let token = match &config.one_time_sign_in {
        Some(handle) => store.offer_sign_in(handle, backend::store::now()).await?,
        None => None,
    };
    Ok((store, token))
}

pub(crate) async fn frontend_proxy(asked: Proxy) -> Result<()> {
    let command_line = frontend_proxy::CommandLine { config: asked.config, trust: asked.trust };
    let (config, telemetry) = settings::from_env(|settings| {
        (frontend_proxy::Config::read(settings, command_line), telemetry::Config::read(settings))
    })?;
    if asked.check {
        return Ok(stdout().write_all(config.table().as_bytes())?);
    }
    let telemetry = telemetry.service_version(VERSION).install("frontend-proxy")?;
    let served = serve_frontend_proxy(config, stopped(asked.lifetime)?).await;
    telemetry.shutdown();
    served
}

async fn serve_frontend_proxy(config: frontend_proxy::Config, stop: impl Future<Output = ()>) -> Result<()> {
    let server = frontend_proxy::Server::bind(config).await?;
    // Without a file there is nothing to reload, and SIGHUP stops the process as usual.
    if let Some(reloader) = server.reloader() {
        tokio::spawn(reload_when_asked(reloader)?);
    }
    // Standard error may be closed.
    drop(writeln!(stderr(), "frontend-proxy: {}", server.bounds()));
    Ready::new("frontend-proxy").at("http", format_args!("{}://{}", server.scheme(), server.addr())).announce();
    server.run_until(stop).await;
    Ok(())
}

/// Reloads at each SIGHUP. Signals that arrive during a reload count as one.
fn reload_when_asked(reloader: frontend_proxy::Reloader) -> Result<impl Future<Output = ()>> {
    let mut hangup = signal(SignalKind::hangup()).context("signals cannot be handled")?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let reloader = reloader.clone();
            if let Err(error) = tokio::task::spawn_blocking(move || reloader.reload()).await {
                tracing::error!(error = &error as &dyn std::error::Error, "the files were not read again");
            }
        }
    })
}

/// The viewer logs, and is not traced.
pub(crate) async fn trace_viewer(lifetime: Lifetime) -> Result<()> {
    let (config, console) =
        settings::from_env(|settings| (trace_viewer::Config::read(settings), telemetry::Console::read(settings)))?;
    console.install()?;
    let stop = stopped(lifetime)?;
    let server = trace_viewer::Server::bind(&config).await?;
    Ready::new("trace-viewer")
        .at("http", format_args!("http://{}", server.addr()))
        .at("xray", server.xray())
        .announce();
    Ok(server.run_until(stop).await?)
}

/// Completes when the process is asked to stop: by a signal, or as its lifetime specifies.
fn stopped(lifetime: Lifetime) -> Result<impl Future<Output = ()>> {
    let signals = asked_to_stop()?;
    let closed = lifetime.until_stdin_closes.then(stdin_closes).transpose()?;
    Ok(async move {
        match closed {
            Some(closed) => tokio::select! {
                () = signals => {}
                _ = closed => {}
            },
            None => signals.await,
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

/// Completes when standard input closes. A separate, detached thread reads it; a read on tokio's own thread pool would keep the
/// process from exiting.
fn stdin_closes() -> Result<oneshot::Receiver<()>> {
    let (tell, closed) = oneshot::channel();
    let wait = move || {
        let mut buffer = [0; 64];
        // The input is ignored; an error counts as its end.
        while stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
        // The receiver may be gone.
        let _: Result<(), ()> = tell.send(());
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait).context("no thread can be started")?;
    Ok(closed)
}
