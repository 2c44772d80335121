//! The limits on a server's clients.

use std::time::Duration;

/// The limits on a server's clients. The deadlines are by default those of the reverse proxy.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// The number of threads; `None` means one for each processor.
    pub workers: Option<usize>,
    /// Connections of each thread. Further ones wait in the kernel's queue.
    pub connections: usize,
    /// The time from the first byte of a request's head to its end.
    pub head: Duration,
    /// The time from the end of a head to the end of the body.
    pub body: Duration,
    /// The time in which a client must read [`TAKEN`] bytes of a response, or all remaining bytes.
    pub write: Duration,
    /// The time between a response and the next request.
    pub idle: Duration,
    /// How long accepted requests may take to finish at shutdown, in seconds.
    pub drain_seconds: u64,
}

/// Bytes of a response that a client must read within [`Bounds::write`].
pub const TAKEN: usize = 64 * 1024;

impl Default for Bounds {
    fn default() -> Self {
        Self {
            workers: None,
            connections: 10_000,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            // The proxy closes its idle connections after 60 s. If this were shorter, the server could close a connection just
            // as the proxy sends a request on it.
            idle: Duration::from_secs(75),
            drain_seconds: 5,
        }
    }
}
