//! OTLP over HTTP or gRPC, to any collector. Other destinations that use OTLP share its variables, its exporter and its probe.

pub(crate) mod certificates;
pub(crate) mod endpoint;
#[cfg(feature = "honeycomb")]
pub(crate) mod exporter;
#[cfg(feature = "grpc")]
mod grpc;
#[cfg(all(feature = "honeycomb", not(feature = "grpc")))]
#[path = "no_grpc.rs"]
mod grpc;
pub(crate) mod headers;
#[cfg(feature = "honeycomb")]
mod json;
#[cfg(feature = "honeycomb")]
pub(crate) mod message;
#[cfg(feature = "honeycomb")]
pub(crate) mod probe;
#[cfg(feature = "honeycomb")]
pub(crate) mod redact;
#[cfg(feature = "honeycomb")]
pub(crate) mod response;
pub(crate) mod settings;
pub(crate) mod variables;

use std::io;

use ::settings::Settings;

use self::endpoint::Endpoint;
use self::settings::Collector;
use self::variables::{OTLP, OtlpVariables, OwnershipClaim};
use super::destination::{self, Destination, Kind, Queues, Start, Switch, Variables};
#[cfg(not(feature = "honeycomb"))]
use super::not_built::{self as exporter, self as probe};
use crate::probe::Report;

/// The collector, which receives every signal that no other destination claims.
pub(super) const KIND: Kind = Kind {
    owner: OTLP,
    feature: "honeycomb",
    is_built: cfg!(feature = "honeycomb"),
    claim: |_| OwnershipClaim::Default,
    read: destination::read::<Collector>,
};

impl Destination for Collector {
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

    fn logs(&self) -> Option<String> {
        self.endpoints.logs_url()
    }

    fn metrics(&self) -> Option<String> {
        self.endpoints.metrics_url()
    }

    fn without_spans(self: Box<Self>) -> Option<Box<dyn Destination>> {
        Some(Box::new(Self { endpoints: self.endpoints.without_traces()? }))
    }

    fn variables_beside(&self) -> Option<Variables> {
        self.variables_beside()
    }

    fn start(&self, start: &Start<'_>) -> io::Result<Queues> {
        exporter::start(self, start)
    }

    fn probe(&self, report: &mut Report) {
        probe::probe(self, report);
    }
}
