//! The doctor's checks of variables: which are set, invalid, unknown, or handled differently than specified.

use std::path::Path;

use settings::{Settings, is_placeholder};

use super::report::{Report, Status};
use super::scope::Scope;
use crate::ports::{Port, ports};
use crate::unknown::{PREFIXES, note, unknown};

/// Variables that name a proxy for a client's requests, in upper or lower case.
const PROXIES: [&str; 4] = ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY"];

/// The settings of all services, including invalid ones.
pub(super) struct AllConfigs {
    pub(super) backend: backend::Config,
    pub(super) telemetry: telemetry::Config,
    pub(super) ports: [(&'static str, Port); 4],
}

/// Reads the variables of all services, and reports on those that the services in `scope` read.
pub(super) fn variables(scope: Scope) -> (Report, AllConfigs) {
    let (mut settings, mut elsewhere) = (Settings::from_env(), Settings::from_env());
    let backend = backend::Config::read(if scope.has(Scope::Backend) { &mut settings } else { &mut elsewhere });
    let of_proxy = if scope.has(Scope::Proxy) { &mut settings } else { &mut elsewhere };
    let proxy = frontend_proxy::Config::read(of_proxy, frontend_proxy::CommandLine::default());
    let viewer = trace_viewer::Config::read(if scope.has(Scope::Viewer) { &mut settings } else { &mut elsewhere });
    let telemetry = telemetry::Config::read(if scope == Scope::Viewer { &mut elsewhere } else { &mut settings });
    let mut report = Report::default();
    report.names(&settings, &elsewhere);
    report.placeholders(&mut settings);
    for (subject, problem) in settings.faults() {
        report.add(subject, Status::Wrong, problem);
    }
    if scope.has(Scope::Proxy) {
        report.routes(&settings, &proxy);
    }
    let ports = ports(&backend, &proxy, &viewer);
    (report, AllConfigs { backend, telemetry, ports })
}

impl Report {
    fn names(&mut self, settings: &Settings, elsewhere: &Settings) {
        let (known, _) = settings.set(&PREFIXES);
        let list = if known.is_empty() { "none is set; all defaults apply".to_owned() } else { known.join(", ") };
        self.add("variables", Status::Ok, format!("{list} (from this process's environment)"));
        if Path::new(".env").exists() {
            self.add("variables", Status::Note, "only docker compose reads .env; export what `cargo run` needs");
        }
        let (of_others, _) = elsewhere.set(&PREFIXES);
        for name in unknown(settings) {
            let note = match settings.nearest(name).or_else(|| elsewhere.nearest(name)) {
                _ if of_others.contains(&name) => format!("{name} is set, but only other services read it"),
                nearest => note(name, nearest),
            };
            self.add("variables", Status::Note, note);
        }
        for (subject, instead) in settings.warnings() {
            self.add("variables", Status::Note, format!("{subject}: {instead}"));
        }
        let proxies: Vec<&str> =
            settings.names().filter(|name| PROXIES.contains(&name.to_ascii_uppercase().as_str())).collect();
        if !proxies.is_empty() {
            let note = format!("{}: not used; every destination is reached directly", proxies.join(", "));
            self.add("variables", Status::Note, note);
        }
    }

    /// Reports values that are still an example's placeholders.
    fn placeholders(&mut self, settings: &mut Settings) {
        let known: Vec<String> = settings.set(&[]).0.into_iter().map(str::to_owned).collect();
        for name in known {
            let Some(text) = settings.text(&name).map(|text| text.replace("%20", " ")) else { continue };
            let values: Vec<&str> = if name.ends_with("_HEADERS") {
                text.split(',').filter_map(|entry| Some(entry.split_once('=')?.1)).collect()
            } else {
                vec![text.as_str()]
            };
            // This includes `Bearer <token>`.
            let is_one =
                |value: &str| is_placeholder(value) || value.split_whitespace().last().is_some_and(is_placeholder);
            if values.into_iter().any(is_one) && !settings.is_wrong(&name) {
                self.add(name, Status::Wrong, "holds an example's placeholder; give the real value, or leave it blank");
            }
        }
    }

    fn routes(&mut self, settings: &Settings, proxy: &frontend_proxy::Config) {
        let file = proxy.routes_file().map(|file| file.display().to_string());
        let is_wrong =
            file.as_ref().is_some_and(|file| settings.faults().any(|(subject, _)| subject.starts_with(file)));
        if !is_wrong {
            let from = file.unwrap_or_else(|| "Cruddur's own; CRUDDUR_PROXY_CONFIG may name another file".to_owned());
            self.add("routes", Status::Ok, format!("{}, from {from}", proxy.table().lines().count()));
        }
    }
}
