//! The SDK's metrics in [Prometheus' text format](crate::prometheus), by the
//! [specification's rules](https://opentelemetry.io/docs/specs/otel/compatibility/prometheus_and_openmetrics/): `.` becomes `_`,
//! seconds and bytes become a suffix, and so does `_total` of a counter. The ledger is left out: it writes itself.

use std::fmt::Display;

use opentelemetry::KeyValue;
use opentelemetry_sdk::metrics::data::{
    AggregatedMetrics, ExponentialHistogramDataPoint, HistogramDataPoint, Metric, MetricData, ResourceMetrics,
};

use crate::prometheus::{Family, MetricKind};

/// The names of the ledger.
const LEDGER: &str = "telemetry.";

/// A label and its text.
type Labels = Vec<(String, String)>;

/// All metrics but the ledger, and the resource as `target_info`.
pub(super) fn of(collected: &ResourceMetrics) -> String {
    let mut text = String::new();
    let resource = collected.resource().iter().map(|(key, value)| (label(key.as_str()), value.to_string()));
    let resource: Labels = resource.collect();
    sample(&mut Family::begin(&mut text, "target_info", MetricKind::Gauge, "The process."), "", &resource, None, 1);
    let metrics = collected.scope_metrics().flat_map(|scope| scope.metrics());
    for metric in metrics.filter(|metric| !metric.name().starts_with(LEDGER)) {
        match metric.data() {
            AggregatedMetrics::F64(data) => write(&mut text, metric, data, |value| value),
            AggregatedMetrics::U64(data) => write(&mut text, metric, data, |value| value),
            AggregatedMetrics::I64(data) => write(&mut text, metric, data, |value| value),
        }
    }
    text
}

fn write<T: Copy, V: Display>(text: &mut String, metric: &Metric, data: &MetricData<T>, show: fn(T) -> V) {
    let kind = match data {
        MetricData::Sum(sum) if sum.is_monotonic() => MetricKind::Counter,
        MetricData::Sum(_) | MetricData::Gauge(_) => MetricKind::Gauge,
        MetricData::Histogram(_) | MetricData::ExponentialHistogram(_) => MetricKind::Histogram,
    };
    let name = name(metric, kind);
    let mut family = Family::begin(text, &name, kind, metric.description());
    match data {
        MetricData::Sum(sum) => {
            sum.data_points().for_each(|p| sample(&mut family, "", &labels(p.attributes()), None, show(p.value())));
        }
        MetricData::Gauge(gauge) => {
            gauge.data_points().for_each(|p| sample(&mut family, "", &labels(p.attributes()), None, show(p.value())));
        }
        MetricData::Histogram(histogram) => {
            for point in histogram.data_points() {
                buckets(&mut family, &labels(point.attributes()), explicit(point), point.count(), show(point.sum()));
            }
        }
        MetricData::ExponentialHistogram(histogram) => {
            for point in histogram.data_points() {
                let count = u64::try_from(point.count()).unwrap_or(u64::MAX);
                buckets(&mut family, &labels(point.attributes()), exponential(point), count, show(point.sum()));
            }
        }
    }
}

/// A metric's name, with the suffixes of its unit and its kind.
fn name(metric: &Metric, kind: MetricKind) -> String {
    let unit = match metric.unit() {
        "s" => "_seconds",
        "By" => "_bytes",
        // What stands in braces is no unit.
        _ => "",
    };
    let total = if kind == MetricKind::Counter { "_total" } else { "" };
    format!("{}{unit}{total}", label(metric.name()))
}

/// A name with the characters that Prometheus allows.
fn label(name: &str) -> String {
    name.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '_' }).collect()
}

fn labels<'a>(attributes: impl Iterator<Item = &'a KeyValue>) -> Labels {
    let labels = attributes.map(|attribute| (label(attribute.key.as_str()), attribute.value.to_string()));
    let mut labels: Labels = labels.collect();
    // The SDK has them in any order.
    labels.sort_unstable();
    labels
}

fn sample(family: &mut Family<'_>, suffix: &str, labels: &Labels, bound: Option<&str>, value: impl Display) {
    let bound = bound.map(|bound| ("le", bound));
    let labels: Vec<(&str, &str)> =
        labels.iter().map(|(name, value)| (name.as_str(), value.as_str())).chain(bound).collect();
    family.part(suffix, &labels, value);
}

/// The upper bounds of a point's buckets, and the count of each alone.
fn explicit<T: Copy>(point: &HistogramDataPoint<T>) -> Vec<(f64, u64)> {
    point.bounds().zip(point.bucket_counts()).collect()
}

/// The same of exponential buckets: bucket `index` ends at 2 to the power of (`index` + 1) / 2^`scale`.
fn exponential<T: Copy>(point: &ExponentialHistogramDataPoint<T>) -> Vec<(f64, u64)> {
    let positive = point.positive_bucket();
    let zero = (point.zero_threshold(), point.zero_count());
    let bound = |index: i32| (f64::from(index) * 2_f64.powi(-i32::from(point.scale()))).exp2();
    let ends = (positive.offset()..).map(|index| bound(index.saturating_add(1)));
    let counts = ends.zip(positive.counts()).filter(|(_, count)| *count > 0);
    (zero.1 > 0).then_some(zero).into_iter().chain(counts).collect()
}

/// Writes a histogram, whose buckets Prometheus wants added up.
fn buckets(family: &mut Family<'_>, labels: &Labels, buckets: Vec<(f64, u64)>, count: u64, sum: impl Display) {
    let mut up_to = 0;
    for (bound, own) in buckets {
        up_to += own;
        sample(family, "_bucket", labels, Some(&bound.to_string()), up_to);
    }
    sample(family, "_bucket", labels, Some("+Inf"), count);
    sample(family, "_sum", labels, None, sum);
    sample(family, "_count", labels, None, count);
}
