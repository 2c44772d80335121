//! What clients may use of a server.

use std::time::Duration;

/// What clients may use of a server. The default has the deadlines of the reverse proxy.
#[derive(Debug, Clone, Copy)]
pub struct Bounds {
    /// Threads; `None` starts one for each processor.
    pub workers: Option<usize>,
    /// Connections of each thread. Others wait in the kernel's queue.
    pub connections: usize,
    /// From the first byte of a request's head to its end.
    pub head: Duration,
    /// From the end of a head to the end of the body.
    pub body: Duration,
    /// In which a client must accept [`TAKEN`] bytes of a response, or all that remain.
    pub write: Duration,
    /// Between a response and the next request.
    pub idle: Duration,
    /// How long accepted requests may take to finish at shutdown, in seconds.
    pub drain_seconds: u64,
}

/// Bytes of a response that a client must accept within [`Bounds::write`].
pub const TAKEN: usize = 64 * 1024;

impl Default for Bounds {
    fn default() -> Self {
        Self {
            workers: None,
            connections: 10_000,
            head: Duration::from_secs(10),
            body: Duration::from_secs(30),
            write: Duration::from_secs(30),
            // The proxy closes its idle connections after 60 s. Were this shorter, the server could close one just as the proxy
            // sends a request on it.
            idle: Duration::from_secs(75),
            drain_seconds: 5,
        }
    }
}
