//! The variables of metrics for all destinations: whether they are sent, how often, and in which form.

use std::time::Duration;

use settings::Settings;

use crate::metric_settings::{
    DEFAULT_INTERVAL, ExemplarFilter, HistogramAggregation, MetricSettings, TemporalityPreference,
};
use crate::values::{self, Exporters};

const INTERVAL: &str = "OTEL_METRIC_EXPORT_INTERVAL";

pub(super) fn read(settings: &mut Settings) -> MetricSettings {
    let (exporters, is_served) = values::metric_exporters(settings);
    settings.note_default(INTERVAL, DEFAULT_INTERVAL.as_millis());
    let interval = values::number(settings, INTERVAL, 100..=3_600_000, "milliseconds");
    MetricSettings {
        is_sent: exporters == Exporters::Otlp,
        is_served,
        is_off: exporters == Exporters::None && !is_served,
        interval: interval.map_or(DEFAULT_INTERVAL, Duration::from_millis),
        temporality: settings.choose_or(
            TemporalityPreference::VARIABLE,
            &TemporalityPreference::NAMES,
            TemporalityPreference::Cumulative,
        ),
        aggregation: settings.choose_or(
            HistogramAggregation::VARIABLE,
            &HistogramAggregation::NAMES,
            HistogramAggregation::Explicit,
        ),
        exemplars: settings.choose_or(ExemplarFilter::VARIABLE, &ExemplarFilter::NAMES, ExemplarFilter::TraceBased),
    }
}
