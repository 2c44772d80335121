//! Starts and stops a service's telemetry: the tracer, the console, a pipeline for each destination. Reads no variable
//! but the resource attributes that the SDK reads by itself.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::Arc;
use std::time::Duration;

use opentelemetry::KeyValue;
use opentelemetry::trace::TracerProvider as _;
use opentelemetry_aws::trace::XrayIdGenerator;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider, SpanLimits};
use opentelemetry_semantic_conventions::attribute::SERVICE_VERSION;
use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{EnvFilter, Layer, Registry, fmt as console};

use crate::address::Endpoint;
use crate::config::{Config, Console, Switch};
use crate::ledger::{self, Book, Ledger};
use crate::pipeline::{self, Processor, Queue};
#[cfg(any(feature = "honeycomb", feature = "xray"))]
use crate::pipeline::{Destination, Pace};

/// The whole of shutdown, all destinations together.
const SHUTDOWN: Duration = Duration::from_secs(3);

/// The libraries that carry spans; a span of theirs would make the exporters trace themselves.
const CARRIERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls", "ureq"];

/// A service's running telemetry. Call [`Telemetry::shutdown`] before the process ends: what is queued is lost otherwise.
#[must_use = "spans that are queued at the end are lost without `shutdown`"]
pub struct Telemetry {
    provider: SdkTracerProvider,
    book: Book,
}

/// Why telemetry could not start.
#[derive(Debug, thiserror::Error)]
pub enum InstallError {
    /// This process has a `tracing` subscriber.
    #[error("telemetry is installed in this process already: {0}")]
    Subscriber(#[from] tracing_subscriber::util::TryInitError),
    /// No thread could be started for a destination.
    #[error("the thread of a destination does not start: {0}")]
    Thread(#[from] io::Error),
}

impl Config {
    /// Starts telemetry for this process and prints, on standard error, a line for each destination: on or off, why and
    /// where to. `service` is the name under which its spans appear, unless `OTEL_SERVICE_NAME` gives another.
    ///
    /// # Errors
    /// [`InstallError`] where the process has a `tracing` subscriber.
    pub fn install(self, service: &str) -> Result<Telemetry, InstallError> {
        let service = self.service.clone().unwrap_or_else(|| service.to_owned());
        let resource = Resource::builder()
            .with_service_name(service.clone())
            .with_attribute(KeyValue::new(SERVICE_VERSION, env!("CARGO_PKG_VERSION")))
            .build();
        let console = self.console.layer();
        let queues = self.start(&service, &resource)?;
        let provider = SdkTracerProvider::builder()
            .with_resource(resource)
            .with_id_generator(XrayIdGenerator::default())
            // Said here, because the builder would read variables of its own.
            .with_sampler(Sampler::ParentBased(Box::new(Sampler::AlwaysOn)))
            .with_span_limits(SpanLimits::default())
            .with_span_processor(Processor::new(queues.clone()))
            .build();
        let spans = tracing_opentelemetry::layer()
            .with_tracer(provider.tracer("cruddur"))
            .with_location(false)
            .with_threads(false)
            .with_target(false)
            .with_level(false)
            .with_tracked_inactivity(false)
            .with_filter(
                Targets::new()
                    .with_default(LevelFilter::INFO)
                    .with_targets(CARRIERS.map(|target| (target, LevelFilter::OFF))),
            );
        Registry::default().with(spans).with(console).try_init()?;
        let book = Book { service, queues };
        ledger::open(book.clone());
        Ok(Telemetry { provider, book })
    }

    fn start(self, service: &str, resource: &Resource) -> io::Result<Vec<Arc<Queue>>> {
        let mut queues = Vec::new();
        let Self { honeycomb, otlp, xray, .. } = self;
        queues.extend(start_otlp("honeycomb", honeycomb, service, resource)?);
        queues.extend(start_otlp("otlp", otlp, service, resource)?);
        queues.extend(start_xray(xray, service)?);
        Ok(queues)
    }
}

impl Telemetry {
    /// What became of every span so far.
    pub fn ledger(&self) -> Ledger {
        self.book.ledger()
    }

    /// Delivers what is queued, in at most three seconds, prints the ledger on standard error and returns it. Spans that
    /// end later are counted as dropped.
    pub fn shutdown(self) -> Ledger {
        pipeline::close(&self.book.queues, SHUTDOWN);
        let ledger = self.ledger();
        if !ledger.destinations.is_empty() {
            say(format_args!("{ledger}"));
        }
        // The queues are closed: this only releases the tracer.
        drop(self.provider.shutdown());
        ledger
    }
}

impl Console {
    /// Logs on standard error and traces nothing: for a process that observes others.
    ///
    /// # Errors
    /// [`InstallError`] where the process has a `tracing` subscriber.
    pub fn install(&self) -> Result<(), InstallError> {
        Ok(Registry::default().with(self.layer()).try_init()?)
    }

    /// Human-readable on a terminal, JSON otherwise; always standard error.
    fn layer<S>(&self) -> Box<dyn Layer<S> + Send + Sync>
    where
        S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a> + Send + Sync,
    {
        let layer = console::layer().with_writer(io::stderr);
        let filter = EnvFilter::new(&self.0);
        if io::stderr().is_terminal() {
            layer.with_target(false).with_filter(filter).boxed()
        } else {
            layer.json().with_span_list(false).with_filter(filter).boxed()
        }
    }
}

#[cfg(feature = "honeycomb")]
fn start_otlp(
    name: &'static str,
    switch: Switch<Endpoint>,
    service: &str,
    resource: &Resource,
) -> io::Result<Option<Arc<Queue>>> {
    let Some(endpoint) = decide(name, switch, service) else {
        return Ok(None);
    };
    let destination = Destination { name, kind: "otlp_http", endpoint: endpoint.to_string() };
    Queue::start(destination, Pace::default(), crate::honeycomb::Otlp::new(endpoint, resource)).map(Some)
}

#[cfg(not(feature = "honeycomb"))]
fn start_otlp(name: &'static str, _: Switch<Endpoint>, service: &str, _: &Resource) -> io::Result<Option<Arc<Queue>>> {
    say(format_args!("{service}: {name} off: built without the feature \"honeycomb\""));
    Ok(None)
}

#[cfg(feature = "xray")]
fn start_xray(switch: Switch<crate::DaemonAddress>, service: &str) -> io::Result<Option<Arc<Queue>>> {
    let Some(address) = decide("xray", switch, service) else {
        return Ok(None);
    };
    let destination = Destination { name: "xray", kind: "xray_udp", endpoint: address.to_string() };
    Queue::start(destination, Pace::default(), crate::xray::Daemon::new(address, service)).map(Some)
}

#[cfg(not(feature = "xray"))]
fn start_xray(_: Switch<crate::DaemonAddress>, service: &str) -> io::Result<Option<Arc<Queue>>> {
    say(format_args!("{service}: xray off: built without the feature \"xray\""));
    Ok(None)
}

/// The target of a destination that is on; says which it is.
#[cfg(any(feature = "honeycomb", feature = "xray"))]
fn decide<T: fmt::Display>(name: &str, switch: Switch<T>, service: &str) -> Option<T> {
    match switch {
        Switch::On(target, why) => {
            let bound = Pace::default().queue;
            say(format_args!("{service}: {name} on: {target} (by {why}; at most {bound} spans wait)"));
            Some(target)
        }
        Switch::Off(why) => {
            say(format_args!("{service}: {name} off: {why}"));
            None
        }
    }
}

/// A line on standard error. That it cannot be written is no reason to stop a service.
fn say(line: fmt::Arguments<'_>) {
    drop(writeln!(io::stderr(), "{line}"));
}
