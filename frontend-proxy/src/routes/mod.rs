//! Where requests go: the longest prefix of a path decides. A table is read from a TOML file, or is Cruddur's own. It never
//! changes: a reload makes a new table, which keeps the servers of unchanged routes. Reads one file, opens nothing else.

mod file;
mod reader;
mod rule;
mod template;
mod units;

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;

use http::Method;
use memchr::{memchr_iter, memchr2};
use settings::{Faults, Settings};

use crate::config::Upstream;
use crate::forward::upstream::Servers;
pub(crate) use rule::{Host, Rule};

/// Largest prefix or template, in bytes.
const MAX_PATH: usize = 256;
/// Largest routes file, in bytes.
const MAX_FILE: u64 = 256 * 1024;
/// The prefix of the trace viewer.
const VIEWER: &str = "/traces/";
/// Cruddur's own routes.
const CRUDDUR: &str = include_str!("cruddur.toml");

/// The source of the routes, at start and at each reload.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    /// `None` if Cruddur's own routes are used.
    pub(crate) file: Option<PathBuf>,
    pub(crate) variables: Variables,
}

/// The values of `$CRUDDUR_UPSTREAM` and `$CRUDDUR_VIEWER` in a routes file.
#[derive(Debug, Clone)]
pub(crate) struct Variables {
    pub(crate) upstream: Upstream,
    pub(crate) viewer: Option<Upstream>,
}

impl Source {
    /// The rules in the file; records each fault in `settings`.
    pub(crate) fn read(&self, settings: &mut Settings) -> Vec<Rule> {
        let Some(path) = &self.file else {
            return file::parse(CRUDDUR, "the routes of its own", &self.variables, settings);
        };
        let name = path.display().to_string();
        match settings::read_file(path, MAX_FILE).map(String::from_utf8) {
            Ok(Ok(text)) => file::parse(&text, &name, &self.variables, settings),
            Ok(Err(_)) => {
                settings.fault(name, "is not valid UTF-8; give it as UTF-8 text");
                Vec::new()
            }
            Err(error) => {
                settings.fault(name, format!("cannot be read ({error}); give a routes file, or none"));
                Vec::new()
            }
        }
    }

    /// Reads the rules again.
    ///
    /// # Errors
    /// All faults of the file.
    pub(crate) fn read_again(&self) -> Result<Vec<Rule>, Faults> {
        let mut settings = Settings::from_pairs(&[]);
        let rules = self.read(&mut settings);
        settings.finish(rules)
    }
}

/// The table of active routes.
#[derive(Debug)]
pub(crate) struct Routes(Vec<Route>);

/// An active route.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) rule: Rule,
    pub(crate) servers: Arc<Servers>,
}

/// What a new table changed.
#[derive(Debug, Default, PartialEq, Eq)]
pub(crate) struct Changes {
    pub(crate) added: usize,
    pub(crate) removed: usize,
    pub(crate) changed: usize,
    pub(crate) kept: usize,
}

impl Routes {
    pub(crate) fn new(rules: Vec<Rule>) -> Self {
        Self(Vec::new()).next(rules).0
    }

    /// The table that follows this one. Keeps the servers of a route whose upstreams and limits do not change, with their
    /// state.
    pub(crate) fn next(&self, rules: Vec<Rule>) -> (Self, Changes) {
        let mut changes = Changes::default();
        let mut table: Vec<Route> = Vec::with_capacity(rules.len());
        for rule in rules {
            let old = self.0.iter().find(|route| route.rule.prefix == rule.prefix);
            match old {
                None => changes.added += 1,
                Some(old) if old.rule == rule => changes.kept += 1,
                Some(_) => changes.changed += 1,
            }
            let stays = |old: &&Route| old.rule.upstreams == rule.upstreams && old.rule.limits == rule.limits;
            let servers = old.filter(stays).map_or_else(
                || Arc::new(Servers::new(rule.upstreams.clone(), rule.limits)),
                |old| Arc::clone(&old.servers),
            );
            table.push(Route { rule, servers });
        }
        changes.removed = self.0.len() - changes.kept - changes.changed;
        // The first matching prefix is then the longest.
        table.sort_by_key(|route| std::cmp::Reverse(route.rule.prefix.len()));
        (Self(table), changes)
    }

    pub(crate) fn find(&self, path: &str) -> Option<&Route> {
        self.0.iter().find(|route| path.starts_with(&route.rule.prefix))
    }

    /// The route of the trace viewer. A route for every path does not count.
    pub(crate) fn viewer(&self) -> Option<&Route> {
        self.0.iter().find(|route| route.rule.prefix == VIEWER)
    }

    /// Whether a trace viewer is available behind this proxy.
    pub(crate) fn has_viewer(&self) -> bool {
        self.viewer().is_some_and(|route| route.rule.missing.is_none())
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// Whether a path has no `.` or `..` segment in any spelling. A client removes such segments
/// ([RFC 3986 §5.2.4](https://www.rfc-editor.org/rfc/rfc3986#section-5.2.4)). If they were forwarded, an upstream might follow
/// them out of the chosen route.
pub(crate) fn is_straight(path: &str) -> bool {
    // Most paths have none of these characters and need no further check.
    let bytes = path.as_bytes();
    let follows_slash = |dot: usize| dot == 0 || bytes.get(dot - 1) == Some(&b'/');
    if memchr2(b'%', b'\\', bytes).is_none() && !memchr_iter(b'.', bytes).any(follows_slash) {
        return true;
    }
    // Some servers read a backslash as a slash, and a segment may have parameters.
    let name = |segment: &str| segment.split(';').next().is_some_and(|name| matches!(name, "." | ".."));
    let leads_away = |path: &str| path.split(['/', '\\']).any(name);
    if !path.contains('%') {
        return !leads_away(path);
    }
    let decoded =
        path.to_ascii_lowercase().replace("%2e", ".").replace("%2f", "/").replace("%5c", "\\").replace("%3b", ";");
    !leads_away(&decoded)
}

impl Route {
    pub(crate) fn takes(&self, method: &Method) -> bool {
        !self.rule.read_only || matches!(*method, Method::GET | Method::HEAD)
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, kept } = self;
        write!(f, "{added} added, {removed} removed, {changed} changed, {kept} as they were")
    }
}

#[cfg(test)]
mod tests;
#[cfg(test)]
pub(crate) use tests::rule_of;
