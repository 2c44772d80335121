//! The viewer over HTTP: receives OTLP, and serves the list and each trace as JSON, and the page.

mod answer;
mod documents;
mod export;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_SECURITY_POLICY, ContentType, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Data, Path, ServiceConfig};
use actix_web::{HttpResponse, Resource, Route, guard};
use serde::Serialize;
use serde_json::{Map, Value, json};
use settings::allowed_hosts::HostFault;

pub(crate) use self::answer::Room;
use self::answer::{Evicted, Items, Part};
use crate::body::Bodies;
use crate::model::{Event, Kind, Link, Nanos, Place, Source, Span, SpanId, Status, TraceId};
use crate::store::{Counts, Key, Store, Summary};

/// The most bytes of a decoded body: several times the size of 512 spans. An empty span takes two bytes there, and sixty-four in memory.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;
/// Traces in a list.
const LIST: usize = 200;

const NOT_A_TRACE_ID: &str = "a trace id is 32 hex digits";
const NO_SUCH_TRACE: &str = "no such trace; it has not arrived, or made room for newer ones";

/// What every handler may use.
pub(crate) struct State {
    pub(crate) store: Arc<Store>,
    pub(crate) bodies: Bodies,
    pub(crate) room: Room,
    pub(crate) otlp: SocketAddr,
    pub(crate) xray: SocketAddr,
}

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(
        web::resource("/v1/traces").route(web::post().to(export::export)).default_service(web::to(export::refuse)),
    )
    .service(read("/api/traces", web::route().to(list)))
    .service(read("/api/traces/{trace_id}", web::route().to(show)))
    .service(read("/api/traces/{trace_id}/xray", web::route().to(documents::list)))
    .service(read("/api/traces/{trace_id}/xray/{id}", web::route().to(documents::text)))
    .service(read("/api/status", web::route().to(status)))
    .service(read("/{file:[a-z.]*}", web::route().to(file)))
    .default_service(web::to(|| async { problem(404, "no such page") }));
}

/// A resource that is read-only.
fn read(path: &str, route: Route) -> Resource {
    let get = guard::Any(guard::Get()).or(guard::Head());
    let refuse = || async {
        let mut refusal = problem(405, "this can only be read: use GET");
        refusal.headers_mut().insert(ALLOW, HeaderValue::from_static("GET, HEAD"));
        refusal
    };
    web::resource(path).route(route.guard(get)).default_service(web::to(refuse))
}

/// Headers of every response. The directives without a fallback in `default-src` are named.
pub(crate) fn headers() -> DefaultHeaders {
    const POLICY: &str = "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";
    DefaultHeaders::new()
        .add((CONTENT_SECURITY_POLICY, POLICY))
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add(("cache-control", "no-cache"))
}

/// The newest traces. Some may be evicted before they are written.
struct Traces {
    store: Arc<Store>,
    ids: Vec<TraceId>,
}

impl Items for Traces {
    type Item = Summary;

    fn count(&self) -> usize {
        self.ids.len()
    }

    fn find(&self, index: usize) -> Result<Option<Arc<Summary>>, Evicted> {
        Ok(self.ids.get(index).and_then(|id| self.store.summary(*id)))
    }

    fn write(&self, _: usize, summary: &Summary, to: Part<'_>) -> serde_json::Result<()> {
        serde_json::to_writer(to, summary)
    }
}

/// `GET /api/traces`
async fn list(state: Data<State>) -> HttpResponse {
    let ids = state.store.newest(LIST).iter().map(|summary| summary.trace_id).collect();
    state.room.list(b"[".to_vec(), Traces { store: Arc::clone(&state.store), ids }, "]")
}

/// The spans of a trace that is being read, each with its service.
struct Spans {
    store: Arc<Store>,
    trace_id: TraceId,
    spans: Vec<(Key, Option<Arc<str>>)>,
}

impl Items for Spans {
    type Item = Span;

    fn count(&self) -> usize {
        self.spans.len()
    }

    fn find(&self, index: usize) -> Result<Option<Arc<Span>>, Evicted> {
        let (key, _) = self.spans.get(index).ok_or(Evicted)?;
        self.store.span(self.trace_id, *key).map(Some).ok_or(Evicted)
    }

    fn write(&self, index: usize, span: &Span, to: Part<'_>) -> serde_json::Result<()> {
        let service = self.spans.get(index).and_then(|(_, service)| service.as_deref());
        serde_json::to_writer(to, &ShownSpan::of(span, service))
    }
}

/// `GET /api/traces/{trace_id}`
async fn show(state: Data<State>, trace_id: Path<String>) -> HttpResponse {
    let Some(trace_id) = TraceId::parse(&trace_id) else {
        return problem(400, NOT_A_TRACE_ID);
    };
    let Some((summary, spans)) = state.store.trace(trace_id) else {
        return problem(404, NO_SUCH_TRACE);
    };
    // The summary's fields, with the spans as an additional field.
    let mut before = serde_json::to_vec(&*summary).unwrap_or_default();
    before.pop();
    before.extend_from_slice(b",\"spans\":[");
    let services = Services::of(&spans);
    let spans = spans.iter().map(|span| (Key::of(span), services.find(span).cloned())).collect();
    state.room.list(before, Spans { store: Arc::clone(&state.store), trace_id, spans }, "]}")
}

/// `GET /api/status`
async fn status(state: Data<State>) -> HttpResponse {
    #[derive(Serialize)]
    struct Shown {
        #[serde(flatten)]
        counts: Counts,
        traces_max: usize,
        bytes_max: usize,
        otlp: String,
        xray: String,
    }
    let bounds = state.store.bounds();
    HttpResponse::Ok().json(Shown {
        counts: state.store.counts(),
        traces_max: bounds.traces,
        bytes_max: bounds.bytes,
        otlp: format!("http://{}", state.otlp),
        xray: state.xray.to_string(),
    })
}

/// The page.
async fn file(name: Path<String>) -> HttpResponse {
    let (kind, content) = match name.as_str() {
        "" => ("text/html; charset=utf-8", include_str!("../static/index.html")),
        "viewer.css" => ("text/css; charset=utf-8", include_str!("../static/viewer.css")),
        "viewer.js" => ("text/javascript; charset=utf-8", include_str!("../static/viewer.js")),
        "list.js" => ("text/javascript; charset=utf-8", include_str!("../static/list.js")),
        "treegrid.js" => ("text/javascript; charset=utf-8", include_str!("../static/treegrid.js")),
        "twin.js" => ("text/javascript; charset=utf-8", include_str!("../static/twin.js")),
        "waterfall.js" => ("text/javascript; charset=utf-8", include_str!("../static/waterfall.js")),
        "xray.js" => ("text/javascript; charset=utf-8", include_str!("../static/xray.js")),
        "json.js" => ("text/javascript; charset=utf-8", include_str!("../static/json.js")),
        "format.js" => ("text/javascript; charset=utf-8", include_str!("../static/format.js")),
        "favicon.svg" => ("image/svg+xml", include_str!("../static/favicon.svg")),
        _ => return problem(404, "no such page"),
    };
    HttpResponse::Ok().content_type(kind).body(content)
}

/// A span in the API's format.
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
    attributes: &'a Map<String, Value>,
    events: &'a [Event],
    links: &'a [Link],
    status: &'a Status,
    source: Source,
    #[serde(flatten)]
    document: Option<Place>,
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
            attributes: &span.attributes,
            events: &span.events,
            links: &span.links,
            status: &span.status,
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

/// The response for a host that is not served.
pub(crate) fn refuse_host(status: StatusCode, fault: HostFault) -> HttpResponse {
    problem(status.as_u16(), &fault.to_string())
}

fn problem(status: u16, detail: &str) -> HttpResponse {
    let status = StatusCode::from_u16(status).unwrap_or_default();
    let title = status.canonical_reason().unwrap_or_default();
    let body = json!({"type": "about:blank", "title": title, "status": status.as_u16(), "detail": detail});
    HttpResponse::build(status)
        .insert_header(ContentType("application/problem+json".parse().unwrap_or(ContentType::json().0)))
        .body(body.to_string())
}
