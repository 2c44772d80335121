//! Forwarding: sends a request to a server of its upstream, or to another server if that one failed before it can have acted.
//! The response streams back. Each attempt is a CLIENT span; the last one and the SERVER span end with the response's last
//! byte. Bodies are not kept, so a request is never sent twice once any of its body has been read.

mod failure;
mod headers;
mod location;
mod tunnel;

use std::borrow::Cow;
use std::future::poll_fn;
use std::sync::Arc;
use std::task::Poll;

use http::request::Parts;
use http::uri::PathAndQuery;
use http::{Method, Response, StatusCode, header};
use http_body_util::Either;
use hyper::upgrade::OnUpgrade;
use telemetry::forwarded::Client;
use telemetry::http::{client_span, record_response};
use telemetry::span::SpanExt;
use tokio::time::{Instant, timeout_at};
use tracing::Span;

use crate::answer::body::{ArrivingBody, ForwardedBody, OpenSpan, Outgoing};
use crate::answer::problem::problem;
use crate::inbound::received::{Caller, RequestBody};
use crate::routes::{Host, Route, Rule};
use crate::upstream::answer::{BodyRemaining, Head};
use crate::upstream::connection::UpstreamConnection;
use crate::upstream::exchange::{AttemptError, Upload, exchange};
use crate::upstream::trailers::Malformed;
use crate::upstream::{Lease, Servers, UpstreamServer};
use location::LocationRewrite;
use tunnel::{Tunnel, Tunnels};

/// Forwards requests.
pub(crate) struct Forwarder {
    tunnels: Tunnels,
}

/// A request being forwarded, through all its attempts.
struct ForwardedRequest<'a> {
    request: &'a Parts,
    upload: Upload,
    rule: &'a Rule,
    servers: &'a Servers,
    client: &'a Client<'a>,
    is_trusted: bool,
    /// The path with its query, as the upstream gets it.
    path: &'a str,
    /// The client requests another protocol.
    upgrades: bool,
}

/// An attempt that got a response.
struct Answered {
    connection: Box<UpstreamConnection>,
    head: Head,
    /// The whole request has been sent to the upstream.
    sent: bool,
}

/// An attempt that got no response.
struct Failed {
    error: AttemptError,
    /// Nothing of the request has left this machine.
    unsent: bool,
    /// The connection had served other requests before.
    reused: bool,
}

impl Answered {
    /// Whether the response is a 431 without a body. Some servers, such as actix's, refuse a head that is too large with only
    /// this status. The client then gets the reason in the form of the proxy's own errors.
    fn is_bare_431(&self) -> bool {
        let Head { status, rest, .. } = &self.head;
        *status == StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE && matches!(rest, BodyRemaining::Length(0))
    }
}

impl Forwarder {
    pub(crate) fn new() -> Self {
        Self { tunnels: Tunnels::default() }
    }

    /// Ends the tunnels, which outlive their requests.
    pub(crate) async fn close(&self) {
        self.tunnels.close().await;
    }

    /// Forwards a request to one of the servers of `route`, within its SERVER span if it is traced.
    pub(crate) async fn forward(
        &self,
        request: &mut Parts,
        body: RequestBody,
        caller: &Caller,
        route: &Route,
        server: &Span,
    ) -> Response<Outgoing> {
        let upgrade = headers::upgrades(&request.headers, request.version);
        let upgrade = if upgrade { request.extensions.remove::<OnUpgrade>() } else { None };
        let request = &*request;
        let framed = request.headers.contains_key(header::CONTENT_LENGTH);
        let upload = Upload::new(body, framed, headers::expects(request));
        let path = route.rule.forwarded(request.uri.path_and_query().map_or("/", PathAndQuery::as_str));
        // A target that includes a host may have a query but no path.
        let path = if path.starts_with('/') { Cow::Borrowed(path) } else { Cow::Owned(format!("/{path}")) };
        let (rule, servers, upgrades) = (&route.rule, &route.servers, upgrade.is_some());
        let Caller { client, is_trusted, .. } = caller;
        let forwarded =
            ForwardedRequest { request, upload, rule, servers, client, is_trusted: *is_trusted, path: &path, upgrades };
        self.attempt(forwarded, upgrade, server).await
    }

    /// Makes attempts until one gets a response or no further attempt is allowed.
    async fn attempt(
        &self,
        mut forwarded: ForwardedRequest<'_>,
        upgrade: Option<OnUpgrade>,
        server: &Span,
    ) -> Response<Outgoing> {
        let (mut tried, mut attempts, mut fresh) = (Vec::new(), 0, false);
        loop {
            let Some(lease) = forwarded.servers.choose(&tried) else {
                return problem(StatusCode::BAD_GATEWAY, "no upstream is configured", server);
            };
            let authority = lease.server().authority();
            let mut client = OpenSpan::of(forwarded.span(server, authority, attempts));
            let failed = match forwarded.once(&lease, client.span(), fresh).await {
                Ok(answered) => {
                    forwarded.servers.succeeded(lease.server());
                    record_response(client.span(), answered.head.status.as_u16(), answered.connection.peer, "1.1");
                    if answered.is_bare_431() {
                        client.end();
                        let detail = "the upstream accepts neither this many headers nor headers this large";
                        return problem(StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE, detail, server);
                    }
                    return self.answer(answered, forwarded, lease, upgrade, OpenSpan::new(server), client);
                }
                Err(failed) => failed,
            };
            let error = &failed.error;
            client.fail(error.kind());
            let stale = failed.reused && matches!(error, AttemptError::Unanswered);
            if stale {
                // The event that closed one idle connection has probably closed the others too.
                lease.server().forget();
            } else if error.is_upstream() {
                forwarded.servers.failed(lease.server());
            }
            if attempts < forwarded.servers.limits().retries && forwarded.may_repeat(&failed) {
                (attempts, fresh) = (attempts + 1, true);
                tried.push(Arc::from(authority));
                continue;
            }
            if error.is_upstream() {
                server.in_scope(|| tracing::warn!(upstream = authority, kind = error.kind(), "{error}"));
            }
            return problem(error.status(), &error.to_string(), server);
        }
    }

    /// The response that the client gets.
    fn answer(
        &self,
        answered: Answered,
        forwarded: ForwardedRequest<'_>,
        lease: Lease,
        upgrade: Option<OnUpgrade>,
        server: OpenSpan,
        client: OpenSpan,
    ) -> Response<Outgoing> {
        let Answered { connection, head, sent } = answered;
        let limits = forwarded.servers.limits();
        let mut response = Response::new(());
        (*response.status_mut(), *response.headers_mut()) = (head.status, head.headers);
        let own = [lease.server().authority(), forwarded.host(lease.server())];
        LocationRewrite { own, client: forwarded.client, rule: forwarded.rule }.rewrite(response.headers_mut());
        if matches!(head.status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED) {
            // Only these two statuses keep `Upgrade`, and `Connection` has to name it.
            response.headers_mut().insert(header::CONNECTION, http::HeaderValue::from_static("upgrade"));
        }
        let body = if head.status == StatusCode::SWITCHING_PROTOCOLS
            && let Some(upgrade) = upgrade
        {
            let spans = [server, client];
            self.tunnels.open(Tunnel {
                client: upgrade,
                upstream: connection,
                idle: limits.tunnel,
                _lease: lease,
                spans,
            });
            Either::Left(http_body_util::Full::default())
        } else {
            let upload = (!sent).then_some(forwarded.upload);
            let (rest, wait, idle) = (head.rest, head.wait, limits.idle);
            let answer = ArrivingBody { connection, rest, upload, wait, lease, idle, awaited: false };
            Either::Right(Box::new(ForwardedBody::new(answer, server, client)))
        };
        response.map(|()| body)
    }
}

impl ForwardedRequest<'_> {
    /// The CLIENT span of an attempt, within the SERVER span; none if the request is not traced.
    fn span(&self, server: &Span, authority: &str, earlier_attempts: u32) -> Span {
        if server.is_none() {
            return Span::none();
        }
        let path = self.path.split_once('?').map_or(self.path, |(path, _)| path);
        let span = client_span(server, self.request.method.as_str(), "http", authority, path);
        if earlier_attempts > 0 {
            span.set("http.request.resend_count", i64::from(earlier_attempts));
        }
        span
    }

    /// The `Host` that is sent to a server.
    fn host<'s>(&'s self, server: &'s UpstreamServer) -> &'s str {
        match &self.rule.host {
            Host::Upstream => server.authority(),
            Host::Client => self.client.host.as_deref().unwrap_or(server.authority()),
            Host::Named(host) => host,
        }
    }

    /// Makes one attempt; if `fresh`, on a new connection.
    async fn once(&mut self, lease: &Lease, span: &Span, fresh: bool) -> Result<Answered, Failed> {
        let (limits, now) = (self.servers.limits(), Instant::now());
        let deadline = now + limits.answer;
        let server = lease.server();
        let waiting = if fresh { None } else { poll_fn(|cx| Poll::Ready(server.reuse(cx))).await };
        let reused = waiting.is_some();
        let mut connection = match waiting {
            Some(connection) => connection,
            None => {
                let connected = timeout_at(now + limits.connect, server.connect(deadline)).await;
                let failed = |error| Failed { error, unsent: true, reused };
                connected
                    .map_err(|_| failed(AttemptError::ConnectTimeout))?
                    .map_err(|_| failed(AttemptError::Connect))?
            }
        };
        let context = headers::ForwardContext {
            client: self.client,
            is_trusted: self.is_trusted,
            path: self.path,
            host: self.host(server),
            upgrades: self.upgrades,
            span,
        };
        headers::write(&mut connection.output.head, self.request, &self.upload, &context);
        let answer = exchange(&mut connection, &mut self.upload, &self.request.method, deadline).await;
        let answer = answer.and_then(|(head, sent)| match head.status {
            StatusCode::SWITCHING_PROTOCOLS if !self.upgrades => {
                Err(Malformed("it switches protocols although no upgrade was requested").into())
            }
            _ => Ok((head, sent)),
        });
        match answer {
            Ok((head, sent)) => Ok(Answered { connection, head, sent }),
            Err(error) => Err(Failed { error, unsent: !connection.output.begun, reused }),
        }
    }

    /// Whether the request may be repeated. Every request may be repeated if the upstream cannot have acted on it. An
    /// idempotent request may also be repeated if the upstream closed the connection without a byte. A request that timed out
    /// may not: the upstream may be at work on it.
    fn may_repeat(&self, failed: &Failed) -> bool {
        let idempotent =
            matches!(self.request.method, Method::GET | Method::HEAD | Method::OPTIONS | Method::PUT | Method::DELETE);
        let safe = match failed.error {
            AttemptError::Connect | AttemptError::ConnectTimeout => true,
            AttemptError::Unanswered => idempotent || failed.unsent,
            _ => false,
        };
        safe && !self.upload.touched
    }
}
