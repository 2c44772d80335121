//! The settings in the environment. Reads variables, the file of sampling rules if one is named, and AWS's profile files if
//! something must be signed. Decides which destinations are on and why. The names are those of
//! [OpenTelemetry's specification](https://opentelemetry.io/docs/specs/otel/configuration/sdk-environment-variables/), with its
//! defaults unless the table says otherwise. A value or a variable ([`is_known`] has the whole list) that the specification has
//! but this crate does not support is a warning with what happens instead, because a platform may set either for every service.
//! A value that is not in the specification is a fault.
//!
//! | variable | meaning |
//! |---|---|
//! | `HONEYCOMB_API_KEY` | Honeycomb is on, with this key |
//! | `HONEYCOMB_API_ENDPOINT` | its address: `https://api.honeycomb.io` (the default), `https://api.eu1.honeycomb.io`, or your own |
//! | `HONEYCOMB_DATASET` | the dataset, which classic keys need |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | an OTLP/HTTP collector is on at this address; an address of Honeycomb means Honeycomb, one of X-Ray means X-Ray |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…` for that address, values percent-encoded; `x-honeycomb-team=KEY` means Honeycomb |
//! | `OTEL_EXPORTER_OTLP_TIMEOUT` | timeout of one export, in milliseconds, at most 60,000 \[10000\] |
//! | `OTEL_EXPORTER_OTLP_COMPRESSION` | `gzip` or `none`; by default `gzip`, but `none` to a collector on this machine |
//! | `OTEL_EXPORTER_OTLP_PROTOCOL` | `http/protobuf` or `http/json` |
//! | `OTEL_EXPORTER_OTLP_INSECURE` | `true`: an endpoint without a scheme is `http://` |
//! | `OTEL_EXPORTER_OTLP_CERTIFICATE` | a PEM file of the CAs to trust at that address \[the public ones\] |
//! | `OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE`, `OTEL_EXPORTER_OTLP_CLIENT_KEY` | PEM files of the certificate and the key that this client uses there |
//! | `OTEL_EXPORTER_OTLP_TRACES_*`, `…_LOGS_*` | any of these for one signal; an endpoint is the whole URL, used as it is written |
//! | `SSL_CERT_FILE`, `SSL_CERT_DIR` | the CAs to trust at every destination: a PEM file, a folder of them \[the public ones\] |
//! | `OTEL_TRACES_EXPORTER` | `none`: no spans are sent anywhere \[`otlp`, and X-Ray's own\] |
//! | `OTEL_LOGS_EXPORTER` | `otlp`: events become log records there; `none`: events of their span \[none\] |
//! | `AWS_XRAY_DAEMON_ADDRESS` | the X-Ray daemon is on: `host:port`, or `udp:host:port tcp:host:port` |
//! | `AWS_XRAY_INDEXED_ATTRIBUTES` | the attributes, `user.id,app.result_length`, that are annotations of segments too \[none\] |
//! | `AWS_XRAY_OTLP_ENDPOINT` | X-Ray's own OTLP endpoint is on: `https://xray.REGION.amazonaws.com`, or any address that takes its place |
//! | `AWS_REGION`, `AWS_DEFAULT_REGION` | the region to sign for if the address names none; otherwise the profile's |
//! | `AWS_ACCESS_KEY_ID`, `AWS_SECRET_ACCESS_KEY`, `AWS_SESSION_TOKEN` | the credentials that sign for it; otherwise a profile's |
//! | `AWS_PROFILE` | the profile of `~/.aws/credentials` and `~/.aws/config` \[`default`\] |
//! | `AWS_SHARED_CREDENTIALS_FILE`, `AWS_CONFIG_FILE`, `HOME` | the paths of those files |
//! | `AWS_CONTAINER_CREDENTIALS_RELATIVE_URI`, `AWS_CONTAINER_CREDENTIALS_FULL_URI`, `AWS_CONTAINER_AUTHORIZATION_TOKEN`, `AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE` | set by ECS and EKS: where a container requests credentials |
//! | `AWS_EC2_METADATA_DISABLED` | `true`: no credentials are requested from an instance's metadata |
//! | `OTEL_SERVICE_NAME` | the service's name instead of the one in its code; otherwise `service.name` of the next variable |
//! | `OTEL_RESOURCE_ATTRIBUTES` | attributes of every span: `key=value,…`, percent-encoded |
//! | `OTEL_RESOURCE_DETECTORS` | the platforms that are queried for more of them at start: any of `ecs`, `ec2`, `eks`; a later one wins \[none\] |
//! | `ECS_CONTAINER_METADATA_URI_V4`, `KUBERNETES_SERVICE_HOST`, `HOSTNAME` | set by the platform itself, for `ecs` and for `eks` |
//! | `AWS_EC2_METADATA_SERVICE_ENDPOINT` | the instance's metadata, for `ec2` and for credentials \[`http://169.254.169.254`\] |
//! | `OTEL_SDK_DISABLED` | `true`: every destination is off and no span is made; the context of a request, with its decision, is propagated unchanged |
//! | `OTEL_TRACES_SAMPLER` | `always_on`, `always_off`, `traceidratio`, or one of them after `parentbased_` \[`parentbased_always_on`\]; or `xray`: by X-Ray's sampling rules |
//! | `OTEL_TRACES_SAMPLER_ARG` | the ratio, from 0 to 1 \[1\]; of `xray`, `endpoint=URL,polling_interval=SECONDS,rules=FILE` \[the daemon's TCP side, 300, 1 a second and 5 %\] |
//! | `OTEL_PROPAGATORS` | any of `tracecontext`, `baggage`, `xray`, or `none` \[all three\] |
//! | `OTEL_BSP_MAX_QUEUE_SIZE` | records that wait for each destination, at most \[32768\]; and at most 16 MiB of them |
//! | `OTEL_BSP_MAX_EXPORT_BATCH_SIZE` | records in one export, at most \[2048\] |
//! | `OTEL_BSP_SCHEDULE_DELAY` | how long a record waits for others, in milliseconds, at most 60,000 \[500\] |
//! | `OTEL_BSP_EXPORT_TIMEOUT` | timeout of one export if `OTEL_EXPORTER_OTLP_TIMEOUT` is not set |
//! | `OTEL_BLRP_MAX_QUEUE_SIZE`, `OTEL_BLRP_MAX_EXPORT_BATCH_SIZE`, `OTEL_BLRP_SCHEDULE_DELAY`, `OTEL_BLRP_EXPORT_TIMEOUT` | the same for log records \[as for spans\] |
//! | `OTEL_SPAN_ATTRIBUTE_COUNT_LIMIT`, `OTEL_SPAN_EVENT_COUNT_LIMIT`, `OTEL_SPAN_LINK_COUNT_LIMIT` | limits of one span, at most 10,000 \[128\] |
//! | `OTEL_EVENT_ATTRIBUTE_COUNT_LIMIT`, `OTEL_LOGRECORD_ATTRIBUTE_COUNT_LIMIT` | limits of one event of a span and of one log record \[128\] |
//! | `OTEL_LOGRECORD_ATTRIBUTE_VALUE_LENGTH_LIMIT` | limit of one text of a log record |
//! | `OTEL_LINK_ATTRIBUTE_COUNT_LIMIT` | read, but limits nothing: links have no attributes here |
//! | `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` | limit of one text, in bytes, from 1 to 65,536 \[8192\] |
//! | `OTEL_ATTRIBUTE_COUNT_LIMIT`, `OTEL_ATTRIBUTE_VALUE_LENGTH_LIMIT` | the same if the span's own are not set |
//! | `TRACE_LEVEL` | the spans that are made, by their level and target: `debug`, or `tower_http=debug,noisy=off`; spans of requests are always made \[`info`\] |
//! | `RUST_LOG` | what the console shows; `info` unless set |

mod child;
mod sampling;
mod spans;
#[cfg(test)]
mod tests;
mod variables;

use std::fmt;

use settings::{Faults, Settings};

use crate::address::DaemonAddress;
use crate::console::Console;
use crate::destinations::{otlp, xray_otlp};
use crate::detectors::{self, Detector};
use crate::limits::Limits;
use crate::pipeline::Pace;
use crate::propagation::Propagators;
use crate::span::levels::SpanLevels;
use crate::values::{self, Exporters};

pub use crate::destinations::honeycomb::key::{Key, KeyKind};
pub use crate::destinations::otlp::endpoint::{Endpoint, Protocol};
pub use crate::destinations::otlp::settings::Otlp;
pub use crate::destinations::xray_otlp::settings::XrayOtlp;
pub(crate) use sampling::{Central, Sampling};
pub use spans::service_name;
pub use variables::is_known;

/// A service's telemetry as its environment configures it.
#[derive(Debug)]
pub struct Config {
    /// Honeycomb.
    pub honeycomb: Switch<Otlp>,
    /// Any other OTLP/HTTP collector.
    pub otlp: Switch<Otlp>,
    /// The X-Ray daemon.
    pub xray: Switch<DaemonAddress>,
    /// The attributes that X-Ray must index.
    pub(crate) indexed: Vec<String>,
    /// X-Ray's own OTLP endpoint.
    pub xray_otlp: Switch<XrayOtlp>,
    /// Whether `OTEL_LOGS_EXPORTER` requests log records.
    logs: bool,
    pub(crate) service: Option<String>,
    /// The calling service's version, from its code.
    pub(crate) service_version: Option<String>,
    pub(crate) resource: Vec<(String, String)>,
    /// Empty if every destination is off and no rule depends on the platform: the results would not be used.
    pub(crate) detectors: Vec<Detector>,
    pub(crate) sampling: Sampling,
    pub(crate) limits: Limits,
    /// The pace of spans.
    pub(crate) pace: Pace,
    /// The pace of log records.
    pub(crate) log_pace: Pace,
    /// No spans are made; the context of a request is propagated.
    pub(crate) disabled: bool,
    /// Whether spans go anywhere: not if `OTEL_SDK_DISABLED` or `OTEL_TRACES_EXPORTER` says so.
    pub(crate) sends_spans: bool,
    pub(crate) propagators: Propagators,
    pub(crate) span_levels: SpanLevels,
    pub(crate) console: Console,
    /// What is done differently from what a variable requests, one line each, to be printed at start.
    pub(crate) warnings: Vec<String>,
}

/// A destination that is on or off, and why.
#[derive(Debug)]
pub enum Switch<T> {
    /// On, because of the named variable.
    On(T, &'static str),
    /// Off, for this reason.
    Off(String),
}

impl Config {
    /// Reads the process's environment.
    ///
    /// # Errors
    /// Every variable that is set and invalid, one line each.
    pub fn from_env() -> Result<Self, Faults> {
        settings::from_env(Self::read)
    }

    /// Reads `settings`, which records the faults; for a service that reads more than this.
    pub fn read(settings: &mut Settings) -> Self {
        let logs = values::exporters(settings, &values::LOGS) == Exporters::Otlp;
        let found = otlp::settings::read(settings, logs);
        let (mut honeycomb, mut otlp) = (found.honeycomb, found.otlp);
        let mut xray_otlp = xray_otlp::settings::read(settings, found.xray);
        let mut xray =
            match settings.parse("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000 or \"udp:host:2000 tcp:host:2000\"") {
                Some(address) => Switch::On(address, "AWS_XRAY_DAEMON_ADDRESS"),
                None => unset(settings, "AWS_XRAY_DAEMON_ADDRESS"),
            };
        let daemon = if let Switch::On(address, _) = &xray { Some(address) } else { None };
        let mut sampling = Sampling::read(settings, daemon);
        let mut detectors = detectors::read(settings);
        let no_traces = values::exporters(settings, &values::TRACES) == Exporters::None;
        if no_traces {
            sampling.disable();
            let off = "OTEL_TRACES_EXPORTER is none";
            (honeycomb, otlp) = (honeycomb.without_traces(off), otlp.without_traces(off));
            (xray, xray_otlp) = (Switch::off(off), Switch::off(off));
        }
        let disabled = values::flag(settings, "OTEL_SDK_DISABLED").unwrap_or_default();
        if disabled {
            let off = "OTEL_SDK_DISABLED is true";
            (honeycomb, otlp, xray) = (Switch::off(off), Switch::off(off), Switch::off(off));
            xray_otlp = Switch::off(off);
            sampling.disable();
        }
        let off = [honeycomb.is_off(), otlp.is_off(), xray.is_off(), xray_otlp.is_off()];
        if off.into_iter().all(|off| off) && matches!(sampling, Sampling::Plain(_)) {
            detectors.clear();
        }
        let pace = spans::pace(settings, &spans::SPANS, Pace::default());
        let log_pace = spans::pace(settings, &spans::LOG_RECORDS, pace);
        let limits = spans::limits(settings);
        let propagators = values::propagators(settings);
        values::metrics(settings);
        variables::warn_of_ignored(settings);
        let is_sent = |otlp: &Switch<Otlp>| matches!(otlp, Switch::On(Otlp { logs: Some(_), .. }, _));
        if logs && !disabled && !is_sent(&honeycomb) && !is_sent(&otlp) {
            let instead =
                "no destination takes log records, so none are sent; name one in OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
            settings.warn("OTEL_LOGS_EXPORTER", instead);
        }
        Self {
            honeycomb,
            otlp,
            xray,
            xray_otlp,
            indexed: spans::indexed(settings),
            logs: logs && !disabled,
            service: service_name(settings),
            service_version: None,
            resource: spans::resource(settings),
            detectors,
            sampling,
            limits,
            pace,
            log_pace,
            disabled,
            sends_spans: !disabled && !no_traces,
            propagators,
            span_levels: SpanLevels::read(settings),
            console: Console::read(settings),
            warnings: settings.warnings().map(|(subject, instead)| format!("{subject}: {instead}")).collect(),
        }
    }

    /// The version of the calling service, its `service.version` unless `OTEL_RESOURCE_ATTRIBUTES` gives another. Without it, spans have
    /// no version.
    ///
    /// ```no_run
    /// let config = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION"));
    /// let telemetry = config.install("backend")?;
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn service_version(self, version: &str) -> Self {
        Self { service_version: Some(version.to_owned()), ..self }
    }

    /// The file of X-Ray's sampling rules that apply if there are no central ones, if one is named.
    pub fn rules_file(&self) -> Option<&str> {
        match &self.sampling {
            Sampling::Xray(rules) => rules.file.as_deref(),
            Sampling::Plain(_) => None,
        }
    }

    /// The addresses that log records are sent to. `None` if `OTEL_LOGS_EXPORTER` does not request them; no address if no
    /// destination accepts them.
    pub fn log_records(&self) -> Option<Vec<String>> {
        let of = |switch: &Switch<Otlp>| match switch {
            Switch::On(Otlp { logs: Some(logs), .. }, _) => Some(logs.url.to_string()),
            _ => None,
        };
        self.logs.then(|| [&self.honeycomb, &self.otlp].into_iter().filter_map(of).collect())
    }

    /// Each destination's name, and its address or why it is off.
    pub fn destinations(&self) -> [(&'static str, Result<String, &str>); 4] {
        let url = |otlp: &Otlp| otlp.url().map(ToString::to_string).unwrap_or_default();
        [
            ("honeycomb", self.honeycomb.shown(url)),
            ("otlp", self.otlp.shown(url)),
            ("xray", self.xray.shown(ToString::to_string)),
            ("xray-otlp", self.xray_otlp.shown(|to| to.endpoint.url.to_string())),
        ]
    }
}

impl Switch<Otlp> {
    /// With log records alone, if the destination accepts them.
    fn without_traces(self, why: &str) -> Self {
        match self {
            Self::On(otlp, by) if otlp.logs.is_some() => Self::On(Otlp { traces: None, ..otlp }, by),
            Self::On(..) => Self::off(why),
            off => off,
        }
    }
}

impl<T> Switch<T> {
    pub(crate) fn off(why: &str) -> Self {
        Self::Off(why.to_owned())
    }

    fn is_off(&self) -> bool {
        matches!(self, Self::Off(_))
    }

    fn shown(&self, show: impl Fn(&T) -> String) -> Result<String, &str> {
        match self {
            Self::On(target, _) => Ok(show(target)),
            Self::Off(why) => Err(why),
        }
    }
}

/// Off, because `variable` is not set, or because it is invalid, which is a separate fault.
pub(crate) fn unset<T>(settings: &Settings, variable: &str) -> Switch<T> {
    let is = if settings.is_wrong(variable) { "is wrong" } else { "is not set" };
    Switch::Off(format!("{variable} {is}"))
}

/// Writes `%XX` for every byte that may have a meaning in a list of pairs.
pub(crate) fn percent_encode(text: &str) -> String {
    let encoded =
        |byte: u8| if byte.is_ascii_alphanumeric() { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    text.bytes().map(encoded).collect()
}

/// Replaces `%XX` by the byte it stands for; `None` if the escape is broken or the result is not UTF-8.
pub(crate) fn percent_decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let mut digit = || char::from(bytes.next()?).to_digit(16);
        let value = digit()? * 16 + digit()?;
        decoded.push(u8::try_from(value).ok()?);
    }
    String::from_utf8(decoded).ok()
}

/// `sampler parentbased_always_on; at most 32768 records or 16 MiB of them wait`
impl fmt::Display for Pace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "at most {} records or {} MiB of them wait", self.queue, self.queue_bytes / 1024 / 1024)
    }
}
