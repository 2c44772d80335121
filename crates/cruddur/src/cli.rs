//! The command line.

use clap::{Parser, Subcommand};

use crate::daemon::Daemon;
use crate::doctor::Doctor;
use crate::help;
use crate::honeycomb::Honeycomb;
use crate::lifetime::Lifetime;
use crate::load::{self, Load};
use crate::rules::RulesTest;
use crate::services::{Proxy, Viewer};

/// Cruddur: posts that expire, and a trace of every request from the browser to SQL
#[derive(Parser)]
#[command(version, after_help = help::variables())]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

#[derive(Subcommand)]
pub(crate) enum Command {
    /// Start trace-viewer, backend and frontend-proxy, each as a separate process (the default)
    Up,
    /// Run only the API
    Backend(Lifetime),
    /// Run only the reverse proxy and the page
    FrontendProxy(Proxy),
    /// Run only the trace viewer
    TraceViewer(Viewer),
    /// Check everything that can keep traces from arriving, one line per check; exit code 1 if a check fails
    Doctor(Doctor),
    /// Visit a running Cruddur as people would, and report how fast each route responds
    #[command(after_help = load::HELP)]
    Load(Load),
    /// A stand-in for Honeycomb, to try it without an account: prints the variables that send to it, then each span
    Honeycomb(Honeycomb),
    /// Tools for AWS X-Ray
    #[command(subcommand)]
    Xray(Xray),
}

#[derive(Subcommand)]
pub(crate) enum Xray {
    /// Sampling rules
    #[command(subcommand)]
    Rules(Rules),
    /// A stand-in for the X-Ray daemon, to see segments without AWS: prints the variable that sends to it, then each document
    Daemon(Daemon),
}

#[derive(Subcommand)]
pub(crate) enum Rules {
    /// Show which rule of a file matches a request, and why the others do not
    Test(RulesTest),
}
