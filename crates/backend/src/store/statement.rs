//! SQL texts, and the database that their spans name. `telemetry` makes the spans.

use telemetry::sql::Database;

/// Details of a database server for spans and reports.
pub(super) struct ServerDetails {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    /// Maximum number of connections to the server.
    pub(super) connections: u32,
}

impl ServerDetails {
    /// The database that spans name: this server's, or SQLite.
    pub(super) fn database(server: Option<&Self>) -> Database<'_> {
        match server {
            None => Database { system: "sqlite", ..Database::default() },
            Some(Self { host, port, database, .. }) => {
                Database { system: "postgresql", namespace: database, server: Some((host, *port)) }
            }
        }
    }
}

/// A SQL text and its name in a trace. Write `LIMIT $n + 0` and not `LIMIT $n`: SQLite looks at the value of a bare variable there while it plans. It then
/// plans again for each value that is bound, which costs many times what the statement does.
pub(super) type Statement = telemetry::sql::Statement<'static>;

/// A statement from its operation, the table that it is about, and its text.
pub(super) const fn statement(operation: &'static str, collection: &'static str, text: &'static str) -> Statement {
    Statement { operation, collection, text }
}

pub(super) const BEGIN: Statement = statement("BEGIN", "", "BEGIN");
/// Every other statement is planned once for all values (`open.rs`). For one crud with many replies, such a plan searches the whole table for the replies of
/// each of them.
pub(super) const BEGIN_PLANNED: Statement =
    statement("BEGIN", "", "BEGIN; SET LOCAL plan_cache_mode = force_custom_plan");
/// The statement with which a database makes writes durable, and so where the time of most writes goes.
pub(super) const COMMIT: Statement = statement("COMMIT", "", "COMMIT");
/// Its span ends when the statement is handed over: no caller waits for it.
pub(super) const ROLLBACK: Statement = statement("ROLLBACK", "", "ROLLBACK");
