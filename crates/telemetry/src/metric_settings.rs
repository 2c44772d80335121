//! What may be requested of metrics: who gets them, how often, and in which form. Exists without the feature `metrics` too, so
//! that a build without it reads the same variables and reports the same faults.

use std::time::Duration;

/// The interval between two exports.
pub(crate) const DEFAULT_INTERVAL: Duration = Duration::from_secs(60);

/// What is measured, and who gets it.
#[derive(Debug, Clone, Copy)]
#[cfg_attr(not(feature = "metrics"), allow(dead_code, reason = "read all the same, so that a mistake is a fault"))]
pub(crate) struct MetricSettings {
    /// `OTEL_METRICS_EXPORTER` has `otlp`.
    pub(crate) is_sent: bool,
    /// The service shows metrics at an address of its own, or `OTEL_METRICS_EXPORTER` has `prometheus`.
    pub(crate) is_served: bool,
    /// `OTEL_METRICS_EXPORTER` is `none`, or the SDK is disabled: nothing is measured.
    pub(crate) is_off: bool,
    pub(crate) interval: Duration,
    pub(crate) temporality: TemporalityPreference,
    pub(crate) aggregation: HistogramAggregation,
    pub(crate) exemplars: ExemplarFilter,
}

/// Whether a point of a metric counts from the start of the process or from the last export.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TemporalityPreference {
    /// From the start of the process.
    Cumulative,
    /// From the last export.
    Delta,
    /// Delta where the process measures, cumulative where it observes a sum.
    LowMemory,
}

/// The buckets of a histogram.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistogramAggregation {
    /// Those that the conventions recommend.
    Explicit,
    /// At most 160, which adapt to the values.
    Exponential,
}

/// Which measurements may become an exemplar.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExemplarFilter {
    /// All.
    AlwaysOn,
    /// None.
    AlwaysOff,
    /// Those in a sampled span.
    TraceBased,
}

impl TemporalityPreference {
    pub(crate) const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
    /// The values of the variable.
    pub(crate) const NAMES: [(&str, Self); 3] =
        [("cumulative", Self::Cumulative), ("delta", Self::Delta), ("lowmemory", Self::LowMemory)];
}

impl HistogramAggregation {
    pub(crate) const VARIABLE: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
    /// The values of the variable.
    pub(crate) const NAMES: [(&str, Self); 2] =
        [("explicit_bucket_histogram", Self::Explicit), ("base2_exponential_bucket_histogram", Self::Exponential)];
}

impl ExemplarFilter {
    pub(crate) const VARIABLE: &str = "OTEL_METRICS_EXEMPLAR_FILTER";
    /// The values of the variable.
    pub(crate) const NAMES: [(&str, Self); 3] =
        [("always_on", Self::AlwaysOn), ("always_off", Self::AlwaysOff), ("trace_based", Self::TraceBased)];
}
