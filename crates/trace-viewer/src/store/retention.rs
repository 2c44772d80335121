//! Which trace is evicted next. Knows traces by their ids and sizes only.
//!
//! A trace is fresh while it is among the newest, up to a quarter of the memory. An older one is put on the shelf of its [`Worth`]. Each worth above
//! [`Worth::Common`] has a share of the memory. A shelf beyond its share evicts its own traces; if there is none, the common shelf does. On a shelf, the service
//! with the most bytes loses a trace of its route with the most bytes: the oldest one, or on the shelf of slow traces the fastest. So a busy service evicts its
//! own traces, and a route that is called once an hour keeps its traces.

use std::collections::hash_map::RandomState;
use std::collections::{BTreeSet, HashMap, VecDeque};
use std::hash::BuildHasher;

use serde::Serialize;

use crate::model::TraceId;

/// The share of fresh traces, and that of opened ones: a quarter.
const QUARTER: usize = 4;
/// The share of each other worth above [`Worth::Common`]: an eighth.
const EIGHTH: usize = 8;
/// How many of a route's traces are its slowest.
pub(crate) const SLOWEST: usize = 10;
/// The most services on a shelf, and the most routes of a service; further ones share one entry, so that a search for the largest is short.
const GROUPS: usize = 64;
const OTHERS: u64 = 0;

/// Why a trace is kept longer than others.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Worth {
    /// No reason applies.
    Common,
    /// It is among the slowest of its route.
    Slow,
    /// An operation failed.
    Error,
    /// A browser made some of its spans.
    Browser,
    /// A user has opened it.
    Opened,
}

/// The evicted traces by the shelf on which each was.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub(crate) struct Evictions {
    pub(crate) common: u64,
    pub(crate) slow: u64,
    pub(crate) error: u64,
    pub(crate) browser: u64,
    pub(crate) opened: u64,
}

impl Worth {
    pub(crate) const ALL: [Self; 5] = [Self::Common, Self::Slow, Self::Error, Self::Browser, Self::Opened];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Common => "common",
            Self::Slow => "slow",
            Self::Error => "error",
            Self::Browser => "browser",
            Self::Opened => "opened",
        }
    }

    /// One part in how many the traces of this worth may take; common ones take what is left.
    pub(crate) fn part(self) -> Option<usize> {
        match self {
            Self::Common => None,
            Self::Slow | Self::Error | Self::Browser => Some(EIGHTH),
            Self::Opened => Some(QUARTER),
        }
    }
}

impl Evictions {
    pub(crate) fn add(&mut self, worth: Worth) {
        *match worth {
            Worth::Common => &mut self.common,
            Worth::Slow => &mut self.slow,
            Worth::Error => &mut self.error,
            Worth::Browser => &mut self.browser,
            Worth::Opened => &mut self.opened,
        } += 1;
    }
}

/// Where a trace waits for its eviction.
#[derive(Debug, Clone, Copy)]
pub(super) enum Place {
    Fresh,
    Shelf(Spot),
}

/// A place on a shelf.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub(super) worth: Worth,
    group: Group,
    /// The order within the group: the age, or of a slow trace its duration.
    rank: u64,
    age: u64,
}

/// The service and route of a root span, hashed. If two have one hash, they share an entry.
#[derive(Debug, Clone, Copy)]
pub(super) struct Group {
    service: u64,
    route: u64,
}

#[derive(Default)]
pub(super) struct Retention {
    fresh: VecDeque<TraceId>,
    fresh_bytes: usize,
    common: Shelf,
    slow: Shelf,
    error: Shelf,
    browser: Shelf,
    opened: Shelf,
    age: u64,
    hasher: RandomState,
}

#[derive(Default)]
struct Shelf {
    bytes: usize,
    services: HashMap<u64, ServiceTraces>,
}

#[derive(Default)]
struct ServiceTraces {
    bytes: usize,
    routes: HashMap<u64, RouteTraces>,
}

#[derive(Default)]
struct RouteTraces {
    bytes: usize,
    traces: BTreeSet<(u64, TraceId)>,
}

impl Retention {
    /// Makes a trace the newest one. Its bytes follow, by [`Self::resize_fresh`].
    pub(super) fn add_fresh(&mut self, id: TraceId) {
        self.fresh.push_back(id);
    }

    /// Makes a trace the oldest of the fresh ones.
    pub(super) fn add_oldest(&mut self, id: TraceId) {
        self.fresh.push_front(id);
    }

    /// Records that a fresh trace has changed its size.
    pub(super) fn resize_fresh(&mut self, before: usize, after: usize) {
        self.fresh_bytes = self.fresh_bytes - before + after;
    }

    /// Records that a trace on a shelf has changed its size.
    pub(super) fn resize(&mut self, before: usize, after: usize, spot: Spot) {
        let shelf = self.shelf(spot.worth);
        let Some(service) = shelf.services.get_mut(&spot.group.service) else { return };
        let Some(route) = service.routes.get_mut(&spot.group.route) else { return };
        for bytes in [&mut shelf.bytes, &mut service.bytes, &mut route.bytes] {
            *bytes = *bytes - before + after;
        }
    }

    /// The trace that must leave the fresh ones.
    pub(super) fn oldest_fresh(&mut self, memory: usize) -> Option<TraceId> {
        let is_due = self.fresh_bytes > memory / QUARTER || self.shelves().iter().all(|(_, shelf)| shelf.bytes == 0);
        if is_due { self.fresh.pop_front() } else { None }
    }

    pub(super) fn group(&self, service: &str, route: &str) -> Group {
        Group { service: self.hasher.hash_one(service), route: self.hasher.hash_one(route) }
    }

    /// Puts a trace on a shelf: a common one among its route's slowest, if it is slow enough. Returns its place, and the trace that it displaces there.
    pub(super) fn shelve(
        &mut self,
        id: TraceId,
        bytes: usize,
        worth: Worth,
        group: Group,
        duration: u64,
    ) -> (Spot, Option<TraceId>) {
        self.age += 1;
        let age = self.age;
        if worth != Worth::Common {
            return (self.put(id, bytes, Spot { worth, group, rank: age, age }), None);
        }
        let slowest = self.slow.route(group).filter(|route| route.traces.len() >= SLOWEST);
        let fastest = slowest.and_then(|route| route.traces.first().copied());
        if fastest.is_some_and(|(least, _)| duration <= least) {
            return (self.put(id, bytes, Spot { worth, group, rank: age, age }), None);
        }
        let spot = self.put(id, bytes, Spot { worth: Worth::Slow, group, rank: duration, age });
        (spot, fastest.map(|(_, displaced)| displaced))
    }

    /// Moves a trace to another shelf, among traces of its age.
    pub(super) fn transfer(&mut self, id: TraceId, bytes: usize, from: Spot, worth: Worth) -> Spot {
        self.withdraw(id, bytes, from);
        self.put(id, bytes, Spot { worth, rank: from.age, ..from })
    }

    /// Takes a trace off its shelf.
    pub(super) fn withdraw(&mut self, id: TraceId, bytes: usize, spot: Spot) {
        self.shelf(spot.worth).remove(id, bytes, spot);
    }

    /// The next trace to evict, and its worth.
    pub(super) fn victim(&self, memory: usize) -> Option<(Worth, TraceId)> {
        let share = |worth: Worth| worth.part().map_or(memory, |part| memory / part);
        let shelves = self.shelves();
        let [common, kept @ ..] = &shelves;
        let over = kept.iter().find(|(worth, shelf)| shelf.bytes > share(*worth));
        let largest = || shelves.iter().max_by_key(|(_, shelf)| shelf.bytes);
        let (worth, shelf) = over.or(Some(common).filter(|(_, shelf)| shelf.bytes > 0)).or_else(largest)?;
        Some((*worth, shelf.victim()?))
    }

    fn put(&mut self, id: TraceId, bytes: usize, spot: Spot) -> Spot {
        self.shelf(spot.worth).insert(id, bytes, spot)
    }

    fn shelves(&self) -> [(Worth, &Shelf); 5] {
        [
            (Worth::Common, &self.common),
            (Worth::Slow, &self.slow),
            (Worth::Error, &self.error),
            (Worth::Browser, &self.browser),
            (Worth::Opened, &self.opened),
        ]
    }

    fn shelf(&mut self, worth: Worth) -> &mut Shelf {
        match worth {
            Worth::Common => &mut self.common,
            Worth::Slow => &mut self.slow,
            Worth::Error => &mut self.error,
            Worth::Browser => &mut self.browser,
            Worth::Opened => &mut self.opened,
        }
    }
}

impl Shelf {
    /// The entries of a service and a route, or of the others if there are too many.
    fn fit(&self, group: Group) -> Group {
        let service = entry(&self.services, group.service);
        let routes = self.services.get(&service).map(|service| &service.routes);
        Group { service, route: routes.map_or(group.route, |routes| entry(routes, group.route)) }
    }

    fn route(&self, group: Group) -> Option<&RouteTraces> {
        let group = self.fit(group);
        self.services.get(&group.service)?.routes.get(&group.route)
    }

    /// Returns the spot with the group in which the trace is.
    fn insert(&mut self, id: TraceId, bytes: usize, spot: Spot) -> Spot {
        let group = self.fit(spot.group);
        let service = self.services.entry(group.service).or_default();
        let route = service.routes.entry(group.route).or_default();
        self.bytes += bytes;
        service.bytes += bytes;
        route.bytes += bytes;
        route.traces.insert((spot.rank, id));
        Spot { group, ..spot }
    }

    fn remove(&mut self, id: TraceId, bytes: usize, spot: Spot) {
        let Some(service) = self.services.get_mut(&spot.group.service) else { return };
        let Some(route) = service.routes.get_mut(&spot.group.route) else { return };
        if !route.traces.remove(&(spot.rank, id)) {
            return;
        }
        self.bytes -= bytes;
        service.bytes -= bytes;
        route.bytes -= bytes;
        if route.traces.is_empty() {
            service.routes.remove(&spot.group.route);
        }
        if service.routes.is_empty() {
            self.services.remove(&spot.group.service);
        }
    }

    fn victim(&self) -> Option<TraceId> {
        let service = self.services.values().max_by_key(|service| service.bytes)?;
        let route = service.routes.values().max_by_key(|route| route.bytes)?;
        route.traces.first().map(|(_, id)| *id)
    }
}

/// The key under which a new item goes.
fn entry<T>(entries: &HashMap<u64, T>, key: u64) -> u64 {
    if entries.len() < GROUPS || entries.contains_key(&key) { key } else { OTHERS }
}
