//! The settings of a collector: any address in OTLP's variables that no other destination claims.

use settings::Settings;

use super::endpoint::Endpoints;
use super::variables::{OTLP, OtlpVariables, SignalSettings};
use crate::address::Url;
use crate::destinations::destination::{Switch, Variables};

/// The variables whose headers would go to any collector of spans.
const HEADERS: [&str; 2] = ["OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS"];
/// The variables of a collector's addresses and headers. Headers for one address must not go to another.
const ALL: [&str; 7] = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];

/// A collector.
#[derive(Debug)]
pub(crate) struct Collector {
    pub(crate) endpoints: Endpoints,
}

/// Reads the endpoint of each signal that no other destination claims.
pub(crate) fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<Collector> {
    let mut endpoint = |of: &SignalSettings| {
        let url = of.url.clone().filter(|_| of.owner == OTLP)?;
        if !of.headers.is_empty() {
            require_private(settings, of.url_by, &url);
        }
        // On this machine there is no bandwidth to save.
        let gzip = !url.is_loopback();
        Some(of.endpoint(settings, url, of.headers.clone(), gzip, Some(&of.certificates)))
    };
    let OtlpVariables { traces, logs, metrics, .. } = otlp;
    let endpoints = Endpoints { traces: endpoint(traces), logs: endpoint(logs), metrics: endpoint(metrics) };
    match (&endpoints.traces, &endpoints.logs, &endpoints.metrics) {
        (Some(_), ..) => Switch::On(Collector { endpoints }, traces.url_by),
        (None, Some(_), _) => Switch::On(Collector { endpoints }, logs.url_by),
        (None, None, Some(_)) => Switch::On(Collector { endpoints }, metrics.url_by),
        (None, None, None) if traces.owner != OTLP => {
            Switch::Off(format!("{} is {}'s", traces.url_by, traces.owner.title))
        }
        (None, None, None) => Switch::unset(settings, traces.url_by),
    }
}

impl Collector {
    /// A collector of log records or metrics alone can remain, with its own headers, next to a collector of spans.
    pub(crate) fn variables_beside(&self) -> Option<Variables> {
        let Endpoints { traces: None, logs, metrics } = &self.endpoints else { return None };
        let mut variables = HEADERS.map(|variable| (variable, None)).to_vec();
        let own = [("OTEL_EXPORTER_OTLP_LOGS_HEADERS", logs), ("OTEL_EXPORTER_OTLP_METRICS_HEADERS", metrics)];
        let own = own.into_iter().filter_map(|(variable, endpoint)| Some((variable, endpoint.as_ref()?)));
        variables.extend(own.map(|(variable, endpoint)| (variable, endpoint.headers_as_variable())));
        Some(variables)
    }
}

/// The variables to unset before another collector is turned on, if none is on.
pub(crate) fn unset() -> Variables {
    ALL.map(|variable| (variable, None)).to_vec()
}

/// Records a fault of `variable` if a key would leave the machine unencrypted.
pub(crate) fn require_private(settings: &mut Settings, variable: &str, url: &Url) {
    if !url.is_private() {
        settings.fault(variable, format!("\"{url}\" would carry a key unencrypted; give an https:// address"));
    }
}
