//! The viewer over HTTP: OTLP in, the list and each trace out as JSON, and the page.

mod answer;
mod documents;

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::Arc;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CONTENT_ENCODING, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ContentType, X_CONTENT_TYPE_OPTIONS,
};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, Bytes, Data, Path, ServiceConfig};
use actix_web::{Error, HttpRequest, HttpResponse, guard};
use opentelemetry_proto::tonic::collector::trace::v1::{ExportTracePartialSuccess, ExportTraceServiceResponse};
use prost::Message;
use serde::Serialize;
use serde_json::{Map, Value, json};
use settings::allowed_hosts::HostFault;

pub(crate) use self::answer::Room;
use crate::ingest::otlp;
use crate::model::{Event, Kind, Link, Nanos, Place, Source, Span, SpanId, Status, TraceId};
use crate::store::{Counts, Store, Summary};

/// Of a body, unpacked: several times what 512 spans take. An empty span takes two bytes of it, and sixty-four in memory.
const MAX_BODY: usize = 4 * 1024 * 1024;
/// Traces in a list.
const LIST: usize = 200;

const NOT_A_TRACE_ID: &str = "a trace id is 32 hex digits";
const NO_SUCH_TRACE: &str = "no such trace; it has not arrived, or made room for newer ones";

/// What every handler may use.
pub(crate) struct State {
    pub(crate) store: Arc<Store>,
    pub(crate) room: Room,
    pub(crate) otlp: SocketAddr,
    pub(crate) xray: SocketAddr,
}

pub(crate) fn routes(app: &mut ServiceConfig) {
    let api = || guard::Any(guard::Get()).or(guard::Head());
    app.app_data(web::PayloadConfig::new(MAX_BODY))
        .route("/v1/traces", web::post().to(export))
        .route("/api/traces", web::route().guard(api()).to(list))
        .route("/api/traces/{trace_id}", web::route().guard(api()).to(show))
        .route("/api/traces/{trace_id}/xray", web::route().guard(api()).to(documents::list))
        .route("/api/traces/{trace_id}/xray/{id}", web::route().guard(api()).to(documents::text))
        .route("/api/status", web::route().guard(api()).to(status))
        .route("/{file:[a-z.]*}", web::route().guard(api()).to(file))
        .default_service(web::to(|| async { problem(404, "no such page") }));
}

/// Headers of every answer.
pub(crate) fn headers() -> DefaultHeaders {
    DefaultHeaders::new()
        .add((CONTENT_SECURITY_POLICY, "default-src 'self'"))
        .add((X_CONTENT_TYPE_OPTIONS, "nosniff"))
        .add(("cache-control", "no-cache"))
}

/// `POST /v1/traces`. The answer is in the encoding of the request, as OTLP asks.
async fn export(state: Data<State>, request: HttpRequest, body: Result<Bytes, Error>) -> HttpResponse {
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !matches!(header(CONTENT_ENCODING), "" | "identity" | "gzip") {
        return problem(415, "send OTLP plain or as content-encoding: gzip");
    }
    let body = match body {
        Ok(body) => body,
        Err(error) => {
            state.store.reject(1);
            let too_large = error.as_response_error().status_code() == StatusCode::PAYLOAD_TOO_LARGE;
            return match too_large {
                true => problem(413, "a body has at most 4 MiB, unpacked"),
                false => problem(400, "the body could not be read or unpacked"),
            };
        }
    };
    let kind = header(CONTENT_TYPE).split(';').next().unwrap_or_default().trim();
    let read = match kind {
        "application/x-protobuf" | "application/protobuf" => otlp::protobuf(body),
        "application/json" => otlp::json(&body),
        _ => return problem(415, "send OTLP as application/x-protobuf or application/json"),
    };
    let read = match read {
        Ok(read) => read,
        Err(error) => {
            state.store.reject(1);
            return problem(400, &format!("the body is not OTLP: {error}"));
        }
    };
    state.store.reject(read.rejected);
    let rejected = read.rejected + state.store.add(read.spans);
    let partial_success = (rejected > 0).then(|| ExportTracePartialSuccess {
        rejected_spans: i64::try_from(rejected).unwrap_or(i64::MAX),
        error_message: "spans without a valid id, or more of one trace than the viewer keeps".to_owned(),
    });
    if kind == "application/json" {
        // The crate's own JSON writes a 64-bit number as a number, where protobuf's JSON has text.
        let partial_success = partial_success.map(|partial| {
            json!({"rejectedSpans": partial.rejected_spans.to_string(), "errorMessage": partial.error_message})
        });
        HttpResponse::Ok().json(json!({"partialSuccess": partial_success.unwrap_or(json!({}))}))
    } else {
        let answer = ExportTraceServiceResponse { partial_success };
        HttpResponse::Ok().content_type("application/x-protobuf").body(answer.encode_to_vec())
    }
}

/// `GET /api/traces`
async fn list(state: Data<State>) -> HttpResponse {
    state.room.json(&state.store.newest(LIST))
}

/// `GET /api/traces/{trace_id}`
async fn show(state: Data<State>, trace_id: Path<String>) -> HttpResponse {
    #[derive(Serialize)]
    struct Shown<'a> {
        #[serde(flatten)]
        summary: &'a Summary,
        spans: Vec<ShownSpan<'a>>,
    }
    let Some(id) = TraceId::parse(&trace_id) else {
        return problem(400, NOT_A_TRACE_ID);
    };
    let Some((summary, spans)) = state.store.trace(id) else {
        return problem(404, NO_SUCH_TRACE);
    };
    let services = Services::of(&spans);
    let spans = spans.iter().map(|span| ShownSpan::of(span, services.find(span))).collect();
    state.room.json(&Shown { summary: &summary, spans })
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

/// A span as the API tells it.
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

/// Which service each span is of. A subsegment that came alone does not say: its OTLP twin does, or the segment above it.
struct Services<'a> {
    by_id: HashMap<SpanId, (Option<&'a str>, Option<SpanId>)>,
}

impl<'a> Services<'a> {
    fn of(spans: &'a [Arc<Span>]) -> Self {
        let mut by_id: HashMap<SpanId, (Option<&str>, Option<SpanId>)> = HashMap::new();
        for span in spans {
            let known = by_id.entry(span.span_id).or_default();
            *known = (known.0.or(span.service.as_deref()), known.1.or(span.parent));
        }
        Self { by_id }
    }

    fn find(&self, span: &'a Span) -> Option<&'a str> {
        // Parents may form a ring in a hostile trace; no honest one is this deep.
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

/// A host that is not answered to.
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
