//! Checks everything that can keep traces from arriving, as a person would want it: what is set, what each destination says, whose
//! accounts count, the database, the ports, the clock. A line a check, with the mend where something will not work. Changes
//! nothing, but that a destination gets a span and, where it takes those, a log record of the service `cruddur-doctor`.

mod database;

use std::fmt;
use std::io::{ErrorKind, IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use backend::Accounts;
use serde::Serialize;
use settings::Settings;
use telemetry::config::{Endpoint, Otlp, XrayOtlp};
use telemetry::{Switch, Url, probe};
use tokio::task::spawn_blocking;

use crate::preflight::{Port, ports};

/// Variables with these names are ours, or OpenTelemetry's.
const PREFIXES: [&str; 6] = ["AWS_COGNITO_", "AWS_XRAY_", "CRUDDUR_", "HONEYCOMB_", "OTEL_", "TRACE_"];

/// Something that was looked at.
#[derive(Debug, Serialize)]
struct Check {
    check: String,
    status: Status,
    detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Status {
    Ok,
    /// Not asked for.
    Off,
    /// Works, and may not be what is meant.
    Note,
    /// Will not work.
    Wrong,
}

/// Some checks found what will not work.
#[derive(Debug, thiserror::Error)]
#[error("{wrong} of {all} checks found what will not work")]
struct Unwell {
    wrong: usize,
    all: usize,
}

/// What all services' variables say, whatever is wrong with them.
struct Told {
    backend: backend::Config,
    telemetry: telemetry::Config,
    ports: [(&'static str, Port); 4],
}

/// Runs all checks and prints them.
///
/// # Errors
/// Something will not work.
pub(crate) async fn run(json: bool) -> Result<()> {
    let (mut report, told) = variables();
    let database = told.backend.database.clone();
    let origins: Vec<String> = told.backend.origins.iter().map(|origin| origin.as_str().to_owned()).collect();
    let destinations = spawn_blocking(move || {
        let mut report = Report::default();
        report.honeycomb(&told.telemetry.honeycomb);
        report.otlp(&told.telemetry.otlp);
        report.xray(&told.telemetry.xray);
        report.rules(&told.telemetry);
        report.xray_otlp(&told.telemetry.xray_otlp);
        report.accounts(&told.backend.accounts);
        report.ports(&told.ports);
        report
    });
    report.0.append(&mut destinations.await.context("the checks were interrupted")?.0);
    report.database(&database).await;
    let origins = if origins.is_empty() {
        "none but the page's own; FRONTEND_URL and BACKEND_URL add origins".to_owned()
    } else {
        format!("{} may call the API", origins.join(" and "))
    };
    report.add("cors", Status::Ok, origins);
    if !report.0.iter().any(|check| check.check == "clock") {
        report.add("clock", Status::Off, "nobody tells the time: only Honeycomb's answer has it");
    }
    report.print(json)?;
    let wrong = report.0.iter().filter(|check| check.status == Status::Wrong).count();
    if wrong > 0 { Err(Unwell { wrong, all: report.0.len() }.into()) } else { Ok(()) }
}

fn variables() -> (Report, Told) {
    let mut settings = Settings::from_env();
    let backend = backend::Config::read(&mut settings);
    let proxy = frontend_proxy::Config::read(&mut settings, frontend_proxy::CommandLine::default());
    let viewer = trace_viewer::Config::read(&mut settings);
    let telemetry = telemetry::Config::read(&mut settings);
    let mut report = Report::default();
    let (known, unknown) = settings.set(&PREFIXES);
    let known = if known.is_empty() { "none is set: every default holds".to_owned() } else { known.join(", ") };
    report.add("variables", Status::Ok, format!("{known} (from this process's environment)"));
    if Path::new(".env").exists() {
        report.add(
            "variables",
            Status::Note,
            ".env is read by docker compose alone; export what `cargo run` shall see",
        );
    }
    // Those that the specification knows have warnings of their own, or mean something in other circumstances.
    for name in unknown.into_iter().filter(|name| !telemetry::config::is_known(name)) {
        report.add("variables", Status::Note, format!("{name} is set and means nothing here; is it misspelt?"));
    }
    for (subject, instead) in settings.warnings() {
        report.add("variables", Status::Note, format!("{subject}: {instead}"));
    }
    for (subject, problem) in settings.faults() {
        report.add(subject, Status::Wrong, problem);
    }
    let file = proxy.routes_file().map(|file| file.display().to_string());
    let is_wrong = file.as_ref().is_some_and(|file| settings.faults().any(|(subject, _)| subject.starts_with(file)));
    if !is_wrong {
        let from = file.unwrap_or_else(|| "Cruddur's own; CRUDDUR_PROXY_CONFIG names a file of others".to_owned());
        report.add("routes", Status::Ok, format!("{}, from {from}", proxy.table().lines().count()));
    }
    let ports = ports(&backend, &proxy, &viewer);
    (report, Told { backend, telemetry, ports })
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, check: impl Into<String>, status: Status, detail: impl Into<String>) {
        self.0.push(Check { check: check.into(), status, detail: detail.into() });
    }

    /// Adds what was found, or what is wrong.
    fn found<T>(&mut self, check: &str, found: Result<T, String>, tell: impl FnOnce(&T) -> String) -> Option<T> {
        match found {
            Ok(found) => {
                self.add(check, Status::Ok, tell(&found));
                Some(found)
            }
            Err(problem) => {
                self.add(check, Status::Wrong, problem);
                None
            }
        }
    }

    fn honeycomb(&mut self, honeycomb: &Switch<Otlp>) {
        let otlp = match honeycomb {
            Switch::On(otlp, _) => otlp,
            Switch::Off(why) => return self.add("honeycomb", Status::Off, why),
        };
        let (Some(key), Some(endpoint)) = (&otlp.key, otlp.traces.as_ref().or(otlp.logs.as_ref())) else { return };
        if !key.kind().sends() {
            // Its fault stands above: to ask with it would say less.
            return;
        }
        self.add("honeycomb key", Status::Ok, format!("{key} is {}", key.kind()));
        if !self.reaches("honeycomb", &endpoint.url) {
            return;
        }
        let identity = self.found("honeycomb auth", probe::auth(otlp), |identity| {
            let environment = if identity.environment.is_empty() { "(classic)" } else { &identity.environment };
            format!("team {}, environment {environment}", identity.team)
        });
        let Some(identity) = identity else { return };
        if !identity.sends {
            self.add(
                "honeycomb auth",
                Status::Wrong,
                "the key may not send events; give it that right, or another key",
            );
        }
        match identity.clock {
            None => self.add("clock", Status::Note, "cannot be told: the answer has no date"),
            Some(clock) => {
                let direction = if clock.ahead { "ahead of" } else { "behind" };
                let told = format!("{} s {direction} Honeycomb's", clock.skew.as_secs());
                if clock.is_right() {
                    self.add("clock", Status::Ok, told);
                } else {
                    self.add(
                        "clock",
                        Status::Wrong,
                        format!("{told}: spans would not be found; set it, by NTP for example"),
                    );
                }
            }
        }
        if let Some(endpoint) = &otlp.traces {
            self.sends("honeycomb span", endpoint);
        }
        self.takes_logs("honeycomb log record", otlp);
    }

    fn otlp(&mut self, otlp: &Switch<Otlp>) {
        match otlp {
            Switch::Off(why) => self.add("otlp", Status::Off, why),
            Switch::On(otlp, _) => {
                if let Some(endpoint) = &otlp.traces
                    && self.reaches("otlp", &endpoint.url)
                {
                    self.sends("otlp span", endpoint);
                }
                self.takes_logs("otlp log record", otlp);
            }
        }
    }

    /// What takes log records may be elsewhere, and is asked by itself.
    fn takes_logs(&mut self, check: &str, otlp: &Otlp) {
        let Some(endpoint) = &otlp.logs else { return };
        self.found(check, probe::log_record(endpoint), |()| format!("taken at {}", endpoint.url));
    }

    /// The name, then a connection; TLS is shown by whatever is asked next.
    fn reaches(&mut self, name: &str, url: &Url) -> bool {
        let resolved = self.found(&format!("{name} DNS"), probe::resolve(&url.host(), url.port()), |addresses| {
            let addresses: Vec<String> = addresses.iter().map(|address| address.ip().to_string()).collect();
            format!("{} is {}", url.host(), addresses.join(", "))
        });
        if resolved.is_none()
            || self
                .found(&format!("{name} connection"), probe::connect(&url.host(), url.port()), ToString::to_string)
                .is_none()
        {
            return false;
        }
        if !url.is_encrypted() {
            self.add(format!("{name} TLS"), Status::Off, format!("{url} is not encrypted"));
            return true;
        }
        self.found(&format!("{name} TLS"), probe::get(url), |_| "the certificate is right".to_owned()).is_some()
    }

    fn sends(&mut self, check: &str, endpoint: &Endpoint) {
        self.found(check, probe::span(endpoint), |trace| taken(trace, endpoint));
    }

    fn xray(&mut self, xray: &Switch<telemetry::DaemonAddress>) {
        match xray {
            Switch::Off(why) => self.add("xray", Status::Off, why),
            Switch::On(address, _) => {
                let why = "UDP cannot tell whether a segment arrives; its TCP side, for sampling rules, ";
                match probe::daemon(address) {
                    Ok(daemon) => self.add("xray daemon", Status::Ok, format!("{why}takes a connection at {daemon}")),
                    Err(problem) => self.add("xray daemon", Status::Wrong, format!("{why}does not answer: {problem}")),
                }
            }
        }
    }

    fn rules(&mut self, telemetry: &telemetry::Config) {
        match probe::rules(telemetry) {
            None => {}
            Some(Ok((count, url))) => self.add("xray rules", Status::Ok, format!("{count} at {url}")),
            Some(Err(problem)) => {
                let detail = format!("local rules hold: {problem}; under `cargo run` the viewer gives its own");
                self.add("xray rules", Status::Note, detail);
            }
        }
    }

    fn xray_otlp(&mut self, xray: &Switch<XrayOtlp>) {
        let to = match xray {
            Switch::Off(why) => return self.add("xray-otlp", Status::Off, why),
            Switch::On(to, _) => to,
        };
        self.add("xray-otlp region", Status::Ok, format!("requests are signed for {}", to.region));
        let held = self.found("xray-otlp credentials", probe::credentials(to), |id| {
            format!("from {}; the key's id ends in {id}", to.credentials())
        });
        if held.is_some() && self.reaches("xray-otlp", &to.endpoint.url) {
            self.found("xray-otlp span", probe::signed_span(to), |trace| taken(trace, &to.endpoint));
        }
    }

    fn accounts(&mut self, accounts: &Accounts) {
        match accounts {
            Accounts::Own => self.add("accounts", Status::Ok, "Cruddur's own (AUTH_MODE)"),
            Accounts::Issued(issuer) => {
                let keys = backend::cognito::reach(issuer).map_err(|error| error.to_string());
                self.found("accounts", keys, |keys| {
                    format!("{} has {keys} {}", issuer.name(), if *keys == 1 { "key" } else { "keys" })
                });
            }
        }
    }

    fn ports(&mut self, ports: &[(&str, Port)]) {
        for (variable, port) in ports {
            let address = port.address();
            match port.bind() {
                Ok(_) => self.add(*variable, Status::Ok, format!("{address} is free")),
                Err(error) if error.kind() == ErrorKind::AddrInUse && answers(*port) => {
                    self.add(*variable, Status::Ok, format!("{address} is in use, as by a running Cruddur"));
                }
                Err(error) => {
                    let problem = format!(
                        "{address} cannot be listened on ({error}); stop what listens there, or set another port (0 takes a free one)"
                    );
                    self.add(*variable, Status::Wrong, problem);
                }
            }
        }
    }

    fn print(&self, json: bool) -> Result<()> {
        let mut out = stdout().lock();
        if json {
            let ok = self.0.iter().all(|check| check.status != Status::Wrong);
            let report = serde_json::json!({"ok": ok, "checks": self.0});
            writeln!(out, "{report:#}")?;
            return Ok(());
        }
        // https://no-color.org
        let coloured = out.is_terminal() && Settings::from_env().text("NO_COLOR").is_none();
        let width = self.0.iter().map(|check| check.check.len()).max().unwrap_or(0);
        for Check { check, status, detail } in &self.0 {
            let (before, after) = if coloured { (status.colour(), "\x1b[0m") } else { ("", "") };
            writeln!(out, "{before}{status:<5}{after}  {check:<width$}  {detail}")?;
        }
        Ok(())
    }
}

/// What is said of the test's span.
fn taken(trace: &str, endpoint: &Endpoint) -> String {
    format!("taken: trace {trace} of service cruddur-doctor at {}", endpoint.url)
}

/// Whether somebody who answers as Cruddur's services do listens there.
fn answers(port: Port) -> bool {
    let address = port.address();
    ["/health/live", "/api/health-check", "/api/traces"].iter().any(|path| {
        let url = format!("http://{address}{path}").parse::<Url>();
        url.is_ok_and(|url| probe::get(&url) == Ok(200))
    })
}

impl Status {
    fn colour(self) -> &'static str {
        match self {
            Self::Ok => "\x1b[32m",
            Self::Off => "\x1b[2m",
            Self::Note => "\x1b[33m",
            Self::Wrong => "\x1b[31m",
        }
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Ok => "ok",
            Self::Off => "off",
            Self::Note => "note",
            Self::Wrong => "WRONG",
        })
    }
}
