//! Decides what becomes of a request: an answer of our own, or one from the upstream of its route, within a SERVER span where
//! the route is traced.

use std::net::SocketAddr;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, PoisonError, RwLock};

use http::uri::PathAndQuery;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use telemetry::http::{Served, Side, peer as peer_ip, record_status, server_span};
use telemetry::propagation::{self, Trust};
use tracing::Span;

use crate::body::{Outgoing, UnderWay};
use crate::config::Config;
use crate::forward::Forwarder;
use crate::framing::Refusal;
use crate::received::{Connection, Received};
use crate::routes::{Route, Routes, Source, is_straight};
use crate::{address, client_address, page, respond};

/// All that answering a request needs.
pub(crate) struct Service {
    /// The server is about to stop; whoever sends it requests should send them elsewhere.
    pub(crate) draining: AtomicBool,
    trust: Trust,
    /// Replaced whole; a request keeps the table that it began with.
    routes: RwLock<Arc<Routes>>,
    source: Source,
    forwarder: Forwarder,
}

impl Service {
    pub(crate) fn new(config: &Config) -> Self {
        Self {
            draining: AtomicBool::new(false),
            trust: config.trust.clone(),
            routes: RwLock::new(Arc::new(Routes::new(config.rules.clone()))),
            source: config.source.clone(),
            forwarder: Forwarder::new(),
        }
    }

    fn routes(&self) -> Arc<Routes> {
        Arc::clone(&self.routes.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// Reads the routes file again, and says what came of it. Blocks on the file.
    pub(crate) fn reload(&self) {
        match self.source.read_again() {
            Ok(rules) => {
                let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
                let (next, changes) = routes.next(rules);
                tracing::info!("{} routes are in force: {changes}", next.len());
                *routes = Arc::new(next);
            }
            Err(faults) => {
                let faults = faults.to_string().replace('\n', "; ");
                tracing::error!("the old routes stay in force: {faults}");
            }
        }
    }

    /// Ends what outlives its request.
    pub(crate) async fn close(&self) {
        self.forwarder.close().await;
    }

    /// The answer to a request that is not looked at.
    pub(crate) fn refuse(&self, refusal: Refusal) -> Response<Outgoing> {
        let mut response = respond::problem(refusal.status(), &refusal.to_string(), &Span::none());
        if refusal == Refusal::Full {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        response
    }

    pub(crate) async fn answer(&self, mut request: Request<Received>, peer: SocketAddr) -> Response<Outgoing> {
        if !address::settle(&mut request) {
            let detail = "a request has one valid Host, which is that of its target";
            let mut response = respond::problem(StatusCode::BAD_REQUEST, detail, &Span::none());
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        let routes = self.routes();
        let path = request.uri().path();
        if !is_straight(path) {
            return respond::problem(
                StatusCode::BAD_REQUEST,
                "a path has no . or .. between its slashes",
                &Span::none(),
            );
        }
        match path {
            "/health/live" => respond::alive(),
            "/health/telemetry" => respond::ledger(),
            "/metrics" => respond::metrics(),
            "/traces" => respond::redirect("/traces/"),
            _ => match (routes.find(path), page::find(path)) {
                (Some(Route { rule, .. }), _) if rule.missing.is_some() => {
                    let detail = "no trace viewer is set; set CRUDDUR_VIEWER";
                    respond::problem(StatusCode::NOT_FOUND, detail, &Span::none())
                }
                (Some(route), _) if route.rule.traces(path) => {
                    self.traced(request, peer, Destination::Route(route)).await
                }
                (Some(route), _) => self.forward(request, peer, route, None).await,
                (None, _) if path == "/" => self.traced(request, peer, Destination::Page).await,
                (None, Some(file)) if reads(request.method()) => respond::file(file),
                (None, _) => self.traced(request, peer, Destination::None).await,
            },
        }
    }

    async fn traced(
        &self,
        request: Request<Received>,
        peer: SocketAddr,
        destination: Destination<'_>,
    ) -> Response<Outgoing> {
        let span = begin(&request, peer, &self.trust, destination);
        let mut under_way = UnderWay::new(&span);
        let response = match (destination, page::find(request.uri().path())) {
            (Destination::Route(route), _) => self.forward(request, peer, route, Some(&span)).await,
            (Destination::Page, Some(file)) if reads(request.method()) => respond::file(file),
            (Destination::Page, _) => {
                respond::problem(StatusCode::METHOD_NOT_ALLOWED, "the page is read by GET", &span)
            }
            (Destination::None, _) => respond::problem(StatusCode::NOT_FOUND, "no such page", &span),
        };
        under_way.over();
        record_status(&span, Side::Server, response.status().as_u16());
        respond::tell_trace(response, &span)
    }

    async fn forward(
        &self,
        request: Request<Received>,
        peer: SocketAddr,
        route: &Route,
        span: Option<&Span>,
    ) -> Response<Outgoing> {
        let within = span.cloned().unwrap_or_else(Span::none);
        if !route.takes(request.method()) {
            return respond::problem(StatusCode::METHOD_NOT_ALLOWED, "this is read by GET here", &within);
        }
        let (parts, body) = request.into_parts();
        let request = match body.limited(route.rule.body.limit, route.rule.body.timeout) {
            Ok(body) => Request::from_parts(parts, body),
            Err(fault) => return respond::problem(fault.status(), &fault.to_string(), &within),
        };
        let path = request.uri().path_and_query().map_or("", PathAndQuery::as_str);
        match route.rule.forwarded(path).parse() {
            Ok(path) => self.forwarder.forward(request, peer, &route.servers, path, span, &self.trust).await,
            Err(_) => respond::problem(StatusCode::BAD_REQUEST, "the path is not right", &within),
        }
    }
}

/// What a request that is traced asks for; the template is part of the span's name.
#[derive(Clone, Copy)]
enum Destination<'a> {
    Page,
    Route(&'a Route),
    None,
}

fn begin(request: &Request<Received>, peer: SocketAddr, trust: &Trust, destination: Destination<'_>) -> Span {
    let peer = peer_ip(peer);
    let header = |name| request.headers().get(name).and_then(|value| value.to_str().ok());
    let is_secure = request.extensions().get::<Connection>().is_some_and(|connection| connection.secure);
    let served = Served {
        method: request.method().as_str(),
        route: match destination {
            Destination::Page => Some("/"),
            Destination::Route(route) => Some(route.rule.template(request.uri().path())),
            Destination::None => None,
        },
        path: request.uri().path(),
        query: request.uri().query(),
        scheme: if is_secure { "https" } else { "http" },
        host: header(header::HOST),
        peer: Some(peer),
        client: Some(client_address::find(request.headers(), trust, peer)),
        user_agent: header(header::USER_AGENT),
        version: Some(match request.version() {
            Version::HTTP_10 => "1.0",
            Version::HTTP_2 => "2",
            _ => "1.1",
        }),
    };
    server_span(&served, &propagation::extract(request.headers(), trust, Some(peer)))
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}
