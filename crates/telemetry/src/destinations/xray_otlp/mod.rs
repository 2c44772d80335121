//! X-Ray's own OTLP endpoint, with signed requests.

#[cfg(feature = "xray-otlp")]
mod credentials;
#[cfg(feature = "xray-otlp")]
pub(crate) mod exporter;
pub(crate) mod profile;
pub(crate) mod settings;
#[cfg(feature = "xray-otlp")]
mod sign;
#[cfg_attr(not(feature = "xray-otlp"), allow(dead_code, reason = "credentials are for whoever signs"))]
pub(crate) mod source;
