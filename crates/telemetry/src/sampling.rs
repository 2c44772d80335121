//! The variables of sampling. They select one of OpenTelemetry's samplers, or X-Ray's rules in the syntax of AWS's distribution
//! of OpenTelemetry. Reads the file of rules that they name, so that an invalid file is reported at start. Sends no requests.

use std::fmt;
use std::path::Path;
use std::str::FromStr;
use std::time::Duration;

use settings::Settings;
use xray::Rules;
use xray::rules::MAX_FILE_BYTES;

use crate::address::Url;
use crate::destinations::xray::address::DaemonAddress;
use crate::span::sampler::{Root, Sampler};

const VARIABLE: &str = "OTEL_TRACES_SAMPLER";
const ARGUMENT: &str = "OTEL_TRACES_SAMPLER_ARG";
/// The client that polls for rules needs this feature.
const WITH_XRAY: bool = cfg!(feature = "xray");

/// The server of the rules if neither the argument nor `AWS_XRAY_DAEMON_ADDRESS` names one.
const SERVER: &str = "127.0.0.1:2000";
/// The ratio of `traceidratio` unless the argument gives another.
const RATIO: f64 = 1.0;
/// The interval of polling unless the argument gives another.
const POLLING: Duration = Duration::from_secs(300);

/// How the sampling decision for a new trace is made.
#[derive(Debug)]
pub(crate) enum Sampling {
    /// By OpenTelemetry's samplers.
    Plain(Sampler),
    /// By X-Ray's rules.
    Xray(Box<XrayRules>),
}

/// X-Ray's rules, and their sources.
#[derive(Debug)]
pub(crate) struct XrayRules {
    /// The server of the central rules; `None` if there is none.
    pub(crate) central: Option<Central>,
    /// The rules that apply while there are no central ones.
    pub(crate) local: Rules,
    /// The file of the local rules, if there is one.
    pub(crate) file: Option<String>,
}

/// The server that is polled for rules.
#[derive(Debug, Clone)]
pub(crate) struct Central {
    pub(crate) endpoint: Url,
    /// The interval of polling.
    pub(crate) polling: Duration,
}

impl Sampling {
    /// Reads the sampler and its argument. `daemon` is the server of the rules unless the argument names another.
    pub(crate) fn read(settings: &mut Settings, daemon: Option<&DaemonAddress>) -> Self {
        settings.note_default(VARIABLE, Sampler::default());
        let name = settings.text(VARIABLE).map(|name| name.to_ascii_lowercase());
        match name.as_deref() {
            Some("xray") => {
                if !WITH_XRAY {
                    settings.fault(VARIABLE, "xray needs the feature \"xray\"; build with it, or use another sampler");
                }
                Self::Xray(Box::new(XrayRules::read(settings, daemon)))
            }
            name => Self::Plain(plain(settings, name)),
        }
    }

    /// Turns polling off.
    pub(crate) fn disable(&mut self) {
        if let Self::Xray(rules) = self {
            rules.central = None;
        }
    }
}

/// One of the specification's samplers, with its argument if it takes one. The default if none is named.
fn plain(settings: &mut Settings, name: Option<&str>) -> Sampler {
    let Some(name) = name else {
        if settings.is_wrong(VARIABLE) {
            return Sampler::default();
        }
        return without_argument(settings, Sampler::default());
    };
    let (parent_based, root) = name.strip_prefix("parentbased_").map_or((false, name), |root| (true, root));
    match root {
        "traceidratio" => {
            settings.note_default(ARGUMENT, RATIO);
            let ratio = settings.parse::<Ratio>(ARGUMENT, "a ratio from 0 to 1, such as 0.25");
            Sampler { root: Root::ratio(ratio.map_or(RATIO, |Ratio(ratio)| ratio)), parent_based }
        }
        "jaeger_remote" => {
            settings.warn(VARIABLE, format!("{name} is not supported; {} is used", Sampler::default()));
            Sampler::default()
        }
        "always_on" => without_argument(settings, Sampler { root: Root::On, parent_based }),
        "always_off" => without_argument(settings, Sampler { root: Root::Off, parent_based }),
        _ => {
            let problem = format!(
                "{name:?} is not a known sampler; use always_on, always_off, traceidratio, parentbased_ with one of these, or xray"
            );
            settings.fault(VARIABLE, problem);
            Sampler::default()
        }
    }
}

fn without_argument(settings: &mut Settings, sampler: Sampler) -> Sampler {
    if settings.text(ARGUMENT).is_some() {
        settings.warn(ARGUMENT, format!("ignored: the sampler {sampler} takes no argument"));
    }
    sampler
}

impl XrayRules {
    fn read(settings: &mut Settings, daemon: Option<&DaemonAddress>) -> Self {
        let address = daemon.map_or(SERVER, |daemon| daemon.tcp.as_str());
        let endpoint = Url::of(&format!("http://{address}"));
        let mut central = Central { endpoint, polling: POLLING };
        let mut rules = Self { central: None, local: Rules::default(), file: None };
        let text = settings.text(ARGUMENT).unwrap_or_default();
        for member in text.split(',').map(str::trim).filter(|member| !member.is_empty()) {
            if let Err(problem) = rules.apply(member, &mut central) {
                settings.fault(ARGUMENT, problem);
            }
        }
        rules.central = Some(central);
        rules
    }

    fn apply(&mut self, member: &str, central: &mut Central) -> Result<(), String> {
        match member.split_once('=') {
            Some(("endpoint", url)) => {
                let url = url.parse::<Url>().map_err(|error| {
                    format!("its endpoint is not valid ({error}); give a URL such as http://127.0.0.1:2000")
                })?;
                central.endpoint = url;
            }
            Some(("polling_interval", seconds)) => {
                let polling = seconds.parse().ok().filter(|seconds| (1..=1_800).contains(seconds));
                let problem = "its polling_interval is not valid; give seconds from 1 to 1800";
                central.polling = polling.map(Duration::from_secs).ok_or(problem)?;
            }
            Some(("rules", file)) => {
                let bytes = settings::read_file(Path::new(file), MAX_FILE_BYTES)
                    .map_err(|error| format!("cannot read {file}: {error}; give a file of sampling rules"))?;
                self.local = Rules::parse(&bytes).map_err(|error| format!("{file} is invalid: {error}"))?;
                self.file = Some(file.to_owned());
            }
            _ => {
                return Err(format!(
                    "{member:?} is not an option of the sampler xray; use endpoint=URL, polling_interval=SECONDS or rules=FILE, separated by commas"
                ));
            }
        }
        Ok(())
    }
}

impl fmt::Display for Sampling {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Plain(sampler) => write!(f, "{sampler}"),
            Self::Xray(rules) => write!(f, "{rules}"),
        }
    }
}

/// `xray (central at http://127.0.0.1:2000, else ./rules.json)`
impl fmt::Display for XrayRules {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("xray (")?;
        if let Some(Central { endpoint, .. }) = &self.central {
            write!(f, "central at {endpoint}, else ")?;
        }
        match (&self.file, self.local.iter().last()) {
            (Some(file), _) => write!(f, "{file})"),
            (None, Some(rule)) => write!(f, "{} a second and {} %)", rule.reservoir(), (rule.rate() * 100.0).round()),
            (None, None) => f.write_str("none)"),
        }
    }
}

struct Ratio(f64);

impl FromStr for Ratio {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, &'static str> {
        let ratio = text.parse().ok().filter(|ratio| (0.0..=1.0).contains(ratio));
        ratio.map(Self).ok_or("it is not from 0 to 1")
    }
}

#[cfg(test)]
#[cfg(feature = "xray")]
mod tests {
    use super::*;

    fn read(argument: &str, daemon: Option<&str>) -> Result<Sampling, String> {
        let mut settings = Settings::from_pairs(&[(VARIABLE, "xray"), (ARGUMENT, argument)]);
        let daemon = daemon.map(|daemon| daemon.parse().unwrap());
        let sampling = Sampling::read(&mut settings, daemon.as_ref());
        settings.finish(sampling).map_err(|faults| faults.to_string())
    }

    fn shown(argument: &str, daemon: Option<&str>) -> String {
        read(argument, daemon).unwrap().to_string()
    }

    #[test]
    fn rules_come_from_the_daemons_tcp_address_unless_the_argument_names_another() {
        assert_eq!(shown("", None), "xray (central at http://127.0.0.1:2000, else 1 a second and 5 %)");
        let daemon = Some("tcp:a:1 udp:b:2");
        assert_eq!(shown("", daemon), "xray (central at http://a:1, else 1 a second and 5 %)");
        let other = shown("endpoint=http://localhost:2001, polling_interval=10", daemon);
        assert_eq!(other, "xray (central at http://localhost:2001, else 1 a second and 5 %)");
    }

    #[test]
    fn the_defaults_on_the_page_are_those_of_the_code() {
        let page = include_str!("../../../docs/src/sampling.md");
        assert!(page.contains(&format!("`sampler {}`", shown("", None))));
        let seconds = POLLING.as_secs();
        for default in [format!("every {seconds} seconds"), format!("http://{SERVER},polling_interval={seconds},")] {
            assert!(page.contains(&default), "{default}");
        }
    }

    #[test]
    fn every_fault_of_the_argument_is_reported() {
        let faults = read("endpoint=ftp://x,polling_interval=0,rules=/no/such/file,0.25", None).unwrap_err();
        let lines: Vec<&str> = faults.lines().collect();
        assert_eq!(lines.len(), 4, "{faults}");
        assert!(
            lines[0].contains("its scheme is not http or https") && lines[1].contains("from 1 to 1800"),
            "{faults}"
        );
        assert!(lines[2].contains("cannot read /no/such/file") && lines[3].contains("\"0.25\" is not an option"));
        let wrong = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        assert!(
            read(&format!("rules={wrong}"), None).unwrap_err().contains("is invalid: the sampling rules are not JSON")
        );
    }

    #[test]
    fn a_disabled_sdk_polls_no_server() {
        let mut sampling = read("", None).unwrap();
        sampling.disable();
        assert_eq!(sampling.to_string(), "xray (1 a second and 5 %)");
    }
}
