//! The destinations of the variables, in code. A key or header of the code belongs to its address: if a variable names another
//! address, it is not used.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};

use super::provided::{Provided, ProvidedValue};
use crate::values::percent_encode;

/// Honeycomb, with its key.
///
/// ```
/// use telemetry::builder::HoneycombDestination;
/// let honeycomb = HoneycombDestination::new("hcaik_…").at("https://api.eu1.honeycomb.io");
/// # drop(honeycomb);
/// ```
#[derive(Debug, Clone)]
pub struct HoneycombDestination {
    key: SecretString,
    address: Option<String>,
    dataset: Option<String>,
    metrics_dataset: Option<String>,
}

/// A collector that receives OTLP.
///
/// ```
/// use std::time::Duration;
/// use telemetry::builder::OtlpDestination;
/// let collector = OtlpDestination::at("https://collector.example:4318")
///     .header("authorization", "Bearer …")
///     .timeout(Duration::from_secs(5))
///     .gzip();
/// # drop(collector);
/// ```
#[derive(Debug, Clone)]
pub struct OtlpDestination {
    spans: Option<String>,
    logs: Option<String>,
    metrics: Option<String>,
    headers: Vec<(String, SecretString)>,
    settings: Vec<(OtlpSetting, String)>,
}

/// The X-Ray daemon.
///
/// ```
/// use telemetry::builder::XrayDestination;
/// let daemon = XrayDestination::at("127.0.0.1:2000").indexed(["user.id", "order.id"]);
/// # drop(daemon);
/// ```
#[derive(Debug, Clone)]
pub struct XrayDestination {
    address: String,
    indexed: Vec<String>,
}

/// X-Ray without a daemon: OTLP, signed with AWS's credentials. They are found as the variables' are, unless they are given.
///
/// ```
/// use telemetry::builder::XrayOtlpDestination;
/// let xray = XrayOtlpDestination::at("https://xray.eu-west-1.amazonaws.com");
/// # drop(xray);
/// ```
#[derive(Debug, Clone)]
pub struct XrayOtlpDestination {
    address: String,
    region: Option<String>,
    credentials: Vec<(&'static str, SecretString)>,
}

/// A variable, in the order general, spans, logs, metrics.
type OtlpSetting = [&'static str; 4];

const ENDPOINT: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
    "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT",
    "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT",
];
const HEADERS: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_HEADERS",
    "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
    "OTEL_EXPORTER_OTLP_LOGS_HEADERS",
    "OTEL_EXPORTER_OTLP_METRICS_HEADERS",
];
const TIMEOUT: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT",
    "OTEL_EXPORTER_OTLP_LOGS_TIMEOUT",
    "OTEL_EXPORTER_OTLP_METRICS_TIMEOUT",
];
const COMPRESSION: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_COMPRESSION",
    "OTEL_EXPORTER_OTLP_TRACES_COMPRESSION",
    "OTEL_EXPORTER_OTLP_LOGS_COMPRESSION",
    "OTEL_EXPORTER_OTLP_METRICS_COMPRESSION",
];
const PROTOCOL: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_PROTOCOL",
    "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL",
    "OTEL_EXPORTER_OTLP_LOGS_PROTOCOL",
    "OTEL_EXPORTER_OTLP_METRICS_PROTOCOL",
];
const CERTIFICATE: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CERTIFICATE",
];
const CLIENT_CERTIFICATE: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_CERTIFICATE",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_CERTIFICATE",
];
const CLIENT_KEY: OtlpSetting = [
    "OTEL_EXPORTER_OTLP_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_TRACES_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_LOGS_CLIENT_KEY",
    "OTEL_EXPORTER_OTLP_METRICS_CLIENT_KEY",
];

impl HoneycombDestination {
    /// Honeycomb in the United States, with an ingest key, or a configuration key that may send.
    pub fn new(key: impl Into<SecretString>) -> Self {
        Self { key: key.into(), address: None, dataset: None, metrics_dataset: None }
    }

    /// Another address, such as `https://api.eu1.honeycomb.io`.
    #[must_use]
    pub fn at(self, address: &str) -> Self {
        Self { address: Some(address.to_owned()), ..self }
    }

    /// The dataset, for classic keys.
    #[must_use]
    pub fn dataset(self, name: &str) -> Self {
        Self { dataset: Some(name.to_owned()), ..self }
    }

    /// The dataset of metrics.
    #[must_use]
    pub fn metrics_dataset(self, name: &str) -> Self {
        Self { metrics_dataset: Some(name.to_owned()), ..self }
    }

    pub(super) fn provide(self, to: &mut Provided) {
        const ADDRESS: &str = "HONEYCOMB_API_ENDPOINT";
        const KEY: &str = "HONEYCOMB_API_KEY";
        let key = ProvidedValue::new(KEY, self.key, &[ADDRESS]);
        let address = self.address.map(|address| ProvidedValue::new(ADDRESS, address, &[]));
        let dataset = self.dataset.map(|name| ProvidedValue::new("HONEYCOMB_DATASET", name, &[ADDRESS, KEY]));
        let of_metrics =
            self.metrics_dataset.map(|name| ProvidedValue::new("HONEYCOMB_METRICS_DATASET", name, &[ADDRESS]));
        to.replace("honeycomb", [key].into_iter().chain(address).chain(dataset).chain(of_metrics));
    }
}

impl OtlpDestination {
    /// A collector at this base URL, such as `http://localhost:4318`: for spans at `/v1/traces` below it, and for log records and
    /// metrics, if they are requested, at `/v1/logs` and `/v1/metrics`.
    pub fn at(base: &str) -> Self {
        let base = base.trim_end_matches('/');
        let at = |path| Some(format!("{base}{path}"));
        let [spans, logs, metrics] = ["/v1/traces", "/v1/logs", "/v1/metrics"].map(at);
        Self { spans, logs, metrics, headers: Vec::new(), settings: Vec::new() }
    }

    /// Another whole URL for spans, used exactly as it is written.
    #[must_use]
    pub fn spans_at(self, url: &str) -> Self {
        Self { spans: Some(url.to_owned()), ..self }
    }

    /// Another whole URL for log records, used exactly as it is written.
    #[must_use]
    pub fn logs_at(self, url: &str) -> Self {
        Self { logs: Some(url.to_owned()), ..self }
    }

    /// Another whole URL for metrics, used exactly as it is written.
    #[must_use]
    pub fn metrics_at(self, url: &str) -> Self {
        Self { metrics: Some(url.to_owned()), ..self }
    }

    /// Another header of each request. The value is a secret: no log shows it.
    #[must_use]
    pub fn header(mut self, name: &str, value: impl Into<SecretString>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    /// The time limit of one export: at most a minute, by default ten seconds.
    #[must_use]
    pub fn timeout(self, timeout: Duration) -> Self {
        self.with(TIMEOUT, timeout.as_millis().to_string())
    }

    /// Compresses each request, also to this machine.
    #[must_use]
    pub fn gzip(self) -> Self {
        self.with(COMPRESSION, "gzip".to_owned())
    }

    /// Compresses no request.
    #[must_use]
    pub fn uncompressed(self) -> Self {
        self.with(COMPRESSION, "none".to_owned())
    }

    /// Sends by gRPC instead of HTTP, to the same host and port. Needs the feature `grpc`.
    #[must_use]
    pub fn grpc(self) -> Self {
        self.with(PROTOCOL, "grpc".to_owned())
    }

    /// Sends JSON instead of protobuf.
    #[must_use]
    pub fn json(self) -> Self {
        self.with(PROTOCOL, "http/json".to_owned())
    }

    /// A PEM file of the CAs to trust at this address, instead of the public ones.
    #[must_use]
    pub fn certificates(self, file: &str) -> Self {
        self.with(CERTIFICATE, file.to_owned())
    }

    /// PEM files of the certificate to present there, and of its key without a passphrase.
    #[must_use]
    pub fn client_certificate(self, certificate: &str, key: &str) -> Self {
        self.with(CLIENT_CERTIFICATE, certificate.to_owned()).with(CLIENT_KEY, key.to_owned())
    }

    fn with(mut self, setting: OtlpSetting, value: String) -> Self {
        self.settings.retain(|(own, _)| *own != setting);
        self.settings.push((setting, value));
        self
    }

    pub(super) fn provide(self, to: &mut Provided) {
        let pairs: Vec<String> = self
            .headers
            .iter()
            .map(|(name, value)| format!("{name}={}", percent_encode(value.expose_secret())))
            .collect();
        let headers = (!pairs.is_empty()).then(|| (HEADERS, pairs.join(",")));
        let settings: Vec<_> = self.settings.into_iter().chain(headers).collect();
        // A signal whose address is a variable's has nothing of this.
        let signal = |index: usize, url: Option<String>| {
            let address = ENDPOINT.get(index).copied().unwrap_or_default();
            let [general, ..] = ENDPOINT;
            let own = url.map(|url| ProvidedValue::new(address, url, &[general]));
            let others = settings.iter().filter_map(move |(setting, value)| {
                let ([all, ..], own) = (setting, setting.get(index)?);
                Some(ProvidedValue::new(own, value.as_str(), &[general, address, *all]))
            });
            own.into_iter().chain(others).collect::<Vec<_>>()
        };
        let values = [signal(1, self.spans), signal(2, self.logs), signal(3, self.metrics)].concat();
        to.replace("otlp", values);
    }
}

impl XrayDestination {
    /// The daemon at `host:port`, or at `udp:host:port tcp:host:port`.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), indexed: Vec::new() }
    }

    /// The attributes that are also annotations of X-Ray's documents, at most 50.
    #[must_use]
    pub fn indexed<T: Into<String>>(self, keys: impl IntoIterator<Item = T>) -> Self {
        Self { indexed: keys.into_iter().map(Into::into).collect(), ..self }
    }

    pub(super) fn provide(self, to: &mut Provided) {
        let address = ProvidedValue::new("AWS_XRAY_DAEMON_ADDRESS", self.address, &[]);
        let keys = self.indexed.join(",");
        let indexed = (!keys.is_empty()).then(|| ProvidedValue::new("AWS_XRAY_INDEXED_ATTRIBUTES", keys, &[]));
        to.replace("xray", [address].into_iter().chain(indexed));
    }
}

impl XrayOtlpDestination {
    /// X-Ray's endpoint, or any address instead of it.
    pub fn at(address: &str) -> Self {
        Self { address: address.to_owned(), region: None, credentials: Vec::new() }
    }

    /// The region to sign for, if the address names none.
    #[must_use]
    pub fn region(self, region: &str) -> Self {
        Self { region: Some(region.to_owned()), ..self }
    }

    /// The keys to sign with.
    #[must_use]
    pub fn keys(self, id: &str, secret: impl Into<SecretString>) -> Self {
        let credentials = vec![("AWS_ACCESS_KEY_ID", id.into()), ("AWS_SECRET_ACCESS_KEY", secret.into())];
        Self { credentials, ..self }
    }

    /// The token of the session that the keys belong to. Given after the keys.
    #[must_use]
    pub fn session(mut self, token: impl Into<SecretString>) -> Self {
        self.credentials.push(("AWS_SESSION_TOKEN", token.into()));
        self
    }

    pub(super) fn provide(self, to: &mut Provided) {
        const ADDRESS: &str = "AWS_XRAY_OTLP_ENDPOINT";
        const REPLACED_BY: [&str; 4] = [ADDRESS, "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"];
        let address = ProvidedValue::new(ADDRESS, self.address, &[]);
        let region = self.region.map(|region| ProvidedValue::new("AWS_REGION", region, &["AWS_DEFAULT_REGION"]));
        let keys =
            self.credentials.into_iter().map(|(variable, value)| ProvidedValue::new(variable, value, &REPLACED_BY));
        to.replace("xray-otlp", [address].into_iter().chain(region).chain(keys));
    }
}
