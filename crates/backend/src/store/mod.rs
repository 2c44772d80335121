//! Users and cruds, on SQLite or PostgreSQL. One SQL text serves both: `read!` and `on_writer!` run one sqlx expression on the open engine, inside a CLIENT
//! span. A write runs to its end even if its caller stops waiting, so that every acknowledged write is kept. Expired rows are treated as absent. Validates
//! nothing: `domain` already has.

mod accounts;
mod acquire;
mod activities;
mod attempts;
mod cause;
mod clock;
mod connect;
mod error;
mod files;
mod folder;
mod inspect;
mod messages;
mod migrations;
mod once;
mod open;
mod passing;
mod passwords;
mod posts;
mod pragmas;
mod progress;
mod reactions;
mod readers;
mod released;
mod renewal;
mod rollback;
mod seed;
mod sessions;
mod start;
mod statement;
mod sweep;
mod time;
mod users;
mod words;
mod writers;

pub use accounts::{Registration, Taken};
pub use attempts::Bound;
pub use cause::Unusable;
pub use clock::NotReady;
pub use error::Error;
pub use folder::{NotWritable, prepare};
pub use inspect::Inspection;
pub use messages::{Access, conversation};
pub use once::{Key, NotAKey, Once, Outcome};
pub use open::reach;
pub use passwords::Place;
pub use posts::Deletion;
pub use seed::FIRST_USERS;
pub use sessions::Session;
pub use time::now;

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use sqlx::{Database, Postgres, Sqlite};
use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config;
use crate::domain::Password;
use crate::faults::Faults;
use cause::Cause;
use readers::Readers;
use statement::Statement;
use time::{Bounds, answered};
use writers::Writers;

const CLOSE: Duration = Duration::from_secs(1);
/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Arc<Engine>,
    writes: TaskTracker,
    runtime: Handle,
    faults: Faults,
    bounds: Bounds,
    /// Notified when the sweeper must finish the deletion of a crud.
    deleted: Arc<Notify>,
}

enum Engine {
    Sqlite(Pools<Sqlite>),
    Postgres(Pools<Postgres>, Server),
}

/// SQLite has one writer. On PostgreSQL the writing connections are a separate pool, because each of them is checked for more when it comes back.
struct Pools<DB: Database> {
    readers: Arc<Readers<DB>>,
    writers: Writers<DB>,
}

/// Details of a database server for reports.
struct Server {
    host: String,
    port: u16,
    database: String,
    /// Maximum number of connections to the server.
    connections: u32,
}

/// Runs one sqlx expression on a reading connection of the open engine, in the statement's span.
macro_rules! read {
    ($store:expr, $statement:expr, |$connection:ident| $run:expr) => {{
        let store: &$crate::store::Store = $store;
        let run = async {
            match &*store.engine {
                $crate::store::Engine::Sqlite(pools) => $crate::store::read_of!(pools.readers, |$connection| $run),
                $crate::store::Engine::Postgres(pools, _) => $crate::store::read_of!(pools.readers, |$connection| $run),
            }
        };
        store.in_span(&$statement, std::pin::pin!(run)).await
    }};
}

/// `read!` for one engine. A read can be repeated if a kept connection turns out to be lost.
macro_rules! read_of {
    ($readers:expr, |$connection:ident| $run:expr) => {{
        let (mut again, mut is_renewed) = (false, false);
        loop {
            let mut reader = $readers.take(again).await?;
            let $connection = &mut *reader.connection;
            let answer: Result<_, sqlx::Error> = $run.await;
            match &answer {
                Ok(_) => $readers.keep(reader),
                Err(error) if $readers.is_lost(&reader, error) => {
                    again = true;
                    continue;
                }
                Err(error) if !is_renewed && $crate::store::passing::is_stale(error) => {
                    $readers.renew();
                    (again, is_renewed) = (true, true);
                    continue;
                }
                Err(_) => {}
            }
            break answer;
        }
    }};
}

/// Runs one sqlx expression on the open engine's writer, in the statement's span.
macro_rules! on_writer {
    ($store:expr, $statement:expr, |$connection:ident| $run:expr) => {{
        let store: &$crate::store::Store = $store;
        let run = async {
            match &*store.engine {
                $crate::store::Engine::Sqlite(pools) => {
                    $crate::store::on_writer_of!(pools.writers, |$connection| $run)
                }
                $crate::store::Engine::Postgres(pools, _) => {
                    $crate::store::on_writer_of!(pools.writers, |$connection| $run)
                }
            }
        };
        store.in_span(&$statement, std::pin::pin!(run)).await
    }};
}

/// `on_writer!` for one engine. Runs the expression once more if nothing was done because the statement was stale.
macro_rules! on_writer_of {
    ($writers:expr, |$connection:ident| $run:expr) => {{
        let mut is_renewed = false;
        loop {
            let mut writer = $writers.acquire().await?;
            let $connection = &mut *writer;
            let done: Result<_, sqlx::Error> = $run.await;
            match done {
                Err(error) if !is_renewed && $crate::store::passing::is_stale(&error) => {
                    $writers.renew();
                    is_renewed = true;
                }
                done => {
                    if done.is_ok() {
                        $writers.check()?;
                    }
                    break done;
                }
            }
        }
    }};
}

/// Runs a statement on the writer with these values, and returns how many rows it affected.
macro_rules! run {
    ($store:expr, $statement:expr $(, $value:expr)*) => {
        $crate::store::on_writer!($store, $statement, |connection| async {
            let done = sqlx::query($statement.text)$(.bind($value))*.execute(connection).await?;
            Ok(done.rows_affected())
        })
    };
}

/// Runs a block in a transaction of the open engine and commits it. Evaluates to the block's value. Leaving the block by `?` or `return` rolls back. Use it
/// only within [`Store::write`]: a transaction that is dropped while it begins stays open on its connection. If it is `planned`, PostgreSQL plans its
/// statements, and those that they cascade to, for their values.
macro_rules! transaction {
    ($store:expr, |$tx:ident| $block:block) => {
        $crate::store::transaction!($store, $crate::store::statement::BEGIN, |$tx| $block)
    };
    ($store:expr, planned, |$tx:ident| $block:block) => {
        $crate::store::transaction!($store, $crate::store::statement::BEGIN_PLANNED, |$tx| $block)
    };
    ($store:expr, $begin:expr, |$tx:ident| $block:block) => {{
        let store: &$crate::store::Store = $store;
        match &*store.engine {
            $crate::store::Engine::Sqlite(pools) => {
                // SQLite must take its write lock before it reads.
                $crate::store::transaction_of!(
                    store,
                    pools,
                    $crate::store::statement::BEGIN,
                    "BEGIN IMMEDIATE",
                    |$tx| $block
                )
            }
            $crate::store::Engine::Postgres(pools, _) => {
                $crate::store::transaction_of!(store, pools, $begin, $begin.text, |$tx| $block)
            }
        }
    }};
}

/// `transaction!` for one engine.
macro_rules! transaction_of {
    ($store:ident, $pools:ident, $begin:expr, $text:expr, |$tx:ident| $block:block) => {{
        let begin = async {
            let writer = $pools.writers.acquire().await?;
            sqlx::Transaction::begin(writer, Some(sqlx::SqlSafeStr::into_sql_str($text))).await
        };
        let begun = $store.in_span(&$begin, std::pin::pin!(begin)).await?;
        let mut $tx = $crate::store::rollback::RollsBack::new($store, begun);
        let value = $block;
        $store.in_span(&$crate::store::statement::COMMIT, std::pin::pin!($tx.commit())).await?;
        $pools.writers.check()?;
        value
    }};
}

/// Runs one sqlx expression within a transaction, in the statement's span.
macro_rules! within {
    ($store:expr, $tx:ident, $statement:expr, |$connection:ident| $run:expr) => {{
        let run = async {
            let $connection = &mut *$tx;
            $run.await
        };
        $store.in_span(&$statement, std::pin::pin!(run)).await
    }};
}
use {on_writer, on_writer_of, read, read_of, run, transaction, transaction_of, within};

impl Engine {
    /// Replaces the connections that write.
    fn renew(&self) {
        match self {
            Self::Sqlite(pools) => pools.writers.renew(),
            Self::Postgres(pools, _) => pools.writers.renew(),
        }
    }

    async fn close(&self) {
        match self {
            Self::Sqlite(pools) => {
                pools.readers.close().await;
                pools.writers.close().await;
            }
            Self::Postgres(pools, _) => {
                pools.readers.close().await;
                pools.writers.close().await;
            }
        }
    }
}

impl Store {
    /// Opens the database, brings its tables to this version, and fills it with the first users and cruds if it is empty. Announces their password before
    /// keeping them. Must be called on the runtime that outlives the store.
    ///
    /// # Errors
    /// [`Error`] names the step that failed.
    pub async fn open(
        database: &config::Database,
        faults: Faults,
        announce: impl FnOnce(&Password) + Send + 'static,
    ) -> Result<Self, Error> {
        prepare(database)?;
        Self::open_prepared(database, faults, announce).await.map_err(|error| {
            let cause = match error {
                Error::Statement(error) => Cause::of(database, &error),
                Error::Migrate(error) => Cause::of_migration(database, &error),
                error => return error,
            };
            Unusable::new(database, cause).into()
        })
    }

    async fn open_prepared(
        database: &config::Database,
        faults: Faults,
        announce: impl FnOnce(&Password) + Send + 'static,
    ) -> Result<Self, Error> {
        // Other starters wait until this one's connections are open too.
        let _turn = start::run(database, announce).await?;
        let engine = open::engine(database, Bounds::Requests).await?;
        if let Some(exposure) = folder::exposure(database) {
            tracing::warn!("{exposure}");
        }
        Ok(Self::of(engine, faults, Bounds::Requests))
    }

    fn of(engine: Engine, faults: Faults, bounds: Bounds) -> Self {
        Self {
            engine: Arc::new(engine),
            writes: TaskTracker::new(),
            runtime: Handle::current(),
            faults,
            bounds,
            deleted: Arc::default(),
        }
    }

    /// The limit on its connections, in one line.
    pub fn bounds(&self) -> String {
        let (readers, writers, all, variable) = match &*self.engine {
            Engine::Sqlite(Pools { readers, writers }) => {
                (readers.most(), writers.most(), readers.most() + writers.most(), "")
            }
            Engine::Postgres(Pools { readers, writers }, server) => {
                (readers.most(), writers.most(), server.connections, " (CRUDDUR_DATABASE_CONNECTIONS)")
            }
        };
        format!("at most {all} connections to the database, {writers} for writes and {readers} for reads{variable}")
    }

    /// Waits for the writes that have begun, then closes every connection. Waits at most a second for a database that does not respond.
    pub async fn close(&self) {
        self.writes.close();
        let close = async {
            self.writes.wait().await;
            self.engine.close().await;
        };
        if timeout(CLOSE, close).await.is_err() {
            tracing::warn!("the database did not answer within {} s and is left", CLOSE.as_secs());
        }
    }

    /// Runs a write in a separate task, so that a caller that disconnects does not interrupt it.
    async fn write<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.writes.spawn_on(write.in_current_span(), &self.runtime);
        task.await?
    }

    /// Runs a transaction as [`Store::write`] does, and once more if one of its statements was stale. The second run keeps nothing of the first.
    async fn transact<T, F>(&self, transaction: impl Fn(Self) -> F + Send + 'static) -> Result<T, Error>
    where
        T: Send + 'static,
        F: Future<Output = Result<T, Error>> + Send + 'static,
    {
        let store = self.clone();
        self.write(async move {
            match transaction(store.clone()).await {
                Err(Error::Statement(error)) if passing::is_stale(&error) => {
                    store.engine.renew();
                    transaction(store).await
                }
                done => done,
            }
        })
        .await
    }

    /// Runs a statement in its span, and records how it failed. Accepts the future pinned: acquiring a connection from a pool is a future of kilobytes, and
    /// each future that it is moved into would hold and copy it again.
    async fn in_span<T>(
        &self,
        statement: &Statement,
        run: Pin<&mut impl Future<Output = Result<T, sqlx::Error>>>,
    ) -> Result<T, sqlx::Error> {
        let span = statement.span(&self.engine);
        let run = async {
            self.faults.slow_down().await;
            match (&*self.engine, self.bounds) {
                (Engine::Postgres(..), Bounds::Requests) => answered(run).await,
                _ => run.await,
            }
        };
        let result = run.instrument((*span).clone()).await;
        statement::record(&span, &result);
        result
    }
}
