//! A viewer of traces for one workspace: receives OTLP/HTTP and X-Ray datagrams, merges them by trace id, and shows a list and a waterfall.
//!
//! `ingest` turns bytes into [`model`]'s spans, `store` keeps them in a bounded number of bytes, `disk` keeps them longer if it has a folder, `search` finds
//! them, `http` serves them, and `sampling` serves X-Ray's sampling rules. Every incoming byte is treated as hostile. Sends nothing anywhere, and makes no spans
//! itself: an observer of traces does not add to them.

#![warn(clippy::indexing_slicing)]

mod body;
mod config;
mod disk;
mod hosts;
mod http;
mod index;
mod ingest;
pub mod model;
mod sampling;
mod search;
mod server;
mod store;

pub use config::{Config, InvalidMemory, Memory};
pub use sampling::RulesSource;
pub use server::{Error, Server};
