//! Honeycomb: OTLP over HTTP with a key.

#[cfg(feature = "honeycomb")]
mod exporter;
mod key;
#[cfg(feature = "honeycomb")]
mod probe;
pub(crate) mod settings;

use std::io;

use ::settings::Settings;

use self::settings::Honeycomb;
use super::destination::{self, Destination, Kind, Queues, Start, Switch, Variables};
#[cfg(not(feature = "honeycomb"))]
use super::not_built::{self as exporter, self as probe};
use super::otlp::endpoint::Endpoint;
use super::otlp::variables::OtlpVariables;
use crate::probe::Report;

/// Honeycomb.
pub(super) const KIND: Kind = Kind {
    owner: settings::HONEYCOMB,
    feature: "honeycomb",
    is_built: cfg!(feature = "honeycomb"),
    claim: settings::claim,
    read: destination::read::<Honeycomb>,
};

impl Destination for Honeycomb {
    fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<Self> {
        self::settings::read(settings, otlp)
    }

    fn address(&self) -> String {
        self.endpoints.url()
    }

    fn summary(&self) -> Option<String> {
        self.endpoints.traces.as_ref().map(Endpoint::to_string)
    }

    fn logs_summary(&self) -> Option<String> {
        self.endpoints.logs.as_ref().map(Endpoint::to_string)
    }

    fn metrics_summary(&self) -> Option<String> {
        self.endpoints.metrics.as_ref().map(Endpoint::to_string)
    }

    fn identity(&self) -> String {
        format!(" {}", self.key)
    }

    fn logs(&self) -> Option<String> {
        self.endpoints.logs_url()
    }

    fn metrics(&self) -> Option<String> {
        self.endpoints.metrics_url()
    }

    fn without_spans(self: Box<Self>) -> Option<Box<dyn Destination>> {
        let Self { endpoints, key, is_without_logs, is_without_metrics } = *self;
        Some(Box::new(Self { endpoints: endpoints.without_traces()?, key, is_without_logs, is_without_metrics }))
    }

    fn own_variables(&self) -> Option<Variables> {
        self.own_variables()
    }

    fn start(&self, start: &Start<'_>) -> io::Result<Queues> {
        exporter::start(self, start)
    }

    fn probe(&self, report: &mut Report) {
        probe::probe(self, report);
    }
}
