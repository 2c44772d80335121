//! OpenTelemetry for a service, in one call.
//!
//! [`Config::from_env`] reads the environment and reports every fault together. [`Config::install`] starts telemetry and prints
//! one line for each destination. [`Telemetry::shutdown`], or dropping the guard, delivers the remaining spans and prints the
//! [`ledger`]: each span that was created is delivered, queued, or dropped for a reason. Services create spans with `tracing`,
//! and with [`http`] for requests; [`propagation`] passes the trace from one service to the next.
//!
//! An ended span is put into a bounded queue for each destination and never waits: no exporter runs on a request's path. Sends
//! nothing unless a variable turns a destination on.
//!
//! ```no_run
//! let config = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION"));
//! let telemetry = config.install("backend")?;
//! tracing::info_span!("work").in_scope(|| { /* … */ });
//! telemetry.shutdown();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#![warn(clippy::indexing_slicing, missing_docs)]
#![cfg_attr(docsrs, feature(doc_cfg))]
#![cfg_attr(
    not(all(feature = "honeycomb", feature = "xray")),
    allow(dead_code, unused_imports, reason = "some code is used by only one destination")
)]

// Unit tests run the examples, which name the crate as its users do.
#[cfg(test)]
extern crate self as telemetry;

mod address;
pub mod api;
mod ascii;
mod attribute;
mod book;
pub mod builder;
pub mod capture;
mod certificates;
#[cfg(any(feature = "honeycomb", feature = "xray"))]
mod client;
mod clock;
pub mod config;
mod console;
mod context;
mod destinations;
mod detectors;
#[cfg(any(feature = "honeycomb", feature = "xray"))]
mod explain;
pub mod forwarded;
mod install;
pub mod ledger;
mod limits;
#[cfg(all(feature = "honeycomb", feature = "xray"))]
#[doc(hidden)]
pub mod measure;
mod measured;
mod metric_settings;
#[cfg(feature = "metrics")]
pub mod metrics;
#[cfg(not(feature = "metrics"))]
#[path = "no_metrics.rs"]
pub mod metrics;
mod pipeline;
pub mod prometheus;
pub mod propagation;
pub mod relay;
mod resource;
mod sampling;
mod scope;
pub mod span;
pub mod sql;
mod subsegment;
mod suppression;
#[cfg(test)]
mod testing;
#[cfg(any(feature = "honeycomb", feature = "xray"))]
mod tls;
#[cfg(not(any(feature = "honeycomb", feature = "xray")))]
#[path = "no_tls.rs"]
mod tls;
mod value;
mod values;

#[cfg(feature = "actix")]
pub mod actix;
#[cfg(feature = "awc")]
pub mod awc;
pub mod exporter;
pub mod http;
pub mod probe;
#[cfg(feature = "reqwest")]
pub mod reqwest;
#[cfg(feature = "sqlx")]
pub mod sqlx;
#[cfg(feature = "tower")]
pub mod tower;
#[cfg(feature = "xray-lite")]
pub mod xray_lite;
pub mod xray {
    //! Segments made by hand. They are spans, and go to the other destinations if there is no daemon.
    pub use crate::subsegment::*;
}

pub use address::{NotAnAddress, Url};
pub use book::current_ledger;
pub use config::Config;
pub use console::Console;
pub use install::{InstallError, Telemetry};
pub use pipeline::NotFlushed;
pub use span::layer::Layer;
pub use span::record_panics;

pub mod crates {
    //! The crates whose types signatures of this one name, in the versions that it uses.
    //!
    //! ```
    //! use telemetry::crates::http::HeaderMap;
    //! use telemetry::propagation::{Trust, extract};
    //!
    //! let incoming = extract(&HeaderMap::new(), &Trust::ALWAYS, None);
    //! # drop(incoming);
    //! ```

    #[cfg(feature = "reqwest")]
    pub use reqwest_middleware;
    #[cfg(feature = "sqlx")]
    pub use sqlx_core;
    #[cfg(feature = "xray-lite")]
    pub use xray_lite;
    #[cfg(feature = "awc")]
    pub use {actix_service, awc};
    #[cfg(feature = "actix")]
    pub use {actix_web, tracing_actix_web};
    pub use {http, opentelemetry, settings, tracing, tracing_subscriber};
    #[cfg(feature = "tower")]
    pub use {http_body, tower_layer, tower_service};
}

/// The page of the package, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// The page for users of other crates, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../../../docs/src/coming-from.md")]
struct ComingFrom;
