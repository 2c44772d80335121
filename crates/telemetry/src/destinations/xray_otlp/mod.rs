//! X-Ray without a daemon: OTLP over HTTP to X-Ray's own endpoint, with each request signed by AWS credentials.

#[cfg(feature = "xray-otlp")]
mod cache;
mod credentials;
#[cfg(feature = "xray-otlp")]
mod exporter;
#[cfg(feature = "xray-otlp")]
mod fetch;
#[cfg(feature = "xray-otlp")]
mod probe;
mod profile;
mod region;
mod settings;
#[cfg(feature = "xray-otlp")]
mod sign;
mod source;
#[cfg(test)]
mod tests;

use std::io;

use ::settings::Settings;

use self::settings::XrayOtlp;
use super::destination::{self, Destination, Kind, Queues, Start, Switch, Variables};
#[cfg(not(feature = "xray-otlp"))]
use super::not_built::{self as exporter, self as probe};
use super::otlp::variables::OtlpVariables;
use crate::probe::Report;

/// X-Ray's own endpoint.
pub(super) const KIND: Kind = Kind {
    owner: settings::XRAY_OTLP,
    feature: "xray-otlp",
    is_built: cfg!(feature = "xray-otlp"),
    claim: settings::claim,
    read: destination::read::<XrayOtlp>,
};

impl Destination for XrayOtlp {
    fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<Self> {
        self::settings::read(settings, otlp)
    }

    fn address(&self) -> String {
        self.endpoint.url.to_string()
    }

    fn summary(&self) -> Option<String> {
        Some(self.endpoint.to_string())
    }

    fn identity(&self) -> String {
        format!(", region {}, credentials from {}", self.region, self.source)
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
