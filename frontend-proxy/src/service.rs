//! Handles a request, by the proxy's own response or by that of the route's upstream, within a SERVER span if it is traced.

mod handler;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use http::request::Parts;
use http::{HeaderValue, Method, Response, StatusCode, header};
use settings::allowed_hosts::{AllowedHosts, HostFault};
use telemetry::http::{Side, record_status};
use telemetry::propagation::{self, Trust};
use tracing::Span;

use crate::answer::body::{OpenSpan, Outgoing};
use crate::answer::cors::Cors;
use crate::answer::finish::{ResponseContext, TRACE_TOKEN, add_token, add_trace, finish};
use crate::answer::metrics::Metrics;
use crate::answer::problem::{Trace, is_problem, problem, read_only};
use crate::answer::record::{RecordedBody, RequestRecord};
use crate::answer::respond;
use crate::config::Config;
use crate::forward::Forwarder;
use crate::inbound::framing::Refusal;
use crate::inbound::host;
use crate::inbound::received::{Caller, ClientConnection, RequestBody};
use crate::inbound::span::begin;
use crate::routes::{ActiveRoutes, Route, Routes};
use crate::site::page::Pages;
use crate::site::relay::Relay;
use crate::site::token::Tokens;
use handler::{Destination, Handler, RELAY};

/// Everything that answering a request needs.
pub(crate) struct Service {
    /// The server is about to stop; clients should send their requests elsewhere.
    pub(crate) draining: AtomicBool,
    trust: Trust,
    hosts: AllowedHosts,
    cors: Cors,
    pub(crate) routes: ActiveRoutes,
    forwarder: Forwarder,
    pages: Pages,
    tokens: Arc<Tokens>,
    /// `None` if no service's spans are relayed.
    relay: Option<Relay>,
    access_log: bool,
    pub(crate) metrics: Arc<Metrics>,
}

impl Service {
    pub(crate) fn new(config: &Config) -> Self {
        let options = &config.options;
        let tokens = Arc::new(Tokens::new(options.relay_key.as_ref()));
        let services = Some(&options.relay_services).filter(|services| !services.is_empty());
        Self {
            draining: AtomicBool::new(false),
            trust: config.trust.clone(),
            hosts: config.hosts.clone(),
            cors: Cors::new(config.origins.clone()),
            routes: ActiveRoutes::new(config.rules.clone(), config.source.clone()),
            forwarder: Forwarder::new(),
            pages: Pages::new(),
            relay: services.map(|services| Relay::new(services, Arc::clone(&tokens))),
            tokens,
            access_log: options.access_log,
            metrics: Arc::default(),
        }
    }

    /// Ends what outlives its request, such as tunnels.
    pub(crate) async fn close(&self) {
        self.forwarder.close().await;
    }

    /// The response to a request that is refused unread.
    pub(crate) fn refuse(
        &self,
        refusal: Refusal,
        request: &Parts,
        connection: ClientConnection,
    ) -> Response<RecordedBody<Outgoing>> {
        let mut response = problem(refusal.status(), &refusal.to_string(), &Span::none());
        if matches!(refusal, Refusal::Full | Refusal::Crowd) {
            response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        }
        self.metrics.answered(refusal.status().as_u16());
        let context = ResponseContext::of(request, connection);
        let mut record = self.record(request, connection);
        record.untraced(None);
        record.answer(finish(response, &context, &self.cors, || false))
    }

    pub(crate) async fn answer(
        &self,
        request: &mut Parts,
        body: RequestBody,
        connection: ClientConnection,
    ) -> Response<RecordedBody<Outgoing>> {
        let context = ResponseContext::of(request, connection);
        let mut record = self.record(request, connection);
        let routes = self.routes.current();
        let response = self.dispatch(request, body, connection, &routes, &mut record).await;
        if is_problem(&response) {
            self.metrics.answered(response.status().as_u16());
        }
        record.answer(finish(response, &context, &self.cors, || routes.has_viewer()))
    }

    fn record(&self, request: &Parts, connection: ClientConnection) -> RequestRecord {
        let mut record = RequestRecord::open(request, connection);
        if self.access_log {
            record.log(connection.peer.ip());
        }
        record
    }

    async fn dispatch(
        &self,
        request: &mut Parts,
        body: RequestBody,
        connection: ClientConnection,
        routes: &Routes,
        record: &mut RequestRecord,
    ) -> Response<Outgoing> {
        let untraced = Span::none();
        if !host::settle(request) {
            record.untraced(None);
            let detail = "a request must have one valid Host, which matches its target";
            let mut response = problem(StatusCode::BAD_REQUEST, detail, &untraced);
            response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            return response;
        }
        let caller = Caller::of(request, connection, &self.trust);
        record.client(caller.client.address);
        match Handler::of(request, routes, &self.pages, self.relay.as_ref(), &self.hosts) {
            Handler::Refusal(status, detail) => {
                record.untraced(None);
                problem(status, detail, &untraced)
            }
            Handler::ForeignHost => {
                record.untraced(None);
                problem(StatusCode::MISDIRECTED_REQUEST, &HostFault::Foreign.to_string(), &untraced)
            }
            Handler::Operation => {
                record.unlogged();
                record.untraced(Some(request.uri.path()));
                self.operation(request.uri.path())
            }
            Handler::ViewerRedirect => {
                record.untraced(Some("/traces"));
                respond::redirect("/traces/")
            }
            Handler::Traced(destination) => self.traced(request, body, &caller, destination, record).await,
            Handler::Untraced(route) => {
                record.untraced(Some(route.rule.template(request.uri.path())));
                self.forward(request, body, &caller, route, &untraced).await
            }
            Handler::File(file) => {
                record.untraced(Some("/{file}"));
                if reads(&request.method) { file.answer(&request.headers) } else { read_only(&untraced) }
            }
            Handler::Relay(relay) => {
                record.untraced(Some(RELAY));
                relay.answer(request, body, &caller.client).await
            }
        }
    }

    /// The endpoints for operators.
    fn operation(&self, path: &str) -> Response<Outgoing> {
        match path {
            "/health/ready" if self.draining.load(Ordering::Relaxed) => {
                problem(StatusCode::SERVICE_UNAVAILABLE, "the proxy is about to stop", &Span::none())
            }
            "/health/telemetry" => respond::ledger(),
            "/metrics" => respond::metrics(|text| {
                self.metrics.prometheus(text);
                self.relay.iter().for_each(|relay| relay.prometheus(text));
            }),
            _ => respond::alive(),
        }
    }

    /// The page. It carries the context of the span that serves it, and may send spans of its trace.
    fn page(&self, request: &Parts, span: &Span) -> Response<Outgoing> {
        let Some(context) = propagation::traceparent(span) else {
            return self.pages.home(&request.headers, &[]);
        };
        let token = self.token(span).unwrap_or_default();
        let meta = [("traceparent", context.as_str()), ("trace-token", &token)];
        let meta = if token.is_empty() { &meta[..1] } else { &meta[..] };
        self.pages.home(&request.headers, meta)
    }

    /// The token with which a page may send spans of `span`'s trace; `None` if the trace is not recorded.
    fn token(&self, span: &Span) -> Option<String> {
        self.relay.as_ref()?;
        let trace = Trace::of(span)?;
        trace.is_sampled.then(|| self.tokens.issue(&trace.id, SystemTime::now()))
    }

    async fn traced(
        &self,
        request: &mut Parts,
        body: RequestBody,
        caller: &Caller,
        destination: Destination<'_>,
        record: &mut RequestRecord,
    ) -> Response<Outgoing> {
        let template = destination.template(request.uri.path());
        let under_way = OpenSpan::of(begin(request, caller, &self.trust, template));
        if let Some(template) = template {
            record.route(template);
        }
        let span = under_way.span();
        record.trace(|| propagation::trace_id(span));
        let wants_token = request.headers.remove(TRACE_TOKEN).is_some();
        let response = match destination {
            Destination::Route(route) => self.forward(request, body, caller, route, span).await,
            Destination::Page if reads(&request.method) => self.page(request, span),
            Destination::Page => read_only(span),
            Destination::None => problem(StatusCode::NOT_FOUND, "no such page", span),
        };
        let span = under_way.into_span();
        record_status(&span, Side::Server, response.status().as_u16());
        let mut response = add_trace(response, &span);
        if wants_token && let Some(token) = self.token(&span) {
            add_token(&mut response, &token);
        }
        response
    }

    async fn forward(
        &self,
        request: &mut Parts,
        body: RequestBody,
        caller: &Caller,
        route: &Route,
        span: &Span,
    ) -> Response<Outgoing> {
        if !route.accepts(&request.method) {
            return read_only(span);
        }
        match body.limited(route.rule.body.limit, route.rule.body.timeout) {
            Ok(body) => self.forwarder.forward(request, body, caller, route, span).await,
            Err(fault) => problem(fault.status(), &fault.to_string(), span),
        }
    }
}

fn reads(method: &Method) -> bool {
    matches!(*method, Method::GET | Method::HEAD)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CommandLine;

    #[test]
    fn a_stopping_proxy_is_live_but_not_ready() {
        let service = Service::new(&Config::read(&mut settings::Settings::from_pairs(&[]), CommandLine::default()));
        let status = |path| service.operation(path).status().as_u16();
        assert_eq!([status("/health/live"), status("/health/ready")], [204, 204]);
        service.draining.store(true, Ordering::Relaxed);
        assert_eq!([status("/health/live"), status("/health/ready")], [204, 503]);
    }
}
