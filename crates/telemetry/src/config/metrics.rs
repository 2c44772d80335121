//! The variables of metrics for all destinations: whether they are sent, how often, and in which form.

use std::time::Duration;

use settings::Settings;

use crate::metric_settings::{
    DEFAULT_INTERVAL, ExemplarFilter, HistogramAggregation, MetricSettings, TemporalityPreference,
};
use crate::values::{self, Exporters};

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const EXEMPLARS: &str = "OTEL_METRICS_EXEMPLAR_FILTER";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

const TEMPORALITIES: [(&str, TemporalityPreference); 3] = [
    ("cumulative", TemporalityPreference::Cumulative),
    ("delta", TemporalityPreference::Delta),
    ("lowmemory", TemporalityPreference::LowMemory),
];
const AGGREGATIONS: [(&str, HistogramAggregation); 2] = [
    ("explicit_bucket_histogram", HistogramAggregation::Explicit),
    ("base2_exponential_bucket_histogram", HistogramAggregation::Exponential),
];
const FILTERS: [(&str, ExemplarFilter); 3] = [
    ("always_on", ExemplarFilter::AlwaysOn),
    ("always_off", ExemplarFilter::AlwaysOff),
    ("trace_based", ExemplarFilter::TraceBased),
];

pub(super) fn read(settings: &mut Settings) -> MetricSettings {
    let (exporters, is_served) = values::metric_exporters(settings);
    settings.note_default(INTERVAL, DEFAULT_INTERVAL.as_millis());
    let interval = values::number(settings, INTERVAL, 100..=3_600_000, "milliseconds");
    MetricSettings {
        is_sent: exporters == Exporters::Otlp,
        is_served,
        is_off: exporters == Exporters::None && !is_served,
        interval: interval.map_or(DEFAULT_INTERVAL, Duration::from_millis),
        temporality: settings.choose_or(TEMPORALITY, &TEMPORALITIES, TemporalityPreference::Cumulative),
        aggregation: settings.choose_or(AGGREGATION, &AGGREGATIONS, HistogramAggregation::Explicit),
        exemplars: settings.choose_or(EXEMPLARS, &FILTERS, ExemplarFilter::TraceBased),
    }
}
