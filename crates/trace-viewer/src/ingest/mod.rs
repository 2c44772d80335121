//! From bytes to spans. What is not a span is counted by the caller, never a panic.

pub(crate) mod otlp;
pub(crate) mod xray;
