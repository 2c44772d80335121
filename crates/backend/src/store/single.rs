//! Single statements: those that read, and those that write without a transaction.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Postgres, Sqlite};

use super::database::Store;
use super::engine::ByEngine;
use super::passing::is_stale;
use super::readers::{Reader, Readers};
use super::writers::Writers;

/// Where a statement that reads runs.
pub(super) type Reads<'s> = ByEngine<Reading<'s, Sqlite>, Reading<'s, Postgres>>;

/// Where a statement that writes runs.
pub(super) type Writes<'s> = ByEngine<Writing<'s, Sqlite>, Writing<'s, Postgres>>;

/// A read can be repeated if a kept connection turns out to be lost.
pub(super) struct Reading<'s, DB: Database> {
    pub(super) store: &'s Store,
    readers: &'s Arc<Readers<DB>>,
    /// The kept connections may be lost too.
    again: bool,
    is_renewed: bool,
}

/// A write is repeated only if nothing was done because the statement was stale.
pub(super) struct Writing<'s, DB: Database> {
    pub(super) store: &'s Store,
    writers: &'s Writers<DB>,
    is_renewed: bool,
}

impl Store {
    pub(super) fn reads(&self) -> Reads<'_> {
        match &self.engine.pools {
            ByEngine::Sqlite(pools) => ByEngine::Sqlite(Reading::new(self, &pools.readers)),
            ByEngine::Postgres(pools) => ByEngine::Postgres(Reading::new(self, &pools.readers)),
        }
    }

    pub(super) fn writes(&self) -> Writes<'_> {
        match &self.engine.pools {
            ByEngine::Sqlite(pools) => ByEngine::Sqlite(Writing::new(self, &pools.writers)),
            ByEngine::Postgres(pools) => ByEngine::Postgres(Writing::new(self, &pools.writers)),
        }
    }
}

impl<'s, DB: Database> Reading<'s, DB> {
    fn new(store: &'s Store, readers: &'s Arc<Readers<DB>>) -> Self {
        Self { store, readers, again: false, is_renewed: false }
    }

    pub(super) async fn take(&mut self) -> Result<Reader<DB>, sqlx::Error> {
        self.readers.take(self.again).await
    }

    pub(super) fn connection<'r>(&mut self, reader: &'r mut Reader<DB>) -> &'r mut DB::Connection {
        &mut reader.connection
    }

    /// Gives the connection back. Returns `None` if the statement must run again.
    pub(super) fn settle<T>(
        &mut self,
        reader: Reader<DB>,
        result: Result<T, sqlx::Error>,
    ) -> Option<Result<T, sqlx::Error>> {
        match &result {
            Ok(_) => self.readers.keep(reader),
            Err(error) if self.readers.is_lost(&reader, error) => {
                self.again = true;
                return None;
            }
            Err(error) if !self.is_renewed && is_stale(error) => {
                self.readers.renew();
                (self.again, self.is_renewed) = (true, true);
                return None;
            }
            Err(_) => {}
        }
        Some(result)
    }
}

impl<'s, DB: Database> Writing<'s, DB> {
    fn new(store: &'s Store, writers: &'s Writers<DB>) -> Self {
        Self { store, writers, is_renewed: false }
    }

    pub(super) async fn take(&mut self) -> Result<PoolConnection<DB>, sqlx::Error> {
        self.writers.acquire().await
    }

    pub(super) fn connection<'w>(&mut self, writer: &'w mut PoolConnection<DB>) -> &'w mut DB::Connection {
        writer
    }

    /// Gives the connection back. Returns `None` if the statement must run again.
    pub(super) fn settle<T>(
        &mut self,
        _writer: PoolConnection<DB>,
        result: Result<T, sqlx::Error>,
    ) -> Option<Result<T, sqlx::Error>> {
        match result {
            Err(error) if !self.is_renewed && is_stale(&error) => {
                self.writers.renew();
                self.is_renewed = true;
                None
            }
            Ok(done) => Some(self.writers.check().map(|()| done)),
            failed => Some(failed),
        }
    }
}
