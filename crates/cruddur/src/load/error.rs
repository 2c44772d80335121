//! Why a load measured nothing, or what failed in it.

use std::net::IpAddr;

use super::origin::Origin;

/// Why nothing was measured.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    /// The host has no address.
    #[error("cannot resolve {host}: {why}")]
    Unresolved { host: String, why: String },
    /// The host is not this machine.
    #[error("{origin} is {address}, which is not this machine; give --allow-remote if you may load it")]
    Remote { origin: Origin, address: IpAddr },
    /// No server accepts a connection.
    #[error("nothing listens at {0}; start Cruddur with `cargo run`")]
    Unreachable(Origin),
    /// The server is not a healthy Cruddur.
    #[error("no healthy Cruddur at {0}: GET /api/health-check gave {1}")]
    Unhealthy(Origin, String),
    /// No account could be signed up.
    #[error("cannot sign up an account: {0}; use --users 0 to read only")]
    SignUp(String),
    /// Stopped during preparation.
    #[error("interrupted before the first request")]
    Interrupted,
    /// Some requests failed; the summary precedes this error.
    #[error("{failed} of {requests} requests failed{}", match unsent { 0 => String::new(), n => format!(", and {n} were not sent") })]
    RequestsFailed { failed: u64, requests: u64, unsent: u64 },
}
