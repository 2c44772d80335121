//! The proxy's settings, from the environment and the command line. Reads the routes file and the certificate's files, and
//! opens nothing else.
//! `docs/src/configuration.md` describes each variable; a test in `cruddur` compares that page with the code.

use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::str::FromStr;

use settings::Settings;
use settings::allowed_hosts::AllowedHosts;
use settings::origin::Origin;
use telemetry::propagation::Trust;

use crate::inbound::certificate::Certificate;
use crate::inbound::permits::Connections;
use crate::options::Options;
use crate::routes::{Rule, Source, Variables};
use crate::upstream::address::Upstream;

/// The proxy's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The certificate for TLS.
    pub(crate) certificate: Option<Certificate>,
    /// Concurrent connections.
    pub(crate) connections: Connections,
    /// The hosts under which traces are available.
    pub(crate) hosts: AllowedHosts,
    /// The origins whose pages may read the proxy's errors.
    pub(crate) origins: Vec<Origin>,
    /// Concurrent connections of one client; if not set, a share of all.
    pub(crate) client_connections: Option<Connections>,
    /// Whose trace is continued.
    pub(crate) trust: Trust,
    /// The page's spans, and the access log.
    pub(crate) options: Options,
    /// Where requests go, and the file to reread that from.
    pub(crate) rules: Vec<Rule>,
    pub(crate) source: Source,
}

/// Settings from the command line, which replace those of the environment.
#[derive(Debug, Clone, Default)]
pub struct CommandLine {
    /// Instead of `CRUDDUR_PROXY_CONFIG`.
    pub config: Option<PathBuf>,
    /// Instead of `TRACE_TRUST`.
    pub trust: Option<Trust>,
}

impl Config {
    /// Reads `settings` and the routes file; records the faults in `settings`.
    pub fn read(settings: &mut Settings, command_line: CommandLine) -> Self {
        let listen = settings.listen("CRUDDUR_PROXY_LISTEN", 3000);
        let expected = "an address such as http://127.0.0.1:4567, without a path";
        let upstream = settings.parse_or("CRUDDUR_UPSTREAM", Upstream::backend(), expected);
        let viewer = settings.parse("CRUDDUR_VIEWER", "an address such as http://127.0.0.1:4318, without a path");
        let trust = settings.parse("TRACE_TRUST", "never, link, always, or networks such as 10.0.0.0/8,::1");
        let keys: Option<BaggageKeys> = settings.parse("TRACE_BAGGAGE_KEYS", "keys such as tenant,locale");
        let file = settings.text("CRUDDUR_PROXY_CONFIG").map(PathBuf::from);
        let source = Source { file: command_line.config.or(file), variables: Variables { upstream, viewer } };
        Self {
            hosts: AllowedHosts::read(settings, listen),
            origins: Origin::read_all(settings),
            listen,
            certificate: Certificate::read(settings),
            connections: settings.parse_or(
                "CRUDDUR_PROXY_CONNECTIONS",
                Connections::default(),
                "a number from 1 to 100000",
            ),
            client_connections: settings.parse("CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT", "a number from 1 to 100000"),
            trust: command_line.trust.or(trust).unwrap_or_default().with_baggage(keys.unwrap_or_default().0),
            options: Options::read(settings),
            rules: source.read(settings),
            source,
        }
    }

    /// The routes as they will be active, one per line.
    pub fn table(&self) -> String {
        let mut table = String::new();
        for rule in &self.rules {
            // Writing to a String does not fail.
            let _ = writeln!(table, "{rule}");
        }
        table
    }

    /// The routes file; `None` if the built-in routes are used.
    pub fn routes_file(&self) -> Option<&std::path::Path> {
        self.source.file.as_deref()
    }
}

/// Keys of baggage: tokens, separated by commas.
#[derive(Debug, Default)]
struct BaggageKeys(Vec<String>);

/// Why a text is not a list of keys.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a key")]
struct NotAKey(String);

impl FromStr for BaggageKeys {
    type Err = NotAKey;

    fn from_str(text: &str) -> Result<Self, NotAKey> {
        let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
        let key = |key: &str| match key.trim() {
            key if !key.is_empty() && key.bytes().all(token) => Ok(key.to_owned()),
            key => Err(NotAKey(key.to_owned())),
        };
        text.split(',').map(key).collect::<Result<_, _>>().map(Self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_of_baggage_are_tokens() {
        assert_eq!("tenant, a.b-c".parse::<BaggageKeys>().unwrap().0, ["tenant", "a.b-c"]);
        for text in ["", "a,", "a b", "a=b", "caf\u{e9}"] {
            assert!(text.parse::<BaggageKeys>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_command_line_overrides_the_environment() {
        let read = |options| {
            let variables = [("TRACE_TRUST", "never"), ("CRUDDUR_PROXY_CONFIG", "/nowhere/a.toml")];
            let mut settings = Settings::from_pairs(&variables);
            let config = Config::read(&mut settings, options);
            (config.trust, settings.finish(()).map_err(|faults| faults.to_string()))
        };
        let options = CommandLine { config: Some("/nowhere/b.toml".into()), trust: Some(Trust::ALWAYS) };
        let (trust, faults) = read(options);
        assert_eq!(trust, Trust::ALWAYS);
        assert!(faults.unwrap_err().starts_with("/nowhere/b.toml: cannot read the file"));
        let (trust, faults) = read(CommandLine::default());
        assert_eq!(trust, "never".parse().unwrap());
        assert!(faults.unwrap_err().starts_with("/nowhere/a.toml: cannot read the file"));
    }
}
