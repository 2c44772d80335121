//! The destinations of spans and log records. Each folder has one destination: its settings, its exporter and its probe, behind
//! [`Destination`](destination::Destination). A new destination is a folder, its `mod` line, and its line in [`KINDS`].
//! Destinations know the pipeline; the pipeline knows no destination.

pub(crate) mod custom;
pub(crate) mod destination;
pub(crate) mod honeycomb;
#[cfg(not(all(feature = "xray", feature = "xray-otlp")))]
mod not_built;
pub(crate) mod otlp;
#[cfg(test)]
pub(crate) mod tests;
pub(crate) mod xray;
#[cfg_attr(not(feature = "xray-otlp"), allow(dead_code, reason = "the signer alone needs credentials"))]
mod xray_otlp;

use settings::Settings;

use destination::{Destination, Kind, Switch};
use otlp::variables::{OtlpVariables, Wanted};

/// Every destination, in the order in which they are shown and started.
#[rustfmt::skip]
const KINDS: &[Kind] = &[
    honeycomb::KIND,
    otlp::KIND,
    xray::KIND,
    xray_otlp::KIND,
];

/// A destination with its settings, on or off.
#[derive(Debug)]
pub(crate) struct Configured {
    pub(crate) kind: &'static Kind,
    pub(crate) switch: Switch<Box<dyn Destination>>,
}

/// Reads the settings of every destination, which also get what is `wanted` besides spans.
pub(crate) fn read(settings: &mut Settings, wanted: Wanted) -> Vec<Configured> {
    let otlp = variables(settings, wanted);
    KINDS.iter().map(|kind| Configured { kind, switch: (kind.read)(settings, &otlp) }).collect()
}

/// The variables of OTLP, with the destination that each signal's variables name.
fn variables(settings: &mut Settings, wanted: Wanted) -> OtlpVariables {
    let mut otlp = OtlpVariables::read(settings, wanted);
    for signal in [&mut otlp.traces, &mut otlp.logs, &mut otlp.metrics] {
        if let Some(kind) = KINDS.iter().max_by_key(|kind| (kind.claim)(signal)) {
            signal.owner = kind.owner;
        }
    }
    otlp
}

/// The names of all destinations in the ledger, for spans, log records and metrics.
pub(crate) fn names() -> impl Iterator<Item = String> {
    KINDS.iter().flat_map(|kind| [kind.owner.name.to_owned(), kind.owner.logs(), kind.owner.metrics()])
}

impl Configured {
    /// The name of the destination in start-up lines, in the ledger and on threads.
    pub(crate) fn name(&self) -> &'static str {
        self.kind.owner.name
    }

    /// The destination if it is on.
    pub(crate) fn on(&self) -> Option<&dyn Destination> {
        match &self.switch {
            Switch::On(destination, _) => Some(&**destination),
            Switch::Off(_) => None,
        }
    }

    /// Turns the destination off for `reason`.
    pub(crate) fn turn_off(&mut self, reason: &str) {
        self.switch = Switch::Off(reason.to_owned());
    }

    /// Turns the destination off for spans. It stays on for log records and metrics if it receives any.
    pub(crate) fn turn_spans_off(&mut self, reason: &str) {
        let switch = std::mem::replace(&mut self.switch, Switch::Off(reason.to_owned()));
        match switch {
            Switch::On(destination, by) => {
                if let Some(destination) = destination.without_spans() {
                    self.switch = Switch::On(destination, by);
                }
            }
            off => self.switch = off,
        }
    }
}
