//! Transactions. One that is dropped before it is committed rolls back, in a separate span: sqlx's thread for SQLite gets the ROLLBACK with a clone of the
//! current span, and holds the clone until the statement has run. In the use case's span, that span would end only then.

use std::pin::pin;

use sqlx::{Database, Postgres, SqlSafeStr, Sqlite, Transaction};

use super::database::Store;
use super::engine::ByEngine;
use super::error::Error;
use super::statement::{BEGIN, COMMIT, ROLLBACK, ServerDetails, Statement};
use super::writers::Writers;

/// A transaction of the open engine.
pub(super) type Tx<'s> = ByEngine<Begun<'s, Sqlite>, Begun<'s, Postgres>>;

/// A transaction that has begun.
pub(super) struct Begun<'s, DB: Database> {
    pub(super) store: &'s Store,
    writers: &'s Writers<DB>,
    /// `None` once it is committed or dropped.
    transaction: Option<Transaction<'static, DB>>,
}

const OPEN: &str = "only `commit` and `drop` take the transaction, and nothing comes after them";

impl Store {
    /// Begins a transaction by [`BEGIN`] or [`BEGIN_PLANNED`](super::statement::BEGIN_PLANNED). Use it only within [`Store::write`]: a transaction that is
    /// dropped while it begins stays open on its connection.
    pub(super) async fn begin(&self, begin: &Statement) -> Result<Tx<'_>, Error> {
        Ok(match &self.engine.pools {
            // SQLite must take its write lock before it reads.
            ByEngine::Sqlite(pools) => {
                ByEngine::Sqlite(Begun::begin(self, &pools.writers, &BEGIN, "BEGIN IMMEDIATE").await?)
            }
            ByEngine::Postgres(pools) => {
                ByEngine::Postgres(Begun::begin(self, &pools.writers, begin, begin.text).await?)
            }
        })
    }
}

impl Tx<'_> {
    pub(super) async fn commit(self) -> Result<(), Error> {
        match self {
            Self::Sqlite(begun) => begun.commit().await?,
            Self::Postgres(begun) => begun.commit().await?,
        }
        Ok(())
    }
}

impl<'s, DB: Database> Begun<'s, DB> {
    async fn begin(
        store: &'s Store,
        writers: &'s Writers<DB>,
        statement: &Statement,
        text: &'static str,
    ) -> Result<Self, sqlx::Error> {
        let begin = async {
            let writer = writers.acquire().await?;
            Transaction::begin(writer, Some(text.into_sql_str())).await
        };
        let transaction = store.in_span(statement, pin!(begin)).await?;
        Ok(Self { store, writers, transaction: Some(transaction) })
    }

    async fn commit(mut self) -> Result<(), sqlx::Error> {
        if let Some(transaction) = self.transaction.take() {
            self.store.in_span(&COMMIT, pin!(transaction.commit())).await?;
        }
        self.writers.check()
    }

    /// Every statement of a transaction runs on its connection, and once.
    pub(super) async fn take(&mut self) -> Result<(), sqlx::Error> {
        Ok(())
    }

    pub(super) fn connection(&mut self, (): &mut ()) -> &mut DB::Connection {
        self.transaction.as_mut().expect(OPEN)
    }

    pub(super) fn settle<T>(&mut self, (): (), result: Result<T, sqlx::Error>) -> Option<Result<T, sqlx::Error>> {
        Some(result)
    }
}

impl<DB: Database> Drop for Begun<'_, DB> {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            let database = ServerDetails::database(self.store.engine.server.as_ref());
            ROLLBACK.span(&database).in_scope(|| drop(transaction));
        }
    }
}
