//! The viewer over HTTP: receives OTLP, and serves the list and each trace as JSON, and the page.

mod documents;
mod export;
mod files;
mod limits;
mod list;
mod parameters;
mod problem;
mod response;
mod search;
mod state;
mod status;
mod traces;

use actix_web::http::header::{ALLOW, CONTENT_SECURITY_POLICY, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use actix_web::middleware::DefaultHeaders;
use actix_web::web::{self, ServiceConfig};
use actix_web::{Resource, Route, guard};

pub(crate) use self::limits::Searches;
use self::problem::problem;
pub(crate) use self::problem::refuse_host;
pub(crate) use self::response::ResponseBudget;
pub(crate) use self::state::{MAX_BODY, State};

pub(crate) fn routes(app: &mut ServiceConfig) {
    app.service(
        web::resource("/v1/traces").route(web::post().to(export::export)).default_service(web::to(export::refuse)),
    )
    .service(read("/api/traces", web::route().to(traces::list)))
    .service(read("/api/traces/{trace_id}", web::route().to(traces::show)))
    .service(read("/api/traces/{trace_id}/xray", web::route().to(documents::list)))
    .service(read("/api/traces/{trace_id}/xray/{id}", web::route().to(documents::text)))
    .service(read("/api/suggest", web::route().to(search::suggestions)))
    .service(read("/api/routes", web::route().to(search::route_table)))
    .service(read("/api/map", web::route().to(search::service_map)))
    .service(read("/api/status", web::route().to(status::status)))
    .service(read("/{file:[a-z.]*}", web::route().to(files::file)))
    .default_service(web::to(|| async { problem(404, "no such page") }));
}

/// A resource that is read-only.
fn read(path: &str, route: Route) -> Resource {
    let get = guard::Any(guard::Get()).or(guard::Head());
    let refuse = || async {
        let mut refusal = problem(405, "only GET and HEAD are allowed here");
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
