//! The servers that a route's requests go to: which server gets the next request, over which connection, and how long each
//! step may take. The server with the fewest requests is chosen; a server that failed several times in a row is skipped for a
//! while. Opens no connection before a request arrives, and does not know what is forwarded.

pub(crate) mod address;
pub(crate) mod answer;
pub(crate) mod chunked;
pub(crate) mod connection;
pub(crate) mod exchange;
pub(crate) mod field;
mod health;
mod keep_alive;
mod server;
pub(crate) mod trailers;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};
use std::time::Duration;

use tokio::time::Instant;

use address::Upstream;
use health::Standing;
pub(crate) use server::{Lease, UpstreamServer};

/// How long an upstream may take, and how often a request is retried.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct UpstreamLimits {
    /// Until a connection is established, including the look-up of the server's name.
    pub(crate) connect: Duration,
    /// From a request's first byte to the head of its response, not counting the time spent waiting for the client.
    pub(crate) answer: Duration,
    /// Between two pieces of a response's body.
    pub(crate) idle: Duration,
    /// Without a byte in either direction, once both sides have agreed on another protocol such as WebSocket.
    pub(crate) tunnel: Duration,
    /// The age of a connection beyond which it carries no further request.
    pub(crate) age: Duration,
    /// Attempts after the first, for requests that may be repeated.
    pub(crate) retries: u32,
}

impl Default for UpstreamLimits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(600),
            age: Duration::from_secs(60),
            retries: 1,
        }
    }
}

/// The servers of a route that share its requests.
#[derive(Debug)]
pub(crate) struct Servers {
    servers: Vec<Arc<UpstreamServer>>,
    limits: UpstreamLimits,
    /// Where the search for the next server starts, so that equal servers take turns.
    turn: AtomicUsize,
    started: Instant,
}

impl Servers {
    /// Without servers, every request is answered with 502.
    pub(crate) fn new(servers: Vec<Upstream>, limits: UpstreamLimits) -> Self {
        let servers = servers.into_iter().map(|server| Arc::new(UpstreamServer::new(server, limits.age))).collect();
        Self { servers, limits, turn: AtomicUsize::default(), started: Instant::now() }
    }

    pub(crate) fn limits(&self) -> UpstreamLimits {
        self.limits
    }

    /// The server for the next request: the healthy one, not among `tried`, with the fewest requests. If there is none, the one
    /// whose pause ends first.
    pub(crate) fn choose(&self, tried: &[Arc<str>]) -> Option<Lease> {
        if let [only] = self.servers.as_slice() {
            return Some(Lease::new(Arc::clone(only), false));
        }
        let untried = |server: &&Arc<UpstreamServer>| !tried.iter().any(|tried| **tried == *server.authority());
        self.choose_among(untried).or_else(|| self.choose_among(|_| true))
    }

    fn choose_among(&self, wanted: impl Fn(&&Arc<UpstreamServer>) -> bool) -> Option<Lease> {
        let now = self.started.elapsed();
        let turn = self.turn.fetch_add(1, Relaxed) % self.servers.len().max(1);
        let (mut best, mut least_bad) = (None, None);
        let in_turn = self.servers.iter().cycle().skip(turn).take(self.servers.len());
        for server in in_turn.filter(wanted) {
            match server.health.standing(now) {
                Standing::Due if server.health.begin_probe() => return Some(Lease::new(Arc::clone(server), true)),
                Standing::Healthy => {
                    let outstanding = server.outstanding.load(Relaxed);
                    if best.is_none_or(|(fewest, _)| outstanding < fewest) {
                        best = Some((outstanding, server));
                    }
                }
                Standing::Due => {}
                Standing::Out(until) => {
                    if least_bad.is_none_or(|(first, _)| until < first) {
                        least_bad = Some((until, server));
                    }
                }
            }
        }
        let (_, server) = best.or(least_bad.map(|(_, server)| (0, server)))?;
        Some(Lease::new(Arc::clone(server), false))
    }

    pub(crate) fn succeeded(&self, server: &UpstreamServer) {
        if server.health.succeeded() {
            tracing::info!(upstream = server.authority(), "responds again");
        }
    }

    pub(crate) fn failed(&self, server: &UpstreamServer) {
        if let Some(pause) = server.health.failed(self.started.elapsed()) {
            let seconds = pause.as_secs();
            tracing::warn!(upstream = server.authority(), "failed several times in a row; skipping it for {seconds} s");
        }
    }
}
