//! The reverse proxy at the edge. It starts or continues the trace of each request and forwards the request to the upstream of
//! its route, with the trace in its headers, streaming both ways. It also serves Cruddur's page and receives the page's spans.
//!
//! [`Config`] holds where to listen, which peers to trust and where to forward to. [`Server`] runs the proxy. [`Reloader`]
//! rereads the routes and the certificate. A request enters through `inbound`; `service` decides how to handle it. `routes`
//! and `forward` send it to a server of an `upstream`; `site` answers it here. Every response leaves through
//! `answer::finish`. The proxy keeps no forwarded body. From requests it keeps only bounded data: counts, the health of
//! upstreams, and how often each client sent spans.

// In reading order. The settings:
mod config;
mod options;

// The port, the connections, and the framing of requests.
mod inbound;

// Decides how to handle a request.
mod service;

// The route of a path.
mod routes;

// Forwarding to a route's upstream, and the servers of that upstream.
mod forward;
mod upstream;

// The responses: bodies, errors, headers, counts.
mod answer;

// The page, and the relay of its spans.
mod site;

#[doc(hidden)]
pub use inbound::framing;

pub use config::{CommandLine, Config};
pub use inbound::bounds::Bounds;
pub use inbound::server::{Error, Reloader, Server};
