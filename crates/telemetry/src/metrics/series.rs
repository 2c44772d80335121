//! A histogram's series, each bound once: the SDK looks a series up by its attributes, which costs more than the measurement.
//! The table is read without a lock, and its size is bounded: further series share one, which is marked as the SDK marks its own.
//! Each series keeps at most one exemplar for each bucket, because this version of the SDK has no exemplars.

use std::sync::{Mutex, OnceLock, PoisonError};

use opentelemetry::metrics::{BoundHistogram, Histogram};
use opentelemetry::trace::{SpanId, TraceId};
use opentelemetry::{KeyValue, Value};

use crate::clock;
use crate::context::SpanIds;
use crate::metric_settings::ExemplarFilter;

/// The most series that differ in what is known at their start.
const SERIES: usize = 512;
/// The slots that are tried for one of them.
const PROBES: usize = 16;
/// The endings of one series that are bound: statuses and kinds of errors.
const ENDINGS: usize = 16;

/// A histogram with its series.
pub(super) struct SeriesTable {
    pub(super) name: &'static str,
    histogram: Histogram<f64>,
    bounds: &'static [f64],
    filter: ExemplarFilter,
    series: Box<[OnceLock<Box<Series>>]>,
    overflow: Series,
}

/// What is known when a measurement starts.
#[derive(Clone, Copy)]
pub(super) struct SeriesKey<'a> {
    pub(super) texts: [&'a str; 4],
    pub(super) port: u16,
}

/// The measurements with one key.
pub(super) struct Series {
    texts: [Box<str>; 4],
    port: u16,
    attributes: Vec<KeyValue>,
    endings: [OnceLock<Box<BoundSeries>>; ENDINGS],
    /// Measurements that have started and not ended.
    pub(super) active: std::sync::atomic::AtomicI64,
}

/// How a measurement ended.
#[derive(Clone, Copy)]
pub(super) struct Ending<'a> {
    /// HTTP's status; 0 if there is none.
    pub(super) status: u16,
    pub(super) error: Option<&'a str>,
    /// Whether the error is a database's own code.
    pub(super) is_code: bool,
}

/// The measurements with one key that ended alike.
pub(super) struct BoundSeries {
    status: u16,
    error: Option<Box<str>>,
    bound: BoundHistogram<f64>,
    pub(super) attributes: Vec<KeyValue>,
    /// The last sample of each bucket since the last export.
    samples: Mutex<Box<[Option<Sample>]>>,
}

/// A measurement in a trace.
#[derive(Clone, Copy)]
pub(super) struct Sample {
    pub(super) value: f64,
    /// Nanoseconds since 1970.
    pub(super) time: u64,
    pub(super) trace: TraceId,
    pub(super) span: SpanId,
}

impl SeriesTable {
    pub(super) fn new(
        name: &'static str,
        histogram: Histogram<f64>,
        bounds: &'static [f64],
        filter: ExemplarFilter,
    ) -> Self {
        let overflow =
            Series::new(&SeriesKey { texts: [""; 4], port: 0 }, vec![KeyValue::new("otel.metric.overflow", true)]);
        let series = (0..SERIES).map(|_| OnceLock::new()).collect();
        Self { name, histogram, bounds, filter, series, overflow }
    }

    /// The series of `key`, which may be new.
    pub(super) fn series(&self, key: &SeriesKey<'_>, attributes: impl Fn() -> Vec<KeyValue>) -> &Series {
        let first = key.hash();
        let slots = (0..PROBES).filter_map(|probe| self.series.get(first.wrapping_add(probe) % SERIES));
        for slot in slots {
            let series = slot.get_or_init(|| Box::new(Series::new(key, attributes())));
            if series.is(key) {
                return series;
            }
        }
        &self.overflow
    }

    /// Records a measurement of `series`, within a span.
    pub(super) fn record(&self, series: &Series, ending: &Ending<'_>, value: f64, ids: Option<SpanIds>) {
        for slot in &series.endings {
            let bound = slot.get_or_init(|| Box::new(self.bind(series, ending)));
            if bound.status == ending.status && bound.error.as_deref() == ending.error {
                bound.bound.record(value);
                if let Some(ids) = ids.filter(|ids| self.filter.admits(*ids)) {
                    bound.offer(self.bounds.partition_point(|bound| *bound < value), value, ids);
                }
                return;
            }
        }
        // More endings than expected: the SDK looks the series up, and bounds their number.
        self.histogram.record(value, &ending.attributes(&series.attributes));
    }

    fn bind(&self, series: &Series, ending: &Ending<'_>) -> BoundSeries {
        let attributes = ending.attributes(&series.attributes);
        BoundSeries {
            status: ending.status,
            error: ending.error.map(Into::into),
            bound: self.histogram.bind(&attributes),
            attributes,
            samples: Mutex::new(vec![None; self.bounds.len() + 1].into()),
        }
    }

    /// Every series.
    pub(super) fn all(&self) -> impl Iterator<Item = &Series> {
        self.series.iter().filter_map(OnceLock::get).map(|series| &**series).chain([&self.overflow])
    }

    /// The series that have exemplars.
    pub(super) fn sampled(&self) -> impl Iterator<Item = &BoundSeries> {
        let endings = self.all().flat_map(|series| series.endings.iter().map_while(OnceLock::get));
        endings.map(|ending| &**ending).filter(|ending| ending.has_samples())
    }
}

impl SeriesKey<'_> {
    /// FNV-1a.
    fn hash(&self) -> usize {
        let texts = self.texts.iter().flat_map(|text| text.bytes().chain([0xff]));
        let bytes = texts.chain(self.port.to_le_bytes());
        let hash =
            bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
        // The high bits are mixed best.
        usize::try_from(hash >> 40).unwrap_or_default()
    }
}

impl Series {
    fn new(key: &SeriesKey<'_>, attributes: Vec<KeyValue>) -> Self {
        Self {
            texts: key.texts.map(Into::into),
            port: key.port,
            attributes,
            endings: [const { OnceLock::new() }; ENDINGS],
            active: std::sync::atomic::AtomicI64::new(0),
        }
    }

    fn is(&self, key: &SeriesKey<'_>) -> bool {
        self.port == key.port && self.texts.iter().zip(key.texts).all(|(own, text)| **own == *text)
    }

    /// One of the attributes.
    pub(super) fn attribute(&self, key: &str) -> Option<&Value> {
        self.attributes.iter().find(|own| own.key.as_str() == key).map(|own| &own.value)
    }
}

impl Ending<'_> {
    fn attributes(&self, of_series: &[KeyValue]) -> Vec<KeyValue> {
        let mut attributes = of_series.to_vec();
        if self.status != 0 {
            attributes.push(KeyValue::new("http.response.status_code", i64::from(self.status)));
        }
        if let Some(error) = self.error {
            attributes.push(KeyValue::new("error.type", error.to_owned()));
            if self.is_code {
                attributes.push(KeyValue::new("db.response.status_code", error.to_owned()));
            }
        }
        attributes
    }
}

impl BoundSeries {
    /// Keeps the measurement as its bucket's exemplar, unless another thread has the exemplars now.
    fn offer(&self, bucket: usize, value: f64, ids: SpanIds) {
        if let Ok(mut samples) = self.samples.try_lock()
            && let Some(sample) = samples.get_mut(bucket)
        {
            *sample = Some(Sample { value, time: clock::now(), trace: ids.trace, span: ids.span });
        }
    }

    fn has_samples(&self) -> bool {
        self.samples.lock().unwrap_or_else(PoisonError::into_inner).iter().any(Option::is_some)
    }

    /// Takes the samples until `end`, in nanoseconds since 1970. A point that is collected at `end` does not count later ones;
    /// they wait for the next.
    pub(super) fn take_until(&self, end: u64) -> Vec<Sample> {
        let mut samples = self.samples.lock().unwrap_or_else(PoisonError::into_inner);
        samples.iter_mut().filter_map(|sample| sample.take_if(|sample| sample.time <= end)).collect()
    }
}

impl ExemplarFilter {
    fn admits(self, ids: SpanIds) -> bool {
        match self {
            Self::AlwaysOn => true,
            Self::AlwaysOff => false,
            Self::TraceBased => ids.is_sampled(),
        }
    }
}
