//! The API over HTTP: routes, CORS, and a server that finishes what it has accepted. Knows no SQL.
//!
//! Every body is at most 64 KiB, and none is decoded. Requests are traced by tracing-actix-web with `telemetry`'s root span; health checks are not.

mod accounts;
mod activities;
mod body;
mod drain;
mod feed;
mod guard;
mod idempotency;
mod json;
mod list;
mod messages;
mod middleware;
mod openapi;
mod operation;
mod origins;
mod problem;
mod reactions;
mod requests;
mod routes;
mod schemas;
mod server;
mod session;
mod state;
mod users;

pub use server::{Server, ServerError};
