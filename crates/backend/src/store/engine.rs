//! The two engines. Values that differ by engine are in [`ByEngine`], and `on!` runs one sqlx expression on whichever is open.

use std::sync::Arc;

use sqlx::{Database, Postgres, Sqlite};

use super::readers::Readers;
use super::statement::ServerDetails;
use super::writers::Writers;

/// One of two values, by the engine that is open.
pub(super) enum ByEngine<S, P> {
    Sqlite(S),
    Postgres(P),
}

/// An open database: its connections, and its server if it has one.
pub(super) struct Engine {
    pub(super) pools: ByEngine<Pools<Sqlite>, Pools<Postgres>>,
    pub(super) server: Option<ServerDetails>,
}

/// SQLite has one writer. On PostgreSQL the writing connections are a separate pool, because each of them is checked for more when it comes back.
pub(super) struct Pools<DB: Database> {
    pub(super) readers: Arc<Readers<DB>>,
    pub(super) writers: Writers<DB>,
}

/// Runs one sqlx expression on the open engine, in the statement's span. The first argument is where: `store.reads()`, `store.writes()` or a transaction. With
/// values in place of an expression, executes the statement with them and evaluates to the number of affected rows. Without a statement, evaluates to a future
/// that makes no span.
macro_rules! on {
    (@one $on:ident, |$connection:ident| $run:expr) => {
        loop {
            let mut lease = $on.take().await?;
            let $connection = $on.connection(&mut lease);
            let result: Result<_, sqlx::Error> = $run.await;
            if let Some(result) = $on.settle(lease, result) {
                break result;
            }
        }
    };
    ($on:expr, |$connection:ident| $run:expr) => {
        async {
            match $on.each() {
                $crate::store::engine::ByEngine::Sqlite(on) => on!(@one on, |$connection| $run),
                $crate::store::engine::ByEngine::Postgres(on) => on!(@one on, |$connection| $run),
            }
        }
    };
    ($on:expr, $statement:expr, |$connection:ident| $run:expr) => {
        match $on.each() {
            $crate::store::engine::ByEngine::Sqlite(on) => {
                on.store.in_span(&$statement, std::pin::pin!(async { on!(@one on, |$connection| $run) })).await
            }
            $crate::store::engine::ByEngine::Postgres(on) => {
                on.store.in_span(&$statement, std::pin::pin!(async { on!(@one on, |$connection| $run) })).await
            }
        }
    };
    ($on:expr, $statement:expr, $($value:expr),+ $(,)?) => {
        on!($on, $statement, |connection| async {
            let done = sqlx::query($statement.text)$(.bind($value))+.execute(connection).await?;
            Ok(done.rows_affected())
        })
    };
}
pub(super) use on;

impl<S, P> ByEngine<S, P> {
    pub(super) fn each(&mut self) -> ByEngine<&mut S, &mut P> {
        match self {
            Self::Sqlite(value) => ByEngine::Sqlite(value),
            Self::Postgres(value) => ByEngine::Postgres(value),
        }
    }
}

impl Engine {
    /// Replaces the connections that write.
    pub(super) fn renew(&self) {
        match &self.pools {
            ByEngine::Sqlite(pools) => pools.writers.renew(),
            ByEngine::Postgres(pools) => pools.writers.renew(),
        }
    }

    pub(super) async fn close(&self) {
        match &self.pools {
            ByEngine::Sqlite(pools) => pools.close().await,
            ByEngine::Postgres(pools) => pools.close().await,
        }
    }
}

impl<DB: Database> Pools<DB> {
    async fn close(&self) {
        self.readers.close().await;
        self.writers.close().await;
    }
}
