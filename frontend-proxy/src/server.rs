//! Listens, decides which route a request takes, and finishes what it has accepted before it stops.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::uri::{Authority, PathAndQuery};
use http::{Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use telemetry::http::{Served, Side, peer as peer_ip, record_status, server_span};
use telemetry::propagation::{self, Trust};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tracing::Span;

use crate::body::{Outgoing, UnderWay};
use crate::config::Config;
use crate::forward::Forwarder;
use crate::{page, respond};

/// Forwarded without a trace: a probe each second would push every other trace out of a viewer.
const HEALTH_CHECK: &str = "/api/health-check";
/// Connections at the same time; a further one waits to be accepted.
const CONNECTIONS: usize = 10_000;
const HEADERS: Duration = Duration::from_secs(10);
/// Of a request's head, in bytes.
const HEAD: usize = 64 * 1024;
/// How long accepted requests may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound proxy: it has its port, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    state: Arc<State>,
}

struct State {
    config: Config,
    forwarder: Forwarder,
}

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{0} cannot be listened on: {1}; set CRUDDUR_PROXY_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
}

impl Server {
    /// Listens; port 0 takes a free one, which [`Server::addr`] tells. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, addr, state: Arc::new(State { config, forwarder: Forwarder::new() }) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Serves until `shutdown` completes, then finishes accepted requests within five seconds.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, state, .. } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, peer)) => serve(stream, peer, &graceful, Arc::clone(&state), &mut connections),
                Err(error) => {
                    // Out of file descriptors, most likely: the connections that end will free some.
                    tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still busy after {} s and are cut off", DRAIN.as_secs());
        }
        // Their spans end here, before the ledger is closed.
        connections.shutdown().await;
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    graceful: &GracefulShutdown,
    state: Arc<State>,
    connections: &mut JoinSet<()>,
) {
    // Small answers go out at once; that a socket does not know the option is no reason not to serve it.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |request| {
        let state = Arc::clone(&state);
        async move { Ok::<_, Infallible>(state.answer(request, peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    connections.spawn(async move {
        // What goes wrong on a connection is the client's affair; requests that fail are logged where they do.
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
        }
    });
}

impl State {
    async fn answer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Outgoing> {
        if !is_addressed(&request) {
            return respond::problem(StatusCode::BAD_REQUEST, "a request has one valid Host", &Span::none());
        }
        let path = request.uri().path();
        match path {
            "/health/live" => respond::alive(),
            "/health/telemetry" => respond::ledger(),
            "/metrics" => respond::metrics(),
            HEALTH_CHECK => self.forward(request, peer, None).await,
            "/" => self.traced(request, peer, Route::Page).await,
            _ if path.starts_with("/api/") => self.traced(request, peer, Route::Api).await,
            "/traces" => respond::redirect("/traces/"),
            _ if path.starts_with("/traces/") => self.viewer(request, peer).await,
            _ => match page::find(path) {
                Some(file) if reads(request.method()) => respond::file(file),
                _ => self.traced(request, peer, Route::None).await,
            },
        }
    }

    async fn traced(&self, request: Request<Incoming>, peer: SocketAddr, route: Route) -> Response<Outgoing> {
        let span = begin(&request, peer, &self.config.trust, route);
        let mut under_way = UnderWay::new(&span);
        let response = match (route, page::find(request.uri().path())) {
            (Route::Api, _) => self.forward(request, peer, Some(&span)).await,
            (Route::Page, Some(file)) if reads(request.method()) => respond::file(file),
            (Route::Page, _) => respond::problem(StatusCode::METHOD_NOT_ALLOWED, "the page is read by GET", &span),
            (Route::None, _) => respond::problem(StatusCode::NOT_FOUND, "no such page", &span),
        };
        under_way.over();
        record_status(&span, Side::Server, response.status().as_u16());
        respond::tell_trace(response, &span)
    }

    async fn forward(&self, request: Request<Incoming>, peer: SocketAddr, span: Option<&Span>) -> Response<Outgoing> {
        let Some(path) = request.uri().path_and_query().cloned() else {
            return respond::problem(StatusCode::BAD_REQUEST, "the path is not right", span.unwrap_or(&Span::none()));
        };
        self.forwarder.forward(request, peer, &self.config.upstream, path, span).await
    }

    /// The viewer behind `/traces/`: read only, and not traced itself.
    async fn viewer(&self, request: Request<Incoming>, peer: SocketAddr) -> Response<Outgoing> {
        let none = Span::none();
        let Some(viewer) = &self.config.viewer else {
            return respond::problem(StatusCode::NOT_FOUND, "no trace viewer is set; set CRUDDUR_VIEWER", &none);
        };
        if !reads(request.method()) {
            return respond::problem(StatusCode::METHOD_NOT_ALLOWED, "traces are read by GET here", &none);
        }
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        match path.strip_prefix("/traces").unwrap_or_default().parse::<PathAndQuery>() {
            Ok(path) => self.forwarder.forward(request, peer, viewer, path, None).await,
            Err(_) => respond::problem(StatusCode::BAD_REQUEST, "the path is not right", &none),
        }
    }
}

/// The routes that are traced; their templates are the names of spans.
#[derive(Clone, Copy)]
enum Route {
    Page,
    Api,
    None,
}

fn begin(request: &Request<Incoming>, peer: SocketAddr, trust: &Trust, route: Route) -> Span {
    let peer = Some(peer_ip(peer));
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let served = Served {
        method: request.method().as_str(),
        route: match route {
            Route::Page => Some("/"),
            Route::Api => Some("/api/*"),
            Route::None => None,
        },
        path: request.uri().path(),
        scheme: "http",
        host: header(header::HOST),
        peer,
        user_agent: header(header::USER_AGENT),
        version: Some(if request.version() == http::Version::HTTP_10 { "1.0" } else { "1.1" }),
    };
    server_span(&served, &propagation::extract(request.headers(), trust, peer))
}

/// One `Host` that is an authority, as [RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2) asks, and no tunnel.
fn is_addressed(request: &Request<Incoming>) -> bool {
    let mut hosts = request.headers().get_all(header::HOST).iter();
    let valid = match (hosts.next(), hosts.next()) {
        (Some(host), None) => host.to_str().is_ok_and(|host| host.parse::<Authority>().is_ok()),
        (None, _) => request.version() == http::Version::HTTP_10,
        _ => false,
    };
    valid && *request.method() != Method::CONNECT
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
