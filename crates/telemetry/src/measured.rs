//! A service's databases, as its metrics name them. Exists without the feature `metrics` too, so that its code is the same.

/// An operation of a database, as its metrics name it. What is empty is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct DatabaseOperation<'a> {
    /// The kind of the database: `postgresql`, `sqlite`.
    pub system: &'a str,
    /// The name of the database.
    pub namespace: &'a str,
    /// `SELECT`.
    pub operation: &'a str,
    /// The table.
    pub collection: &'a str,
    /// The server's address and port.
    pub server: Option<(&'a str, u16)>,
}

/// The connections of a pool now.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct PoolCounts {
    /// Connections that are open and unused.
    pub idle: u32,
    /// Connections that are in use.
    pub used: u32,
    /// The most connections that the pool may open.
    pub max: u32,
    /// Callers that wait for a connection, if the pool counts them.
    pub pending: Option<u32>,
}
