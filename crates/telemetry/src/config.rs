//! What the environment asks for. Reads variables and decides which destinations are on and why; opens nothing.
//!
//! | variable | meaning |
//! |---|---|
//! | `HONEYCOMB_API_KEY` | Honeycomb is on, with this key |
//! | `HONEYCOMB_API_ENDPOINT` | its address: `https://api.honeycomb.io` (the default), `https://api.eu1.honeycomb.io`, or your own |
//! | `HONEYCOMB_DATASET` | the dataset, which classic keys need |
//! | `OTEL_EXPORTER_OTLP_ENDPOINT` | an OTLP/HTTP collector is on at this address; a Honeycomb address means Honeycomb |
//! | `OTEL_EXPORTER_OTLP_HEADERS` | `name=value,…` for that address, values percent-encoded; `x-honeycomb-team=KEY` means Honeycomb |
//! | `AWS_XRAY_DAEMON_ADDRESS` | the X-Ray daemon is on: `host:port`, or `udp:host:port tcp:host:port` |
//! | `OTEL_SERVICE_NAME` | the service's name instead of the one it gives itself |
//! | `RUST_LOG` | what the console shows; `info` unless set |

use std::fmt;
use std::str::FromStr;

use ::http::{HeaderName, HeaderValue};
use secrecy::{ExposeSecret, SecretString};
use settings::{Faults, Settings};

use crate::address::{DaemonAddress, Endpoint};

const COLLECTOR: &str = "OTEL_EXPORTER_OTLP_ENDPOINT";
const HONEYCOMB: &str = "https://api.honeycomb.io";
const TEAM: &str = "x-honeycomb-team";
const DATASET: &str = "x-honeycomb-dataset";

/// A service's telemetry as its environment asks for it.
#[derive(Debug)]
pub struct Config {
    /// Honeycomb.
    pub honeycomb: Switch<Endpoint>,
    /// Any other OTLP/HTTP collector.
    pub otlp: Switch<Endpoint>,
    /// The X-Ray daemon.
    pub xray: Switch<DaemonAddress>,
    pub(crate) service: Option<String>,
    pub(crate) console: Console,
}

/// What the console shows: `RUST_LOG`.
#[derive(Debug)]
pub struct Console(pub(crate) String);

/// A destination that is on or off, and why.
#[derive(Debug)]
pub enum Switch<T> {
    /// On, because of the named variable.
    On(T, &'static str),
    /// Off, for this reason.
    Off(String),
}

impl Config {
    /// From the process's environment.
    ///
    /// # Errors
    /// Every variable that is set and wrong, a line each.
    pub fn from_env() -> Result<Self, Faults> {
        settings::from_env(Self::read)
    }

    /// From `settings`, which remembers the faults; for a service that reads more than this.
    pub fn read(settings: &mut Settings) -> Self {
        let collector = settings.parse::<Endpoint>(COLLECTOR, "a URL such as http://localhost:4318");
        let headers = headers(settings);
        let key = header_value(settings, "HONEYCOMB_API_KEY");
        let dataset = header_value(settings, "HONEYCOMB_DATASET");
        let at = settings.parse::<Endpoint>("HONEYCOMB_API_ENDPOINT", "a URL such as https://api.eu1.honeycomb.io");
        let (honeycomb, otlp) = route(settings, collector, headers, key, dataset, at);
        let xray = settings.parse("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:2000 or \"udp:host:2000 tcp:host:2000\"");
        Self {
            honeycomb,
            otlp,
            xray: match xray {
                Some(address) => Switch::On(address, "AWS_XRAY_DAEMON_ADDRESS"),
                None => Switch::Off("AWS_XRAY_DAEMON_ADDRESS is not set".to_owned()),
            },
            service: settings.text("OTEL_SERVICE_NAME"),
            console: Console::read(settings),
        }
    }

    /// Each destination's name, and where it is or why it is off.
    pub fn destinations(&self) -> [(&'static str, Result<String, &str>); 3] {
        [("honeycomb", self.honeycomb.shown()), ("otlp", self.otlp.shown()), ("xray", self.xray.shown())]
    }

    /// The variables of another process that shall send to the same destinations, and to `collector` and `daemon` where
    /// these settings name none; `None` stands for a variable that must be unset.
    pub fn variables(&self, collector: &str, daemon: &str) -> Vec<(&'static str, Option<String>)> {
        let mut variables = Vec::new();
        if let (Switch::Off(_), Switch::On(honeycomb, _)) = (&self.otlp, &self.honeycomb) {
            // The lesson's form takes the place of the collector's: say the same in Honeycomb's own variables.
            variables.push(("HONEYCOMB_API_ENDPOINT", Some(honeycomb.base.clone())));
            variables.push(("HONEYCOMB_API_KEY", honeycomb.header(TEAM)));
            variables.push(("HONEYCOMB_DATASET", honeycomb.header(DATASET)));
            variables.push(("OTEL_EXPORTER_OTLP_HEADERS", None));
        }
        if let Switch::Off(_) = self.otlp {
            variables.push((COLLECTOR, Some(collector.to_owned())));
        }
        if let Switch::Off(_) = self.xray {
            variables.push(("AWS_XRAY_DAEMON_ADDRESS", Some(daemon.to_owned())));
        }
        variables
    }
}

impl Console {
    /// Checked here, so that a typing error is a fault at start and not a silent console.
    pub fn read(settings: &mut Settings) -> Self {
        let text = settings.text("RUST_LOG").unwrap_or_else(|| "info,actix_server=warn".to_owned());
        if let Err(error) = text.parse::<tracing_subscriber::EnvFilter>() {
            let problem = format!("{text:?} is not valid ({error}); give a level such as info or backend=debug");
            settings.fault("RUST_LOG", problem);
        }
        Self(text)
    }
}

impl<T: fmt::Display> Switch<T> {
    fn shown(&self) -> Result<String, &str> {
        match self {
            Self::On(target, _) => Ok(target.to_string()),
            Self::Off(why) => Err(why),
        }
    }
}

/// Sends the two forms of Honeycomb's variables to one destination, and everything else to `otlp`.
fn route(
    settings: &mut Settings,
    collector: Option<Endpoint>,
    mut headers: Vec<(HeaderName, SecretString)>,
    key: Option<SecretString>,
    dataset: Option<SecretString>,
    at: Option<Endpoint>,
) -> (Switch<Endpoint>, Switch<Endpoint>) {
    let lesson_key = headers.iter().position(|(name, _)| name == TEAM).map(|index| headers.swap_remove(index).1);
    let collector_is_honeycomb = collector.as_ref().is_some_and(Endpoint::is_honeycomb) || lesson_key.is_some();
    if lesson_key.is_some() && key.is_some() && lesson_key.as_ref().map(expose) != key.as_ref().map(expose) {
        settings.fault(
            "HONEYCOMB_API_KEY",
            format!("differs from {TEAM} in OTEL_EXPORTER_OTLP_HEADERS; give the key in one of the two"),
        );
    }
    if collector_is_honeycomb && lesson_key.is_none() && key.is_none() {
        settings.fault(
            COLLECTOR,
            format!(
                "is Honeycomb's but no key is set; set HONEYCOMB_API_KEY, or OTEL_EXPORTER_OTLP_HEADERS=\"{TEAM}=KEY\""
            ),
        );
    }
    let why = if key.is_some() { "HONEYCOMB_API_KEY" } else { "OTEL_EXPORTER_OTLP_HEADERS" };
    let (lesson_endpoint, collector) = if collector_is_honeycomb { (collector, None) } else { (None, collector) };
    let honeycomb = match key.or(lesson_key) {
        None => Switch::Off("HONEYCOMB_API_KEY is not set".to_owned()),
        Some(key) => {
            let named = if at.is_some() { "HONEYCOMB_API_ENDPOINT" } else { COLLECTOR };
            let mut endpoint = at.or(lesson_endpoint).unwrap_or_else(|| Endpoint::at(HONEYCOMB));
            if !endpoint.is_private() {
                unencrypted(settings, named, &endpoint);
            }
            endpoint.headers.push((HeaderName::from_static(TEAM), key));
            endpoint.headers.extend(dataset.map(|dataset| (HeaderName::from_static(DATASET), dataset)));
            if collector_is_honeycomb {
                endpoint.headers.append(&mut headers);
            }
            Switch::On(endpoint, why)
        }
    };
    let otlp = match collector {
        Some(mut endpoint) => {
            if !headers.is_empty() && !endpoint.is_private() {
                unencrypted(settings, COLLECTOR, &endpoint);
            }
            endpoint.headers = headers;
            Switch::On(endpoint, COLLECTOR)
        }
        None if collector_is_honeycomb => Switch::Off("OTEL_EXPORTER_OTLP_ENDPOINT is Honeycomb's".to_owned()),
        None => Switch::Off("OTEL_EXPORTER_OTLP_ENDPOINT is not set".to_owned()),
    };
    (honeycomb, otlp)
}

fn unencrypted(settings: &mut Settings, variable: &str, endpoint: &Endpoint) {
    let problem = format!("{:?} would carry a key unencrypted; give an https:// address", endpoint.base);
    settings.fault(variable, problem);
}

fn expose(key: &SecretString) -> &str {
    key.expose_secret()
}

/// A text that can travel in a header. It is never quoted back.
fn header_value(settings: &mut Settings, name: &str) -> Option<SecretString> {
    let text = settings.text(name)?;
    if !text.chars().all(|c| c.is_ascii_graphic() && !matches!(c, '"' | '\'')) {
        settings.fault(name, "holds a quote, a space or a character outside ASCII; give it alone, as it was copied");
    }
    Some(text.into())
}

/// `name=value,…`, the values percent-encoded. Values are never quoted back: they are often keys.
fn headers(settings: &mut Settings) -> Vec<(HeaderName, SecretString)> {
    const VARIABLE: &str = "OTEL_EXPORTER_OTLP_HEADERS";
    let text = settings.text(VARIABLE).unwrap_or_default();
    let mut headers = Vec::new();
    for (index, member) in text.split(',').enumerate().filter(|(_, member)| !member.trim().is_empty()) {
        let header = member.split_once('=').and_then(|(name, value)| {
            let name = HeaderName::from_str(name.trim()).ok()?;
            let value = percent_decode(value.trim())?;
            (!value.is_empty() && HeaderValue::from_str(&value).is_ok()).then_some((name, SecretString::from(value)))
        });
        match header {
            Some(header) => headers.push(header),
            None => settings.fault(
                VARIABLE,
                format!("its entry {} is not a name=value pair with a value; write it like {TEAM}=KEY", index + 1),
            ),
        }
    }
    headers
}

/// Takes `%XX` for the byte it stands for; `None` where the escape is broken or the result is not UTF-8.
fn percent_decode(text: &str) -> Option<String> {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn read(pairs: &[(&str, &str)]) -> Result<Config, String> {
        let mut settings = Settings::from_pairs(pairs);
        let config = Config::read(&mut settings);
        settings.finish(config).map_err(|faults| faults.to_string())
    }

    fn on<T>(switch: Switch<T>) -> T {
        match switch {
            Switch::On(target, _) => target,
            Switch::Off(why) => panic!("off: {why}"),
        }
    }

    fn is_off<T>(switch: &Switch<T>) -> bool {
        matches!(switch, Switch::Off(_))
    }

    #[test]
    fn nothing_is_on_unless_asked_for() {
        let config = read(&[]).unwrap();
        assert!(is_off(&config.honeycomb) && is_off(&config.otlp) && is_off(&config.xray));
    }

    #[test]
    fn a_honeycomb_key_and_a_collector_are_two_destinations() {
        let config =
            read(&[("HONEYCOMB_API_KEY", "k"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:4318/")]).unwrap();
        assert_eq!(on(config.honeycomb).traces(), "https://api.honeycomb.io/v1/traces");
        let otlp = on(config.otlp);
        assert_eq!(otlp.traces(), "http://127.0.0.1:4318/v1/traces");
        assert!(otlp.headers().is_empty(), "the key goes to Honeycomb alone");
    }

    #[test]
    fn the_lessons_form_is_honeycomb() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io:443"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=a%20b"),
        ]);
        let config = config.unwrap();
        assert!(is_off(&config.otlp));
        let endpoint = on(config.honeycomb);
        assert_eq!(endpoint.traces(), "https://api.eu1.honeycomb.io:443/v1/traces");
        assert_eq!(endpoint.headers().iter().map(|(_, value)| value.expose_secret()).collect::<Vec<_>>(), ["a b"]);
    }

    #[test]
    fn another_process_is_told_the_same_in_its_variables() {
        let config = read(&[
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.eu1.honeycomb.io"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-honeycomb-team=k,x-honeycomb-dataset=d"),
        ]);
        let variables = config.unwrap().variables("http://127.0.0.1:4318", "127.0.0.1:2000");
        let mut settings = Settings::from_lookup(move |name| {
            variables.iter().find(|(key, _)| *key == name).and_then(|(_, value)| value.clone())
        });
        let told = Config::read(&mut settings);
        let told = settings.finish(told).unwrap();
        let honeycomb = on(told.honeycomb);
        assert_eq!(honeycomb.traces(), "https://api.eu1.honeycomb.io/v1/traces");
        assert_eq!((honeycomb.header(TEAM), honeycomb.header(DATASET)), (Some("k".into()), Some("d".into())));
        assert_eq!(on(told.otlp).traces(), "http://127.0.0.1:4318/v1/traces");
        assert_eq!(on(told.xray).udp, "127.0.0.1:2000");
    }

    #[test]
    fn every_fault_is_named_and_no_key_is_quoted() {
        let faults = read(&[
            ("HONEYCOMB_API_KEY", "canary\u{7}key"),
            ("HONEYCOMB_API_ENDPOINT", "http://honeycomb.example"),
            ("OTEL_EXPORTER_OTLP_HEADERS", "x-canary"),
            ("AWS_XRAY_DAEMON_ADDRESS", "2000"),
            ("RUST_LOG", "backend=loud"),
        ])
        .unwrap_err();
        for name in [
            "HONEYCOMB_API_KEY",
            "HONEYCOMB_API_ENDPOINT",
            "OTEL_EXPORTER_OTLP_HEADERS",
            "AWS_XRAY_DAEMON_ADDRESS",
            "RUST_LOG",
        ] {
            assert!(faults.lines().any(|line| line.starts_with(name)), "{name} in {faults}");
        }
        assert!(!faults.contains("canary"), "{faults}");
    }

    #[test]
    fn honeycombs_address_without_a_key_is_a_fault() {
        let faults = read(&[("OTEL_EXPORTER_OTLP_ENDPOINT", "https://api.honeycomb.io")]).unwrap_err();
        assert!(faults.contains("no key is set"), "{faults}");
    }
}
