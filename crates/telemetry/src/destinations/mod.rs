//! Where telemetry goes. Each folder has one destination: its settings, its exporter and its probe.

pub(crate) mod honeycomb;
pub(crate) mod otlp;
pub(crate) mod xray;
pub(crate) mod xray_otlp;
