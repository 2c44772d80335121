//! The reverse proxy at the edge. It starts or continues the trace of each request and forwards the request to the upstream of
//! its route, with the trace in its headers, streaming both ways. It also serves Cruddur's page and receives the page's spans.
//!
//! [`Config`] holds where to listen, which peers to trust and where to forward to. [`Server`] runs the proxy. [`Reloader`]
//! rereads the routes and the certificate. A request enters through `server`, `connection`, `wire` and `framing`; `service`
//! decides how to handle it. `routes`, `forward` and `upstream` forward it; `page`, `relay`, `problem` and `respond` answer it
//! here. The proxy keeps no forwarded body. Of requests it keeps only counts, how upstreams served, and how often each client
//! sent spans, all bounded.

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
