//! The active routes: the longest prefix of a path decides. A table never changes: a reload makes a new one, which keeps the
//! servers of unchanged routes. Does no I/O.

use std::fmt;
use std::sync::Arc;

use http::Method;

use super::rule::{Rule, VIEWER};
use crate::upstream::Servers;

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

impl Route {
    pub(crate) fn accepts(&self, method: &Method) -> bool {
        !self.rule.read_only || matches!(*method, Method::GET | Method::HEAD)
    }
}

impl fmt::Display for Changes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { added, removed, changed, kept } = self;
        write!(f, "{added} added, {removed} removed, {changed} changed, {kept} unchanged")
    }
}
