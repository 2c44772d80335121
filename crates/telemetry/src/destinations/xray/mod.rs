//! The X-Ray daemon: segment documents by UDP, sampling rules by TCP.

pub(crate) mod address;
#[cfg(feature = "xray")]
pub(crate) mod exporter;
#[cfg(feature = "xray")]
mod probe;
#[cfg(feature = "xray")]
pub(crate) mod sampling;
pub(crate) mod settings;

use std::io;

use ::settings::Settings;

use self::settings::{XRAY, Xray};
use super::destination::{self, Destination, Kind, Queues, Start, Switch};
#[cfg(not(feature = "xray"))]
use super::not_built::{self as exporter, self as probe};
use super::otlp::variables::{OtlpVariables, OwnershipClaim};
use crate::probe::Report;

/// The daemon. OTLP's variables never name it.
pub(super) const KIND: Kind = Kind {
    owner: XRAY,
    feature: "xray",
    is_built: cfg!(feature = "xray"),
    claim: |_| OwnershipClaim::None,
    read: destination::read::<Xray>,
};

impl Destination for Xray {
    fn read(settings: &mut Settings, _: &OtlpVariables) -> Switch<Self> {
        self::settings::read(settings)
    }

    fn address(&self) -> String {
        self.address.to_string()
    }

    fn start(&self, start: &Start<'_>) -> io::Result<Queues> {
        exporter::start(self, start)
    }

    fn probe(&self, report: &mut Report) {
        probe::probe(self, report);
    }
}
