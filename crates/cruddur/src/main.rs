//! The one binary: `cruddur up` starts every service as a separate process, and each other command is one service.
//!
//! Exit codes: 0 stopped as requested, 1 failed, 2 wrong command line, 64 wrong configuration.

mod announcement;
mod cli;
mod configs;
mod daemon;
mod doctor;
#[cfg(test)]
mod documented;
mod environment;
mod form;
mod help;
mod honeycomb;
mod lifetime;
mod load;
mod ports;
mod preflight;
mod ready;
mod rules;
mod services;
mod stand_in;
mod unknown;
mod up;

use std::io::{self, Write};
use std::process::ExitCode;
use std::time::{SystemTime, UNIX_EPOCH};

use anyhow::{Result, ensure};
use clap::Parser;

use cli::{Cli, Command, Rules, Xray};

/// `EX_USAGE` of sysexits.h.
const CONFIGURATION: u8 = 64;

#[tokio::main]
async fn main() -> ExitCode {
    let command = Cli::parse().command.unwrap_or(Command::Up);
    let result = match check_clock() {
        Ok(()) => run(command).await,
        Err(error) => Err(error),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            for line in describe(&error).lines() {
                drop(writeln!(io::stderr(), "error: {line}"));
            }
            exit_code(&error)
        }
    }
}

async fn run(command: Command) -> Result<()> {
    match command {
        Command::Up => up::run().await,
        Command::Backend(lifetime) => services::backend(lifetime).await,
        Command::FrontendProxy(proxy) => services::frontend_proxy(proxy).await,
        Command::TraceViewer(viewer) => services::trace_viewer(viewer).await,
        Command::Doctor(options) => doctor::run(options).await,
        Command::Load(options) => load::run(&options).await,
        Command::Honeycomb(options) => honeycomb::run(options).await,
        Command::Xray(Xray::Daemon(options)) => daemon::run(options).await,
        Command::Xray(Xray::Rules(Rules::Test(test))) => rules::test(&test),
    }
}

/// Ids and times count from 1970.
fn check_clock() -> Result<()> {
    let is_before = SystemTime::now() < UNIX_EPOCH;
    ensure!(!is_before, "cannot start: this machine's clock is before 1970; set it, by NTP for example");
    Ok(())
}

/// Formats an error and its causes, without causes that repeat earlier text.
fn describe(error: &anyhow::Error) -> String {
    let mut text = error.to_string();
    for cause in error.chain().skip(1).map(ToString::to_string) {
        if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

/// A fault that a variable can fix is a configuration error; a child's own code is passed on.
fn exit_code(error: &anyhow::Error) -> ExitCode {
    if let Some(up::ChildStopped { failure: Some(code), .. }) = error.downcast_ref() {
        return u8::try_from(*code).unwrap_or(1).into();
    }
    let wrong_variable = error.is::<settings::Faults>()
        || error.is::<frontend_proxy::Error>()
        || matches!(error.downcast_ref(), Some(backend::ServerError::Listen(..)))
        || matches!(error.downcast_ref(), Some(backend::store::Error::Folder(..)))
        || matches!(error.downcast_ref(), Some(load::Error::Remote { .. }))
        || matches!(
            error.downcast_ref(),
            Some(trace_viewer::Error::Listen(..) | trace_viewer::Error::Rules(_) | trace_viewer::Error::Data(_))
        );
    if wrong_variable { CONFIGURATION.into() } else { ExitCode::FAILURE }
}
