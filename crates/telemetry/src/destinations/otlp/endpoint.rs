//! The endpoint of one signal: its URL, and how requests are sent there.

use std::fmt;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::headers::HeaderList;
use crate::address::Url;
use crate::tls::Tls;
use crate::values::percent_encode;

/// How long a connection may take to open.
pub(super) const CONNECT: Duration = Duration::from_secs(2);
/// The `User-Agent` that the specification requires of an exporter, followed by the product's own.
pub(super) const AGENT: &str =
    concat!("OTel-OTLP-Exporter-Rust/", env!("CARGO_PKG_VERSION"), " cruddur-telemetry/", env!("CARGO_PKG_VERSION"));

/// How long to pause after a key was refused. An administrator may allow the key meanwhile, so the exporter then tries again.
pub(super) const CLOSED: Duration = Duration::from_secs(60);

/// The signals, whose messages have the same shape.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Signal {
    Traces,
    Logs,
    Metrics,
}

/// The endpoint of each signal of a destination.
#[derive(Debug, Clone, Default)]
pub(crate) struct Endpoints {
    pub(crate) traces: Option<Endpoint>,
    pub(crate) logs: Option<Endpoint>,
    pub(crate) metrics: Option<Endpoint>,
}

/// The endpoint of one signal.
#[derive(Debug, Clone)]
pub(crate) struct Endpoint {
    /// The whole URL; for gRPC the URL without a path.
    pub(crate) url: Url,
    /// The part of the URL after `?`.
    pub(crate) query: Option<SecretString>,
    pub(crate) headers: HeaderList,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Tls,
    /// Whether the certificates come from OTLP's variables, and so apply to this address alone.
    pub(crate) has_certificates: bool,
}

/// How OTLP is transported and encoded.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) enum Protocol {
    /// `http/protobuf`
    #[default]
    Protobuf,
    /// `http/json`
    Json,
    /// `grpc`, always with protobuf.
    Grpc,
}

impl Signal {
    /// The path below the base URL.
    pub(crate) fn path(self) -> &'static str {
        match self {
            Self::Traces => "/v1/traces",
            Self::Logs => "/v1/logs",
            Self::Metrics => "/v1/metrics",
        }
    }
}

impl Protocol {
    /// The encoding of messages.
    pub(crate) fn encoding(self) -> otlp::Encoding {
        match self {
            Self::Protobuf | Self::Grpc => otlp::Encoding::Protobuf,
            Self::Json => otlp::Encoding::Json,
        }
    }
}

impl Endpoints {
    /// The endpoints of the signals that the destination receives.
    pub(crate) fn all(&self) -> impl Iterator<Item = &Endpoint> {
        [&self.traces, &self.logs, &self.metrics].into_iter().flatten()
    }

    /// The URL of spans, or of the first signal that the destination receives instead.
    pub(crate) fn url(&self) -> String {
        self.all().next().map(|endpoint| endpoint.url.to_string()).unwrap_or_default()
    }

    /// The URL of log records.
    pub(crate) fn logs_url(&self) -> Option<String> {
        self.logs.as_ref().map(|endpoint| endpoint.url.to_string())
    }

    /// The URL of metrics.
    pub(crate) fn metrics_url(&self) -> Option<String> {
        self.metrics.as_ref().map(|endpoint| endpoint.url.to_string())
    }

    /// The endpoints of log records and of metrics, if there is one.
    pub(crate) fn without_traces(self) -> Option<Self> {
        (self.logs.is_some() || self.metrics.is_some()).then_some(Self { traces: None, ..self })
    }
}

impl Endpoint {
    /// An endpoint without headers and certificates.
    pub(crate) fn plain(url: Url, gzip: bool, protocol: Protocol) -> Self {
        let (query, headers, timeout, tls) = (None, Vec::new(), Duration::from_secs(1), Tls::default());
        Self { url, query, headers, timeout, gzip, protocol, tls, has_certificates: false }
    }

    /// The same endpoint over HTTP, for a destination without gRPC.
    pub(crate) fn over_http(self) -> Self {
        let protocol = if self.protocol == Protocol::Grpc { Protocol::Protobuf } else { self.protocol };
        Self { protocol, ..self }
    }

    /// A header's value, to be passed to a child process.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    /// All headers of the endpoint, in the format of a variable.
    pub(crate) fn headers_as_variable(&self) -> Option<String> {
        let pair = |(name, value): &(_, SecretString)| format!("{name}={}", percent_encode(value.expose_secret()));
        let pairs: Vec<String> = self.headers.iter().map(pair).collect();
        (!pairs.is_empty()).then(|| pairs.join(","))
    }

    /// The values of the headers, and the query: all of these may be keys.
    pub(crate) fn secrets(&self) -> impl Iterator<Item = &SecretString> {
        self.headers.iter().map(|(_, value)| value).chain(&self.query)
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Protobuf => "http/protobuf",
            Self::Json => "http/json",
            Self::Grpc => "grpc",
        })
    }
}

/// `https://api.honeycomb.io/v1/traces, http/protobuf, gzip`
impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}, {}{}", self.url, self.protocol, if self.gzip { ", gzip" } else { "" })
    }
}
