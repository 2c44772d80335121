//! One measurement, from its start to its end: a request that is served or made, or a database's operation. Costs a look-up at
//! the start and one at the end. Without metrics none is started.

use std::sync::OnceLock;
use std::sync::atomic::Ordering;
use std::time::Instant;

use opentelemetry::KeyValue;
use opentelemetry::metrics::Meter;

use super::series::{Ending, Series, SeriesKey, SeriesTable};
use crate::context::SpanIds;
use crate::metric_settings::ExemplarFilter;

/// The bounds that the conventions recommend for HTTP, in seconds.
const HTTP: &[f64] = &[0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0];
/// Those for a database.
const DATABASE: &[f64] = &[0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0];

/// The histograms of this process.
pub(super) struct Histograms {
    pub(super) server: SeriesTable,
    pub(super) client: SeriesTable,
    pub(super) database: SeriesTable,
}

static HISTOGRAMS: OnceLock<Histograms> = OnceLock::new();

/// A measurement that has started.
pub(crate) struct Measure {
    table: &'static SeriesTable,
    series: &'static Series,
    since: Instant,
    status: u16,
    error: Option<Box<str>>,
    is_code: bool,
    is_recorded: bool,
}

impl Histograms {
    /// Starts to measure. A process does so once.
    pub(super) fn open(meter: &Meter, filter: ExemplarFilter) -> &'static Self {
        HISTOGRAMS.get_or_init(|| {
            let table = |name, bounds: &'static [f64], description| {
                let histogram = meter.f64_histogram(name).with_unit("s").with_description(description);
                SeriesTable::new(name, histogram.with_boundaries(bounds.to_vec()).build(), bounds, filter)
            };
            Self {
                server: table("http.server.request.duration", HTTP, "Duration of HTTP server requests."),
                client: table("http.client.request.duration", HTTP, "Duration of HTTP client requests."),
                database: table("db.client.operation.duration", DATABASE, "Duration of database client operations."),
            }
        })
    }

    /// The histograms if this process measures.
    #[inline]
    pub(super) fn get() -> Option<&'static Self> {
        HISTOGRAMS.get()
    }

    pub(super) fn all(&self) -> [&SeriesTable; 3] {
        [&self.server, &self.client, &self.database]
    }
}

impl Measure {
    /// A request that is being served. `method` is known to the conventions.
    pub(crate) fn served(method: &str, scheme: &str, route: Option<&str>, version: Option<&str>) -> Option<Self> {
        let histograms = Histograms::get()?;
        let key =
            SeriesKey { texts: [method, scheme, route.unwrap_or_default(), version.unwrap_or_default()], port: 0 };
        let attributes = || {
            let mut attributes = vec![
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("url.scheme", scheme.to_owned()),
            ];
            attributes.extend(route.map(|route| KeyValue::new("http.route", route.to_owned())));
            attributes.extend(version.map(|version| KeyValue::new("network.protocol.version", version.to_owned())));
            attributes
        };
        Some(Self::start(&histograms.server, histograms.server.series(&key, attributes)))
    }

    /// A request to `address`. `method` is known to the conventions.
    pub(crate) fn called(method: &str, scheme: &str, address: &str, port: u16) -> Option<Self> {
        let histograms = Histograms::get()?;
        let attributes = || {
            vec![
                KeyValue::new("http.request.method", method.to_owned()),
                KeyValue::new("server.address", address.to_owned()),
                KeyValue::new("server.port", i64::from(port)),
                KeyValue::new("url.scheme", scheme.to_owned()),
            ]
        };
        let key = SeriesKey { texts: [method, scheme, address, ""], port };
        Some(Self::start(&histograms.client, histograms.client.series(&key, attributes)))
    }

    /// An operation of a database of the kind `system`; what is empty is not known.
    pub(super) fn queried(system: &str, parts: [(&'static str, &str); 3], server: Option<(&str, u16)>) -> Option<Self> {
        let histograms = Histograms::get()?;
        let [operation, collection, namespace] = parts.map(|(_, text)| text);
        let port = server.map_or(0, |(_, port)| port);
        // A process has few servers, which differ in their ports or in their databases' names.
        let key = SeriesKey { texts: [system, operation, collection, namespace], port };
        let attributes = || {
            let known = parts.into_iter().filter(|(_, text)| !text.is_empty());
            let mut attributes = vec![KeyValue::new("db.system.name", system.to_owned())];
            attributes.extend(known.map(|(key, text)| KeyValue::new(key, text.to_owned())));
            if let Some((address, port)) = server {
                attributes.push(KeyValue::new("server.address", address.to_owned()));
                attributes.push(KeyValue::new("server.port", i64::from(port)));
            }
            attributes
        };
        Some(Self::start(&histograms.database, histograms.database.series(&key, attributes)))
    }

    fn start(table: &'static SeriesTable, series: &'static Series) -> Self {
        series.active.fetch_add(1, Ordering::Relaxed);
        let since = Instant::now();
        Self { table, series, since, status: 0, error: None, is_code: false, is_recorded: false }
    }

    /// The response's status.
    pub(crate) fn status(&mut self, status: u16, is_error: bool) {
        self.status = status;
        if is_error && self.error.is_none() {
            self.error = Some(status.to_string().into());
        }
    }

    /// The kind of a failure: `timeout`.
    pub(crate) fn fail(&mut self, kind: &str) {
        self.error = Some(kind.into());
    }

    /// A failure that the database names by its own code.
    pub(super) fn fail_by_code(&mut self, code: &str) {
        self.is_code = true;
        self.fail(code);
    }

    /// Ends the measurement, in this span.
    pub(crate) fn end(mut self, ids: Option<SpanIds>) {
        self.record(ids);
    }

    fn record(&mut self, ids: Option<SpanIds>) {
        self.is_recorded = true;
        let seconds = self.since.elapsed().as_secs_f64();
        let ending = Ending { status: self.status, error: self.error.as_deref(), is_code: self.is_code };
        self.table.record(self.series, &ending, seconds, ids);
    }
}

/// A measurement that is abandoned ends too.
impl Drop for Measure {
    fn drop(&mut self) {
        self.series.active.fetch_sub(1, Ordering::Relaxed);
        if !self.is_recorded {
            self.record(None);
        }
    }
}
