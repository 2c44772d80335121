//! OpenTelemetry for a service, in one call.
//!
//! [`Config::from_env`] reads what the environment says and reports every fault at once, [`Config::install`] starts it and
//! prints one line for each destination, and [`Telemetry::shutdown`] delivers what is left and prints the [`ledger`]: each
//! span that was created is delivered, queued, or dropped for a reason. Services make spans with `tracing`, and with
//! [`http`] for requests; [`propagation`] carries the trace from one service to the next.
//!
//! A span is handed to a bounded queue for each destination and never waits: no exporter runs on a request's path. Sends
//! nothing anywhere unless a variable asks for it.
//!
//! ```no_run
//! let telemetry = telemetry::Config::from_env()?.install("backend")?;
//! tracing::info_span!("work").in_scope(|| { /* … */ });
//! telemetry.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, missing_docs)]

mod address;
mod config;
mod install;
pub mod ledger;
#[cfg_attr(
    not(any(feature = "honeycomb", feature = "xray")),
    allow(dead_code, reason = "without an exporter no queue is started")
)]
mod pipeline;
pub mod propagation;
#[cfg(test)]
mod testing;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "honeycomb")]
mod honeycomb;
pub mod http;
#[cfg(feature = "xray")]
mod xray;

pub use address::{DaemonAddress, Endpoint, NotAnAddress};
pub use config::{Config, Console, Switch};
pub use install::{InstallError, Telemetry};
