//! The API over HTTP: routes, CORS, and a server that finishes what it has accepted. Knows no SQL.
//!
//! Every body is at most 64 KiB, and none is decoded. Requests are traced by tracing-actix-web with `telemetry`'s root span; health checks are not.

mod accounts;
mod activities;
mod body;
mod drain;
mod feed;
mod guard;
mod json;
mod list;
mod messages;
mod once;
mod openapi;
mod origins;
mod problem;
mod reactions;
mod requests;
mod session;
mod users;

use std::future::{Future, ready};
use std::io;
use std::net::{SocketAddr, TcpListener};

use actix_cors::{Cors, CorsError};
use actix_web::body::{EitherBody, MessageBody};
use actix_web::dev::{Service, ServiceRequest, ServiceResponse};
use actix_web::guard::{Any, Get, Head};
use actix_web::http::header::{self, HeaderValue};
use actix_web::http::{Method, StatusCode};
use actix_web::middleware::Next;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, Resource, ResponseError, Route, middleware};
use bytes::Bytes;
use futures_util::TryFutureExt;
use listener::Bounds;
use settings::origin::{EXPOSED_HEADERS, Origin};
use telemetry::span::SpanExt;
use tracing::Span;
use tracing_actix_web::TracingLogger;

use crate::config::{Config, Shape};
use crate::store::{FIRST_USER, Faults, Store};
use drain::Drain;
use feed::Feed;
use origins::Origins;
use problem::Problem;
use session::Accounts;

const MAX_BODY: usize = 64 * 1024;

/// A bound server: it has its port, and serves once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    store: Store,
    config: Config,
    bounds: Bounds,
}

/// What every handler may use.
struct State {
    store: Store,
    accounts: Accounts,
    origins: Origins,
    shape: Shape,
    faults: Faults,
    /// The OpenAPI document of these routes; made once.
    document: Bytes,
    drain: Drain,
}

type Answer = Result<HttpResponse, Problem>;

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The server cannot listen on the address.
    #[error("{0} cannot be listened on: {1}; set CRUDDUR_BACKEND_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
    /// A worker does not start.
    #[error("the server does not start: {0}")]
    Start(io::Error),
}

impl Server {
    /// Listens on the configured address. Port 0 takes a free one, which [`Server::addr`] returns.
    ///
    /// # Errors
    /// The address is taken.
    pub fn bind(config: Config, store: Store) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, addr, store, config, bounds: Bounds::default() })
    }

    /// Changes what clients may use, so that a test need not wait as long as a client may.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bounds(self, change: impl FnOnce(&mut Bounds)) -> Self {
        let mut bounds = self.bounds;
        change(&mut bounds);
        Self { bounds, ..self }
    }

    /// The address on which it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` completes, then finishes accepted requests and writes, and closes the store.
    ///
    /// # Errors
    /// A worker does not start or fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, store, config, bounds, .. } = self;
        let Config { origins, hosts, trust, shape, faults, accounts, .. } = config;
        let accounts = Accounts::from(accounts);
        let account_routes = if accounts.are_issued() { no_account_routes } else { account_routes };
        let document = openapi::document(&accounts).into();
        let (origins, drain) = (Origins::new(origins), Drain::default());
        let state = State { store: store.clone(), accounts, origins, shape, faults, document, drain: drain.clone() };
        let state = web::Data::new(state);
        let drain_seconds = bounds.drain_seconds;
        let server = listener::serve(listener, bounds, move || {
            let reporting = state.clone();
            App::new()
                .app_data(state.clone())
                .app_data(web::Data::new(Feed::default()))
                .app_data(trust.clone())
                .app_data(hosts.clone())
                .configure(routes)
                .configure(account_routes)
                .wrap(middleware::from_fn(guard::json))
                .wrap(middleware::from_fn(drain::answer_in_time))
                .wrap(middleware::from_fn(fail_as_asked))
                .wrap(middleware::from_fn(refuse_encoded))
                .wrap(cors(state.origins.allowed()))
                .wrap_fn(move |request, service| {
                    reporting.origins.report(&request);
                    service.call(request).map_ok(refusal)
                })
                .wrap(middleware::from_fn(guard::host))
                .wrap(middleware::from_fn(telemetry::actix::answer))
                .wrap(TracingLogger::<telemetry::actix::RootSpan>::new())
        })
        .map_err(Error::Start)?;
        let handle = server.handle();
        let mut server = std::pin::pin!(server);
        let served = tokio::select! {
            served = &mut server => served,
            never = store.keep_swept() => match never {},
            () = shutdown => {
                let served = async { tokio::join!(server, handle.stop(true)).0 };
                let mut served = std::pin::pin!(served);
                tokio::select! {
                    served = &mut served => served,
                    () = drain.run(drain_seconds) => served.await,
                }
            }
        };
        store.close().await;
        served.map_err(Error::Start)
    }
}

fn routes(app: &mut ServiceConfig) {
    app.app_data(web::JsonConfig::default().limit(MAX_BODY).error_handler(|error, _| Problem::from(&error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::from(&error).into()))
        .app_data(web::PathConfig::default().error_handler(|_, _| Problem::not_found("no such route").into()))
        .service(read("/api/health-check", web::route().to(health_check)))
        .service(read("/health/ready", web::route().to(drain::ready)))
        .service(read("/health/telemetry", web::route().to(ledger)))
        .service(read("/metrics", web::route().to(metrics)))
        .service(read("/api/openapi.json", web::route().to(document)))
        .service(read("/rollbar/test", web::route().to(test_error)))
        .configure(activity_routes)
        .configure(people_routes)
        .default_service(web::to(|| async { Problem::not_found("no such route") }));
}

fn activity_routes(app: &mut ServiceConfig) {
    app.service(read("/api/activities/home", web::route().to(activities::home)))
        .service(read("/api/activities/notifications", web::route().to(reactions::notifications)))
        .service(read("/api/activities/search", web::route().to(activities::search)))
        .service(read("/api/activities/@", web::route().to(activities::profile_of_nobody)))
        .service(read("/api/activities/@{handle}", web::route().to(activities::profile)))
        .service(read("/api/activities/@{handle}/status/{uuid}", web::route().to(activities::status)))
        .service(at("/api/activities", [(Method::POST, web::to(activities::create))]))
        .service(at("/api/activities/{uuid}/reply", [(Method::POST, web::to(activities::reply))]))
        .service(at("/api/activities//reply", [(Method::POST, web::to(activities::reply_to_nothing))]))
        .service(at(
            "/api/activities/{uuid}/like",
            [(Method::POST, web::to(reactions::like)), (Method::DELETE, web::to(reactions::unlike))],
        ))
        .service(at(
            "/api/activities/{uuid}/repost",
            [(Method::POST, web::to(reactions::repost)), (Method::DELETE, web::to(reactions::unrepost))],
        ))
        .service(at(
            "/api/activities/{uuid}",
            [(Method::GET, web::to(activities::show)), (Method::DELETE, web::to(activities::delete))],
        ))
        .service(read("/api/trending", web::route().to(users::trending)));
}

fn people_routes(app: &mut ServiceConfig) {
    app.service(read("/api/message_groups", web::route().to(messages::groups)))
        .service(at("/api/messages", [(Method::POST, web::to(messages::say))]))
        .service(read("/api/messages/@{handle}", web::route().to(messages::messages_with)))
        .service(read("/api/messages/{message_group_uuid}", web::route().to(messages::messages)))
        .service(read("/api/users/@{handle}/short", web::route().to(users::short)))
        .service(read("/api/users/suggested", web::route().to(users::suggested)))
        .service(at(
            "/api/profile/update",
            [(Method::POST, web::to(users::update)), (Method::PUT, web::to(users::update))],
        ))
        .service(read("/api/auth/me", web::route().to(accounts::me)));
}

fn account_routes(app: &mut ServiceConfig) {
    app.service(at("/api/auth/signup", [(Method::POST, web::to(accounts::sign_up))]))
        .service(at("/api/auth/signin", [(Method::POST, web::to(accounts::sign_in))]))
        .service(at("/api/auth/signout", [(Method::POST, web::to(accounts::sign_out))]));
}

fn no_account_routes(app: &mut ServiceConfig) {
    for path in openapi::OWN_ACCOUNTS {
        app.service(web::resource(path).to(accounts::not_here));
    }
}

/// A resource with these methods, and with HEAD if it has GET. Any other method gets a response that lists them.
fn at<const N: usize>(path: &str, routes: [(Method, Route); N]) -> Resource {
    let allowed = routes.iter().map(|(method, _)| if method == Method::GET { "GET, HEAD" } else { method.as_str() });
    let allowed = allowed.collect::<Vec<_>>().join(", ");
    let refuse = web::to(move || ready(Problem::MethodNotAllowed(allowed.clone())));
    routes.into_iter().fold(web::resource(path).default_service(refuse), |resource, (method, route)| {
        resource.route(if method == Method::GET { route.guard(Any(Get()).or(Head())) } else { route.method(method) })
    })
}

/// A resource that clients read by GET, and so by HEAD.
fn read(path: &str, route: Route) -> Resource {
    at(path, [(Method::GET, route)])
}

/// Whether the API answers
#[utoipa::path(get, path = "/api/health-check", tag = "operation", operation_id = "health_check",
    responses((status = 200, description = "It does", body = json::Health)))]
async fn health_check(state: web::Data<State>) -> HttpResponse {
    let accounts = state.accounts.are_issued().then_some("issued");
    let acts_as = (state.shape == Shape::Week2).then_some(FIRST_USER);
    HttpResponse::Ok().json(json::Health { success: true, ver: 1, faults: state.faults.to_string(), accounts, acts_as })
}

/// This document
#[utoipa::path(get, path = "/api/openapi.json", tag = "operation", operation_id = "openapi",
    responses((status = 200, description = "OpenAPI 3.1", body = Object)))]
async fn document(state: web::Data<State>) -> HttpResponse {
    HttpResponse::Ok().content_type("application/json").body(state.document.clone())
}

/// Fail, to see whether errors are reported: the request's span has an exception
#[utoipa::path(get, path = "/rollbar/test", tag = "operation", operation_id = "test_error", responses())]
async fn test_error() -> Answer {
    Span::current().exception("backend::TestError", "this error was asked for", "");
    tracing::error!("this error was asked for");
    Err(Problem::Other(StatusCode::INTERNAL_SERVER_ERROR, "this error was asked for; find it in the trace".to_owned()))
}

/// Makes some requests fail, as if something were wrong, if `CRUDDUR_FAULTS` is set to do so.
async fn fail_as_asked<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    let percent = request.app_data::<web::Data<State>>().map_or(0, |state| state.faults.error_percent);
    let is_health = matches!(request.path(), "/api/health-check" | "/health/ready");
    if percent > 0 && !is_health && rand::random_range(0..100) < percent {
        let (request, _) = request.into_parts();
        let response = Problem::Asked.error_response();
        return Ok(ServiceResponse::new(request, response).map_into_right_body());
    }
    next.call(request).await.map(ServiceResponse::map_into_left_body)
}

/// No body is decoded: pages send no compressed ones, and a body that is not inflated cannot grow.
async fn refuse_encoded<B: MessageBody + 'static>(
    request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<EitherBody<B>>, actix_web::Error> {
    if request.headers().get_all(header::CONTENT_ENCODING).all(is_identity) {
        return next.call(request).await.map(ServiceResponse::map_into_left_body);
    }
    let (request, _) = request.into_parts();
    let response = Problem::Encoded.error_response();
    Ok(ServiceResponse::new(request, response).map_into_right_body())
}

fn is_identity(encoding: &HeaderValue) -> bool {
    let is_identity = |coding: &str| coding.is_empty() || coding.eq_ignore_ascii_case("identity");
    encoding.to_str().is_ok_and(|codings| codings.split(',').map(str::trim).all(is_identity))
}

/// What became of every span
#[utoipa::path(get, path = "/health/telemetry", tag = "operation", operation_id = "ledger",
    responses((status = 200, description = "For each destination `created = delivered + queued + dropped`; null where \
        telemetry is not installed", body = Option<Object>)))]
async fn ledger() -> HttpResponse {
    HttpResponse::Ok().json(telemetry::ledger::current())
}

/// The same for Prometheus
#[utoipa::path(get, path = "/metrics", tag = "operation", operation_id = "metrics",
    responses((status = 200, description = "In its text format 0.0.4", body = String)))]
async fn metrics() -> HttpResponse {
    let text = telemetry::ledger::current().map(|ledger| ledger.prometheus()).unwrap_or_default();
    HttpResponse::Ok().content_type(telemetry::ledger::PROMETHEUS).body(text)
}

/// The refusal of a preflight is a problem document too.
fn refusal<B: MessageBody>(response: ServiceResponse<B>) -> ServiceResponse<EitherBody<B>> {
    let error = response.response().error().and_then(actix_web::Error::as_error::<CorsError>);
    let Some(why) = error.map(ToString::to_string) else {
        return response.map_into_left_body();
    };
    let (request, _) = response.into_parts();
    ServiceResponse::new(request, Problem::bad_request(why).error_response()).map_into_right_body()
}

/// Only pages of these origins may call the API. A page that this API's own proxy serves needs no configured origin.
fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::OPTIONS, Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allowed_headers([header::CONTENT_TYPE, header::IF_MODIFIED_SINCE, header::AUTHORIZATION])
        .allowed_headers(["idempotency-key", "traceparent", "tracestate", "baggage"])
        .expose_headers(EXPOSED_HEADERS)
        .supports_credentials()
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}
