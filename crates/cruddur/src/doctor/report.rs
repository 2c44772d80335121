//! The doctor's report: a list of checks, as lines or as JSON.

use std::fmt;
use std::io::{IsTerminal, Write, stdout};

use anyhow::Result;
use serde::Serialize;
use settings::Settings;

/// The result of one check.
#[derive(Debug, Serialize)]
pub(super) struct Check {
    pub(super) check: String,
    pub(super) status: Status,
    pub(super) detail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Status {
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
#[error("{wrong} of {all} checks failed")]
pub(super) struct ChecksFailed {
    pub(super) wrong: usize,
    pub(super) all: usize,
}

#[derive(Default)]
pub(super) struct Report(pub(super) Vec<Check>);

impl Report {
    pub(super) fn add(&mut self, check: impl Into<String>, status: Status, detail: impl Into<String>) {
        self.0.push(Check { check: check.into(), status, detail: detail.into() });
    }

    pub(super) fn is_wrong(&self, check: &str) -> bool {
        self.0.iter().any(|one| one.check == check && one.status == Status::Wrong)
    }

    /// Adds the result of a check, or its fault.
    pub(super) fn found<T>(
        &mut self,
        check: &str,
        result: Result<T, String>,
        describe: impl FnOnce(&T) -> String,
    ) -> Option<T> {
        match result {
            Ok(found) => {
                self.add(check, Status::Ok, describe(&found));
                Some(found)
            }
            Err(problem) => {
                self.add(check, Status::Wrong, problem);
                None
            }
        }
    }

    pub(super) fn print(&self, json: bool) -> Result<()> {
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
