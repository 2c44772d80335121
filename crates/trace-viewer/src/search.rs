//! Finds traces by a query. A query is written in the viewer's own language or as an X-Ray filter expression; both become one tree.
//!
//! `syntax` reads a text, `compile` and `matches` decide on a trace, and `run`, `suggest`, `routes` and `map` read the store in slices, never under its lock for
//! long. Does no I/O, and changes nothing but the search entries of traces.

mod compile;
pub(crate) mod indexer;
pub(crate) mod map;
mod matches;
pub(crate) mod routes;
pub(crate) mod run;
mod statistics;
pub(crate) mod suggest;
pub(crate) mod syntax;
