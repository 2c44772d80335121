//! The variables of metrics for all destinations: whether they are sent, how often, and in which form.

use std::time::Duration;

use settings::Settings;

use crate::metric_settings::{DEFAULT_INTERVAL, MetricSettings};
use crate::values::{self, Exporters};

const TEMPORALITY: &str = "OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE";
const AGGREGATION: &str = "OTEL_EXPORTER_OTLP_METRICS_DEFAULT_HISTOGRAM_AGGREGATION";
const AGGREGATIONS: &str = "explicit_bucket_histogram or base2_exponential_bucket_histogram";
const EXEMPLARS: &str = "OTEL_METRICS_EXEMPLAR_FILTER";
const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

pub(super) fn read(settings: &mut Settings) -> MetricSettings {
    let (exporters, is_served) = values::metric_exporters(settings);
    settings.note_default(INTERVAL, DEFAULT_INTERVAL.as_millis());
    settings.note_default(TEMPORALITY, "cumulative");
    settings.note_default(AGGREGATION, "explicit_bucket_histogram");
    settings.note_default(EXEMPLARS, "trace_based");
    let interval = values::number(settings, INTERVAL, 100..=3_600_000, "milliseconds");
    MetricSettings {
        is_sent: exporters == Exporters::Otlp,
        is_served,
        is_off: exporters == Exporters::None && !is_served,
        interval: interval.map_or(DEFAULT_INTERVAL, Duration::from_millis),
        temporality: settings.parse(TEMPORALITY, "cumulative, delta or lowmemory").unwrap_or_default(),
        aggregation: settings.parse(AGGREGATION, AGGREGATIONS).unwrap_or_default(),
        exemplars: settings.parse(EXEMPLARS, "always_on, always_off or trace_based").unwrap_or_default(),
    }
}
