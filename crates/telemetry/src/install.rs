//! Starts and stops a service's telemetry: the layer on `tracing`'s registry, the console, and a pipeline for each destination.
//! Reads no variables.

use std::fmt;
use std::io::{self, Write};
use std::sync::Arc;
use std::time::Duration;

use tracing_subscriber::Registry;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::book::{self, Book};
use crate::config::Config;
use crate::console::Console;
use crate::destinations::Configured;
use crate::destinations::destination::{Start, Switch};
use crate::detectors::Detector;
#[cfg(feature = "honeycomb")]
use crate::detectors::platforms::detect;
use crate::ledger::Ledger;
use crate::limits::Limits;
use crate::pipeline::{self, Pace};
use crate::resource::Resource;
use crate::sampling::{Central, Sampling};
use crate::span::layer::Layer;
use crate::span::levels::SpanLevels;
use crate::span::rules::RuleSampler;
use crate::span::sampler::{Root, Sampler};
use crate::{api, metrics, propagation, relay};

/// Time limit of the whole shutdown, for all destinations together.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// A service's running telemetry, which ends with this guard. Dropping the guard does what [`Telemetry::shutdown`] does, so that
/// no span is lost if `main` returns early or panics.
#[must_use = "telemetry ends when this is dropped"]
pub struct Telemetry {
    book: Book,
    is_closed: bool,
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

impl Config {
    /// Starts telemetry for this process. Prints a line for each destination on standard error: whether it is on, why, and its
    /// address. `service` is the service's name in its spans, unless a variable gives another.
    ///
    /// # Errors
    /// [`InstallError`] if the process already has a `tracing` subscriber, or a thread cannot be started.
    pub fn install(self, service: &str) -> Result<Telemetry, InstallError> {
        let service = self.service.as_deref().unwrap_or(service);
        let found = self.detectors.iter().flat_map(|detector| detected(service, detector));
        // Configured attributes come last, so that they replace detected ones.
        let attributes: Vec<_> = found.chain(self.resource).collect();
        let resource = Resource::new(service, self.service_version.as_deref(), &attributes);
        for warning in &self.warnings {
            print(format_args!("{service}: warning: {warning}"));
        }
        let (sampler, central) = sampler(self.sampling, &resource);
        let start = Start { resource: &resource, pace: self.pace, log_pace: self.log_pace };
        let (mut queues, mut logs, mut measured) = (Vec::new(), Vec::new(), Vec::new());
        for to in &self.destinations {
            print(format_args!("{service}: {}", start_up_line(to, &sampler, self.pace)));
            if let Some(destination) = to.on() {
                let started = destination.start(&start)?;
                queues.extend(started.spans);
                logs.extend(started.logs);
                measured.extend(started.metrics);
            }
        }
        let layer = Layer {
            sampler,
            limits: self.limits,
            queues: queues.clone(),
            logs: logs.clone(),
            console: self.console,
            levels: self.span_levels,
            disabled: self.disabled,
        };
        relay::open(queues.clone());
        queues.append(&mut logs);
        queues.extend(measured.iter().cloned());
        Registry::default().with(layer).try_init()?;
        if let Some((rules, central)) = central {
            poll_rules(&rules, central)?;
        }
        propagation::choose(self.propagators);
        metrics::provider::start(&self.metrics, &resource, measured)?;
        api::install();
        let book = Book { service: resource.service().to_owned(), queues };
        book::open(book.clone());
        Ok(Telemetry { book, is_closed: false })
    }
}

impl Telemetry {
    /// The current ledger: the outcome of every span so far.
    pub fn ledger(&self) -> Ledger {
        self.book.ledger()
    }

    /// Delivers the queued spans in at most three seconds, then prints the ledger on standard error and returns it. Spans that end
    /// later are counted as dropped.
    pub fn shutdown(mut self) -> Ledger {
        self.close()
    }

    fn close(&mut self) -> Ledger {
        self.is_closed = true;
        // Before the queues close, so that they get what was measured last.
        metrics::provider::stop();
        pipeline::close(&self.book.queues, SHUTDOWN);
        let ledger = self.ledger();
        if !ledger.destinations.is_empty() {
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
        let layer = Layer { sampler, limits, queues, logs, console: self, levels, disabled: false };
        Ok(Registry::default().with(layer).try_init()?)
    }
}

/// The line that is printed for a destination: whether it is on, and why.
fn start_up_line(to: &Configured, sampler: &Sampler, pace: Pace) -> String {
    let name = to.name();
    match &to.switch {
        _ if !to.kind.is_built => format!("{name} off: built without the feature {:?}", to.kind.feature),
        Switch::On(destination, by) => {
            let (summary, identity) = (destination.summary(), destination.identity());
            format!("{name} on: {summary} (by {by}{identity}; sampler {sampler}; {pace})")
        }
        Switch::Off(why) => format!("{name} off: {why}"),
    }
}

/// The sampler of this service, and the server to poll for its rules.
fn sampler(sampling: Sampling, resource: &Resource) -> (Sampler, Option<(Arc<RuleSampler>, Central)>) {
    match sampling {
        Sampling::Plain(sampler) => (sampler, None),
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
            (sampler, xray.central.map(|central| (rules, central)))
        }
    }
}

#[cfg(feature = "xray")]
fn poll_rules(rules: &Arc<RuleSampler>, central: Central) -> io::Result<()> {
    crate::destinations::xray::sampling::start(rules, central)
}

#[cfg(not(feature = "xray"))]
fn poll_rules(_: &Arc<RuleSampler>, _: Central) -> io::Result<()> {
    Ok(())
}

/// The attributes that `detector` finds. If it fails, prints the reason and returns none.
fn detected(service: &str, detector: &Detector) -> Vec<(String, String)> {
    match detect(detector) {
        Ok(found) => found.into_iter().map(|(key, value)| (key.to_owned(), value)).collect(),
        Err(why) => {
            print(format_args!("{service}: detector {} found nothing: {why}", detector.name()));
            Vec::new()
        }
    }
}

#[cfg(not(feature = "honeycomb"))]
fn detect(_: &Detector) -> Result<Vec<(&'static str, String)>, String> {
    Err("built without the feature \"honeycomb\"".to_owned())
}

/// Prints a line on standard error. A write error is ignored: it must not stop a service.
fn print(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}

#[cfg(test)]
#[cfg(feature = "honeycomb")]
mod tests {
    use std::process::Command;

    use super::*;
    use crate::testing::endpoint;

    /// The variable that selects how the child process below ends.
    const ENDING: &str = "TELEMETRY_TEST_ENDING";

    /// Runs [`ends_as_requested`] in a separate process and returns its output.
    fn printed(ending: &str) -> String {
        let url = endpoint(|_| ("200 OK", String::new())).to_string();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "install::tests::ends_as_requested", "--nocapture"])
            .envs([(ENDING, ending), ("OTEL_EXPORTER_OTLP_ENDPOINT", &url)])
            .output()
            .unwrap();
        String::from_utf8_lossy(&output.stderr).into_owned()
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the tests below set it for the process that they start")]
    fn ends_as_requested() {
        let Ok(ending) = std::env::var(ENDING) else { return };
        let telemetry = Config::from_env().unwrap().install("test").unwrap();
        for _ in 0..5 {
            drop(tracing::info_span!("work"));
        }
        match ending.as_str() {
            "shutdown" => drop(telemetry.shutdown()),
            "panic" => panic!("by this test"),
            _ => {}
        }
    }

    #[test]
    fn spans_are_delivered_and_counted_once_however_a_process_ends() {
        for (ending, created) in [("return", 5), ("shutdown", 5), ("panic", 5)] {
            let printed = printed(ending);
            let ledger = format!("test: otlp: {created} spans created = {created} delivered + 0 queued + 0 dropped");
            assert_eq!(printed.matches(&ledger).count(), 1, "{ending}: {printed}");
        }
    }
}
