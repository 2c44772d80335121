//! Statements of [`sqlx`](https://docs.rs/sqlx) in their CLIENT spans, on each of its databases, connections and pools. Reads no SQL: the caller names the
//! operation and the table.
//!
//! ```
//! use telemetry::sql::{Database, Statement};
//! use telemetry::sqlx::run;
//!
//! const DATABASE: Database<'_> = Database { system: "sqlite", namespace: "", server: None };
//! const COUNT: Statement<'_> =
//!     Statement { operation: "SELECT", collection: "orders", text: "SELECT count(*) FROM orders" };
//! # async fn example(pool: sqlx::SqlitePool) -> Result<i64, sqlx::Error> {
//! run(&COUNT, &DATABASE, sqlx::query_scalar(COUNT.text).fetch_one(&pool)).await
//! # }
//! ```

#[cfg(test)]
mod tests;

use sqlx_core::error::{DatabaseError, Error};

use crate::sql::{Database, Failure, Statement};

/// Runs a statement in its span, which includes the wait for a connection of the pool. For the stream of rows that `fetch` returns, hold
/// [`Statement::span`] instead.
///
/// # Errors
/// Those of `work`. The span's `error.type` is the database's code, else `database`, `pool_timed_out`, `io` or `_OTHER`.
pub async fn run<T>(
    statement: &Statement<'_>,
    database: &Database<'_>,
    work: impl Future<Output = Result<T, Error>>,
) -> Result<T, Error> {
    statement.run(database, work, failure).await
}

/// Why a statement failed, without the database's message.
pub fn failure(error: &Error) -> Failure<'_> {
    match error.as_database_error().map(DatabaseError::code) {
        Some(Some(code)) => Failure::Code(code),
        Some(None) => Failure::Kind("database"),
        None => Failure::Kind(match error {
            Error::PoolTimedOut => "pool_timed_out",
            Error::Io(_) => "io",
            _ => "_OTHER",
        }),
    }
}
