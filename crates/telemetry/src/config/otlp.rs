//! OTLP's variables, Honeycomb's and X-Ray's: ways to name the same kind of destination, told apart by where they lead. Each
//! signal has an endpoint of its own, because the specification lets each have its own variables.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use ::http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use settings::Settings;

use super::key::Key;
use super::{Switch, percent_encode};
use crate::address::Url;

const HONEYCOMB: &str = "https://api.honeycomb.io";
pub(super) const TEAM: &str = "x-honeycomb-team";
pub(super) const DATASET: &str = "x-honeycomb-dataset";
const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(super) const XRAY: &str = "AWS_XRAY_OTLP_ENDPOINT";

/// The longest timeout, a minute: a worker that waits longer delays the next batch for too long.
const LONGEST_TIMEOUT: u64 = 60_000;

type Headers = Vec<(HeaderName, SecretString)>;

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
    pub(crate) headers: Headers,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) protocol: Protocol,
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

/// What the variables say of one signal, before it is known where it leads.
struct Said {
    url: Option<Url>,
    /// The variable that gives the URL.
    url_by: &'static str,
    headers: Headers,
    /// The variable that gives the headers.
    headers_by: &'static str,
    timeout: Duration,
    gzip: Option<bool>,
    protocol: Protocol,
}

/// What the variables lead to.
pub(super) struct Found {
    pub(super) honeycomb: Switch<Otlp>,
    pub(super) otlp: Switch<Otlp>,
    /// X-Ray's own endpoint, and the variable that names it.
    pub(super) xray: Option<(Endpoint, &'static str)>,
}

enum Compression {
    Gzip,
    None,
}

impl Endpoint {
    /// A header's value, to be told to a child process.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    /// Whether Honeycomb's own variables can say all of it.
    pub(super) fn is_plain(&self) -> bool {
        let is_known = |name: &HeaderName| name == TEAM || name == DATASET;
        self.url.as_str().ends_with(Signal::Traces.path()) && self.headers.iter().all(|(name, _)| is_known(name))
    }

    /// All of its headers, as a variable gives them.
    pub(super) fn told_headers(&self) -> Option<String> {
        let told =
            |(name, value): &(HeaderName, SecretString)| format!("{name}={}", percent_encode(value.expose_secret()));
        let told: Vec<String> = self.headers.iter().map(told).collect();
        (!told.is_empty()).then(|| told.join(","))
    }

    /// The values of its headers, which are often keys.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.headers.iter().map(|(_, value)| value)
    }
}

impl Otlp {
    /// Its traces' URL, or its logs' where it takes those alone.
    pub fn url(&self) -> Option<&Url> {
        self.traces.as_ref().or(self.logs.as_ref()).map(|endpoint| &endpoint.url)
    }
}

/// Honeycomb, X-Ray, and any other collector.
pub(super) fn read(settings: &mut Settings, logs: bool) -> Found {
    let base = settings.parse::<Url>(COLLECTOR, "a URL such as http://localhost:4318");
    // The base is asked for; whoever gives the whole URL of the traces means it.
    let base = base.map(|base| base.without("/v1/traces"));
    let general = headers(settings, HEADERS);
    let traces = Said::read(settings, Signal::Traces, base.as_ref(), &general);
    let mut logged = Said::read(settings, Signal::Logs, base.as_ref(), &general);
    if !logs {
        logged.url = None;
    }
    let xray = xray(settings, &traces, &mut logged);
    let key = key(settings, "HONEYCOMB_API_KEY");
    let dataset = dataset(settings, "HONEYCOMB_DATASET");
    let at = settings.parse::<Url>("HONEYCOMB_API_ENDPOINT", "a URL such as https://api.eu1.honeycomb.io");
    let lesson = lesson_key(settings, &traces, key.as_ref());
    // Each signal goes where its own variables lead: the headers that were given for one address go to no other.
    let is_honeycomb = traces.leads_to_honeycomb();
    let logs_are_honeycombs = logged.leads_to_honeycomb();
    if is_honeycomb && lesson.is_none() && key.is_none() {
        let problem = format!("is Honeycomb's but no key is set; set HONEYCOMB_API_KEY, or {HEADERS}=\"{TEAM}=KEY\"");
        settings.fault(COLLECTOR, problem);
    }
    let by = if key.is_some() { "HONEYCOMB_API_KEY" } else { traces.headers_by };
    let honeycomb = match key.or(lesson) {
        None => Switch::Off("HONEYCOMB_API_KEY is not set".to_owned()),
        Some(key) => {
            let named = if at.is_some() { "HONEYCOMB_API_ENDPOINT" } else { COLLECTOR };
            let dataset = dataset.or_else(|| is_honeycomb.then(|| find(&traces.headers, DATASET)).flatten());
            if let Some(problem) = Key::new(key.clone()).problem(dataset.is_some()) {
                settings.fault(by, problem);
            }
            let own = |said: &Said, is_own: bool| if is_own && at.is_none() { said.url.clone() } else { None };
            let of_traces = own(&traces, is_honeycomb);
            let base = match (&at, &of_traces) {
                (Some(at), _) => at.clone(),
                (None, Some(traces)) => traces.without(Signal::Traces.path()),
                (None, None) => Url::of(HONEYCOMB),
            };
            if !base.is_private() {
                unencrypted(settings, named, &base);
            }
            let with = |said: &Said, url: Option<Url>, signal: Signal| {
                let others = url.as_ref().map(|_| said.headers.as_slice()).unwrap_or_default();
                let mut headers: Headers =
                    others.iter().filter(|(name, _)| name != TEAM && name != DATASET).cloned().collect();
                headers.push((HeaderName::from_static(TEAM), key.clone()));
                headers.extend(dataset.clone().map(|dataset| (HeaderName::from_static(DATASET), dataset)));
                // Honeycomb is far away and asks for it.
                said.endpoint(url.unwrap_or_else(|| base.join(signal.path())), headers, true)
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
    let on = |settings: &mut Settings, said: &Said, is_honeycombs: bool| {
        let url = said.url.clone().filter(|_| !is_honeycombs)?;
        if !said.headers.is_empty() && !url.is_private() {
            unencrypted(settings, said.url_by, &url);
        }
        // On this machine there is no wire to spare.
        let gzip = !url.is_loopback();
        Some(said.endpoint(url, said.headers.clone(), gzip))
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
        (None, None) => Switch::Off(format!("{COLLECTOR} is not set")),
    };
    Found { honeycomb, otlp: collector, xray }
}

/// X-Ray's own endpoint: by its variable, else where the spans are led to it. It takes nothing else.
fn xray(settings: &mut Settings, traces: &Said, logged: &mut Said) -> Option<(Endpoint, &'static str)> {
    if logged.leads_to_xray() {
        logged.url = None;
        let problem =
            "is X-Ray's, which takes no log records; give their collector in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
        settings.fault(logged.url_by, problem);
    }
    let own = settings.parse::<Url>(XRAY, "a URL such as https://xray.eu-west-1.amazonaws.com");
    let (url, headers, by) = match own {
        Some(own) => {
            let path = Signal::Traces.path();
            (own.without(path).join(path), Vec::new(), XRAY)
        }
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
    Some((traces.endpoint(url, headers, true), by))
}

/// The key that the lesson gives among the headers.
fn lesson_key(settings: &mut Settings, traces: &Said, key: Option<&SecretString>) -> Option<SecretString> {
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
            },
            Self::Logs => Variables {
                endpoint: "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
                headers: "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
                timeout: "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
                compression: "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
                protocol: "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
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

impl Said {
    fn read(settings: &mut Settings, signal: Signal, base: Option<&Url>, general: &Headers) -> Self {
        let own = signal.variables();
        let url = settings.parse::<Url>(own.endpoint, "the whole URL, such as http://localhost:4318/v1/traces");
        let has_headers = settings.text(own.headers).is_some();
        let milliseconds = "milliseconds from 1 to 60000";
        let timeout = either(settings, own.timeout, "OTEL_EXPORTER_OTLP_TIMEOUT", milliseconds);
        let timeout = timeout.or(match signal {
            Signal::Traces => settings.parse("OTEL_BSP_EXPORT_TIMEOUT", milliseconds),
            Signal::Logs => either(settings, "OTEL_BLRP_EXPORT_TIMEOUT", "OTEL_BSP_EXPORT_TIMEOUT", milliseconds),
        });
        Self {
            url_by: if url.is_some() { own.endpoint } else { COLLECTOR },
            url: url.or_else(|| base.map(|base| base.join(signal.path()))),
            headers: if has_headers { headers(settings, own.headers) } else { general.clone() },
            headers_by: if has_headers { own.headers } else { HEADERS },
            timeout: timeout.map_or(Duration::from_secs(10), |Timeout(timeout)| timeout),
            gzip: either(settings, own.compression, "OTEL_EXPORTER_OTLP_COMPRESSION", "gzip or none")
                .map(|compression| matches!(compression, Compression::Gzip)),
            protocol: either(settings, own.protocol, "OTEL_EXPORTER_OTLP_PROTOCOL", "http/protobuf or http/json")
                .unwrap_or(Protocol::Protobuf),
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

    fn endpoint(&self, url: Url, headers: Headers, gzip: bool) -> Endpoint {
        let gzip = self.gzip.unwrap_or(gzip);
        Endpoint { url, headers, timeout: self.timeout, gzip, protocol: self.protocol }
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

/// A key, which travels in a header. It is never quoted back.
fn key(settings: &mut Settings, name: &str) -> Option<SecretString> {
    let text = settings.text(name)?;
    if !text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'')) {
        settings.fault(name, "holds a quote, a space or a character outside ASCII; give it alone, as it was copied");
    }
    Some(text.into())
}

/// The name of a dataset, which travels in a header too and may have spaces.
fn dataset(settings: &mut Settings, name: &str) -> Option<SecretString> {
    let text = settings.text(name)?;
    if HeaderValue::from_str(&text).is_err() || !text.is_ascii() || text.contains(['"', '\'']) {
        settings.fault(name, "holds a quote, a control character or one outside ASCII; give the name alone");
    }
    Some(text.into())
}

/// `name=value,…`, the values percent-encoded. Values are never quoted back: they are often keys.
fn headers(settings: &mut Settings, variable: &str) -> Headers {
    let text = settings.text(variable).unwrap_or_default();
    let mut headers = Vec::new();
    for (index, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        match header(member) {
            Ok(header) => headers.push(header),
            Err(problem) => settings.fault(variable, format!("its entry {} {problem}", index + 1)),
        }
    }
    headers
}

fn header(member: &str) -> Result<(HeaderName, SecretString), String> {
    let no_pair = || format!("is not a name=value pair with a value; write it like {TEAM}=KEY");
    let (name, value) = member.split_once('=').ok_or_else(no_pair)?;
    let name = HeaderName::from_str(name.trim()).map_err(|_| no_pair())?;
    let value = super::percent_decode(value.trim())
        .ok_or("has a % before what is no byte in hexadecimal, or is not UTF-8; a % itself is %25")?;
    if value.is_empty() || HeaderValue::from_str(&value).is_err() {
        return Err(no_pair());
    }
    Ok((name, SecretString::from(value)))
}

#[derive(Debug, thiserror::Error)]
#[error("it is none of these")]
struct NoneOfThese;

struct Timeout(Duration);

impl FromStr for Timeout {
    type Err = NoneOfThese;

    fn from_str(text: &str) -> Result<Self, NoneOfThese> {
        let milliseconds = text.parse().ok().filter(|time| (1..=LONGEST_TIMEOUT).contains(time));
        milliseconds.map(|time| Self(Duration::from_millis(time))).ok_or(NoneOfThese)
    }
}

impl FromStr for Compression {
    type Err = NoneOfThese;

    fn from_str(text: &str) -> Result<Self, NoneOfThese> {
        match text {
            "gzip" => Ok(Self::Gzip),
            "none" => Ok(Self::None),
            _ => Err(NoneOfThese),
        }
    }
}

impl FromStr for Protocol {
    type Err = NotAProtocol;

    fn from_str(text: &str) -> Result<Self, NotAProtocol> {
        match text {
            "http/protobuf" => Ok(Self::Protobuf),
            "http/json" => Ok(Self::Json),
            "grpc" => Err(NotAProtocol("this exporter does not speak gRPC")),
            _ => Err(NotAProtocol("it is no protocol of OTLP")),
        }
    }
}

/// Why a text is not a protocol.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAProtocol(&'static str);

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
