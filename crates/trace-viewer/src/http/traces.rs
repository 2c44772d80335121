//! The list of traces, and one trace with its spans.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use actix_web::web::{Data, Path};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::list::{Evicted, Items, PartWriter};
use super::parameters::Parameters;
use super::problem::{NO_SUCH_TRACE, NOT_A_TRACE_ID, SearchError, problem};
use super::search;
use super::state::State;
use crate::model::{DocumentPart, Kind, Nanos, Source, Span, SpanId, TraceId};
use crate::store::{SpanKey, Store, Summary};

/// The traces of a list. Some may be evicted before they are written.
struct TraceItems {
    store: Arc<Store>,
    ids: Vec<TraceId>,
}

impl Items for TraceItems {
    type Item = Summary;

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn find(&self, index: usize) -> Result<Option<Arc<Summary>>, Evicted> {
        Ok(self.ids.get(index).and_then(|id| self.store.summary(*id)))
    }

    fn write(&self, _: usize, summary: &Summary, to: PartWriter<'_>) -> io::Result<()> {
        Ok(serde_json::to_writer(to, summary)?)
    }
}

/// `GET /api/traces`: the newest, or those that a query finds.
pub(super) async fn list(state: Data<State>, request: HttpRequest) -> HttpResponse {
    let listed = async {
        let parameters = Parameters::read(request.query_string(), &["q", "limit"])?;
        let (query, limit) = (parameters.query()?, parameters.limit()?);
        let respond =
            |ids| state.responses.list(b"[".to_vec(), TraceItems { store: Arc::clone(&state.store), ids }, "]");
        if parameters.q.is_none() {
            return Ok(respond(state.store.newest(limit)));
        }
        let mut found = search::find(&state, query, limit).await?;
        let mut response = respond(std::mem::take(&mut found.ids));
        search::describe(&found, &mut response);
        Ok(response)
    };
    listed.await.unwrap_or_else(|error: SearchError| error.response())
}

/// The spans of a trace that is being read, each with its service.
struct SpanItems {
    store: Arc<Store>,
    trace_id: TraceId,
    spans: Vec<(SpanKey, Option<Arc<str>>)>,
}

impl Items for SpanItems {
    type Item = Span;

    fn count(&self) -> usize {
        self.spans.len()
    }

    fn find(&self, index: usize) -> Result<Option<Arc<Span>>, Evicted> {
        let (key, _) = self.spans.get(index).ok_or(Evicted)?;
        self.store.span(self.trace_id, *key).map(Some).ok_or(Evicted)
    }

    fn write(&self, index: usize, span: &Span, mut to: PartWriter<'_>) -> io::Result<()> {
        let service = self.spans.get(index).and_then(|(_, service)| service.as_deref());
        let mut json = serde_json::to_vec(&ShownSpan::of(span, service))?;
        // The fields of the span, and in the same object those of its details.
        json.pop();
        json.push(b',');
        to.write_all(&json)?;
        to.write_all(span.details.get().as_bytes().get(1..).unwrap_or_default())
    }
}

/// `GET /api/traces/{trace_id}`
pub(super) async fn show(state: Data<State>, trace_id: Path<String>) -> HttpResponse {
    let Some(trace_id) = TraceId::parse(&trace_id) else {
        return problem(400, NOT_A_TRACE_ID);
    };
    state.store.recall(trace_id).await;
    let Some((summary, spans)) = state.store.open(trace_id) else {
        return problem(404, NO_SUCH_TRACE);
    };
    // The summary's fields, with the spans as an additional field.
    let mut before = serde_json::to_vec(&*summary).unwrap_or_default();
    before.pop();
    before.extend_from_slice(b",\"spans\":[");
    let services = Services::of(&spans);
    let spans = spans.iter().map(|span| (SpanKey::of(span), services.find(span).cloned())).collect();
    state.responses.list(before, SpanItems { store: Arc::clone(&state.store), trace_id, spans }, "]}")
}

/// A span in the API's format, without its details.
#[derive(Serialize)]
struct ShownSpan<'a> {
    trace_id: TraceId,
    span_id: SpanId,
    parent_span_id: Option<SpanId>,
    service: Option<&'a str>,
    name: &'a str,
    kind: Kind,
    start: Nanos,
    end: Option<Nanos>,
    /// Text, because a JavaScript number cannot hold it.
    start_unix_nano: String,
    end_unix_nano: Option<String>,
    duration_ms: Option<f64>,
    source: Source,
    #[serde(flatten)]
    document: Option<DocumentPart>,
}

impl<'a> ShownSpan<'a> {
    fn of(span: &'a Span, service: Option<&'a str>) -> Self {
        Self {
            trace_id: span.trace_id,
            span_id: span.span_id,
            parent_span_id: span.parent,
            service,
            name: &span.name,
            kind: span.kind,
            start: span.start,
            end: span.end,
            start_unix_nano: span.start.0.to_string(),
            end_unix_nano: span.end.map(|end| end.0.to_string()),
            duration_ms: span.duration_ms(),
            source: span.source,
            document: span.document,
        }
    }
}

/// The service of each span. A subsegment that came alone does not name its service: its OTLP twin does, or the segment above it.
struct Services<'a> {
    by_id: HashMap<SpanId, (Option<&'a Arc<str>>, Option<SpanId>)>,
}

impl<'a> Services<'a> {
    fn of(spans: &'a [Arc<Span>]) -> Self {
        let mut by_id: HashMap<SpanId, (Option<&Arc<str>>, Option<SpanId>)> = HashMap::new();
        for span in spans {
            let known = by_id.entry(span.span_id).or_default();
            *known = (known.0.or(span.service.as_ref()), known.1.or(span.parent));
        }
        Self { by_id }
    }

    fn find(&self, span: &'a Span) -> Option<&'a Arc<str>> {
        if span.service.is_some() {
            return span.service.as_ref();
        }
        // In a hostile trace, parents may form a ring. No honest trace is this deep.
        const DEPTH: usize = 100;
        let mut id = Some(span.span_id);
        for _ in 0..DEPTH {
            let (service, parent) = self.by_id.get(&id?)?;
            if service.is_some() {
                return *service;
            }
            id = *parent;
        }
        None
    }
}
