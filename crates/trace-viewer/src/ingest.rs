//! Turns bytes into spans. The caller counts invalid spans; they never cause a panic.

pub(crate) mod otlp;
pub(crate) mod xray;
