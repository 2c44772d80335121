//! Checks everything that can keep traces from arriving: variables, each destination's response, which account owns each key,
//! the database, the ports and the clock. Prints one line per check, with the fix if something will not work. In the
//! container of one service, it checks only what that service needs. Changes nothing and leaves no trace anywhere.

mod database;
mod destinations;
mod ports;
mod variables;

use std::fmt;
use std::io::{IsTerminal, Write, stdout};
use std::path::Path;

use anyhow::{Context, Result};
use backend::{Accounts, Origin};
use clap::ValueEnum;
use serde::Serialize;
use settings::Settings;
use tokio::task::spawn_blocking;

use crate::preflight::Port;
use variables::variables;

/// The result of one check.
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
    /// Not configured.
    Off,
    /// Works, but may not be what the operator intends.
    Note,
    /// Will not work.
    Wrong,
}

/// At least one check failed.
#[derive(Debug, thiserror::Error)]
#[error("{wrong} of {all} checks found what will not work")]
struct Unwell {
    wrong: usize,
    all: usize,
}

/// The services whose settings are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Scope {
    All,
    Backend,
    #[value(name = "frontend-proxy")]
    Proxy,
    #[value(name = "trace-viewer")]
    Viewer,
}

/// The settings of all services, including invalid ones.
struct AllConfigs {
    backend: backend::Config,
    telemetry: telemetry::Config,
    ports: [(&'static str, Port); 4],
}

/// Runs all checks and prints them.
///
/// # Errors
/// At least one check failed.
pub(crate) async fn run(scope: Option<Scope>, json: bool) -> Result<()> {
    let scope = scope.unwrap_or_else(Scope::of_container);
    let (mut report, configs) = variables(scope);
    let database = configs.backend.database.clone();
    let origins = configs.backend.origins.clone();
    let blocking = spawn_blocking(move || {
        let mut report = Report::default();
        if scope != Scope::Viewer {
            report.destinations(&configs.telemetry);
        }
        if scope.has(Scope::Backend) {
            report.accounts(&configs.backend.accounts);
        }
        report.ports(scope, &configs.ports);
        report
    });
    report.0.append(&mut blocking.await.context("the checks were interrupted")?.0);
    if scope.has(Scope::Backend) {
        report.database(&database).await;
        report.cors(&origins);
    }
    if !report.0.iter().any(|check| check.check == "clock") {
        report.add("clock", Status::Off, "not checked: only Honeycomb's response is dated");
    }
    report.print(json)?;
    let wrong = report.0.iter().filter(|check| check.status == Status::Wrong).count();
    if wrong > 0 { Err(Unwell { wrong, all: report.0.len() }.into()) } else { Ok(()) }
}

impl Scope {
    /// Whether this service's settings are checked.
    fn has(self, one: Self) -> bool {
        self == Self::All || self == one
    }

    /// The service that a container runs as its first process; all services outside a container.
    fn of_container() -> Self {
        Self::of_first_process(&std::fs::read("/proc/1/cmdline").unwrap_or_default())
    }

    fn of_first_process(command: &[u8]) -> Self {
        let mut words = command.split(|byte| *byte == 0).map(String::from_utf8_lossy);
        let program = words.next().unwrap_or_default();
        let is_ours = Path::new(&*program).file_name().is_some_and(|name| name == "cruddur");
        let service = words.next().unwrap_or_default();
        if is_ours { Self::from_str(&service, false).unwrap_or(Self::All) } else { Self::All }
    }
}

#[derive(Default)]
struct Report(Vec<Check>);

impl Report {
    fn add(&mut self, check: impl Into<String>, status: Status, detail: impl Into<String>) {
        self.0.push(Check { check: check.into(), status, detail: detail.into() });
    }

    fn is_wrong(&self, check: &str) -> bool {
        self.0.iter().any(|one| one.check == check && one.status == Status::Wrong)
    }

    /// Adds the result of a check, or its fault.
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

    /// Lists the origins whose pages may call the API, and others under which a browser on this machine may open those pages.
    fn cors(&mut self, origins: &[Origin]) {
        if origins.is_empty() {
            let detail = "none but the page's own; FRONTEND_URL and BACKEND_URL add origins";
            return self.add("cors", Status::Ok, detail);
        }
        let list = |origins: &[Origin]| origins.iter().map(Origin::as_str).collect::<Vec<_>>().join(" and ");
        let mut detail = format!("{} may call the API", list(origins));
        let mut others: Vec<_> = origins.iter().flat_map(Origin::other_names).collect();
        others.retain(|other| !origins.contains(other));
        if !others.is_empty() {
            let others = list(&others);
            detail.push_str(&format!("; pages at {others} may not: browsers compare addresses letter by letter"));
        }
        self.add("cors", Status::Ok, detail);
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_process_of_a_container_tells_which_service_it_is_of() {
        for (command, scope) in [
            (b"cruddur\0frontend-proxy\0".as_slice(), Scope::Proxy),
            (b"/usr/local/bin/cruddur\0backend\0--until-stdin-closes\0", Scope::Backend),
            (b"cruddur\0trace-viewer\0", Scope::Viewer),
            (b"cruddur\0doctor\0", Scope::All),
            (b"cruddur\0", Scope::All),
            (b"/sbin/init\0backend\0", Scope::All),
            (b"", Scope::All),
        ] {
            assert_eq!(Scope::of_first_process(command), scope);
        }
    }
}
