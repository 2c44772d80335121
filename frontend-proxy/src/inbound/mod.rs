//! What a request arrives through: the port, its connection, and the strict framing of its head and body.

pub(crate) mod bounds;
pub(crate) mod certificate;
pub(crate) mod connection;
pub mod framing;
pub(crate) mod host;
pub(crate) mod permits;
pub(crate) mod received;
pub(crate) mod server;
pub(crate) mod span;
pub(crate) mod state;
pub(crate) mod streams;
pub(crate) mod transport;
pub(crate) mod wire;
pub(crate) mod workers;
