//! A service's telemetry as its environment configures it. Reads variables, the files that they name, and AWS's profile files if
//! something must be signed. Decides which destinations are on and why.
//!
//! `docs/src/configuration.md` describes each variable with its default; a test compares that page with this code. The names are
//! those of
//! [OpenTelemetry's specification](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/);
//! [`is_known`] recognises all of them. A variable or value of the specification that this crate does not support causes a
//! warning that says what happens instead, because a platform may set it for every service. A value that is not in the
//! specification is a fault.

mod checks;
mod child;
#[cfg(test)]
pub(crate) mod documented;
mod metrics;
mod spans;
#[cfg(test)]
mod tests;
mod variables;

use std::fmt;

use settings::{Faults, Settings};

use crate::console::Console;
use crate::destinations::custom::CustomDestination;
use crate::destinations::destination::{Destination, Switch};
use crate::destinations::otlp::variables::{METRICS_EXPORTER, Wanted};
use crate::destinations::{self, Configured, otlp, xray};
use crate::detectors::{self, Detector};
use crate::limits::Limits;
use crate::metric_settings::MetricSettings;
use crate::pipeline::Pace;
use crate::propagation::Propagators;
use crate::sampling::Sampling;
use crate::span::SpanProcessor;
use crate::span::levels::SpanLevels;
use crate::values::{self, Exporters};

pub use spans::service_name;
pub use variables::is_known;

/// What happens if metrics are requested and no destination gets them.
const NO_METRICS: &str = if cfg!(feature = "metrics") {
    "no destination accepts metrics, so none are sent; name one in OTEL_EXPORTER_OTLP_METRICS_ENDPOINT"
} else {
    "built without the feature \"metrics\", so none are sent"
};
const NO_TRACES: &str = "OTEL_TRACES_EXPORTER is none";
const DISABLED: &str = "OTEL_SDK_DISABLED is true";

/// A service's telemetry as its environment configures it.
#[derive(Debug)]
pub struct Config {
    pub(crate) destinations: Vec<Configured>,
    /// Whether `OTEL_LOGS_EXPORTER` requests log records.
    logs: bool,
    pub(crate) metrics: MetricSettings,
    pub(crate) service: Option<String>,
    /// The calling service's version, from its code.
    pub(crate) service_version: Option<String>,
    pub(crate) resource: Vec<(String, String)>,
    detectors: Vec<Detector>,
    pub(crate) sampling: Sampling,
    pub(crate) limits: Limits,
    /// The pace of spans.
    pub(crate) pace: Pace,
    /// The pace of log records.
    pub(crate) log_pace: Pace,
    /// No spans are created; a request's context is still propagated.
    pub(crate) disabled: bool,
    /// Why no spans are sent, if `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER` turns that off.
    pub(crate) spans_off: Option<&'static str>,
    /// What makes a child process send spans over HTTP, if this process does not.
    over_http: Option<(&'static str, Option<String>)>,
    pub(crate) propagators: Propagators,
    pub(crate) span_levels: SpanLevels,
    pub(crate) console: Console,
    /// Deviations from what a variable requests, one line each; printed at start.
    pub(crate) warnings: Vec<String>,
    /// Destinations of the caller's own.
    pub(crate) custom: Vec<CustomDestination>,
    pub(crate) processors: Processors,
    /// Nothing is printed at start and at the end: for tests.
    pub(crate) is_quiet: bool,
}

/// Processors of the caller's own.
#[derive(Default)]
pub(crate) struct Processors(pub(crate) Vec<Box<dyn SpanProcessor>>);

impl fmt::Debug for Processors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} processors", self.0.len())
    }
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Every variable that is set and invalid, one line each.
    pub fn from_env() -> Result<Self, Faults> {
        settings::from_env(Self::read)
    }

    /// Reads `settings`, which records the faults; for a service that reads more than this.
    pub fn read(settings: &mut Settings) -> Self {
        let logs = values::exporters(settings, &values::LOGS) == Exporters::Otlp;
        let mut metrics = metrics::read(settings);
        let wanted = Wanted { logs, metrics: metrics.is_sent && cfg!(feature = "metrics") };
        let mut destinations = destinations::read(settings, wanted);
        let daemon = xray::settings::address(settings);
        let mut sampling = Sampling::read(settings, daemon.as_ref());
        let detectors = detectors::read(settings);
        let no_traces = values::exporters(settings, &values::TRACES) == Exporters::None;
        if no_traces {
            sampling.disable();
            destinations.iter_mut().for_each(|to| to.turn_spans_off(NO_TRACES));
        }
        settings.note_default("OTEL_SDK_DISABLED", false);
        let disabled = values::flag(settings, "OTEL_SDK_DISABLED").unwrap_or(false);
        if disabled {
            sampling.disable();
            metrics.is_off = true;
            destinations.iter_mut().for_each(|to| to.turn_off(DISABLED));
        }
        let pace = spans::pace_of_spans(settings, Pace::default());
        let log_pace = spans::pace_of_log_records(settings, pace);
        let limits = spans::limits(settings);
        let propagators = values::propagators(settings);
        variables::warn_of_ignored(settings);
        if logs && !disabled && destinations.iter().filter_map(Configured::on).all(|to| to.logs().is_none()) {
            let instead =
                "no destination accepts log records, so none are sent; name one in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
            settings.warn("OTEL_LOGS_EXPORTER", instead);
        }
        if metrics.is_sent
            && !disabled
            && destinations.iter().filter_map(Configured::on).all(|to| to.metrics().is_none())
        {
            settings.warn(METRICS_EXPORTER, NO_METRICS);
        }
        Self {
            destinations,
            logs: logs && !disabled,
            metrics,
            service: service_name(settings),
            service_version: None,
            resource: spans::resource(settings),
            detectors,
            sampling,
            limits,
            pace,
            log_pace,
            disabled,
            spans_off: if disabled { Some(DISABLED) } else { no_traces.then_some(NO_TRACES) },
            over_http: otlp::variables::over_http(settings),
            propagators,
            span_levels: SpanLevels::read(settings),
            console: Console::read(settings),
            warnings: settings.warnings().map(|(subject, instead)| format!("{subject}: {instead}")).collect(),
            custom: Vec::new(),
            processors: Processors::default(),
            is_quiet: false,
        }
    }

    /// The version of the calling service, its `service.version` unless `OTEL_RESOURCE_ATTRIBUTES` gives another. Without it, spans have
    /// no version.
    ///
    /// ```no_run
    /// let config = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION"));
    /// let telemetry = config.install("backend")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn service_version(self, version: &str) -> Self {
        Self { service_version: Some(version.to_owned()), ..self }
    }

    /// Adds a destination for spans: see [`exporter`](crate::exporter). It is off if `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER`
    /// turns spans off.
    #[must_use]
    pub fn destination(mut self, destination: CustomDestination) -> Self {
        self.custom.push(destination);
        self
    }

    /// Adds a processor of the caller's own, which sees each span when it ends, after those that were added before: see
    /// [`SpanProcessor`]. Without one, nothing is called.
    #[must_use]
    pub fn processor(mut self, processor: impl SpanProcessor) -> Self {
        self.processors.0.push(Box::new(processor));
        self
    }

    /// Prints nothing at start and at the end.
    pub(crate) fn quiet(self) -> Self {
        Self { is_quiet: true, ..self }
    }

    /// The detectors to run: none if every destination is off and no rule depends on the platform, because the results would not
    /// be used.
    pub(crate) fn detectors(&self) -> &[Detector] {
        let is_needed = self.destinations.iter().any(|to| to.on().is_some())
            || !self.custom.is_empty()
            || matches!(self.sampling, Sampling::Xray(_));
        if is_needed { &self.detectors } else { &[] }
    }

    /// The file of the X-Ray sampling rules that apply without central ones, if the variables name such a file.
    pub fn rules_file(&self) -> Option<&str> {
        match &self.sampling {
            Sampling::Xray(rules) => rules.file.as_deref(),
            Sampling::Plain(_) => None,
        }
    }

    /// The addresses that log records are sent to. `None` if `OTEL_LOGS_EXPORTER` does not request them; empty if no destination
    /// accepts them.
    pub fn log_records(&self) -> Option<Vec<String>> {
        let addresses = self.destinations.iter().filter_map(Configured::on).filter_map(Destination::logs);
        self.logs.then(|| addresses.collect())
    }

    /// For a service that shows [`metrics::prometheus`](crate::metrics::prometheus) at an address of its own: it measures even if
    /// no destination gets its metrics, unless `OTEL_METRICS_EXPORTER` is `none`.
    #[must_use]
    pub fn serving_metrics(mut self) -> Self {
        self.metrics.is_served = true;
        self
    }

    /// Each destination's name, and its address or why it is off.
    pub fn destinations(&self) -> impl Iterator<Item = (&'static str, Result<String, &str>)> {
        self.destinations.iter().map(|to| match &to.switch {
            Switch::On(destination, _) => (to.name(), Ok(destination.address())),
            Switch::Off(why) => (to.name(), Err(why.as_str())),
        })
    }
}
