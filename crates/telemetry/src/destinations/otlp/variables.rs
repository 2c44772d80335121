//! The variables of OTLP. A signal's own variables take precedence over the general ones, so each signal may have a
//! separate endpoint. Destinations [claim](OwnershipClaim) the signals whose variables name them.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use settings::Settings;

use super::certificates::{self, CertificateVariables, Certificates};
use super::endpoint::{Endpoint, Protocol, Signal};
use super::headers::{HeaderList, headers};
use crate::address::{ExactUrl, Url};
use crate::values;

pub(crate) const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";
const LOGS_EXPORTER: &str = "OTEL_LOGS_EXPORTER";
pub(crate) const METRICS_EXPORTER: &str = "OTEL_METRICS_EXPORTER";
/// Whether OTLP over gRPC is built.
pub(crate) const GRPC: bool = cfg!(feature = "grpc");
/// The timeout of an export if no variable names one.
pub(crate) const TIMEOUT: Duration = Duration::from_secs(10);

/// The variables of every signal.
pub(crate) struct OtlpVariables {
    pub(crate) traces: SignalSettings,
    pub(crate) logs: SignalSettings,
    pub(crate) metrics: SignalSettings,
    pub(crate) wanted: Wanted,
}

/// The signals besides spans that are sent. One that is not has no URL.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Wanted {
    /// `OTEL_LOGS_EXPORTER` requests log records.
    pub(crate) logs: bool,
    /// `OTEL_METRICS_EXPORTER` requests metrics.
    pub(crate) metrics: bool,
}

/// The variables of one signal.
pub(crate) struct SignalSettings {
    /// The destination that the variables name.
    pub(crate) owner: Owner,
    pub(crate) url: Option<Url>,
    /// The variable that gives the URL.
    pub(crate) url_by: &'static str,
    pub(crate) headers: HeaderList,
    /// The variable that gives the headers.
    pub(crate) headers_by: &'static str,
    timeout: Duration,
    gzip: Option<bool>,
    protocol: Protocol,
    pub(crate) certificates: Certificates,
}

/// The names of a destination.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Owner {
    /// In start-up lines and in the ledger: `xray-otlp`.
    pub(crate) name: &'static str,
    /// In sentences: `X-Ray`.
    pub(crate) title: &'static str,
}

impl Owner {
    /// The name of the destination's log records in start-up lines and in the ledger.
    pub(crate) fn logs(self) -> String {
        format!("{}-logs", self.name)
    }

    /// The name of the destination's metrics.
    pub(crate) fn metrics(self) -> String {
        format!("{}-metrics", self.name)
    }
}

/// The collector, which receives every signal that no other destination claims.
pub(crate) const OTLP: Owner = Owner { name: "otlp", title: "a collector" };

/// A destination's claim to a signal, by the signal's variables. The strongest claim, which is the last variant, wins.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum OwnershipClaim {
    None,
    /// Applies if no other destination claims the signal.
    Default,
    /// A header belongs to the destination.
    Header,
    /// The address belongs to the destination.
    Address,
}

/// The names of a signal's own variables, which take precedence over the general ones.
struct SignalVariables {
    endpoint: &'static str,
    headers: &'static str,
    timeout: &'static str,
    compression: &'static str,
    protocol: &'static str,
    insecure: &'static str,
    certificates: CertificateVariables,
}

impl OtlpVariables {
    pub(crate) fn read(settings: &mut Settings, wanted: Wanted) -> Self {
        let base = url::<Url>(settings, COLLECTOR, &[INSECURE], "a URL such as http://localhost:4318");
        // The specification requires the base URL here. The whole URL of a signal is a common mistake, and its meaning is
        // clear.
        let base = base.map(|base| base.base());
        let general = headers(settings, HEADERS);
        let traces = SignalSettings::read(settings, Signal::Traces, base.as_ref(), &general);
        let mut logs = SignalSettings::read(settings, Signal::Logs, base.as_ref(), &general);
        let mut metrics = SignalSettings::read(settings, Signal::Metrics, base.as_ref(), &general);
        let mut unwanted = |signal: &mut SignalSettings, exporter, what| {
            let is_unwanted = settings.text(exporter).is_none() && !settings.is_wrong(exporter);
            if signal.url_by != COLLECTOR && is_unwanted && !settings.is_provided(signal.url_by) {
                let instead = format!("not used: no {what} are sent; set {exporter}=otlp to send them");
                settings.warn(signal.url_by, instead);
            }
            signal.url = None;
        };
        if !wanted.logs {
            unwanted(&mut logs, LOGS_EXPORTER, "log records");
        }
        if !wanted.metrics {
            unwanted(&mut metrics, METRICS_EXPORTER, "metrics");
        }
        Self { traces, logs, metrics, wanted }
    }
}

/// The variable that gives the protocol of spans, with a protocol that every collector has, if the protocol is gRPC.
pub(crate) fn over_http(settings: &mut Settings) -> Option<(&'static str, Option<String>)> {
    let (protocol, _) = protocol(settings, Signal::Traces, None, false);
    let own = SignalVariables::of(Signal::Traces).protocol;
    (protocol == Protocol::Grpc).then(|| (own, Some(Protocol::Protobuf.to_string())))
}

/// The variables of the signal that their names contain.
macro_rules! variables {
    ($signal:literal) => {
        SignalVariables {
            endpoint: concat!("OTEL_EXPORTER_OTLP_", $signal, "_ENDPOINT"),
            headers: concat!("OTEL_EXPORTER_OTLP_", $signal, "_HEADERS"),
            timeout: concat!("OTEL_EXPORTER_OTLP_", $signal, "_TIMEOUT"),
            compression: concat!("OTEL_EXPORTER_OTLP_", $signal, "_COMPRESSION"),
            protocol: concat!("OTEL_EXPORTER_OTLP_", $signal, "_PROTOCOL"),
            insecure: concat!("OTEL_EXPORTER_OTLP_", $signal, "_INSECURE"),
            certificates: CertificateVariables {
                trusted: [concat!("OTEL_EXPORTER_OTLP_", $signal, "_CERTIFICATE"), "OTEL_EXPORTER_OTLP_CERTIFICATE"],
                client: [
                    concat!("OTEL_EXPORTER_OTLP_", $signal, "_CLIENT_CERTIFICATE"),
                    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
                ],
                key: [concat!("OTEL_EXPORTER_OTLP_", $signal, "_CLIENT_KEY"), "OTEL_EXPORTER_OTLP_CLIENT_KEY"],
            },
        }
    };
}

impl SignalVariables {
    fn of(signal: Signal) -> Self {
        match signal {
            Signal::Traces => variables!("TRACES"),
            Signal::Logs => variables!("LOGS"),
            Signal::Metrics => variables!("METRICS"),
        }
    }
}

impl SignalSettings {
    fn read(settings: &mut Settings, signal: Signal, base: Option<&Url>, general: &HeaderList) -> Self {
        let own = SignalVariables::of(signal);
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
        settings.note_default("OTEL_EXPORTER_OTLP_TIMEOUT", TIMEOUT.as_millis());
        let general_timeout = values::timeout(settings, "OTEL_EXPORTER_OTLP_TIMEOUT");
        let of_spans = values::timeout(settings, "OTEL_BSP_EXPORT_TIMEOUT");
        let of_batch = match signal {
            Signal::Traces => of_spans,
            Signal::Logs => values::timeout(settings, "OTEL_BLRP_EXPORT_TIMEOUT").or(of_spans),
            Signal::Metrics => values::timeout(settings, "OTEL_METRIC_EXPORT_TIMEOUT"),
        };
        let compressions = [("gzip", true), ("none", false)];
        let general_gzip = settings.choose("OTEL_EXPORTER_OTLP_COMPRESSION", &compressions);
        let gzip = settings.choose(own.compression, &compressions).or(general_gzip);
        let timeout = values::timeout(settings, own.timeout).or(general_timeout).or(of_batch);
        Self {
            owner: OTLP,
            url_by: if is_own { own.endpoint } else { COLLECTOR },
            url,
            headers: if has_headers { headers(settings, own.headers) } else { general.clone() },
            headers_by: if has_headers { own.headers } else { HEADERS },
            timeout: timeout.unwrap_or(TIMEOUT),
            gzip,
            protocol,
            certificates: Certificates::read(settings, &own.certificates),
        }
    }

    /// The URL of spans for a destination without gRPC.
    pub(crate) fn url_over_http(&self) -> Option<Url> {
        let url = self.url.as_ref()?;
        Some(if self.protocol == Protocol::Grpc { url.join(Signal::Traces.path()) } else { url.clone() })
    }

    /// The URL of `signal` below `base`, as the protocol wants it.
    pub(crate) fn below(&self, base: &Url, signal: Signal) -> Url {
        if self.protocol == Protocol::Grpc { base.origin() } else { base.join(signal.path()) }
    }

    /// The endpoint, with `certificates` if they were given for this address.
    pub(crate) fn endpoint(
        &self,
        settings: &mut Settings,
        url: Url,
        headers: HeaderList,
        gzip: bool,
        certificates: Option<&Certificates>,
    ) -> Endpoint {
        let tls = match certificates {
            Some(certificates) => certificates.load(settings, &url),
            None => certificates::general(settings, &url),
        };
        let query = url.query().map(SecretString::from);
        let has_certificates = certificates.is_some_and(Certificates::any);
        let gzip = self.gzip.unwrap_or(gzip);
        Endpoint { url, query, headers, timeout: self.timeout, gzip, protocol: self.protocol, tls, has_certificates }
    }
}

/// The URL in `variable`. Without a scheme it is plain HTTP if the first of `flags` that is set is true.
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

/// The protocol of a signal, and its URL for that protocol. A gRPC endpoint has another port, and no path.
fn protocol(settings: &mut Settings, signal: Signal, url: Option<Url>, is_own: bool) -> (Protocol, Option<Url>) {
    const GENERAL: &str = "OTEL_EXPORTER_OTLP_PROTOCOL";
    const PROTOCOLS: [(&str, Protocol); 3] =
        [("http/protobuf", Protocol::Protobuf), ("http/json", Protocol::Json), ("grpc", Protocol::Grpc)];
    let own = SignalVariables::of(signal).protocol;
    settings.note_default(GENERAL, Protocol::default());
    let general = settings.choose(GENERAL, &PROTOCOLS);
    let (requested, by) = match settings.choose(own, &PROTOCOLS) {
        Some(requested) => (Some(requested), own),
        None => (general, GENERAL),
    };
    match requested {
        None => (Protocol::default(), url),
        Some(Protocol::Grpc) if GRPC => {
            if url.as_ref().is_some_and(|url| url.query().is_some() || !url.base().is_bare()) {
                let variable = if is_own { SignalVariables::of(signal).endpoint } else { COLLECTOR };
                settings.warn(variable, "only scheme, host and port are used, because gRPC needs no path");
            }
            (Protocol::Grpc, url.as_ref().map(Url::origin))
        }
        Some(Protocol::Grpc) => {
            settings.warn(by, "grpc is not built; http/protobuf is used, at port 4318 if the endpoint has 4317");
            let with_path = |url: Url| if is_own && url.is_bare() { url.base().join(signal.path()) } else { url };
            (Protocol::Protobuf, url.map(|url| with_path(url.at_http_port())))
        }
        Some(protocol) => (protocol, url),
    }
}
