//! Responses on their way to the client: bodies, the proxy's own responses and errors, common headers, and counts.

pub(crate) mod accept;

pub(crate) mod body;
pub(crate) mod cors;
pub(crate) mod finish;
pub(crate) mod metrics;
pub(crate) mod problem;
pub(crate) mod record;
pub(crate) mod respond;
