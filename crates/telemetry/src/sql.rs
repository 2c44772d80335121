//! The CLIENT span and the measurement of a SQL statement, by OpenTelemetry's
//! [conventions](https://opentelemetry.io/docs/specs/semconv/database/), for any driver; the feature `sqlx` knows the errors of sqlx. A text is recorded as
//! it is given: give a constant with placeholders, so that no value is recorded. Opens no connection and reads no SQL.
//!
//! ```
//! use telemetry::sql::{Database, Failure, Statement};
//!
//! const DATABASE: Database<'_> = Database { system: "postgresql", namespace: "shop", server: Some(("db.example", 5432)) };
//! const FIND: Statement<'_> =
//!     Statement { operation: "SELECT", collection: "orders", text: "SELECT total FROM orders WHERE id = $1" };
//! # async fn query(_: &str) -> Result<u64, std::io::Error> { Ok(7) }
//! # async fn example() -> Result<u64, std::io::Error> {
//! FIND.run(&DATABASE, query(FIND.text), |_| Failure::Kind("io")).await
//! # }
//! ```

use std::borrow::Cow;

use opentelemetry_semantic_conventions::attribute::{
    DB_COLLECTION_NAME, DB_NAMESPACE, DB_OPERATION_NAME, DB_QUERY_SUMMARY, DB_QUERY_TEXT, DB_RESPONSE_STATUS_CODE,
    DB_SYSTEM_NAME, SERVER_ADDRESS, SERVER_PORT,
};
use tracing::{Instrument, Span};

use crate::measured::DatabaseOperation;
use crate::metrics::Timer;
use crate::span::{OwnedSpan, SpanExt, SpanKind};

/// A SQL text, and its name in a trace. All are constants: each operation of a collection is a series of the metric.
#[derive(Debug, Clone, Copy)]
pub struct Statement<'a> {
    /// `SELECT`.
    pub operation: &'a str,
    /// The table that the statement is about; empty if it is about none, as `COMMIT`.
    pub collection: &'a str,
    /// The text with its placeholders.
    pub text: &'a str,
}

/// A database, as spans and metrics name it. What is empty is not known.
#[derive(Debug, Clone, Copy, Default)]
pub struct Database<'a> {
    /// The kind of the database: `postgresql`, `sqlite`.
    pub system: &'a str,
    /// The name of the database.
    pub namespace: &'a str,
    /// The server's address and port.
    pub server: Option<(&'a str, u16)>,
}

/// Why a statement failed. The database's message may hold values and is not recorded.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure<'a> {
    /// The database's own code, such as `23505`.
    Code(Cow<'a, str>),
    /// What happened without a code, by a low-cardinality name such as `pool_timed_out`.
    Kind(&'static str),
}

impl Statement<'_> {
    /// Runs the statement: `work` in its span, measured as `db.client.operation.duration`. `failure` names the error.
    ///
    /// # Errors
    /// Those of `work`.
    pub async fn run<T, E>(
        &self,
        database: &Database<'_>,
        work: impl Future<Output = Result<T, E>>,
        failure: impl FnOnce(&E) -> Failure<'_>,
    ) -> Result<T, E> {
        let span = self.span(database);
        let timer = self.timer(database);
        let result = work.instrument((*span).clone()).await;
        record(&span, timer, result.as_ref().err().map(failure).as_ref());
        result
    }

    /// The statement's span, within the current one, if there is no future to run: for rows that are streamed, or a statement that is only handed
    /// over. It ends when it is dropped, even if a driver's thread, as sqlx's for SQLite, holds a clone until after it has responded.
    pub fn span(&self, database: &Database<'_>) -> OwnedSpan {
        OwnedSpan::within_current("sql", |span| {
            let name = match self.collection {
                "" => self.operation.to_owned(),
                collection => format!("{} {collection}", self.operation),
            };
            span.kind(SpanKind::Client);
            span.set(DB_SYSTEM_NAME, database.system);
            if !database.namespace.is_empty() {
                span.set(DB_NAMESPACE, database.namespace);
            }
            if let Some((address, port)) = database.server {
                span.set(SERVER_ADDRESS, address);
                span.set(SERVER_PORT, port);
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

    /// Times the statement, whether or not its span is made.
    fn timer(&self, database: &Database<'_>) -> Timer {
        Timer::database(&DatabaseOperation {
            system: database.system,
            namespace: database.namespace,
            operation: self.operation,
            collection: self.collection,
            server: database.server,
        })
    }
}

/// Records the end of a statement, and why it failed.
fn record(span: &Span, mut timer: Timer, failure: Option<&Failure<'_>>) {
    match failure {
        None => {}
        Some(Failure::Code(code)) => timer.fail_by_code(code),
        Some(Failure::Kind(kind)) => timer.fail(kind),
    }
    timer.end(span);
    let Some(failure) = failure else { return };
    span.record_with(|span| match failure {
        Failure::Code(code) => {
            span.set(DB_RESPONSE_STATUS_CODE, &**code);
            span.fail(code);
        }
        Failure::Kind(kind) => span.fail(kind),
    });
}
