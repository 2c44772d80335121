//! The interface of a destination: a name, settings that turn it on or off, an exporter and a probe. Modules outside this
//! folder use destinations only through it.

use std::fmt;
use std::io;
use std::sync::Arc;

use settings::Settings;

use super::otlp::variables::{OtlpVariables, Owner, OwnershipClaim, SignalSettings};
use crate::pipeline::{Pace, Queue};
use crate::probe::Report;
use crate::resource::Resource;

/// Variables for a child process; `None` means that the variable must be unset.
pub(crate) type Variables = Vec<(&'static str, Option<String>)>;

/// A destination that is on, with its settings.
pub(crate) trait Destination: fmt::Debug + Send {
    /// Reads the settings. `otlp` has the variables of OTLP, which may name this destination.
    fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<Self>
    where
        Self: Sized;

    /// The address, without secrets.
    fn address(&self) -> String;

    /// The address of spans and how they are sent there: `https://api.honeycomb.io/v1/traces, http/protobuf, gzip`. `None` if
    /// the destination receives only log records.
    fn summary(&self) -> Option<String> {
        Some(self.address())
    }

    /// The same for log records, if the destination receives them.
    fn logs_summary(&self) -> Option<String> {
        None
    }

    /// How the service identifies itself, without secrets. Printed after the name of the variable that turned the destination
    /// on.
    fn identity(&self) -> String {
        String::new()
    }

    /// The same for metrics, if the destination receives them.
    fn metrics_summary(&self) -> Option<String> {
        None
    }

    /// The address of log records, if the destination receives them.
    fn logs(&self) -> Option<String> {
        None
    }

    /// The address of metrics, if the destination receives them.
    fn metrics(&self) -> Option<String> {
        None
    }

    /// The same destination without spans, if it receives log records or metrics.
    fn without_spans(self: Box<Self>) -> Option<Box<dyn Destination>> {
        None
    }

    /// The destination's own variables that replace those of OTLP, if these turned it on. `None` if its own variables cannot
    /// express the same settings: a child process must then keep OTLP's.
    fn own_variables(&self) -> Option<Variables> {
        Some(Vec::new())
    }

    /// The variables that keep this destination as it is when OTLP's variables, which turned it on, name another collector of
    /// spans. `None` if that is impossible, because OTLP's variables give this destination's address for spans.
    fn variables_beside(&self) -> Option<Variables> {
        None
    }

    /// Starts the exporters.
    ///
    /// # Errors
    /// A thread cannot be started.
    fn start(&self, start: &Start<'_>) -> io::Result<Queues>;

    /// Checks whether the destination would accept spans and log records now.
    fn probe(&self, report: &mut Report);
}

/// What every exporter needs to start.
pub(crate) struct Start<'a> {
    pub(crate) resource: &'a Resource,
    /// The pace of spans.
    pub(crate) pace: Pace,
    /// The pace of log records.
    pub(crate) log_pace: Pace,
}

/// The queues of one destination.
#[derive(Default)]
pub(crate) struct Queues {
    pub(crate) spans: Option<Arc<Queue>>,
    pub(crate) logs: Option<Arc<Queue>>,
    pub(crate) metrics: Option<Arc<Queue>>,
}

/// A destination that is on or off, and why.
#[derive(Debug)]
pub(crate) enum Switch<T> {
    /// On, because of the named variable.
    On(T, &'static str),
    /// Off, for this reason.
    Off(String),
}

impl<T> Switch<T> {
    /// Off, because `variable` is not set or is invalid. An invalid value is a separate fault.
    pub(crate) fn unset(settings: &Settings, variable: &str) -> Self {
        let is = if settings.is_wrong(variable) { "is invalid" } else { "is not set" };
        Self::Off(format!("{variable} {is}"))
    }
}

/// A destination before its settings are read; an entry of the list of destinations.
#[derive(Debug)]
pub(crate) struct Kind {
    pub(crate) owner: Owner,
    /// The feature of this crate that has the exporter.
    pub(crate) feature: &'static str,
    pub(crate) is_built: bool,
    /// This destination's claim to a signal, by the variables of OTLP.
    pub(crate) claim: fn(&SignalSettings) -> OwnershipClaim,
    pub(crate) read: fn(&mut Settings, &OtlpVariables) -> Switch<Box<dyn Destination>>,
}

/// [`Destination::read`], for [`Kind::read`].
pub(crate) fn read<D: Destination + 'static>(
    settings: &mut Settings,
    otlp: &OtlpVariables,
) -> Switch<Box<dyn Destination>> {
    match D::read(settings, otlp) {
        Switch::On(destination, by) => Switch::On(Box::new(destination), by),
        Switch::Off(why) => Switch::Off(why),
    }
}
