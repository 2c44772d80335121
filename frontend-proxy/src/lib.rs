//! The reverse proxy at the edge: it begins or continues the trace of each request, forwards `/api/*` to the backend with the
//! trace in its headers, streaming both ways, and serves Cruddur's page.
//!
//! [`Config`] says where to listen and where to forward to, [`Server`] does it, [`Reloader`] changes where to. Callers on this machine are continued; all
//! others begin a new trace that is linked to theirs. Buffers no body and keeps no state between requests.

mod accept;
mod account;
mod address;
mod body;
mod certificate;
mod client_address;
mod config;
mod connection;
mod exchange;
mod forward;
#[doc(hidden)]
pub mod framing;
mod gzip;
mod limit;
mod metrics;
mod options;
mod page;
mod problem;
mod received;
mod relay;
mod respond;
mod routes;
mod server;
mod service;
mod token;
mod transport;
mod upstream;
mod wire;

pub use certificate::{Certificate, Fault};
pub use config::{CommandLine, Config, Upstream};
pub use options::Options;
pub use server::{Error, Reloader, Server};
pub use upstream::Limits;
