//! Why a load measured nothing, or what failed in it.

use std::net::IpAddr;

use super::origin::Origin;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The host has no address.
    #[error("{host} has no address: {why}")]
    Unresolved { host: String, why: String },
    /// The host is not this machine.
    #[error("{origin} is {address}, which is not this machine; give --allow-remote if you may load it")]
    Remote { origin: Origin, address: IpAddr },
    /// No server accepts a connection.
    #[error("nothing answers at {0}; start it with `cargo run`")]
    Unreachable(Origin),
    /// The server is not a healthy Cruddur.
    #[error("what answers at {0} is not a Cruddur that is well: GET /api/health-check gave {1}")]
    Unhealthy(Origin, String),
    /// No account could be signed up.
    #[error("no account could be signed up: {0}; give --users 0 to read only")]
    SignUp(String),
    /// Stopped during preparation.
    #[error("interrupted before the first request")]
    Interrupted,
    /// Some requests failed; the summary precedes this error.
    #[error("{failed} of {requests} requests failed{}", match unsent { 0 => String::new(), n => format!(", and {n} were not sent") })]
    RequestsFailed { failed: u64, requests: u64, unsent: u64 },
}
