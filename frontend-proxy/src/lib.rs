//! The reverse proxy at the edge. It starts or continues the trace of each request and forwards the request to the upstream of
//! its route, with the trace in its headers, streaming both ways. It also serves Cruddur's page and receives the page's spans.
//!
//! [`Config`] holds where to listen, which peers to trust and where to forward to. [`Server`] runs the proxy. [`Reloader`]
//! rereads the routes and the certificate. A request enters through `inbound`; `service` decides how to handle it. `routes`
//! and `forward` send it to an upstream; `site` answers it here. `answer` completes the response. The proxy keeps no forwarded
//! body. Of requests it keeps only counts, how upstreams served, and how often each client sent spans, all bounded.

// In the order in which a request meets them.
mod config;
mod options;

mod inbound;

mod service;

mod routes;

mod forward;

mod answer;

mod site;

#[doc(hidden)]
pub use inbound::framing;

pub use config::{CommandLine, Config};
pub use inbound::bounds::Bounds;
pub use inbound::server::{Error, Reloader, Server};
