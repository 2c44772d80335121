//! OTLP over HTTP, to any collector.

#[cfg(feature = "honeycomb")]
mod answer;
pub(crate) mod certificates;
pub(crate) mod endpoint;
#[cfg(feature = "honeycomb")]
pub(crate) mod exporter;
pub(crate) mod headers;
#[cfg(feature = "honeycomb")]
mod json;
pub(crate) mod settings;
pub(crate) mod signal;
