//! The CLIENT span of a SQL statement, by OpenTelemetry's [conventions](https://opentelemetry.io/docs/specs/semconv/database/).
//! The text is the constant with its placeholders: no value is ever recorded.

use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME, SERVER_ADDRESS, SERVER_PORT,
};
use telemetry::metrics::{DatabaseOperation, Timer};
use telemetry::span::{OwnedSpan, SpanExt, SpanKind};
use tracing::Span;

/// Details of a database server for spans and reports.
pub(super) struct ServerDetails {
    pub(super) host: String,
    pub(super) port: u16,
    pub(super) database: String,
    /// Maximum number of connections to the server.
    pub(super) connections: u32,
}

/// A SQL text and its name in a trace. Write `LIMIT $n + 0` and not `LIMIT $n`: SQLite looks at the value of a bare variable there while it plans. It then
/// plans again for each value that is bound, which costs many times what the statement does.
#[derive(Debug, Clone, Copy)]
pub(super) struct Statement {
    pub(super) operation: &'static str,
    pub(super) collection: &'static str,
    pub(super) text: &'static str,
}

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

impl Statement {
    /// The span of a statement at this server, or on SQLite. It ends when it is dropped: sqlx's thread for SQLite holds a clone until after it has responded.
    pub(super) fn span(&self, server: Option<&ServerDetails>) -> OwnedSpan {
        OwnedSpan::within_current("sql", |span| {
            let name = match self.collection {
                "" => self.operation.to_owned(),
                collection => format!("{} {collection}", self.operation),
            };
            span.kind(SpanKind::Client);
            match server {
                None => span.set(DB_SYSTEM_NAME, "sqlite"),
                Some(server) => {
                    span.set(DB_SYSTEM_NAME, "postgresql");
                    span.set(DB_NAMESPACE, &server.database);
                    span.set(SERVER_ADDRESS, &server.host);
                    span.set(SERVER_PORT, server.port);
                }
            }
            span.set(DB_OPERATION_NAME, self.operation);
            if !self.collection.is_empty() {
                span.set(DB_COLLECTION_NAME, self.collection);
            }
            span.set(DB_QUERY_SUMMARY, &name);
            span.set(DB_QUERY_TEXT, self.text);
            span.name(name);
        })
    }
}

impl Statement {
    /// Times the statement, whether or not its span is made.
    pub(super) fn timer(&self, server: Option<&ServerDetails>) -> Timer {
        Timer::database(&DatabaseOperation {
            system: if server.is_some() { "postgresql" } else { "sqlite" },
            namespace: server.map_or("", |server| &server.database),
            operation: self.operation,
            collection: self.collection,
            server: server.map(|server| (&*server.host, server.port)),
        })
    }
}

/// Records the end of a statement, and a failure by its kind. The database's message may hold values and is not recorded.
pub(super) fn record<T>(span: &Span, mut timer: Timer, result: &Result<T, sqlx::Error>) {
    let Err(error) = result else { return timer.end(span) };
    let code = error.as_database_error().and_then(sqlx::error::DatabaseError::code);
    let kind = match error {
        sqlx::Error::Database(_) => code.as_deref().unwrap_or("database").to_owned(),
        sqlx::Error::PoolTimedOut => "pool_timed_out".to_owned(),
        sqlx::Error::Io(_) => "io".to_owned(),
        _ => "_OTHER".to_owned(),
    };
    match &code {
        Some(code) => timer.fail_by_code(code),
        None => timer.fail(&kind),
    }
    timer.end(span);
    span.record_with(|span| {
        if let Some(code) = &code {
            span.set(DB_RESPONSE_STATUS_CODE, &**code);
        }
        span.fail(&kind);
    });
}
