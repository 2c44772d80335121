//! A transaction that rolls back when it is dropped, in a separate span. sqlx's thread for SQLite gets the statement with a clone of the current span, and
//! holds the clone until the statement has run. Without this module the use case's span would end only then.

use std::ops::{Deref, DerefMut};

use sqlx::{Database, Transaction};

use super::Store;
use super::statement::ROLLBACK;

pub(super) struct RollsBack<'s, DB: Database> {
    store: &'s Store,
    /// `None` once it is committed or dropped.
    transaction: Option<Transaction<'static, DB>>,
}

const OPEN: &str = "only `commit` and `drop` take the transaction, and nothing comes after them";

impl<'s, DB: Database> RollsBack<'s, DB> {
    pub(super) fn new(store: &'s Store, transaction: Transaction<'static, DB>) -> Self {
        Self { store, transaction: Some(transaction) }
    }

    pub(super) async fn commit(mut self) -> Result<(), sqlx::Error> {
        match self.transaction.take() {
            Some(transaction) => transaction.commit().await,
            None => Ok(()),
        }
    }
}

impl<DB: Database> Deref for RollsBack<'_, DB> {
    type Target = DB::Connection;

    fn deref(&self) -> &Self::Target {
        self.transaction.as_ref().expect(OPEN)
    }
}

impl<DB: Database> DerefMut for RollsBack<'_, DB> {
    fn deref_mut(&mut self) -> &mut Self::Target {
        self.transaction.as_mut().expect(OPEN)
    }
}

impl<DB: Database> Drop for RollsBack<'_, DB> {
    fn drop(&mut self) {
        if let Some(transaction) = self.transaction.take() {
            ROLLBACK.span(&self.store.engine).in_scope(|| drop(transaction));
        }
    }
}
