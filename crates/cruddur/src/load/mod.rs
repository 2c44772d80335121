//! `cruddur load`: visits a running Cruddur as people would, and reports each route's latency, with the traces of the slowest
//! requests. It loads only this machine, unless `--allow-remote` is given. Its memory is bounded, however long it runs. It does
//! not trace itself, sends no `traceparent`, and follows no redirects.

mod account;
mod connection;
mod error;
mod memory;
mod options;
mod origin;
mod pace;
mod prepare;
mod print;
mod progress;
mod record;
mod route;
mod run;
mod summary;
mod target;
mod trace;
mod viewer;
mod visit;
mod visitor;

use std::io::{Write, stderr, stdout};
use std::sync::Arc;
use std::time::Duration;

use anyhow::Result;
use tokio::time::timeout;

pub(crate) use self::error::Error;
pub(crate) use self::options::{HELP, Load};

use self::connection::Connection;
use self::progress::Progress;
use self::summary::{Course, Summary};
use crate::form::Paint;
use crate::lifetime::stop_signal;

/// How long signing out may take.
const FAREWELL: Duration = Duration::from_secs(5);
/// How long the lookup of traces may take.
const LINKS: Duration = Duration::from_secs(10);

/// Runs the load, and prints the summary.
///
/// # Errors
/// Nothing could be measured, or a request got no response or a 5xx.
pub(crate) async fn run(options: &Load) -> Result<()> {
    let mut interrupt = std::pin::pin!(stop_signal()?);
    // Short enough for a person to retype.
    let seed = options.seed.unwrap_or_else(|| rand::random::<u32>().into());
    let prepared = tokio::select! {
        prepared = prepare::prepare(options) => prepared?,
        () = &mut interrupt => return Err(Error::Interrupted.into()),
    };
    let run = Arc::new(prepared.run);
    let progress = Progress::start(Arc::clone(&run), options.duration, Paint::on(&stderr()));
    let result = run::run(&run, options, seed, interrupt).await;
    progress.stop().await;
    let mut connection = Connection::new(run.address, run.authority.clone());
    // Sessions that are not ended expire on their own.
    drop(timeout(FAREWELL, account::sign_out(&mut connection, &run.accounts)).await);
    let slowest = run.record().slowest();
    let kept = timeout(LINKS, viewer::kept(&mut connection, &slowest)).await.ok().flatten().unwrap_or_default();
    let users = run.accounts.len();
    let course = Course { origin: options.url.clone(), users, seed, faults: prepared.faults, result };
    let summary = Summary::of(course, &run.record(), &kept);
    let text = match options.form.json {
        true => format!("{}\n", serde_json::to_string(&summary)?),
        false => summary.text(Paint::on(&stdout())),
    };
    stdout().write_all(text.as_bytes())?;
    let (failed, requests, unsent) = (summary.total.failed, summary.total.requests, summary.unsent());
    if failed + unsent > 0 { Err(Error::RequestsFailed { failed, requests, unsent }.into()) } else { Ok(()) }
}
