//! The API over HTTP: routes, CORS, and a server that finishes what it has accepted. Knows no SQL.
//!
//! Every body is at most 64 KiB. Requests are traced by tracing-actix-web with `telemetry`'s root span; health checks are not.

mod activities;
mod json;
mod problem;

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::time::Duration;

use actix_cors::Cors;
use actix_web::http::{Method, header};
use actix_web::web::{self, ServiceConfig};
use actix_web::{App, HttpResponse, HttpServer, Resource, Route, guard, middleware};
use tracing_actix_web::TracingLogger;

use crate::config::{Config, Origin};
use crate::domain::User;
use crate::store::{self, Store};
use problem::Problem;

const MAX_BODY: usize = 64 * 1024;
const HEADERS: Duration = Duration::from_secs(10);
/// Longer than the proxy keeps a connection it does not use, so that it is never the backend that closes one just as a
/// request is on its way.
const KEEP_ALIVE: Duration = Duration::from_secs(75);
/// How long accepted requests may take to finish at shutdown.
const DRAIN_SECONDS: u64 = 5;

/// A bound server: it has its port, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    store: Store,
    author: User,
    origins: Vec<Origin>,
}

/// What every handler may use.
pub(crate) struct State {
    pub(crate) store: Store,
    /// As whom writes act until accounts exist.
    pub(crate) author: User,
}

/// Why a server cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{0} cannot be listened on: {1}; set CRUDDUR_BACKEND_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
    /// The store lacks what the server needs.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A worker does not start.
    #[error("the server does not start: {0}")]
    Start(io::Error),
}

impl Server {
    /// Listens; port 0 takes a free one, which [`Server::addr`] tells.
    ///
    /// # Errors
    /// The address is taken, or the store has no author.
    pub async fn bind(config: Config, store: Store) -> Result<Self, Error> {
        let author = store.user(store::AUTHOR).await?.ok_or(Error::Store(store::Error::NoSuchUser(store::AUTHOR)))?;
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, addr, store, author, origins: config.origins })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` completes, then finishes accepted requests and writes, and closes the store.
    ///
    /// # Errors
    /// A worker does not start or fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, store, author, origins, .. } = self;
        let state = web::Data::new(State { store: store.clone(), author });
        let server = HttpServer::new(move || {
            App::new()
                .app_data(state.clone())
                .configure(routes)
                .wrap(cors(&origins))
                .wrap(middleware::from_fn(telemetry::actix::answer))
                .wrap(TracingLogger::<telemetry::actix::RootSpan>::new())
        })
        .client_request_timeout(HEADERS)
        .keep_alive(KEEP_ALIVE)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals()
        .listen(listener)
        .map_err(Error::Start)?
        .run();
        let handle = server.handle();
        let mut server = std::pin::pin!(server);
        let served = tokio::select! {
            served = &mut server => served,
            never = store.keep_swept() => match never {},
            () = shutdown => {
                let (served, ()) = tokio::join!(server, handle.stop(true));
                served
            }
        };
        store.close().await;
        served.map_err(Error::Start)
    }
}

fn routes(app: &mut ServiceConfig) {
    app.app_data(web::JsonConfig::default().limit(MAX_BODY).error_handler(|error, _| Problem::from(&error).into()))
        .app_data(web::QueryConfig::default().error_handler(|error, _| Problem::from(&error).into()))
        .service(read("/api/health-check", web::route().to(health_check)))
        .service(read("/health/telemetry", web::route().to(ledger)))
        .service(read("/metrics", web::route().to(metrics)))
        .service(read("/api/activities/home", web::route().to(activities::home)))
        .service(read("/api/activities/search", web::route().to(activities::search)))
        .service(read("/api/activities/@", web::route().to(activities::profile_of_nobody)))
        .service(read("/api/activities/@{handle}", web::route().to(activities::profile)))
        .service(read("/api/activities/@{handle}/status/{uuid}", web::route().to(activities::status)))
        .service(at("/api/activities").route(web::post().to(activities::create)))
        .service(at("/api/activities/{uuid}/reply").route(web::post().to(activities::reply)))
        .service(at("/api/activities//reply").route(web::post().to(activities::reply_to_nothing)))
        .service(read("/api/activities/{uuid}", web::route().to(activities::show)))
        .default_service(web::to(|| async { Problem::not_found("no such route") }));
}

/// A resource that answers 405 as a problem.
fn at(path: &str) -> Resource {
    web::resource(path).default_service(web::to(|| async { Problem::method_not_allowed() }))
}

/// A resource that is read by GET, and so by HEAD.
fn read(path: &str, route: Route) -> Resource {
    at(path).route(route.guard(guard::Any(guard::Get()).or(guard::Head())))
}

async fn health_check() -> HttpResponse {
    HttpResponse::Ok().json(serde_json::json!({"success": true, "ver": 1}))
}

/// What became of every span.
async fn ledger() -> HttpResponse {
    HttpResponse::Ok().json(telemetry::ledger::current())
}

/// The same for Prometheus.
async fn metrics() -> HttpResponse {
    let text = telemetry::ledger::current().map(|ledger| ledger.prometheus()).unwrap_or_default();
    HttpResponse::Ok().content_type(telemetry::ledger::PROMETHEUS).body(text)
}

/// Pages of these origins alone may call the API; a page that this API's own proxy serves needs none.
fn cors(origins: &[Origin]) -> Cors {
    let cors = Cors::default()
        .allowed_methods([Method::OPTIONS, Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::DELETE])
        .allowed_headers([header::CONTENT_TYPE, header::IF_MODIFIED_SINCE, header::AUTHORIZATION])
        .allowed_headers(["idempotency-key", "traceparent", "tracestate", "baggage"])
        .expose_headers(["location", "link", "server-timing", "x-request-id", "x-amzn-trace-id"])
        .max_age(3600);
    origins.iter().fold(cors, |cors, origin| cors.allowed_origin(origin.as_str()))
}
