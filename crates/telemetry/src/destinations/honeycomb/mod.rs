//! Honeycomb, by OTLP over HTTP.

pub(crate) mod key;
