//! What happens at each route: the service and name of a trace's root.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;

use super::compile::Compiled;
use super::run::{Scanned, scan};
use super::statistics::Calls;
use super::syntax::Query;
use crate::model::{Nanos, TraceId};
use crate::store::{Store, Wanted};

/// The most routes. Traces of further ones are counted together.
const ROUTES: usize = 500;
/// How many of its slowest traces a route has.
const SLOWEST: usize = 5;

#[derive(Debug, Serialize)]
pub(crate) struct Routes {
    /// Those with the most traces first.
    pub(crate) routes: Vec<RouteRow>,
    /// The traces of routes that are not listed.
    pub(crate) other_traces: usize,
    /// The traces that were compared with the query.
    pub(crate) traces: usize,
    pub(crate) is_complete: bool,
}

#[derive(Debug, Serialize)]
pub(crate) struct RouteRow {
    pub(crate) service: Option<Box<str>>,
    pub(crate) name: Box<str>,
    pub(crate) count: usize,
    /// The traces with a failed operation.
    pub(crate) errors: usize,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
    pub(crate) p99_ms: Option<f64>,
    pub(crate) slowest: Vec<SlowTrace>,
}

#[derive(Debug, Serialize)]
pub(crate) struct SlowTrace {
    pub(crate) trace_id: TraceId,
    pub(crate) duration_ms: f64,
}

#[derive(Default)]
struct RouteCalls {
    calls: Calls,
    /// The slowest first.
    slowest: Vec<(u64, TraceId)>,
}

/// Summarises the traces that a query accepts.
pub(crate) fn routes(store: &Store, query: &Query, now: Nanos) -> Routes {
    let mut routes: HashMap<(Option<Arc<str>>, Box<str>), RouteCalls> = HashMap::new();
    let mut other_traces = 0;
    let Scanned { traces, is_cut } = scan(store, &Compiled::new(query, now), Wanted::Root, |accepted| {
        let Some(root) = accepted.root else { return ControlFlow::Continue(()) };
        let route = (root.service.clone(), root.name.clone());
        let count = routes.len();
        if let Some(known) = routes.get_mut(&route) {
            known.add(accepted.facts.duration, accepted.facts.errors > 0, accepted.id);
        } else if count < ROUTES {
            routes.entry(route).or_default().add(accepted.facts.duration, accepted.facts.errors > 0, accepted.id);
        } else {
            other_traces += 1;
        }
        ControlFlow::Continue(())
    });
    let mut routes: Vec<RouteRow> =
        routes.into_iter().map(|((service, name), calls)| calls.row(service, name)).collect();
    routes.sort_by(|a, b| b.count.cmp(&a.count).then_with(|| (&a.service, &a.name).cmp(&(&b.service, &b.name))));
    Routes { routes, other_traces, traces, is_complete: !is_cut }
}

impl RouteCalls {
    fn add(&mut self, duration: u64, has_failed: bool, id: TraceId) {
        self.calls.add(Some(duration), has_failed);
        let at = self.slowest.partition_point(|(longer, _)| *longer >= duration);
        if at < SLOWEST {
            self.slowest.insert(at, (duration, id));
            self.slowest.truncate(SLOWEST);
        }
    }

    fn row(self, service: Option<Arc<str>>, name: Box<str>) -> RouteRow {
        let (count, errors) = (self.calls.count, self.calls.errors);
        let [p50_ms, p95_ms, p99_ms] = self.calls.percentiles([50, 95, 99]);
        let slow = |(ns, trace_id)| SlowTrace { trace_id, duration_ms: Nanos(ns).ms_since(Nanos(0)) };
        let slowest = self.slowest.into_iter().map(slow).collect();
        let service = service.map(|service| (&*service).into());
        RouteRow { service, name, count, errors, p50_ms, p95_ms, p99_ms, slowest }
    }
}
