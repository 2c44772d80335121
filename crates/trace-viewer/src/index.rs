//! What a search can know of a trace without reading all of it. Knows no queries.

pub(crate) mod fields;
pub(crate) mod filter;
