//! Metrics of requests, of statements, of the process and of the ledger, by OpenTelemetry's
//! [conventions](https://opentelemetry.io/docs/specs/semconv/general/metrics/), with its SDK. The spans of
//! [`http`](crate::http) are measured without more code; [`Timer`] measures what has no such span. Nothing is measured unless a
//! variable, or [`Config::serving_metrics`](crate::Config::serving_metrics), requests it.

mod client;
pub(crate) mod measure;
mod observed;
mod process;
pub(crate) mod provider;
mod series;
#[cfg(test)]
mod tests;
mod text;
mod timer;

pub use provider::prometheus;
pub use timer::{Timer, observe_pool};

pub use crate::measured::{DatabaseOperation, PoolCounts};
