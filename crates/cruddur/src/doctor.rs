//! Checks everything that can keep traces from arriving: variables, each destination's response, the owner of each key, the
//! database, the ports and the clock. Prints one line per check, with the fix if something will not work. In the
//! container of one service, it checks only what that service needs. Changes nothing and leaves no trace anywhere.

mod clients;
mod database;
mod destinations;
mod ports;
mod report;
mod scope;
mod variables;

use anyhow::{Context, Result};
use clap::Args;
use tokio::task::spawn_blocking;

use crate::form::Form;
use report::{ChecksFailed, Report, Status};
use scope::Scope;
use variables::variables;

#[derive(Args)]
pub(crate) struct Doctor {
    /// Check only what this service needs [default: in its container, the service that runs there; else all]
    #[arg(long)]
    pub(crate) service: Option<Scope>,
    #[command(flatten)]
    pub(crate) form: Form,
}

/// Runs all checks and prints them.
///
/// # Errors
/// At least one check failed.
pub(crate) async fn run(options: Doctor) -> Result<()> {
    let scope = options.service.unwrap_or_else(Scope::of_container);
    let (mut report, configs) = variables(scope);
    let database = configs.backend.database.clone();
    let origins = configs.backend.origins.clone();
    let blocking = spawn_blocking(move || {
        let mut report = Report::default();
        if scope != Scope::Viewer {
            report.destinations(&configs.telemetry);
        }
        if scope.has(Scope::Backend) {
            report.accounts(&configs.backend.accounts);
        }
        report.ports(scope, &configs.ports);
        report
    });
    report.0.append(&mut blocking.await.context("the checks were interrupted")?.0);
    if scope.has(Scope::Backend) {
        report.database(&database).await;
        report.cors(&origins);
    }
    if !report.0.iter().any(|check| check.check == "clock") {
        report.add("clock", Status::Off, "not checked: only Honeycomb's response is dated");
    }
    report.print(options.form.json)?;
    let wrong = report.0.iter().filter(|check| check.status == Status::Wrong).count();
    if wrong > 0 { Err(ChecksFailed { wrong, all: report.0.len() }.into()) } else { Ok(()) }
}
