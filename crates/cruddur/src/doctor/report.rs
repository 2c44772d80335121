//! The doctor's report: a list of checks, as lines or as JSON.

use std::fmt;
use std::io::{Write, stdout};

use anyhow::Result;
use serde::Serialize;

use crate::form::Paint;

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
        let paint = Paint::on(&out);
        let width = self.0.iter().map(|check| check.check.len()).max().unwrap_or(0);
        for Check { check, status, detail } in &self.0 {
            writeln!(out, "{}  {check:<width$}  {detail}", status.painted(paint))?;
        }
        Ok(())
    }
}

impl Status {
    /// The status, five columns wide.
    fn painted(self, paint: Paint) -> String {
        let text = format!("{self:<5}");
        match self {
            Self::Ok => paint.green(&text),
            Self::Off => paint.dim(&text),
            Self::Note => paint.yellow(&text),
            Self::Wrong => paint.red(&text),
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
