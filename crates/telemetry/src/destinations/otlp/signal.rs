//! The variables of one signal, its own before the general ones, and the endpoint that they describe.

use std::fmt;
use std::str::FromStr;
use std::time::Duration;

use secrecy::SecretString;
use settings::Settings;

use super::certificates::{self, CertificateVariables, Certificates};
use super::endpoint::{Endpoint, Protocol, TRACES};
use super::headers::{Headers, TEAM, find, headers};
use crate::address::{ExactUrl, Url};
use crate::values;

pub(crate) const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
pub(crate) const HEADERS: &str = "OTEL_EXPORTER_OTLP_HEADERS";
pub(crate) const INSECURE: &str = "OTEL_EXPORTER_OTLP_INSECURE";

/// The signals, as variables and paths call them.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Signal {
    Traces,
    Logs,
}

/// The variables of one signal, before it is known which destination its URL means.
pub(crate) struct SignalSettings {
    pub(crate) url: Option<Url>,
    /// The variable that gives the URL.
    pub(crate) url_by: &'static str,
    pub(crate) headers: Headers,
    /// The variable that gives the headers.
    pub(crate) headers_by: &'static str,
    timeout: Duration,
    gzip: Option<bool>,
    protocol: Protocol,
    pub(crate) certificates: Certificates,
}

enum Compression {
    Gzip,
    None,
}

/// The protocol that a variable requests.
enum Spoken {
    Http(Protocol),
    /// Not supported here: HTTP with protobuf is used instead.
    Grpc,
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

    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => TRACES,
            Self::Logs => "/v1/logs",
        }
    }
}

impl SignalSettings {
    pub(crate) fn read(settings: &mut Settings, signal: Signal, base: Option<&Url>, general: &Headers) -> Self {
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

    /// Whether the address, or the key in the headers, is Honeycomb's.
    pub(crate) fn leads_to_honeycomb(&self) -> bool {
        let is_honeycombs = self.url.as_ref().is_some_and(Url::is_honeycomb) || find(&self.headers, TEAM).is_some();
        is_honeycombs && !self.leads_to_xray()
    }

    /// Whether the address is X-Ray's.
    pub(crate) fn leads_to_xray(&self) -> bool {
        self.url.as_ref().and_then(Url::xray_region).is_some()
    }

    /// The endpoint, with `certificates` if they were given for this address.
    pub(crate) fn endpoint(
        &self,
        settings: &mut Settings,
        url: Url,
        headers: Headers,
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

/// The URL in `variable`. Without a scheme it is plain HTTP if the first of the flags that is set says so.
pub(crate) fn url<T>(settings: &mut Settings, variable: &str, flags: &[&str], expected: &str) -> Option<T>
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

/// The encoding for a signal, and its URL for that protocol. The endpoint of gRPC has another port, and no path.
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

/// The value of the signal's own variable, otherwise of the general one.
fn either<T>(settings: &mut Settings, own: &str, general: &str, expected: &str) -> Option<T>
where
    T: FromStr,
    T::Err: fmt::Display,
{
    let general = settings.parse(general, expected);
    settings.parse(own, expected).or(general)
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
