//! Starts and stops the SDK: its meter provider, with a reader that exports by `opentelemetry-otlp` into the destinations' queues,
//! and one that is read for Prometheus. Sets explicitly what the SDK would read from variables: `config` has read them.

use std::io;
use std::sync::{Arc, OnceLock, Weak};
use std::time::Duration;

use opentelemetry::metrics::MeterProvider;
use opentelemetry::{InstrumentationScope, KeyValue};
use opentelemetry_otlp::{MetricExporter, Protocol, WithExportConfig, WithHttpConfig};
use opentelemetry_sdk::Resource as SdkResource;
use opentelemetry_sdk::error::OTelSdkResult;
use opentelemetry_sdk::metrics::data::ResourceMetrics;
use opentelemetry_sdk::metrics::reader::MetricReader;
use opentelemetry_sdk::metrics::{
    Aggregation, Instrument, InstrumentKind, ManualReader, PeriodicReader, Pipeline, SdkMeterProvider, Stream,
    Temporality,
};
use opentelemetry_semantic_conventions::SCHEMA_URL;

use super::client::QueueClient;
use super::measure::Histograms;
use super::{observed, text};
use crate::metric_settings::{ExemplarFilter, HistogramAggregation, MetricSettings, TemporalityPreference};
use crate::pipeline::Queue;
use crate::resource::{PROCESS_PID, Resource};

/// The exporter needs an address. Nothing is sent there.
const ADDRESS: &str = "http://queue.invalid/v1/metrics";
/// Most buckets of an exponential histogram, as the specification recommends, and its finest scale.
const BUCKETS: u32 = 160;
const SCALE: i8 = 20;

/// What measures in this process.
struct Meters {
    provider: SdkMeterProvider,
    /// For Prometheus, if metrics are served.
    served: Option<Served>,
}

static METERS: OnceLock<Meters> = OnceLock::new();

/// Measures from now on, if one of `queues` or a service's own address gets the metrics. A process starts this once. Returns
/// whether it is measured for these queues now.
///
/// # Errors
/// The exporter cannot be built.
pub(crate) fn start(settings: &MetricSettings, resource: &Resource, queues: Vec<Arc<Queue>>) -> io::Result<bool> {
    if settings.is_off || (queues.is_empty() && !settings.is_served) {
        return Ok(false);
    }
    // The histograms of a process belong to its first meters.
    if METERS.get().is_some() {
        return Ok(false);
    }
    // Prometheus' text format has no exemplars.
    let exemplars = if queues.is_empty() { ExemplarFilter::AlwaysOff } else { settings.exemplars };
    let served = settings.is_served.then(Served::default);
    let mut builder = SdkMeterProvider::builder().with_resource(described(resource));
    if let Some(served) = &served {
        builder = builder.with_reader(served.clone());
    }
    if !queues.is_empty() {
        builder = builder.with_reader(periodic(settings, queues)?);
    }
    if settings.aggregation == HistogramAggregation::Exponential {
        builder = builder.with_view(exponential);
    }
    let provider = builder.build();
    let scope = InstrumentationScope::builder(env!("CARGO_PKG_NAME"))
        .with_version(env!("CARGO_PKG_VERSION"))
        .with_schema_url(SCHEMA_URL);
    let meter = provider.meter_with_scope(scope.build());
    observed::register(&meter, Histograms::open(&meter, exemplars));
    // There are no others: this is called for the process's current guard, of which there is one at a time.
    drop(METERS.set(Meters { provider, served }));
    Ok(true)
}

/// Collects for the queues now.
pub(crate) fn collect() {
    if let Some(meters) = METERS.get() {
        // An export into a queue cannot fail.
        drop(meters.provider.force_flush());
    }
}

/// Collects once more, for the queues, and measures for no destination any more.
pub(crate) fn stop() {
    if let Some(meters) = METERS.get() {
        // Fails if it is stopped already. An export into a queue cannot fail.
        drop(meters.provider.shutdown());
    }
}

/// The metrics of this process in [Prometheus' text format](crate::prometheus), except for the ledger, which
/// [`Ledger::prometheus`](crate::ledger::Ledger::prometheus) has. `None` if nothing is measured for Prometheus.
pub fn prometheus() -> Option<String> {
    let mut collected = ResourceMetrics::default();
    METERS.get()?.served.as_ref()?.0.collect(&mut collected).ok()?;
    Some(text::of(&collected))
}

/// The reader that exports into queues.
fn periodic(settings: &MetricSettings, queues: Vec<Arc<Queue>>) -> io::Result<PeriodicReader<MetricExporter>> {
    let temporality = match settings.temporality {
        TemporalityPreference::Cumulative => Temporality::Cumulative,
        TemporalityPreference::Delta => Temporality::Delta,
        TemporalityPreference::LowMemory => Temporality::LowMemory,
    };
    let exporter = MetricExporter::builder()
        .with_http()
        .with_http_client(QueueClient { queues })
        .with_protocol(Protocol::HttpBinary)
        // The exporter would drop a larger body uncounted. A queue counts what does not fit.
        .with_max_request_body_size(usize::MAX)
        .with_endpoint(ADDRESS)
        .with_temporality(temporality)
        .build()
        .map_err(io::Error::other)?;
    Ok(PeriodicReader::builder(exporter).with_interval(settings.interval).build())
}

/// The process as the SDK describes it.
fn described(resource: &Resource) -> SdkResource {
    let attributes = resource.attributes().map(|(key, value)| KeyValue::new(key.to_owned(), value.to_owned()));
    let pid = resource.get(PROCESS_PID).is_none().then(|| KeyValue::new(PROCESS_PID, i64::from(std::process::id())));
    SdkResource::builder_empty().with_schema_url(attributes.chain(pid), SCHEMA_URL).build()
}

/// The view that gives each histogram exponential buckets.
fn exponential(instrument: &Instrument) -> Option<Stream> {
    let aggregation =
        Aggregation::Base2ExponentialHistogram { max_size: BUCKETS, max_scale: SCALE, record_min_max: true };
    let is_histogram = instrument.kind() == InstrumentKind::Histogram;
    is_histogram.then(|| Stream::builder().with_aggregation(aggregation).build().ok()).flatten()
}

/// A reader that this process reads too.
#[derive(Debug, Clone, Default)]
struct Served(Arc<ManualReader>);

impl MetricReader for Served {
    fn register_pipeline(&self, pipeline: Weak<Pipeline>) {
        self.0.register_pipeline(pipeline);
    }

    fn collect(&self, metrics: &mut ResourceMetrics) -> OTelSdkResult {
        self.0.collect(metrics)
    }

    fn force_flush(&self) -> OTelSdkResult {
        self.0.force_flush()
    }

    fn shutdown_with_timeout(&self, timeout: Duration) -> OTelSdkResult {
        self.0.shutdown_with_timeout(timeout)
    }

    fn temporality(&self, kind: InstrumentKind) -> Temporality {
        self.0.temporality(kind)
    }
}
