//! Each service's main: read every variable, start telemetry, serve until told to stop, flush.

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

/// What the traces call the version of each service.
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
    // A database may take its time; whoever asks to stop meanwhile is heard.
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

/// The store, and a token that signs in once if one is configured. The first start prints the first users' password.
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
    // Without a file there is nothing to read again, and a terminal that hangs up stops the process as it always does.
    if let Some(reloader) = server.reloader() {
        tokio::spawn(reload_when_asked(reloader)?);
    }
    // Nobody may be there to read it.
    drop(writeln!(stderr(), "frontend-proxy: {}", server.bounds()));
    Ready::new("frontend-proxy").at("http", format_args!("{}://{}", server.scheme(), server.addr())).announce();
    server.run_until(stop).await;
    Ok(())
}

/// At each SIGHUP. Signals that come while a file is read are one.
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

/// Completes when the process is asked to stop.
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

/// Completes when standard input does. It is read on a thread that nobody waits for: a read on tokio's own would keep the
/// process from ending before it does.
fn stdin_closes() -> Result<oneshot::Receiver<()>> {
    let (tell, closed) = oneshot::channel();
    let wait = move || {
        let mut buffer = [0; 64];
        // What is written there means nothing; an error is as final as the end.
        while stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
        // Nobody may be waiting any more.
        let _: Result<(), ()> = tell.send(());
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait).context("no thread can be started")?;
    Ok(closed)
}
