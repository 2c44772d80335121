//! Configuration in code: everything that variables configure. A variable that is set takes precedence, so that an operator can
//! change the code's value. [`Builder::without_environment`] reads no variable, so that a test depends on nothing outside.
//!
//! Each value is read as its variable's would be, with the same checks, limits and warnings. All faults are reported together,
//! each under the name of the variable.
//!
//! ```
//! use telemetry::Config;
//! use telemetry::builder::{OtlpDestination, TraceSampler};
//!
//! let config = Config::builder()
//!     .service("orders")
//!     .service_version(env!("CARGO_PKG_VERSION"))
//!     .attribute("deployment.environment.name", "staging")
//!     .sampler(TraceSampler::ratio(0.25))
//!     .otlp(OtlpDestination::at("http://localhost:4318"))
//!     .without_environment()
//!     .build()?;
//! let addresses: Vec<_> = config.destinations().filter_map(|(_, address)| address.ok()).collect();
//! assert_eq!(addresses, ["http://localhost:4318/v1/traces"]);
//!
//! let faults = Config::builder().sampler(TraceSampler::ratio(7.0)).without_environment().build().unwrap_err();
//! assert!(faults.to_string().starts_with("OTEL_TRACES_SAMPLER_ARG (in code): "), "{faults}");
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod destinations;
mod provided;
#[cfg(test)]
mod tests;
mod tuning;

use std::time::Duration;

use settings::{Faults, Settings};

use self::provided::Provided;
use crate::config::{Config, Processors};
use crate::destinations::custom::CustomDestination;
use crate::destinations::destination::Switch;
use crate::ledger::RecordKind;
use crate::span::SpanProcessor;

pub use crate::metric_settings::{ExemplarFilter, HistogramAggregation, TemporalityPreference};
pub use destinations::{HoneycombDestination, OtlpDestination, XrayDestination, XrayOtlpDestination};
pub use secrecy::SecretString;
pub use tuning::{QueueBounds, RecordLimits, TraceSampler};

/// A service's telemetry as its code configures it: see [the module](self).
#[derive(Debug, Default)]
#[must_use = "a builder does nothing until it is built"]
pub struct Builder {
    provided: Provided,
    service: Option<String>,
    service_version: Option<String>,
    resource: Vec<(String, String)>,
    custom: Vec<CustomDestination>,
    processors: Processors,
    ignores_environment: bool,
}

/// A format in which a trace is propagated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PropagationFormat {
    /// W3C's `traceparent` and `tracestate`.
    TraceContext,
    /// W3C's `baggage`.
    Baggage,
    /// `X-Amzn-Trace-Id`.
    Xray,
}

/// A platform whose metadata is requested at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Platform {
    /// A container of Amazon ECS.
    Ecs,
    /// An instance of Amazon EC2.
    Ec2,
    /// A pod of Amazon EKS.
    Eks,
}

impl Config {
    /// Configuration in code: see [`builder`](self).
    pub fn builder() -> Builder {
        Builder::default()
    }
}

impl Builder {
    /// The name under which the service's spans appear.
    pub fn service(self, name: &str) -> Self {
        Self { service: Some(name.to_owned()), ..self }
    }

    /// The service's version, its `service.version`.
    pub fn service_version(self, version: &str) -> Self {
        Self { service_version: Some(version.to_owned()), ..self }
    }

    /// An attribute of the resource, in addition to those that are known: host, process, SDK. `OTEL_RESOURCE_ATTRIBUTES` adds
    /// further ones, and replaces those of the same key.
    pub fn attribute(mut self, key: &str, value: &str) -> Self {
        self.resource.push((key.to_owned(), value.to_owned()));
        self
    }

    /// Which traces are recorded; by default every one that a caller has not left out.
    pub fn sampler(mut self, sampler: TraceSampler) -> Self {
        sampler.provide(&mut self.provided);
        self
    }

    /// How much a span and a log record may hold.
    pub fn limits(mut self, limits: RecordLimits) -> Self {
        limits.provide(&mut self.provided);
        self
    }

    /// The queues of the destinations for one kind of record. Log records have the bounds of spans, unless they have their own. Of
    /// metrics, only the time limit can be set.
    pub fn queue(mut self, kind: RecordKind, bounds: QueueBounds) -> Self {
        bounds.provide(kind, &mut self.provided);
        self
    }

    /// The least important spans that are made, as `TRACE_LEVEL` has them: `info,tower_http=debug`.
    pub fn span_levels(self, levels: &str) -> Self {
        self.with("TRACE_LEVEL", levels)
    }

    /// The events that are printed and sent as log records, as `RUST_LOG` has them: `info,sqlx=warn`.
    pub fn log_levels(self, levels: &str) -> Self {
        self.with("RUST_LOG", levels)
    }

    /// Prints events without colours on a terminal, too.
    pub fn without_colours(self) -> Self {
        self.with("NO_COLOR", "1")
    }

    /// The formats in which traces are propagated; by default all three. An empty list is none.
    pub fn propagation(self, formats: impl IntoIterator<Item = PropagationFormat>) -> Self {
        let name = |format| match format {
            PropagationFormat::TraceContext => "tracecontext",
            PropagationFormat::Baggage => "baggage",
            PropagationFormat::Xray => "xray",
        };
        let names: Vec<&str> = formats.into_iter().map(name).collect();
        if names.is_empty() {
            self.with("OTEL_PROPAGATORS", "none")
        } else {
            self.with("OTEL_PROPAGATORS", &names.join(","))
        }
    }

    /// The platforms whose metadata is added to the resource. Its address is in variables that the platform sets.
    pub fn detectors(self, platforms: impl IntoIterator<Item = Platform>) -> Self {
        let name = |platform| match platform {
            Platform::Ecs => "ecs",
            Platform::Ec2 => "ec2",
            Platform::Eks => "eks",
        };
        let names: Vec<&str> = platforms.into_iter().map(name).collect();
        if names.is_empty() { self } else { self.with("OTEL_RESOURCE_DETECTORS", &names.join(",")) }
    }

    /// Sends spans to Honeycomb, and log records and metrics if they are requested.
    pub fn honeycomb(mut self, honeycomb: HoneycombDestination) -> Self {
        honeycomb.provide(&mut self.provided);
        self
    }

    /// Sends spans to a collector, and log records and metrics if they are requested.
    pub fn otlp(mut self, collector: OtlpDestination) -> Self {
        collector.provide(&mut self.provided);
        self
    }

    /// Sends spans to the X-Ray daemon.
    pub fn xray(mut self, daemon: XrayDestination) -> Self {
        daemon.provide(&mut self.provided);
        self
    }

    /// Sends spans to X-Ray without a daemon.
    pub fn xray_otlp(mut self, xray: XrayOtlpDestination) -> Self {
        xray.provide(&mut self.provided);
        self
    }

    /// Sends spans to a destination of the caller's own: see [`exporter`](crate::exporter).
    pub fn destination(mut self, destination: CustomDestination) -> Self {
        self.custom.push(destination);
        self
    }

    /// Trusts the CAs in this PEM file at every destination, instead of the public ones.
    pub fn certificates(self, file: &str) -> Self {
        self.with("SSL_CERT_FILE", file)
    }

    /// Trusts the CAs in the PEM files of this folder, or of several separated by `:`, at every destination.
    pub fn certificate_folder(self, folder: &str) -> Self {
        self.with("SSL_CERT_DIR", folder)
    }

    /// Sends events as log records, instead of recording them as events of their span.
    pub fn logs(self) -> Self {
        self.with("OTEL_LOGS_EXPORTER", "otlp")
    }

    /// Sends metrics to Honeycomb and to the collector, as `OTEL_METRICS_EXPORTER=otlp` does, at this interval: from a tenth of
    /// a second to an hour. Needs the feature `metrics`.
    pub fn metrics(self, interval: Duration) -> Self {
        let milliseconds = interval.as_millis().to_string();
        self.with("OTEL_METRICS_EXPORTER", "otlp").with("OTEL_METRIC_EXPORT_INTERVAL", &milliseconds)
    }

    /// Whether the points of metrics count from the start of the process, as they do by default, or from the last export.
    pub fn metric_temporality(self, preference: TemporalityPreference) -> Self {
        self.with(TemporalityPreference::VARIABLE, name(&TemporalityPreference::NAMES, preference))
    }

    /// The buckets of histograms; by default those that the conventions recommend.
    pub fn histograms(self, aggregation: HistogramAggregation) -> Self {
        self.with(HistogramAggregation::VARIABLE, name(&HistogramAggregation::NAMES, aggregation))
    }

    /// Which measurements may become exemplars; by default those in a sampled span.
    pub fn exemplars(self, filter: ExemplarFilter) -> Self {
        self.with(ExemplarFilter::VARIABLE, name(&ExemplarFilter::NAMES, filter))
    }

    /// Measures nothing, unless the service shows its metrics at an address of its own.
    pub fn without_metrics(self) -> Self {
        self.with("OTEL_METRICS_EXPORTER", "none")
    }

    /// Sends no spans. They are made, and their ids are propagated.
    pub fn without_spans(self) -> Self {
        self.with("OTEL_TRACES_EXPORTER", "none")
    }

    /// Makes no spans and sends nothing. What a request brings is propagated.
    pub fn disabled(self) -> Self {
        self.with("OTEL_SDK_DISABLED", "true")
    }

    /// Adds a processor of the caller's own: see [`SpanProcessor`].
    pub fn processor(mut self, processor: impl SpanProcessor) -> Self {
        self.processors.0.push(Box::new(processor));
        self
    }

    /// Reads no variable. Detectors, and credentials of AWS that are not given, then find nothing.
    pub fn without_environment(self) -> Self {
        Self { ignores_environment: true, ..self }
    }

    /// The configuration.
    ///
    /// # Errors
    /// Every value and every variable that is invalid, one line each.
    pub fn build(self) -> Result<Config, Faults> {
        if self.ignores_environment {
            let mut settings = Settings::from_pairs(&[]);
            let config = self.read(&mut settings);
            return settings.finish(config);
        }
        settings::from_env(|settings| self.read(settings))
    }

    /// The configuration, with the variables of `settings`, which records the faults: for a service that reads more than this.
    pub fn read(self, settings: &mut Settings) -> Config {
        self.provided.provide(settings);
        let mut config = Config::read(settings);
        for to in &mut config.destinations {
            if let Switch::On(_, by) = &mut to.switch
                && settings.is_provided(by)
            {
                *by = "code";
            }
        }
        config.service = config.service.or(self.service);
        config.service_version = self.service_version;
        config.resource.splice(..0, self.resource);
        config.custom = self.custom;
        config.processors = self.processors;
        config
    }

    fn with(mut self, variable: &'static str, value: &str) -> Self {
        self.provided.set(variable, value);
        self
    }
}

/// The name by which a variable selects `value`.
fn name<T: Copy + PartialEq>(names: &[(&'static str, T)], value: T) -> &'static str {
    names.iter().find(|(_, named)| *named == value).map_or("", |(name, _)| name)
}
