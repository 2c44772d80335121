//! How long a command runs: until a signal, or until the process that started it closes its standard input.

use std::future::Future;
use std::io::{Read, stdin};

use anyhow::{Context, Result};
use clap::Args;
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::oneshot;

#[derive(Args, Clone, Copy)]
pub(crate) struct Lifetime {
    /// Also stop when standard input closes; `up` stops its services this way
    #[arg(long)]
    pub(crate) until_stdin_closes: bool,
}

/// Completes when the process must stop: at a signal, or as its lifetime specifies.
pub(crate) fn stopped(lifetime: Lifetime) -> Result<impl Future<Output = ()>> {
    let signals = stop_signal()?;
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
pub(crate) fn stop_signal() -> Result<impl Future<Output = ()>> {
    let handler = |kind| signal(kind).context("cannot handle signals");
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
    let (notify, closed) = oneshot::channel();
    let wait = move || {
        let mut buffer = [0; 64];
        // The input is ignored; an error counts as its end.
        while stdin().read(&mut buffer).is_ok_and(|length| length > 0) {}
        // The receiver may be gone.
        let _: Result<(), ()> = notify.send(());
    };
    std::thread::Builder::new().name("stdin".to_owned()).spawn(wait).context("cannot start a thread")?;
    Ok(closed)
}
