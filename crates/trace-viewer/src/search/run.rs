//! Reads the store slice by slice, latest trace first, and finds the traces that a query accepts.

use std::collections::HashSet;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::compile::Compiled;
use super::syntax::Query;
use super::syntax::ast::SortKey;
use crate::model::{Nanos, Span, TraceId};
use crate::store::entry::Facts;
use crate::store::{Cursor, Snapshot, Store, Wanted};

/// The most traces of a slice: the store's writers wait for one slice.
const SLICE: usize = 256;
/// How long a search may take. What it has found by then is its result.
pub(crate) const TIME: Duration = Duration::from_secs(2);

/// The result of a search.
#[derive(Debug, Default)]
pub(crate) struct Found {
    pub(crate) ids: Vec<TraceId>,
    pub(crate) matches: usize,
    pub(crate) scanned: Scanned,
}

/// How much of the store was compared with a query.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Scanned {
    pub(crate) traces: usize,
    /// Whether the time did not suffice for all.
    pub(crate) is_cut: bool,
}

/// A trace that a query accepts.
pub(super) struct Match {
    pub(super) id: TraceId,
    pub(super) facts: Facts,
    pub(super) root: Option<Arc<Span>>,
    /// All spans, if they were wanted.
    pub(super) spans: Vec<Arc<Span>>,
}

/// Finds at most `limit` traces. Sorted by start, the search ends with the last of them; otherwise it reads all traces.
pub(crate) fn search(store: &Store, query: &Query, limit: usize, now: Nanos) -> Found {
    let mut found = Found::default();
    let (by, is_ascending) = (query.sort.by, query.sort.is_ascending);
    let is_by_start = by == SortKey::Start && !is_ascending;
    let mut keys: Vec<(u64, TraceId)> = Vec::new();
    found.scanned = scan(store, &Compiled::new(query, now), Wanted::Root, |accepted| {
        found.matches += 1;
        keys.push((key(by, &accepted.facts), accepted.id));
        if is_by_start && found.matches >= limit { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    // A stable sort: equal traces stay latest first.
    if is_ascending {
        keys.sort_by_key(|(key, _)| *key);
    } else {
        keys.sort_by_key(|(key, _)| std::cmp::Reverse(*key));
    }
    found.ids = keys.into_iter().map(|(_, id)| id).take(limit).collect();
    found
}

fn key(by: SortKey, facts: &Facts) -> u64 {
    match by {
        SortKey::Start => facts.start.0,
        SortKey::Duration => facts.duration,
        SortKey::Spans => u64::try_from(facts.operations).unwrap_or(u64::MAX),
        SortKey::Errors => u64::try_from(facts.errors).unwrap_or(u64::MAX),
    }
}

/// Calls `accept` with each trace that the query accepts, until it breaks or the time is over. `wanted` is the part that `accept` needs.
pub(super) fn scan(
    store: &Store,
    query: &Compiled,
    wanted: Wanted,
    mut accept: impl FnMut(Match) -> ControlFlow<()>,
) -> Scanned {
    let deadline = Instant::now() + TIME;
    let mut scanned = Scanned::default();
    let mut cursor: Option<Cursor> = None;
    // A trace whose start becomes earlier meanwhile is passed twice.
    let mut accepted = HashSet::new();
    loop {
        // For each trace with an entry, whether the entry suffices.
        let mut certain = Vec::new();
        let slice = store.slice(&mut cursor, SLICE, |id, entry| {
            let verdict = query.verdict(id, &entry.facts, Some(&entry.filter));
            if verdict != Some(false) {
                certain.push(verdict.is_some());
            }
            match verdict {
                Some(false) => Wanted::Nothing,
                Some(true) => wanted,
                None => Wanted::Spans,
            }
        });
        if slice.visited == 0 {
            return scanned;
        }
        scanned.traces += slice.visited;
        let mut certain = certain.into_iter();
        for trace in slice.traces {
            let is_certain = trace.facts.is_some() && certain.next().unwrap_or_default();
            let Some(found) = check(query, trace, is_certain) else { continue };
            if accepted.insert(found.id) && accept(found).is_break() {
                return scanned;
            }
        }
        if Instant::now() >= deadline {
            scanned.is_cut = true;
            return scanned;
        }
    }
}

fn check(query: &Compiled, trace: Snapshot, is_certain: bool) -> Option<Match> {
    let Snapshot { id, spans, is_cut, .. } = trace;
    let has_all = !is_certain || spans.len() > 1;
    let facts = match trace.facts {
        Some(facts) => facts,
        None => Facts::of(&spans, is_cut)?,
    };
    if !is_certain && !query.verdict(id, &facts, None).unwrap_or_else(|| query.accepts(id, &facts, &spans)) {
        return None;
    }
    let root = spans.get(if has_all { facts.root } else { 0 }).cloned();
    Some(Match { id, facts, root, spans })
}
