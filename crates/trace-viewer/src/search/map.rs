//! The services, and which calls which. A span and its X-Ray twin are one operation; a database that a span names is a service too.

use std::collections::HashMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use serde::Serialize;

use super::compile::Compiled;
use super::run::{Scanned, scan};
use super::statistics::Calls;
use super::syntax::Query;
use crate::model::{Code, Kind, Nanos, Source, Span, SpanId};
use crate::store::{Store, Wanted};

/// The most services, and the most edges. Calls of further ones are counted together.
const SERVICES: usize = 200;
const EDGES: usize = 1_000;

#[derive(Debug, Serialize)]
pub(crate) struct ServiceMap {
    pub(crate) services: Vec<ServiceRow>,
    pub(crate) edges: Vec<EdgeRow>,
    /// The calls that are not listed because there are too many services or edges.
    pub(crate) other_calls: usize,
    /// The traces that were compared with the query.
    pub(crate) traces: usize,
    pub(crate) is_complete: bool,
}

/// A service with the calls that it received: operations whose parent is another service's, or is not there.
#[derive(Debug, Serialize)]
pub(crate) struct ServiceRow {
    pub(crate) name: Box<str>,
    pub(crate) is_database: bool,
    #[serde(flatten)]
    pub(crate) calls: CallsRow,
}

#[derive(Debug, Serialize)]
pub(crate) struct EdgeRow {
    pub(crate) from: Box<str>,
    pub(crate) to: Box<str>,
    #[serde(flatten)]
    pub(crate) calls: CallsRow,
}

/// Durations are as the called service reported them, or of a database as its caller did.
#[derive(Debug, Serialize)]
pub(crate) struct CallsRow {
    pub(crate) calls: usize,
    pub(crate) errors: usize,
    pub(crate) p50_ms: Option<f64>,
    pub(crate) p95_ms: Option<f64>,
}

/// Maps the traces that a query accepts.
pub(crate) fn map(store: &Store, query: &Query, now: Nanos) -> ServiceMap {
    let mut graph = Graph::default();
    let Scanned { traces, is_cut } = scan(store, &Compiled::new(query, now), Wanted::Spans, |accepted| {
        graph.add(&accepted.spans);
        ControlFlow::Continue(())
    });
    let services = graph.services.into_iter();
    let mut services: Vec<ServiceRow> = services
        .map(|(name, (calls, is_database))| ServiceRow { name: (&*name).into(), is_database, calls: calls.into() })
        .collect();
    services.sort_by(|a, b| a.name.cmp(&b.name));
    let edges = graph.edges.into_iter();
    let mut edges: Vec<EdgeRow> = edges
        .map(|((from, to), calls)| EdgeRow { from: (&*from).into(), to: (&*to).into(), calls: calls.into() })
        .collect();
    edges.sort_by(|a, b| (&a.from, &a.to).cmp(&(&b.from, &b.to)));
    ServiceMap { services, edges, other_calls: graph.other_calls, traces, is_complete: !is_cut }
}

#[derive(Default)]
struct Graph {
    services: HashMap<Arc<str>, (Calls, bool)>,
    edges: HashMap<(Arc<str>, Arc<str>), Calls>,
    other_calls: usize,
}

/// The deepest chain of spans of unknown service. In a hostile trace, parents may form a ring.
const DEPTH: usize = 100;

/// The spans of a trace by their ids; of an operation that both protocols reported, OTLP's.
struct Operations<'a>(Vec<&'a Arc<Span>>);

impl Graph {
    fn add(&mut self, spans: &[Arc<Span>]) {
        let operations = Operations::of(spans);
        for span in &operations.0 {
            let parent = operations.parent(span);
            let caller = parent.and_then(|parent| operations.service(parent));
            // A part that does not name its service belongs to its parent's.
            let Some(service) = span.service.as_ref().or(caller) else { continue };
            let duration = span.end.map(|end| end.0.saturating_sub(span.start.0));
            let has_failed = span.outcome == Code::Error;
            if caller != Some(service) {
                self.call(caller, service, false, duration, has_failed);
            }
            if let Some(database) = &span.database {
                self.call(Some(service), database, true, duration, has_failed);
            }
        }
    }

    fn call(
        &mut self,
        from: Option<&Arc<str>>,
        to: &Arc<str>,
        is_database: bool,
        duration: Option<u64>,
        has_failed: bool,
    ) {
        let has_space = self.services.len() < SERVICES || self.services.contains_key(to);
        if !has_space {
            self.other_calls += 1;
            return;
        }
        let (calls, _) = self.services.entry(Arc::clone(to)).or_insert_with(|| (Calls::default(), is_database));
        calls.add(duration, has_failed);
        let Some(from) = from else { return };
        let edge = (Arc::clone(from), Arc::clone(to));
        if self.edges.len() < EDGES || self.edges.contains_key(&edge) {
            self.edges.entry(edge).or_default().add(duration, has_failed);
        } else {
            self.other_calls += 1;
        }
    }
}

impl<'a> Operations<'a> {
    fn of(spans: &'a [Arc<Span>]) -> Self {
        let mut sorted: Vec<&Arc<Span>> = spans.iter().collect();
        sorted.sort_by_key(|span| (span.span_id, span.source));
        let mut otlp: Option<SpanId> = None;
        sorted.retain(|span| {
            if span.source == Source::Otlp {
                otlp = Some(span.span_id);
            }
            span.source == Source::Otlp || otlp != Some(span.span_id)
        });
        Self(sorted)
    }

    fn with_id(&self, id: SpanId) -> &[&'a Arc<Span>] {
        let start = self.0.partition_point(|span| span.span_id < id);
        let after = self.0.get(start..).unwrap_or_default();
        let length = after.partition_point(|span| span.span_id == id);
        after.get(..length).unwrap_or_default()
    }

    /// The operation that called this one. The two sides of a call may share an id, as with B3: then the client's side is the parent of the server's, and the
    /// server's side that of what it calls.
    fn parent(&self, span: &Arc<Span>) -> Option<&'a Arc<Span>> {
        if span.kind == Kind::Server
            && let Some(client) = self.with_id(span.span_id).iter().find(|other| other.kind == Kind::Client)
        {
            return Some(client);
        }
        let candidates = self.with_id(span.parent?);
        candidates.iter().find(|parent| parent.kind == Kind::Server).or(candidates.first()).copied()
    }

    /// The service of an operation: its own, or that of the nearest ancestor that names one.
    fn service(&self, span: &'a Arc<Span>) -> Option<&'a Arc<str>> {
        let mut span = span;
        for _ in 0..DEPTH {
            if let Some(service) = &span.service {
                return Some(service);
            }
            span = self.parent(span)?;
        }
        None
    }
}

impl From<Calls> for CallsRow {
    fn from(calls: Calls) -> Self {
        let (count, errors) = (calls.count, calls.errors);
        let [p50_ms, p95_ms] = calls.percentiles([50, 95]);
        Self { calls: count, errors, p50_ms, p95_ms }
    }
}
