//! The servers that the requests of a route go to, and how long each step of a request may take there.

use std::time::Duration;

use crate::config::Upstream;

/// How long an upstream may take, and how often a request is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Until a connection stands, the look-up of the server's name included.
    pub connect: Duration,
    /// From a request's first byte to the head of its answer.
    pub answer: Duration,
    /// Between two pieces of an answer's body.
    pub idle: Duration,
    /// Without a byte either way, once both sides have agreed on another protocol, as a WebSocket.
    pub tunnel: Duration,
    /// Attempts after the first, for requests that may be repeated.
    pub retries: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(2),
            answer: Duration::from_secs(30),
            idle: Duration::from_secs(60),
            tunnel: Duration::from_secs(600),
            retries: 1,
        }
    }
}

/// The servers of a route, at least one, that share its requests.
#[derive(Debug)]
pub(crate) struct Servers {
    servers: Vec<Upstream>,
    limits: Limits,
}

impl Servers {
    /// Requests that are sent to no server at all are answered with 502.
    pub(crate) fn new(servers: Vec<Upstream>, limits: Limits) -> Self {
        Self { servers, limits }
    }

    pub(crate) fn limits(&self) -> Limits {
        self.limits
    }

    pub(crate) fn first(&self) -> Option<&Upstream> {
        self.servers.first()
    }
}
