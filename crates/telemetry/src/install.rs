//! Starts and stops a service's telemetry: the layer on `tracing`'s registry, the console, and a pipeline for each destination.
//! Reads no variables.

#[cfg(test)]
#[cfg(feature = "honeycomb")]
mod tests;

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::book::Book;
use crate::config::Config;
use crate::console::Console;
use crate::destinations::custom::CustomDestination;
use crate::destinations::destination::{Start, Switch};
use crate::destinations::{self, Configured};
use crate::detectors::Detector;
#[cfg(feature = "honeycomb")]
use crate::detectors::platforms::detect;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::pipeline::{self, NotFlushed, Pace};
use crate::resource::Resource;
use crate::sampling::{Central, Sampling};
use crate::span::layer::Layer;
use crate::span::levels::SpanLevels;
use crate::span::recorder::Recorder;
use crate::span::rules::RuleSampler;
use crate::span::sampler::{Root, Sampler};
use crate::{api, metrics, propagation};

/// Time limit of the whole shutdown, for all destinations together.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// A service's running telemetry, which ends with this guard. Dropping the guard does what [`Telemetry::shutdown`] does, so that
/// no span is lost if `main` returns early or panics.
#[must_use = "telemetry ends when this is dropped"]
pub struct Telemetry {
    book: Book,
    /// Whether the process's meters and its current ledger are this guard's.
    is_current: bool,
    is_closed: bool,
    is_quiet: bool,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// This process already has a `tracing` subscriber.
    #[error("cannot install telemetry: this process already has a tracing subscriber: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    /// A thread for a destination, or for polling sampling rules, could not be started.
    #[error("cannot start a thread of telemetry: {0}")]
    Thread(#[from] io::Error),
}

/// Rules that a server has, and how to reach it.
type PolledRules = (Arc<RuleSampler>, Central);

impl Config {
    /// Starts telemetry for this process: [`Config::layer`] as the only layer of the process's subscriber, [`api::install`], and
    /// the console. Prints a line for each destination on standard error: whether it is on, why, and its address. `service` is the
    /// service's name in its spans, unless a variable gives another.
    ///
    /// # Errors
    /// [`InstallError`] if the process already has a `tracing` subscriber, or a thread cannot be started.
    pub fn install(self, service: &str) -> Result<Telemetry, InstallError> {
        let console = self.console.clone();
        let (recorder, telemetry, polled) = self.start(service)?;
        Registry::default().with(Layer::alone(recorder, console)).try_init()?;
        // Later than the subscriber, which must get the warning if nothing answers.
        poll_rules(polled)?;
        api::install();
        Ok(telemetry)
    }

    /// Starts telemetry as a layer for a subscriber of the caller's own, beside any other layers, and the guard that ends it. The
    /// layer may be filtered, boxed and optional, and its subscriber may be the process's or only a thread's.
    ///
    /// The layer makes the spans that `TRACE_LEVEL` selects, records events from INFO on, and restricts no other layer; a level
    /// for all layers is a `LevelFilter` beside them. It prints no events. The lines for each destination, and the ledger at the
    /// end, are printed as by [`Config::install`]. Spans of OpenTelemetry's API join after [`api::install`].
    ///
    /// ```no_run
    /// use tracing_subscriber::layer::SubscriberExt;
    /// use tracing_subscriber::util::SubscriberInitExt;
    ///
    /// let (layer, telemetry) = telemetry::Config::from_env()?.layer("orders")?;
    /// tracing_subscriber::registry().with(tracing_subscriber::fmt::layer()).with(layer).try_init()?;
    /// tracing::info_span!("work").in_scope(|| tracing::info!("printed by fmt, and an event of the span"));
    /// telemetry.shutdown();
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`InstallError::Thread`] if a thread cannot be started.
    pub fn layer(self, service: &str) -> Result<(Layer, Telemetry), InstallError> {
        let console = self.console.clone();
        let (recorder, telemetry, polled) = self.start(service)?;
        poll_rules(polled)?;
        Ok((Layer::beside_others(recorder, console), telemetry))
    }

    /// Starts everything but the polling of sampling rules.
    fn start(self, service: &str) -> Result<(Recorder, Telemetry, Option<PolledRules>), InstallError> {
        let service = self.service.as_deref().unwrap_or(service);
        let print = |line: fmt::Arguments<'_>| {
            if !self.is_quiet {
                print(format_args!("{service}: {line}"));
            }
        };
        let found = self.detectors().iter().flat_map(|detector| detected(detector, print));
        // Configured attributes come last, so that they replace detected ones.
        let attributes: Vec<_> = found.chain(self.resource.iter().cloned()).collect();
        let resource = Resource::new(service, self.service_version.as_deref(), &attributes);
        for warning in &self.warnings {
            print(format_args!("warning: {warning}"));
        }
        let (sampler, polled) = sampler(&self.sampling, &resource);
        let start = Start { resource: &resource, pace: self.pace, log_pace: self.log_pace };
        let (mut queues, mut logs, mut measured) = (Vec::new(), Vec::new(), Vec::new());
        for to in &self.destinations {
            let lines =
                [span_line(to, &sampler, self.pace), log_line(to, &self.console, self.log_pace), metrics_line(to)];
            lines.iter().flatten().for_each(|line| print(format_args!("{line}")));
            if let Some(destination) = to.on() {
                let started = destination.start(&start)?;
                queues.extend(started.spans);
                logs.extend(started.logs);
                measured.extend(started.metrics);
            }
        }
        let names = names(&self.custom);
        for (to, name) in self.custom.iter().zip(&names) {
            match self.spans_off {
                None => {
                    print(format_args!("{name} on: {} (in code; sampler {sampler}; {})", to.address(), self.pace));
                    queues.push(to.start(name, &start)?);
                }
                Some(why) => print(format_args!("{name} off: {why}")),
            }
        }
        let book = Book::new(resource.service(), queues.clone(), logs.clone(), measured.clone());
        let is_current = book.open();
        if is_current {
            propagation::choose(self.propagators);
        }
        let is_wanted = !measured.is_empty();
        let is_measured = is_current && metrics::provider::start(&self.metrics, &resource, measured)?;
        if is_wanted && !is_measured {
            let why = "a process is measured once, and another guard has its metrics";
            print(format_args!("warning: no metrics are sent to the destinations above: {why}"));
        }
        let (limits, levels, disabled) = (self.limits, self.span_levels, self.disabled);
        let processors = self.processors.0;
        let recorder = Recorder { sampler, limits, queues, logs, levels, disabled, processors };
        Ok((recorder, Telemetry { book, is_current, is_closed: false, is_quiet: self.is_quiet }, polled))
    }
}

impl Telemetry {
    /// The current ledger: the outcome of every span so far.
    pub fn ledger(&self) -> Ledger {
        self.book.ledger()
    }

    /// Delivers the spans and log records that are queued now, and metrics as they are now, in at most `timeout` for all destinations together, and stays
    /// open: for an AWS Lambda function before it is frozen, and for tests. Blocks the calling thread. Does not wait for open
    /// spans. Does not shorten a pause that a destination has requested or that follows a failure.
    ///
    /// ```no_run
    /// use std::time::Duration;
    ///
    /// let telemetry = telemetry::Config::from_env()?.install("thumbnails")?;
    /// tracing::info_span!("resize").in_scope(|| { /* … */ });
    /// if let Err(left) = telemetry.flush(Duration::from_millis(500)) {
    ///     tracing::warn!("{left}");
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    /// [`NotFlushed`] if something was still queued after `timeout`, or was dropped meanwhile.
    pub fn flush(&self, timeout: Duration) -> Result<(), NotFlushed> {
        if self.is_current {
            metrics::provider::collect();
        }
        pipeline::flush(self.book.queues(), timeout)
    }

    /// Delivers the queued spans in at most three seconds, then prints the ledger on standard error and returns it. Spans that end
    /// later are counted as dropped.
    pub fn shutdown(mut self) -> Ledger {
        self.close()
    }

    fn close(&mut self) -> Ledger {
        self.is_closed = true;
        if self.is_current {
            // Before the queues close, so that they get what was measured last.
            metrics::provider::stop();
        }
        self.book.close(SHUTDOWN);
        let ledger = self.ledger();
        if !ledger.destinations.is_empty() && !self.is_quiet {
            print(format_args!("{ledger}"));
        }
        ledger
    }
}

impl Drop for Telemetry {
    fn drop(&mut self) {
        if !self.is_closed {
            self.close();
        }
    }
}

impl Console {
    /// Logs events on standard error and creates no spans; for a process that observes others.
    ///
    /// # Errors
    /// [`InstallError`] if the process already has a `tracing` subscriber.
    pub fn install(self) -> Result<(), InstallError> {
        let sampler = Sampler { root: Root::Off, parent_based: false };
        let (limits, queues, logs) = (Limits::default(), Vec::new(), Vec::new());
        let levels = SpanLevels::default();
        let processors = Vec::new();
        let recorder = Recorder { sampler, limits, queues, logs, levels, disabled: false, processors };
        Ok(Registry::default().with(Layer::alone(recorder, self)).try_init()?)
    }
}

/// The line that is printed for a destination of spans: whether it is on, and why.
fn span_line(to: &Configured, sampler: &Sampler, pace: Pace) -> Option<String> {
    let name = to.name();
    match &to.switch {
        _ if !to.kind.is_built => Some(format!("{name} off: built without the feature {:?}", to.kind.feature)),
        Switch::On(destination, by) => destination.summary().map(|summary| {
            format!("{name} on: {summary} (by {by}{}; sampler {sampler}; {pace})", destination.identity())
        }),
        Switch::Off(why) => Some(format!("{name} off: {why}")),
    }
}

/// The line that is printed for a destination of log records.
fn log_line(to: &Configured, console: &Console, pace: Pace) -> Option<String> {
    let summary = to.on().filter(|_| to.kind.is_built)?.logs_summary()?;
    let name = to.kind.owner.logs();
    Some(format!("{name} on: {summary} (by OTEL_LOGS_EXPORTER; levels {}; {pace})", console.levels()))
}

/// The line that is printed for a destination of metrics.
fn metrics_line(to: &Configured) -> Option<String> {
    let summary = to.on().filter(|_| to.kind.is_built)?.metrics_summary()?;
    Some(format!("{} on: {summary} (by OTEL_METRICS_EXPORTER; {})", to.kind.owner.metrics(), Pace::METRICS))
}

/// The sampler of this service, and the server to poll for its rules.
fn sampler(sampling: &Sampling, resource: &Resource) -> (Sampler, Option<PolledRules>) {
    match sampling {
        Sampling::Plain(sampler) => (sampler.clone(), None),
        Sampling::Xray(xray) => {
            let service_type = resource.origin().unwrap_or_default();
            let shown = xray.to_string();
            let rules = Arc::new(RuleSampler::new(
                xray::name(resource.service()).into_owned(),
                service_type,
                &xray.local,
                shown,
            ));
            let sampler = Sampler { root: Root::Rules(Arc::clone(&rules)), parent_based: true };
            (sampler, xray.central.clone().map(|central| (rules, central)))
        }
    }
}

#[cfg(feature = "xray")]
fn poll_rules(polled: Option<PolledRules>) -> io::Result<()> {
    polled.map_or(Ok(()), |(rules, central)| crate::destinations::xray::sampling::start(&rules, central))
}

#[cfg(not(feature = "xray"))]
fn poll_rules(_: Option<PolledRules>) -> io::Result<()> {
    Ok(())
}

/// The attributes that `detector` finds. If it fails, prints the reason and returns none.
fn detected(detector: &Detector, print: impl Fn(fmt::Arguments<'_>)) -> Vec<(String, String)> {
    match detect(detector) {
        Ok(found) => found.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        Err(why) => {
            print(format_args!("detector {} found nothing: {why}", detector.name()));
            Vec::new()
        }
    }
}

/// A name for each destination of the caller's own that no other destination has.
fn names(custom: &[CustomDestination]) -> Vec<String> {
    let mut names: Vec<String> = destinations::names().collect();
    let built_in = names.len();
    for to in custom {
        let numbered = (2..).map(|number| format!("{}-{number}", to.name()));
        let name = std::iter::once(to.name().to_owned()).chain(numbered).find(|name| !names.contains(name));
        names.extend(name);
    }
    names.split_off(built_in)
}

#[cfg(not(feature = "honeycomb"))]
fn detect(_: &Detector) -> Result<Vec<(&'static str, String)>, String> {
    Err("built without the feature \"honeycomb\"".to_owned())
}

/// Prints a line on standard error. A write error is ignored: it must not stop a service.
fn print(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
