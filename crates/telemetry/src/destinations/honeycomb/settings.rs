//! The variables of Honeycomb: its own, and those of OTLP if they name it. Each signal goes to the address in its own
//! variables. Headers that were given for one address go to no other.

use ::http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use settings::Settings;

use super::key::ApiKey;
use crate::address::Url;
use crate::destinations::destination::{Switch, Variables};
use crate::destinations::otlp::endpoint::{Endpoint, Endpoints, Protocol, Signal};
use crate::destinations::otlp::headers::{HeaderList, QUOTES, find};
use crate::destinations::otlp::settings::require_private;
use crate::destinations::otlp::variables::{
    HEADERS, METRICS_EXPORTER, OtlpVariables, Owner, OwnershipClaim, SignalSettings,
};

pub(crate) const HONEYCOMB: Owner = Owner { name: "honeycomb", title: "Honeycomb" };

pub(crate) const TEAM: &str = "x-honeycomb-team";
pub(crate) const DATASET: &str = "x-honeycomb-dataset";

const KEY_VARIABLE: &str = "HONEYCOMB_API_KEY";
const ENDPOINT_VARIABLE: &str = "HONEYCOMB_API_ENDPOINT";
const DATASET_VARIABLE: &str = "HONEYCOMB_DATASET";
const METRICS_DATASET_VARIABLE: &str = "HONEYCOMB_METRICS_DATASET";
pub(crate) const DEFAULT_ADDRESS: &str = "https://api.honeycomb.io";

/// The settings of Honeycomb when it is on.
#[derive(Debug)]
pub(crate) struct Honeycomb {
    pub(crate) endpoints: Endpoints,
    pub(crate) key: ApiKey,
    /// Whether log records are requested but do not go to Honeycomb.
    pub(super) is_without_logs: bool,
    /// Whether metrics are requested but do not go to Honeycomb.
    pub(super) is_without_metrics: bool,
}

/// What every request to Honeycomb needs, whatever its signal.
struct Access {
    base: Url,
    key: SecretString,
}

/// Honeycomb's claim to a signal, by the address or by the key in the headers.
pub(super) fn claim(signal: &SignalSettings) -> OwnershipClaim {
    if signal.url.as_ref().is_some_and(is_honeycomb) {
        OwnershipClaim::Address
    } else if find(&signal.headers, TEAM).is_some() {
        OwnershipClaim::Header
    } else {
        OwnershipClaim::None
    }
}

fn is_honeycomb(url: &Url) -> bool {
    let host = url.host();
    host == "honeycomb.io" || host.ends_with(".honeycomb.io")
}

/// Reads Honeycomb's own variables, then those of OTLP.
pub(crate) fn read(settings: &mut Settings, otlp: &OtlpVariables) -> Switch<Honeycomb> {
    let OtlpVariables { traces, logs, metrics, wanted } = otlp;
    let key = key(settings);
    let dataset = dataset(settings, DATASET_VARIABLE);
    settings.note_default(ENDPOINT_VARIABLE, DEFAULT_ADDRESS);
    let of_metrics = metrics_dataset(settings, otlp);
    let at = settings.parse::<Url>(ENDPOINT_VARIABLE, "a URL such as https://api.eu1.honeycomb.io");
    let at = at.map(|at| at.base());
    let in_headers = key_in_headers(settings, traces, key.as_ref());
    let is_ours = traces.owner == HONEYCOMB;
    let by = if key.is_some() { KEY_VARIABLE } else { traces.headers_by };
    let Some(key) = key.or(in_headers) else {
        let is_key_wrong = settings.is_wrong(KEY_VARIABLE) || settings.is_wrong(traces.headers_by);
        if is_ours && !is_key_wrong {
            let problem = format!("is Honeycomb's, but no key is set; set {KEY_VARIABLE}, or {HEADERS}=\"{TEAM}=KEY\"");
            settings.fault(traces.url_by, problem);
        }
        return Switch::unset(settings, KEY_VARIABLE);
    };
    let dataset = dataset.or_else(|| is_ours.then(|| find(&traces.headers, DATASET)).flatten());
    let has_dataset = dataset.is_some() || settings.is_wrong(DATASET_VARIABLE);
    let shown = ApiKey::new(key.clone());
    if let Some(problem) = shown.problem(has_dataset) {
        settings.fault(by, problem);
    }
    let own = |of: &SignalSettings| of.url.clone().filter(|_| of.owner == HONEYCOMB && at.is_none());
    let of_traces = own(traces);
    let (base, named) = match (&at, &of_traces) {
        (Some(at), _) => (at.clone(), ENDPOINT_VARIABLE),
        (None, Some(url)) => (url.base(), traces.url_by),
        (None, None) => (Url::of(DEFAULT_ADDRESS), traces.url_by),
    };
    require_private(settings, named, &base);
    let access = Access { base, key };
    // If OTLP's variables name Honeycomb, log records and metrics go there too, unless they have a separate address.
    let takes = |wanted: bool, signal: &SignalSettings| wanted && (signal.owner == HONEYCOMB || !is_ours);
    let (takes_logs, takes_metrics) = (takes(wanted.logs, logs), takes(wanted.metrics, metrics));
    let mut endpoint = |of: &SignalSettings, signal, dataset: &Option<SecretString>| {
        access.endpoint(settings, of, own(of), (signal, dataset.clone()))
    };
    let endpoints = Endpoints {
        traces: Some(endpoint(traces, Signal::Traces, &dataset)),
        logs: takes_logs.then(|| endpoint(logs, Signal::Logs, &dataset)),
        metrics: takes_metrics.then(|| endpoint(metrics, Signal::Metrics, &of_metrics.or(dataset.clone()))),
    };
    let is_without_logs = wanted.logs && !takes_logs;
    let is_without_metrics = wanted.metrics && !takes_metrics;
    Switch::On(Honeycomb { endpoints, key: shown, is_without_logs, is_without_metrics }, by)
}

impl Honeycomb {
    /// Honeycomb's own variables. They cannot express further headers, a path other than OTLP's, or certificates, and with them
    /// log records and metrics go to Honeycomb if any are requested.
    pub(super) fn own_variables(&self) -> Option<Variables> {
        let traces = self.endpoints.traces.as_ref()?;
        let is_known = |name: &HeaderName| name == TEAM || name == DATASET;
        let is_plain = !traces.has_certificates
            && (traces.protocol == Protocol::Grpc || traces.url.as_str().ends_with(Signal::Traces.path()))
            && traces.headers.iter().all(|(name, _)| is_known(name));
        (is_plain && !self.is_without_logs && !self.is_without_metrics).then(|| {
            let of_metrics = self.endpoints.metrics.as_ref().and_then(|endpoint| endpoint.header(DATASET));
            vec![
                (ENDPOINT_VARIABLE, Some(traces.url.base().to_string())),
                (KEY_VARIABLE, traces.header(TEAM)),
                (DATASET_VARIABLE, traces.header(DATASET)),
                (METRICS_DATASET_VARIABLE, of_metrics),
            ]
        })
    }
}

impl Access {
    /// The endpoint at `url`, with the headers and certificates that were given for that address. Without `url`, the endpoint
    /// below the base URL.
    fn endpoint(
        &self,
        settings: &mut Settings,
        of: &SignalSettings,
        url: Option<Url>,
        (signal, dataset): (Signal, Option<SecretString>),
    ) -> Endpoint {
        let others = url.as_ref().map(|_| of.headers.as_slice()).unwrap_or_default();
        let mut headers: HeaderList =
            others.iter().filter(|(name, _)| name != TEAM && name != DATASET).cloned().collect();
        headers.push((HeaderName::from_static(TEAM), self.key.clone()));
        headers.extend(dataset.map(|dataset| (HeaderName::from_static(DATASET), dataset)));
        let certificates = url.as_ref().map(|_| &of.certificates);
        let url = url.unwrap_or_else(|| of.below(&self.base, signal));
        // Honeycomb is far away, and recommends gzip.
        of.endpoint(settings, url, headers, true, certificates)
    }
}

/// The key in Honeycomb's own variable. No fault quotes it.
fn key(settings: &mut Settings) -> Option<SecretString> {
    let text = settings.text(KEY_VARIABLE)?;
    if !text.chars().all(|c| c.is_ascii_graphic() && !QUOTES.contains(&c)) {
        let problem = "contains a quote, a space or a character outside ASCII; give only the key, as it was copied";
        settings.fault(KEY_VARIABLE, problem);
    }
    Some(text.into())
}

/// The dataset of metrics, which may be named among the headers for them.
fn metrics_dataset(settings: &mut Settings, otlp: &OtlpVariables) -> Option<SecretString> {
    let own = dataset(settings, METRICS_DATASET_VARIABLE);
    let OtlpVariables { metrics, wanted, .. } = otlp;
    if own.is_some() && !wanted.metrics && settings.text(METRICS_EXPORTER).is_none() {
        let instead = format!("not used: no metrics are sent; set {METRICS_EXPORTER}=otlp to send them");
        settings.warn(METRICS_DATASET_VARIABLE, instead);
    }
    own.or_else(|| find(&metrics.headers, DATASET).filter(|_| metrics.owner == HONEYCOMB))
}

/// The name of a dataset, which may contain spaces.
fn dataset(settings: &mut Settings, variable: &'static str) -> Option<SecretString> {
    let text = settings.text(variable)?;
    if HeaderValue::from_str(&text).is_err() || !text.is_ascii() || text.contains(QUOTES) {
        let problem = "contains a quote, a control character or a character outside ASCII; give only the name";
        settings.fault(variable, problem);
    }
    Some(text.into())
}

/// The key among the headers in OTLP's variables, where Honeycomb's documentation puts it.
fn key_in_headers(
    settings: &mut Settings,
    traces: &SignalSettings,
    key: Option<&SecretString>,
) -> Option<SecretString> {
    let found = find(&traces.headers, TEAM)?;
    if key.is_some_and(|key| key.expose_secret() != found.expose_secret()) {
        let problem = format!("differs from {TEAM} in {}; give the key in one of the two", traces.headers_by);
        settings.fault(KEY_VARIABLE, problem);
    }
    Some(found)
}
