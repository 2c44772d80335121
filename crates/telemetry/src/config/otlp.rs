//! OTLP's variables, Honeycomb's and X-Ray's: ways to name the same kind of destination, told apart by where they lead. Each
//! signal has an endpoint of its own, because the specification lets each have its own variables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::http::HeaderName;
use secrecy::{ExposeSecret, SecretString};
use settings::Settings;

use super::headers::{Headers, dataset, headers, key};
use super::key::Key;
use super::tls::{self, CertificateVariables, Certificates};
use super::{Switch, percent_encode, unset, values};
use crate::address::{ExactUrl, Url};
use crate::tls::Tls;

const HONEYCOMB: &str = "https://api.honeycomb.io";
pub(super) const TEAM: &str = "x-honeycomb-team";
pub(super) const DATASET: &str = "x-honeycomb-dataset";
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
pub(super) const XRAY: &str = "AWS_XRAY_OTLP_ENDPOINT";

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

/// Where one signal goes, and how.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The whole URL.
    pub url: Url,
    /// What the URL has behind its `?`.
    pub(crate) query: Option<SecretString>,
    pub(crate) headers: Headers,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Tls,
    /// Its certificates are in OTLP's variables, which are about this address alone.
    pub(crate) has_certificates: bool,
}

/// The encoding of OTLP over HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Protocol {
    /// `http/protobuf`
    Protobuf,
    /// `http/json`
    Json,
}

/// The signals, as variables and paths call them.
#[derive(Debug, Clone, Copy)]
enum Signal {
    Traces,
    Logs,
}

/// The variables of one signal, before it is known which destination its URL means.
struct SignalSettings {
    url: Option<Url>,
    /// The variable that gives the URL.
    url_by: &'static str,
    headers: Headers,
    /// The variable that gives the headers.
    headers_by: &'static str,
    timeout: Duration,
    gzip: Option<bool>,
    protocol: Protocol,
    certificates: Certificates,
}

/// What the variables lead to.
pub(super) struct ResolvedOtlp {
    pub(super) honeycomb: Switch<Otlp>,
    pub(super) otlp: Switch<Otlp>,
    /// X-Ray's own endpoint, and the variable that names it.
    pub(super) xray: Option<(Endpoint, &'static str)>,
}

enum Compression {
    Gzip,
    None,
}

/// What a variable asks to be spoken.
enum Spoken {
    Http(Protocol),
    /// Not here: it is spoken over HTTP, in protobuf.
    Grpc,
}

impl Endpoint {
    /// Without headers and certificates.
    pub(crate) fn plain(url: Url, gzip: bool, protocol: Protocol) -> Self {
        let (query, headers, timeout, tls) = (None, Vec::new(), Duration::from_secs(1), Tls::default());
        Self { url, query, headers, timeout, gzip, protocol, tls, has_certificates: false }
    }

    /// A header's value, to be told to a child process.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    /// Whether Honeycomb's own variables can say all of it.
    pub(super) fn is_plain(&self) -> bool {
        let is_known = |name: &HeaderName| name == TEAM || name == DATASET;
        !self.has_certificates
            && self.url.as_str().ends_with(Signal::Traces.path())
            && self.headers.iter().all(|(name, _)| is_known(name))
    }

    /// All of its headers, as a variable gives them.
    pub(super) fn told_headers(&self) -> Option<String> {
        let told =
            |(name, value): &(HeaderName, SecretString)| format!("{name}={}", percent_encode(value.expose_secret()));
        let told: Vec<String> = self.headers.iter().map(told).collect();
        (!told.is_empty()).then(|| told.join(","))
    }

    /// The values of its headers and its query, which are often keys.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.headers.iter().map(|(_, value)| value).chain(&self.query)
    }
}

impl Otlp {
    /// Its traces' URL, or its logs' where it takes those alone.
    pub fn url(&self) -> Option<&Url> {
        self.traces.as_ref().or(self.logs.as_ref()).map(|endpoint| &endpoint.url)
    }
}

/// Honeycomb, X-Ray, and any other collector.
pub(super) fn read(settings: &mut Settings, logs: bool) -> ResolvedOtlp {
    let base = url::<Url>(settings, COLLECTOR, &[INSECURE], "a URL such as http://localhost:4318");
    // The specification wants the base here. The whole URL of a signal is a common mistake with one meaning.
    let base = base.map(|base| base.base());
    let general = headers(settings, HEADERS);
    let traces = SignalSettings::read(settings, Signal::Traces, base.as_ref(), &general);
    let mut logged = SignalSettings::read(settings, Signal::Logs, base.as_ref(), &general);
    if !logs {
        logged.url = None;
    }
    let xray = xray(settings, &traces, &mut logged);
    let key = key(settings, "HONEYCOMB_API_KEY");
    let dataset = dataset(settings, "HONEYCOMB_DATASET");
    let at = settings.parse::<Url>("HONEYCOMB_API_ENDPOINT", "a URL such as https://api.eu1.honeycomb.io");
    let at = at.map(|at| at.base());
    let lesson = lesson_key(settings, &traces, key.as_ref());
    // Each signal goes where its own variables lead: the headers that were given for one address go to no other.
    let is_honeycomb = traces.leads_to_honeycomb();
    let logs_are_honeycombs = logged.leads_to_honeycomb();
    let is_key_wrong = settings.is_wrong("HONEYCOMB_API_KEY") || settings.is_wrong(traces.headers_by);
    if is_honeycomb && lesson.is_none() && key.is_none() && !is_key_wrong {
        let problem = format!("is Honeycomb's but no key is set; set HONEYCOMB_API_KEY, or {HEADERS}=\"{TEAM}=KEY\"");
        settings.fault(traces.url_by, problem);
    }
    let by = if key.is_some() { "HONEYCOMB_API_KEY" } else { traces.headers_by };
    let honeycomb = match key.or(lesson) {
        None => unset(settings, "HONEYCOMB_API_KEY"),
        Some(key) => {
            let named = if at.is_some() { "HONEYCOMB_API_ENDPOINT" } else { traces.url_by };
            let dataset = dataset.or_else(|| is_honeycomb.then(|| find(&traces.headers, DATASET)).flatten());
            let has_dataset = dataset.is_some() || settings.is_wrong("HONEYCOMB_DATASET");
            if let Some(problem) = Key::new(key.clone()).problem(has_dataset) {
                settings.fault(by, problem);
            }
            let own = |of: &SignalSettings, is_own: bool| if is_own && at.is_none() { of.url.clone() } else { None };
            let of_traces = own(&traces, is_honeycomb);
            let base = match (&at, &of_traces) {
                (Some(at), _) => at.clone(),
                (None, Some(traces)) => traces.base(),
                (None, None) => Url::of(HONEYCOMB),
            };
            if !base.is_private() {
                unencrypted(settings, named, &base);
            }
            let mut with = |of: &SignalSettings, url: Option<Url>, signal: Signal| {
                let others = url.as_ref().map(|_| of.headers.as_slice()).unwrap_or_default();
                let mut headers: Headers =
                    others.iter().filter(|(name, _)| name != TEAM && name != DATASET).cloned().collect();
                headers.push((HeaderName::from_static(TEAM), key.clone()));
                headers.extend(dataset.clone().map(|dataset| (HeaderName::from_static(DATASET), dataset)));
                // Honeycomb is far away and asks for it.
                let certificates = url.as_ref().map(|_| &of.certificates);
                let url = url.clone().unwrap_or_else(|| base.join(signal.path()));
                of.endpoint(settings, url, headers, true, certificates)
            };
            // In the lesson's form there is one address for everything, unless the logs have one of their own.
            let takes_logs = logs && (logs_are_honeycombs || !is_honeycomb);
            let otlp = Otlp {
                traces: Some(with(&traces, of_traces, Signal::Traces)),
                logs: takes_logs.then(|| with(&logged, own(&logged, logs_are_honeycombs), Signal::Logs)),
                key: Some(Key::new(key.clone())),
            };
            Switch::On(otlp, by)
        }
    };
    let on = |settings: &mut Settings, of: &SignalSettings, is_honeycombs: bool| {
        let url = of.url.clone().filter(|_| !is_honeycombs)?;
        if !of.headers.is_empty() && !url.is_private() {
            unencrypted(settings, of.url_by, &url);
        }
        // On this machine there is no wire to spare.
        let gzip = !url.is_loopback();
        Some(of.endpoint(settings, url, of.headers.clone(), gzip, Some(&of.certificates)))
    };
    let collector = Otlp {
        traces: on(settings, &traces, is_honeycomb || traces.leads_to_xray()),
        logs: on(settings, &logged, logs_are_honeycombs),
        key: None,
    };
    let collector = match (&collector.traces, &collector.logs) {
        (Some(_), _) => Switch::On(collector, traces.url_by),
        (None, Some(_)) => Switch::On(collector, logged.url_by),
        (None, None) if is_honeycomb => Switch::Off(format!("{COLLECTOR} is Honeycomb's")),
        (None, None) if traces.leads_to_xray() => Switch::Off(format!("{} is X-Ray's", traces.url_by)),
        (None, None) => unset(settings, traces.url_by),
    };
    ResolvedOtlp { honeycomb, otlp: collector, xray }
}

/// X-Ray's own endpoint: by its variable, else where the spans are led to it. It takes nothing else.
fn xray(
    settings: &mut Settings,
    traces: &SignalSettings,
    logged: &mut SignalSettings,
) -> Option<(Endpoint, &'static str)> {
    if logged.leads_to_xray() {
        logged.url = None;
        let problem =
            "is X-Ray's, which takes no log records; give their collector in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
        settings.fault(logged.url_by, problem);
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

/// The key that the lesson gives among the headers.
fn lesson_key(settings: &mut Settings, traces: &SignalSettings, key: Option<&SecretString>) -> Option<SecretString> {
    let lesson = find(&traces.headers, TEAM)?;
    if key.is_some_and(|key| key.expose_secret() != lesson.expose_secret()) {
        let problem = format!("differs from {TEAM} in {}; give the key in one of the two", traces.headers_by);
        settings.fault("HONEYCOMB_API_KEY", problem);
    }
    Some(lesson)
}

fn find(headers: &Headers, name: &str) -> Option<SecretString> {
    headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.clone())
}

/// The variables of a signal, which come before the general ones.
struct Variables {
    endpoint: &'static str,
    headers: &'static str,
    timeout: &'static str,
    compression: &'static str,
    protocol: &'static str,
    insecure: &'static str,
    certificates: CertificateVariables,
}

impl Signal {
    fn variables(self) -> Variables {
        match self {
            Self::Traces => Variables {
                endpoint: "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
                headers: "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
                timeout: "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
                compression: "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
                protocol: "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
                insecure: "OTEL_EXPORTER_OTLP_TRACES_INSECURE",
                certificates: CertificateVariables {
                    trusted: ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
                    client: ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
                    key: ["OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
                },
            },
            Self::Logs => Variables {
                endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
                timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                compression: "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
                protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
                insecure: "OTEL_EXPORTER_OTLP_LOGS_INSECURE",
                certificates: CertificateVariables {
                    trusted: ["OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"],
                    client: ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE", "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE"],
                    key: ["OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY", "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
                },
            },
        }
    }

    fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
        }
    }
}

impl SignalSettings {
    fn read(settings: &mut Settings, signal: Signal, base: Option<&Url>, general: &Headers) -> Self {
        let own = signal.variables();
        let expected = "the whole URL, such as http://localhost:4318/v1/traces";
        let url = url::<ExactUrl>(settings, own.endpoint, &[own.insecure, INSECURE], expected);
        let is_own = url.is_some() || settings.is_wrong(own.endpoint);
        let url = match (url, is_own) {
            (Some(ExactUrl(url)), _) => Some(url),
            (None, true) => None,
            (None, false) => base.map(|base| base.join(signal.path())),
        };
        let (protocol, url) = protocol(settings, signal, url, is_own);
        let has_headers = settings.text(own.headers).is_some() || settings.is_wrong(own.headers);
        let general_timeout = values::timeout(settings, "OTEL_EXPORTER_OTLP_TIMEOUT");
        let of_spans = values::timeout(settings, "OTEL_BSP_EXPORT_TIMEOUT");
        let of_batch = match signal {
            Signal::Traces => of_spans,
            Signal::Logs => values::timeout(settings, "OTEL_BLRP_EXPORT_TIMEOUT").or(of_spans),
        };
        let timeout = values::timeout(settings, own.timeout).or(general_timeout).or(of_batch);
        Self {
            url_by: if is_own { own.endpoint } else { COLLECTOR },
            url,
            headers: if has_headers { headers(settings, own.headers) } else { general.clone() },
            headers_by: if has_headers { own.headers } else { HEADERS },
            timeout: timeout.unwrap_or(Duration::from_secs(10)),
            gzip: either(settings, own.compression, "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip or none")
                .map(|compression| matches!(compression, Compression::Gzip)),
            protocol,
            certificates: Certificates::read(settings, &own.certificates),
        }
    }

    /// By its address, or by the key among its headers.
    fn leads_to_honeycomb(&self) -> bool {
        let is_honeycombs = self.url.as_ref().is_some_and(Url::is_honeycomb) || find(&self.headers, TEAM).is_some();
        is_honeycombs && !self.leads_to_xray()
    }

    /// By its address.
    fn leads_to_xray(&self) -> bool {
        self.url.as_ref().and_then(Url::xray_region).is_some()
    }

    /// With `certificates` if they were given for this address.
    fn endpoint(
        &self,
        settings: &mut Settings,
        url: Url,
        headers: Headers,
        gzip: bool,
        certificates: Option<&Certificates>,
    ) -> Endpoint {
        let tls = match certificates {
            Some(certificates) => certificates.load(settings, &url),
            None => tls::general(settings, &url),
        };
        let query = url.query().map(SecretString::from);
        let has_certificates = certificates.is_some_and(Certificates::any);
        let gzip = self.gzip.unwrap_or(gzip);
        Endpoint { url, query, headers, timeout: self.timeout, gzip, protocol: self.protocol, tls, has_certificates }
    }
}

/// The URL in `variable`. Without a scheme it is plain HTTP if one of the flags says so, the first that is set.
fn url<T>(settings: &mut Settings, variable: &str, flags: &[&str], expected: &str) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let text = settings.text(variable)?;
    let is_insecure = flags.iter().find_map(|flag| values::flag(settings, flag)).unwrap_or_default();
    let has_scheme = text.contains("://");
    let text = if is_insecure && !has_scheme { format!("http://{text}") } else { text };
    settings.parse_text(variable, &text, expected)
}

/// The encoding for a signal, and its URL as that protocol has it. The endpoint of gRPC has another port, and no path.
fn protocol(settings: &mut Settings, signal: Signal, url: Option<Url>, is_own: bool) -> (Protocol, Option<Url>) {
    const GENERAL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    let (own, expected) = (signal.variables().protocol, "http/protobuf or http/json");
    let general = settings.parse(GENERAL, expected);
    let (spoken, by) = match settings.parse(own, expected) {
        Some(spoken) => (Some(spoken), own),
        None => (general, GENERAL),
    };
    match spoken {
        None => (Protocol::Protobuf, url),
        Some(Spoken::Http(protocol)) => (protocol, url),
        Some(Spoken::Grpc) => {
            settings.warn(by, "grpc is not supported; http/protobuf is used, at port 4318 if the endpoint has 4317");
            let with_path = |url: Url| if is_own && url.is_bare() { url.base().join(signal.path()) } else { url };
            (Protocol::Protobuf, url.map(|url| with_path(url.at_http_port())))
        }
    }
}

/// The signal's own variable, else the general one.
fn either<T>(settings: &mut Settings, own: &str, general: &str, expected: &str) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let general = settings.parse(general, expected);
    settings.parse(own, expected).or(general)
}

fn unencrypted(settings: &mut Settings, variable: &str, url: &Url) {
    settings.fault(variable, format!("\"{url}\" would carry a key unencrypted; give an https:// address"));
}

#[derive(Debug, thiserror::Error)]
#[error("it is none of these")]
struct NoneOfThese;

impl FromStr for Compression {
    type Err = NoneOfThese;

    fn from_str(text: &str) -> Result<Self, NoneOfThese> {
        match text.to_ascii_lowercase().as_str() {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(NoneOfThese),
        }
    }
}

impl FromStr for Spoken {
    type Err = NoneOfThese;

    fn from_str(text: &str) -> Result<Self, NoneOfThese> {
        match text.to_ascii_lowercase().as_str() {
            "http/protobuf" => Ok(Self::Http(Protocol::Protobuf)),
            "http/json" => Ok(Self::Http(Protocol::Json)),
            "grpc" => Ok(Self::Grpc),
            _ => Err(NoneOfThese),
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protobuf => "http/protobuf",
            Self::Json => "http/json",
        })
    }
}

/// `https://api.honeycomb.io/v1/traces, http/protobuf, gzip`
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}{}", self.url, self.protocol, if self.gzip { ", gzip" } else { "" })
    }
}
