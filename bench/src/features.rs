//! `ours`, and the modes that add one feature of `telemetry` to it. Their handlers send the same response. Features that variables turn
//! on have no mode: `bench/run` sets the variables.

use actix_web::{HttpResponse, Route, web};
use opentelemetry::global;
use opentelemetry::trace::Tracer;
use telemetry::Config;
use telemetry::crates::settings::Faults;
use telemetry::crates::xray_lite::{Context, CustomNamespace};
use telemetry::span::{EndingSpan, ExportDecision, SpanProcessor};
use telemetry::xray_lite::LiteContext;

use crate::activities::{home, respond};

/// The name of the span that a handler makes, by whichever API.
const CHILD: &str = "activities";

pub(crate) fn config(mode: &str) -> Result<Config, Faults> {
    match mode {
        "processor" => Config::builder().processor(Anonymous).build(),
        _ => Config::from_env(),
    }
}

/// The handler of `mode`; `None` if it is none of these modes.
pub(crate) fn route(mode: &str) -> Option<fn() -> Route> {
    Some(match mode {
        "ours" | "follow" | "processor" => || web::get().to(home),
        "event" => || web::get().to(event),
        "span" => || web::get().to(span),
        "api" => || web::get().to(api),
        "xray-lite" => || web::get().to(xray_lite),
        _ => return None,
    })
}

/// Exports no address of a client.
struct Anonymous;

impl SpanProcessor for Anonymous {
    fn on_end(&self, span: &mut EndingSpan<'_>) -> ExportDecision {
        span.redact(|key, _| (key == "client.address").then(|| "REDACTED".to_owned()));
        ExportDecision::Export
    }
}

async fn event() -> HttpResponse {
    tracing::info!(activities = 3, "home is served");
    respond()
}

async fn span() -> HttpResponse {
    tracing::info_span!(CHILD).in_scope(respond)
}

async fn api() -> HttpResponse {
    global::tracer("bench").in_span(CHILD, |_| respond())
}

async fn xray_lite() -> HttpResponse {
    let _subsegment = LiteContext::default().enter_subsegment(CustomNamespace::new(CHILD));
    respond()
}
