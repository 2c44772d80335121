//! Where one signal is sent over HTTP, and how.

use std::fmt;
use std::time::Duration;

use ::http::HeaderName;
use secrecy::{ExposeSecret, SecretString};

use super::headers::{DATASET, Headers, TEAM};
use crate::address::Url;
use crate::config::percent_encode;
use crate::tls::Tls;

/// The path of traces below a base.
pub(crate) const TRACES: &str = "/v1/traces";

/// Where one signal goes, and how.
#[derive(Debug, Clone)]
pub struct Endpoint {
    /// The whole URL.
    pub url: Url,
    /// The part of the URL after its `?`.
    pub(crate) query: Option<SecretString>,
    pub(crate) headers: Headers,
    pub(crate) timeout: Duration,
    pub(crate) gzip: bool,
    pub(crate) protocol: Protocol,
    pub(crate) tls: Tls,
    /// Whether the certificates come from OTLP's variables, which apply to this address alone.
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

impl Endpoint {
    /// An endpoint without headers and certificates.
    pub(crate) fn plain(url: Url, gzip: bool, protocol: Protocol) -> Self {
        let (query, headers, timeout, tls) = (None, Vec::new(), Duration::from_secs(1), Tls::default());
        Self { url, query, headers, timeout, gzip, protocol, tls, has_certificates: false }
    }

    /// A header's value, to be passed to a child process.
    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    /// Whether Honeycomb's own variables can express the whole endpoint.
    pub(crate) fn is_plain(&self) -> bool {
        let is_known = |name: &HeaderName| name == TEAM || name == DATASET;
        !self.has_certificates
            && self.url.as_str().ends_with(TRACES)
            && self.headers.iter().all(|(name, _)| is_known(name))
    }

    /// All headers of the endpoint, in the format of a variable.
    pub(crate) fn told_headers(&self) -> Option<String> {
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
