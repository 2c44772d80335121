//! The variables of OTLP, Honeycomb and X-Ray. They name the same kind of destination in different ways; its address
//! distinguishes them. Each signal has a separate endpoint, because the specification lets each have its own variables.

use ::http::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use settings::Settings;

use super::endpoint::Endpoint;
use super::headers::{DATASET, Headers, TEAM, dataset, find, headers, key};
use super::signal::{self, COLLECTOR, HEADERS, INSECURE, Signal, SignalSettings};
use crate::address::Url;
use crate::config::{Switch, unset};
use crate::destinations::honeycomb::key::Key;

const HONEYCOMB: &str = "https://api.honeycomb.io";
const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";
pub(crate) const XRAY: &str = "AWS_XRAY_OTLP_ENDPOINT";

/// A destination that speaks OTLP/HTTP.
#[derive(Debug, Clone, Default)]
pub struct Otlp {
    /// Where spans go.
    pub traces: Option<Endpoint>,
    /// Where log records go.
    pub logs: Option<Endpoint>,
    /// Honeycomb's key.
    pub key: Option<Key>,
}

/// The destinations that the variables name.
pub(crate) struct ResolvedOtlp {
    pub(crate) honeycomb: Switch<Otlp>,
    pub(crate) otlp: Switch<Otlp>,
    /// X-Ray's own endpoint, and the variable that names it.
    pub(crate) xray: Option<(Endpoint, &'static str)>,
}

impl Otlp {
    /// The URL of its traces, or of its logs if it accepts only those.
    pub fn url(&self) -> Option<&Url> {
        self.traces.as_ref().or(self.logs.as_ref()).map(|endpoint| &endpoint.url)
    }
}

/// What every request to Honeycomb needs, for any signal.
struct Honeycomb {
    base: Url,
    key: SecretString,
    dataset: Option<SecretString>,
}

/// Reads the settings of Honeycomb, X-Ray, and any other collector.
pub(crate) fn read(settings: &mut Settings, logs: bool) -> ResolvedOtlp {
    let base = signal::url::<Url>(settings, COLLECTOR, &[INSECURE], "a URL such as http://localhost:4318");
    // The specification requires the base here. The whole URL of a signal is a common mistake with one meaning.
    let base = base.map(|base| base.base());
    let general = headers(settings, HEADERS);
    let traces = SignalSettings::read(settings, Signal::Traces, base.as_ref(), &general);
    let mut logged = SignalSettings::read(settings, Signal::Logs, base.as_ref(), &general);
    if !logs {
        if logged.url_by != COLLECTOR && settings.text(LOGS_EXPORTER).is_none() && !settings.is_wrong(LOGS_EXPORTER) {
            settings.warn(
                logged.url_by,
                format!("not used: no log records are sent; set {LOGS_EXPORTER}=otlp to send them"),
            );
        }
        logged.url = None;
    }
    let xray = xray(settings, &traces, &mut logged);
    let honeycomb = honeycomb(settings, &traces, &logged, logs);
    let otlp = collector(settings, &traces, &logged);
    ResolvedOtlp { honeycomb, otlp, xray }
}

/// Honeycomb, by its own variables or by those of a collector that lead to it. Each signal goes where its own variables lead:
/// headers that were given for one address go to no other.
fn honeycomb(settings: &mut Settings, traces: &SignalSettings, logged: &SignalSettings, logs: bool) -> Switch<Otlp> {
    let key = key(settings, "HONEYCOMB_API_KEY");
    let dataset = dataset(settings, "HONEYCOMB_DATASET");
    let at = settings.parse::<Url>("HONEYCOMB_API_ENDPOINT", "a URL such as https://api.eu1.honeycomb.io");
    let at = at.map(|at| at.base());
    let lesson = lesson_key(settings, traces, key.as_ref());
    let is_honeycomb = traces.leads_to_honeycomb();
    let by = if key.is_some() { "HONEYCOMB_API_KEY" } else { traces.headers_by };
    let Some(key) = key.or(lesson) else {
        let is_key_wrong = settings.is_wrong("HONEYCOMB_API_KEY") || settings.is_wrong(traces.headers_by);
        if is_honeycomb && !is_key_wrong {
            let problem =
                format!("is Honeycomb's but no key is set; set HONEYCOMB_API_KEY, or {HEADERS}=\"{TEAM}=KEY\"");
            settings.fault(traces.url_by, problem);
        }
        return unset(settings, "HONEYCOMB_API_KEY");
    };
    let dataset = dataset.or_else(|| is_honeycomb.then(|| find(&traces.headers, DATASET)).flatten());
    let has_dataset = dataset.is_some() || settings.is_wrong("HONEYCOMB_DATASET");
    let shown = Key::new(key.clone());
    if let Some(problem) = shown.problem(has_dataset) {
        settings.fault(by, problem);
    }
    let own = |of: &SignalSettings| of.url.clone().filter(|_| of.leads_to_honeycomb() && at.is_none());
    let of_traces = own(traces);
    let (base, named) = match (&at, &of_traces) {
        (Some(at), _) => (at.clone(), "HONEYCOMB_API_ENDPOINT"),
        (None, Some(url)) => (url.base(), traces.url_by),
        (None, None) => (Url::of(HONEYCOMB), traces.url_by),
    };
    if !base.is_private() {
        unencrypted(settings, named, &base);
    }
    let to = Honeycomb { base, key, dataset };
    // In the lesson's form there is one address for everything, unless the logs have a separate one.
    let takes_logs = logs && (logged.leads_to_honeycomb() || !is_honeycomb);
    let of_logs = own(logged);
    let otlp = Otlp {
        traces: Some(to.endpoint(settings, traces, of_traces, Signal::Traces)),
        logs: takes_logs.then(|| to.endpoint(settings, logged, of_logs, Signal::Logs)),
        key: Some(shown),
    };
    Switch::On(otlp, by)
}

impl Honeycomb {
    /// The endpoint at `url`, with what was given for that address; without a `url`, the endpoint below the base.
    fn endpoint(&self, settings: &mut Settings, of: &SignalSettings, url: Option<Url>, signal: Signal) -> Endpoint {
        let others = url.as_ref().map(|_| of.headers.as_slice()).unwrap_or_default();
        let mut headers: Headers = others.iter().filter(|(name, _)| name != TEAM && name != DATASET).cloned().collect();
        headers.push((HeaderName::from_static(TEAM), self.key.clone()));
        headers.extend(self.dataset.clone().map(|dataset| (HeaderName::from_static(DATASET), dataset)));
        let certificates = url.as_ref().map(|_| &of.certificates);
        let url = url.unwrap_or_else(|| self.base.join(signal.path()));
        // Honeycomb is far away and asks for gzip.
        of.endpoint(settings, url, headers, true, certificates)
    }
}

/// Any other collector.
fn collector(settings: &mut Settings, traces: &SignalSettings, logged: &SignalSettings) -> Switch<Otlp> {
    let mut endpoint = |of: &SignalSettings| {
        let url = of.url.clone().filter(|_| !of.leads_to_honeycomb() && !of.leads_to_xray())?;
        if !of.headers.is_empty() && !url.is_private() {
            unencrypted(settings, of.url_by, &url);
        }
        // On this machine there is no bandwidth to save.
        let gzip = !url.is_loopback();
        Some(of.endpoint(settings, url, of.headers.clone(), gzip, Some(&of.certificates)))
    };
    let otlp = Otlp { traces: endpoint(traces), logs: endpoint(logged), key: None };
    match (&otlp.traces, &otlp.logs) {
        (Some(_), _) => Switch::On(otlp, traces.url_by),
        (None, Some(_)) => Switch::On(otlp, logged.url_by),
        (None, None) if traces.leads_to_honeycomb() => Switch::Off(format!("{} is Honeycomb's", traces.url_by)),
        (None, None) if traces.leads_to_xray() => Switch::Off(format!("{} is X-Ray's", traces.url_by)),
        (None, None) => unset(settings, traces.url_by),
    }
}

/// X-Ray's own endpoint: by its variable, otherwise if the variables of spans lead to it. It accepts only spans.
fn xray(
    settings: &mut Settings,
    traces: &SignalSettings,
    logged: &mut SignalSettings,
) -> Option<(Endpoint, &'static str)> {
    if logged.leads_to_xray() {
        logged.url = None;
        let instead = "is X-Ray's, which takes no log records, so none are sent there";
        settings.warn(logged.url_by, instead);
    }
    let own = settings.parse::<Url>(XRAY, "a URL such as https://xray.eu-west-1.amazonaws.com");
    let (url, headers, by) = match own {
        Some(own) => (own.base().join(Signal::Traces.path()), Vec::new(), XRAY),
        None if traces.leads_to_xray() => (traces.url.clone()?, traces.headers.clone(), traces.url_by),
        None => return None,
    };
    if !url.is_private() {
        unencrypted(settings, by, &url);
    }
    if find(&headers, "authorization").is_some() {
        let problem = "has authorization, which X-Ray takes by a signature alone; leave it out";
        settings.fault(traces.headers_by, problem);
    }
    let certificates = (by != XRAY).then_some(&traces.certificates);
    Some((traces.endpoint(settings, url, headers, true, certificates), by))
}

/// The key that the lesson puts in the headers.
fn lesson_key(settings: &mut Settings, traces: &SignalSettings, key: Option<&SecretString>) -> Option<SecretString> {
    let lesson = find(&traces.headers, TEAM)?;
    if key.is_some_and(|key| key.expose_secret() != lesson.expose_secret()) {
        let problem = format!("differs from {TEAM} in {}; give the key in one of the two", traces.headers_by);
        settings.fault("HONEYCOMB_API_KEY", problem);
    }
    Some(lesson)
}

fn unencrypted(settings: &mut Settings, variable: &str, url: &Url) {
    settings.fault(variable, format!("\"{url}\" would carry a key unencrypted; give an https:// address"));
}
