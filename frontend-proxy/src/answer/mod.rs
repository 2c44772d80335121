//! Responses on their way to the client: the proxy's own, their common headers, and the counting of all of them.

pub(crate) mod accept;

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod finish;
pub(crate) mod metrics;
pub(crate) mod problem;
pub(crate) mod record;
pub(crate) mod respond;
