//! The reverse proxy at the edge: it begins or continues the trace of each request, sends it on to the upstream of its route
//! with the trace in its headers, streaming both ways, and serves Cruddur's page and takes its spans.
//!
//! [`Config`] says where to listen, whom to trust and where to forward to, [`Server`] does it, [`Reloader`] reads routes and
//! certificate again. A request comes in by `server`, `connection`, `wire` and `framing`; `service` decides what becomes of it;
//! `routes`, `forward` and `upstream` send it on; `page`, `relay`, `problem` and `respond` answer it here. Keeps no forwarded
//! body, and of requests nothing but counts, how upstreams served, and how often who sent spans: all of it bounded.

mod accept;
mod account;
mod address;
mod body;
mod bounds;
mod certificate;
mod config;
mod connection;
mod cors;
mod exchange;
mod field;
mod forward;
#[doc(hidden)]
pub mod framing;
mod gzip;
mod limit;
mod metrics;
mod options;
mod page;
mod places;
mod problem;
mod received;
mod relay;
mod respond;
mod routes;
mod server;
mod service;
mod streams;
mod token;
mod transport;
mod upstream;
mod wire;

pub use bounds::Bounds;
pub use config::{CommandLine, Config};
pub use server::{Error, Reloader, Server};
