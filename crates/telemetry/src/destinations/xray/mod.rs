//! The X-Ray daemon: segment documents by UDP, sampling rules by TCP.

#[cfg(feature = "xray")]
pub(crate) mod exporter;
#[cfg(feature = "xray")]
pub(crate) mod sampling;
