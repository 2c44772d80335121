//! Prepares a database before it serves requests: migrations, the index of words, the first users. This work has no time limit, because its duration depends
//! on the size of the database. It reports its progress. One process at a time does it, and others wait.

use std::fs::{File, TryLockError};
use std::time::Duration;

use sqlx::migrate::Migrate;
use sqlx::postgres::PgConnection;
use tokio::time::sleep;

use super::cause::{Cause, Unusable};
use super::database::Store;
use super::engine::ByEngine;
use super::error::Error;
use super::folder::{self, private};
use super::progress::Progress;
use super::time::{Bounds, now};
use super::{clock, migrations, open, seed, words};
use crate::config::Database;
use crate::domain::Password;
use crate::faults::Faults;

/// Makes other starting processes wait until it is dropped.
enum Turn {
    /// A lock file: neither the switch to WAL nor sqlx's migrations wait for one another on SQLite.
    Sqlite(#[expect(dead_code, reason = "closing the file releases its lock")] File),
    /// A session with sqlx's own lock, which earlier versions take too.
    Postgres(#[expect(dead_code, reason = "ending the session releases its lock")] Box<PgConnection>),
}

impl Store {
    /// Opens the database, migrates its tables to this version, and fills it with the first users and cruds if it is empty. Announces their password before
    /// keeping them. Must be called on the runtime that outlives the store.
    ///
    /// # Errors
    /// [`Error`] names the step that failed.
    pub async fn open(
        database: &Database,
        faults: Faults,
        announce: impl FnOnce(&Password) + Send + 'static,
    ) -> Result<Self, Error> {
        folder::prepare(database)?;
        open_prepared(database, faults, announce).await.map_err(|error| {
            let cause = match error {
                Error::Statement(error) => Cause::of(database, &error),
                Error::Migrate(error) => Cause::of_migration(database, &error),
                error => return error,
            };
            Unusable::new(database, cause).into()
        })
    }
}

async fn open_prepared(
    database: &Database,
    faults: Faults,
    announce: impl FnOnce(&Password) + Send + 'static,
) -> Result<Store, Error> {
    // Other starting processes wait until this one's connections are open too.
    let _turn = run(database, announce).await?;
    let engine = open::engine(database, Bounds::Requests).await?;
    if let Some(exposure) = folder::exposure(database) {
        tracing::warn!("{exposure}");
    }
    Ok(Store::of(engine, faults, Bounds::Requests))
}

/// Migrates a database to this version. Other starting processes wait until the turn is dropped.
async fn run(database: &Database, announce: impl FnOnce(&Password) + Send + 'static) -> Result<Turn, Error> {
    let mut progress = Progress::new();
    let turn = progress.during("waiting for another process that opens the database", take(database)).await?;
    let store = Store::of(open::engine(database, Bounds::Start).await?, Faults::NONE, Bounds::Start);
    match &store.engine.pools {
        ByEngine::Sqlite(pools) => migrations::run(&mut *pools.writers.acquire().await?, &mut progress).await?,
        ByEngine::Postgres(pools) => migrations::run(&mut *pools.writers.acquire().await?, &mut progress).await?,
    }
    words::index_all(&store, &mut progress).await?;
    clock::begin(&store, now()).await?;
    progress.during("creating the first users", seed::run(&store, now(), announce)).await?;
    store.engine.close().await;
    Ok(turn)
}

async fn take(database: &Database) -> Result<Turn, Error> {
    match database {
        Database::Sqlite(file) => {
            let path = file.path.with_extension("lock");
            let lock = private().open(&path).map_err(sqlx::Error::Io)?;
            // Not `lock`: its thread would keep a process running that is ordered to stop meanwhile.
            loop {
                match lock.try_lock() {
                    Ok(()) => return Ok(Turn::Sqlite(lock)),
                    Err(TryLockError::Error(error)) => return Err(sqlx::Error::Io(error).into()),
                    Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(50)).await,
                }
            }
        }
        Database::Postgres(server) => {
            let mut connection = open::starter(server).await.map_err(|cause| Unusable::new(database, cause))?;
            connection.lock().await?;
            Ok(Turn::Postgres(Box::new(connection)))
        }
    }
}
