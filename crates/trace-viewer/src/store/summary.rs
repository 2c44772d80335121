//! The summary of a trace. Knows only the trace's spans, not where they are kept.

use std::borrow::Cow;
use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::model::{Code, Nanos, Source, Span, SpanId, TraceId, short};

/// Services that a summary names.
const SERVICES: usize = 20;

/// A trace in the list.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Summary {
    pub(crate) trace_id: TraceId,
    /// The name of the earliest span whose parent has not arrived; OTLP's name if both protocols reported the span.
    pub(crate) root_name: Option<String>,
    /// The path of the root's request: many requests share a name.
    pub(crate) root_path: Option<String>,
    /// The services that reported spans, and the databases that they called (X-Ray's inferred services), in order of appearance.
    pub(crate) services: Vec<String>,
    pub(crate) start: Nanos,
    pub(crate) start_unix_nano: String,
    pub(crate) duration_ms: f64,
    /// The number of operations: a span and its X-Ray twin are one.
    pub(crate) span_count: usize,
    /// The number of operations that failed.
    pub(crate) errors: usize,
    pub(crate) sources: Sources,
    /// Spans and documents that did not fit.
    pub(crate) dropped: u64,
}

/// Spans by protocol.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Sources {
    pub(crate) otlp: usize,
    pub(crate) xray: usize,
}

pub(super) fn summarise(trace_id: TraceId, spans: &[Arc<Span>], dropped: u64) -> Option<Summary> {
    let (start, end) = time(spans)?;
    let root = root(spans);
    let (operations, errors) = operations(spans);
    let count = |source| spans.iter().filter(|span| span.source == source).count();
    Some(Summary {
        trace_id,
        root_name: root.map(|span| span.name.clone().into()),
        root_path: root.and_then(path),
        services: services(spans),
        start,
        start_unix_nano: start.0.to_string(),
        duration_ms: end.ms_since(start),
        span_count: operations,
        errors,
        sources: Sources { otlp: count(Source::Otlp), xray: count(Source::Xray) },
        dropped,
    })
}

/// The number of operations, and of those that failed.
pub(super) fn operations(spans: &[Arc<Span>]) -> (usize, usize) {
    let failed = |span: &&Arc<Span>| span.outcome == Code::Error;
    // If one protocol reported all spans, none has a twin.
    if spans.windows(2).all(|pair| matches!(pair, [a, b] if a.source == b.source)) {
        return (spans.len(), spans.iter().filter(failed).count());
    }
    // A protocol has two spans with one id if they are the two sides of a call.
    let mut of_id: HashMap<SpanId, [usize; 2]> = HashMap::new();
    for span in spans {
        let [otlp, xray] = of_id.entry(span.span_id).or_default();
        *if span.source == Source::Otlp { otlp } else { xray } += 1;
    }
    let operations = of_id.values().map(|[otlp, xray]| otlp.max(xray)).sum();
    // OTLP decides if both protocols have the operation.
    let decides =
        |span: &&Arc<Span>| span.source == Source::Otlp || of_id.get(&span.span_id).is_none_or(|[otlp, _]| *otlp == 0);
    (operations, spans.iter().filter(failed).filter(decides).count())
}

/// The start of a trace's first span, and the end of its last.
pub(super) fn time(spans: &[Arc<Span>]) -> Option<(Nanos, Nanos)> {
    let start = spans.iter().map(|span| span.start).min()?;
    let end = spans.iter().map(|span| span.end.unwrap_or(span.start)).max()?;
    Some((start, end))
}

/// The earliest span whose parent has not arrived. X-Ray's times are rounded, so among the spans of one operation OTLP's is preferred.
pub(super) fn root(spans: &[Arc<Span>]) -> Option<&Arc<Span>> {
    let ids: HashSet<SpanId> = spans.iter().map(|span| span.span_id).collect();
    let is_root = |span: &&Arc<Span>| span.parent.is_none_or(|parent| !ids.contains(&parent));
    spans.iter().filter(is_root).min_by_key(|span| (span.start.0 / 1_000, span.source))
}

/// The path of a span's request.
fn path(span: &Arc<Span>) -> Option<String> {
    #[derive(Deserialize)]
    struct RootDetails<'a> {
        #[serde(borrow)]
        attributes: RootAttributes<'a>,
    }
    #[derive(Deserialize)]
    struct RootAttributes<'a> {
        #[serde(borrow, rename = "url.path")]
        path: Option<Cow<'a, str>>,
    }
    let details: RootDetails<'_> = serde_json::from_str(span.details.get()).ok()?;
    details.attributes.path.map(|path| short(&path).to_owned())
}

fn services(spans: &[Arc<Span>]) -> Vec<String> {
    let mut by_start: Vec<(Nanos, &str)> = Vec::new();
    for span in spans {
        let names = [&span.service, &span.database].into_iter().flatten();
        by_start.extend(names.map(|name| (span.start, &**name)));
    }
    by_start.sort_by_key(|(start, _)| *start);
    let mut seen = BTreeSet::new();
    let names = by_start.into_iter().filter(|(_, name)| seen.insert(*name)).map(|(_, name)| name.to_owned());
    names.take(SERVICES).collect()
}
