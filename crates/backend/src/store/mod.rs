//! Users and cruds, on SQLite or PostgreSQL. One SQL text serves both: `on!` runs one sqlx expression on whichever is open,
//! inside a CLIENT span. A write runs to its end whether or not its caller waits, so that what was answered is kept.
//! Everything that has expired is as if it were not there. Validates nothing: `domain` has.

mod activities;
mod migrations;
mod seed;
pub use seed::AUTHOR;
mod statement;
mod sweep;

use std::fs::File;
use std::future::Future;
use std::io;
use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use sqlx::Connection;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPool, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};
use tokio::runtime::Handle;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use crate::config::{Database, NotWritable};

/// Connections that read at the same time.
const CONNECTIONS: u32 = 8;
/// For a server to take the first connection.
const OPEN: Duration = Duration::from_secs(10);
const CLOSE: Duration = Duration::from_secs(1);
const ACQUIRE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(5);
/// SQLite's BUSY and LOCKED with their kinds; PostgreSQL's too many connections, lock not available, statement cancelled,
/// shutting down, starting up.
const BUSY_CODES: [&str; 10] = ["5", "261", "517", "6", "262", "53300", "55P03", "57014", "57P01", "57P03"];

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    engine: Engine,
    writes: TaskTracker,
    runtime: Handle,
}

#[derive(Clone)]
enum Engine {
    Sqlite(Pools<SqlitePool>),
    Postgres(Pools<PgPool>, Server),
}

/// SQLite has one writer; on PostgreSQL the two are the same pool.
#[derive(Clone)]
struct Pools<P> {
    readers: P,
    writer: P,
}

/// What the spans of a database server's statements say about it.
#[derive(Clone)]
struct Server {
    host: String,
    port: u16,
    database: String,
}

/// Why the store could not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder of the embedded database cannot be used.
    #[error(transparent)]
    Folder(#[from] NotWritable),
    /// The database does not open.
    #[error("{0} does not open: {1}; {2}")]
    Open(String, sqlx::Error, &'static str),
    /// The tables cannot be brought to this version.
    #[error("the database cannot be brought to this version: {0}; use the version that made it, or another database")]
    Migrate(#[from] sqlx::migrate::MigrateError),
    /// A statement failed.
    #[error("a statement failed")]
    Statement(#[from] sqlx::Error),
    /// The task of a write ended without an answer.
    #[error("a write was interrupted")]
    Interrupted(#[from] tokio::task::JoinError),
    /// The database holds users, but not the one that writes act as.
    #[error("the database has no user {0:?}, as whom writes act until accounts exist; use an empty database")]
    NoSuchUser(&'static str),
}

impl Error {
    /// Trying again later may help: no connection was free, the database was locked, or the server is away.
    pub fn is_unavailable(&self) -> bool {
        match self {
            Self::Statement(sqlx::Error::PoolTimedOut | sqlx::Error::PoolClosed | sqlx::Error::Io(_)) => true,
            Self::Statement(sqlx::Error::Database(error)) => {
                error.code().is_some_and(|code| BUSY_CODES.contains(&&*code))
            }
            _ => false,
        }
    }
}

/// Runs one sqlx expression on the `readers` or the `writer` of whichever engine is open, in the statement's span.
macro_rules! on {
    ($store:expr, $role:ident, $statement:expr, |$pool:ident| $run:expr) => {{
        use tracing::Instrument;
        let store: &$crate::store::Store = $store;
        let span = $statement.span(&store.engine);
        let result = async {
            match &store.engine {
                $crate::store::Engine::Sqlite(pools) => {
                    let $pool = &pools.$role;
                    $run.await
                }
                $crate::store::Engine::Postgres(pools, _) => {
                    let $pool = &pools.$role;
                    $run.await
                }
            }
        }
        .instrument(span.clone())
        .await;
        $crate::store::statement::record(&span, &result);
        result
    }};
}
use on;

impl Store {
    /// Opens the database, brings its tables to this version, and fills it with the first users and cruds where it is
    /// empty. Must be called on the runtime that outlives the store.
    ///
    /// # Errors
    /// [`Error`] says which of these failed.
    pub async fn open(database: &Database) -> Result<Self, Error> {
        let failed = |mend| move |error| Error::Open(database.to_string(), error, mend);
        database.prepare()?;
        let alone = lock(database).await?;
        let engine = match database {
            Database::Sqlite(path) => {
                open_sqlite(path).await.map_err(failed("move the file away, or set CRUDDUR_DATA to another folder"))?
            }
            Database::Postgres(options) => {
                open_postgres(options).await.map_err(failed("start it, or set DATABASE_URL to one that runs"))?
            }
        };
        let store = Self { engine, writes: TaskTracker::new(), runtime: Handle::current() };
        migrations::run(&store).await?;
        seed::run(&store, now()).await?;
        drop(alone);
        Ok(store)
    }

    /// Waits for the writes that have begun, then closes every connection. A database that does not answer is not waited
    /// for longer than a second.
    pub async fn close(&self) {
        self.writes.close();
        let close = async {
            self.writes.wait().await;
            match &self.engine {
                Engine::Sqlite(pools) => {
                    pools.readers.close().await;
                    pools.writer.close().await;
                }
                Engine::Postgres(pools, _) => pools.writer.close().await,
            }
        };
        if timeout(CLOSE, close).await.is_err() {
            tracing::warn!("the database did not answer within {} s and is left", CLOSE.as_secs());
        }
    }

    /// Runs a write in a task of its own, so that a caller that goes away does not cut it off half way.
    async fn write<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, sqlx::Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.writes.spawn_on(write.in_current_span(), &self.runtime);
        Ok(task.await??)
    }
}

/// The present, as exactly as both databases keep it.
pub fn now() -> DateTime<Utc> {
    Utc::now().trunc_subsecs(6)
}

/// Keeps other starters on the same SQLite file away until it is dropped: neither the switch to WAL nor sqlx's migrations
/// wait for one another there. On PostgreSQL sqlx has a lock.
async fn lock(database: &Database) -> Result<Option<File>, Error> {
    let Database::Sqlite(path) = database else { return Ok(None) };
    let path = path.with_extension("lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path)?;
        file.lock().map(|()| file)
    });
    Ok(Some(locked.await?.map_err(sqlx::Error::Io)?))
}

async fn open_sqlite(path: &Path) -> Result<Engine, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true);
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE);
    // The writer comes first: it makes the file that the readers open.
    let writer = pool().max_connections(1).connect_with(options.clone()).await?;
    let readers = pool().max_connections(CONNECTIONS).connect_with(options.read_only(true)).await?;
    Ok(Engine::Sqlite(Pools { readers, writer }))
}

/// Whether a database can be used, without making anything in it: the version of a server, or that the folder of an embedded
/// one can be written.
///
/// # Errors
/// It cannot be used.
pub async fn reach(database: &Database) -> Result<String, Error> {
    let Database::Postgres(options) = database else {
        database.prepare()?;
        return Ok("can be written".to_owned());
    };
    let mut connection = connect(options).await?;
    let version: String = sqlx::query_scalar("SHOW server_version").fetch_one(&mut connection).await?;
    connection.close().await?;
    Ok(format!("version {version}"))
}

async fn connect(options: &PgConnectOptions) -> Result<PgConnection, sqlx::Error> {
    let silent =
        |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, "it accepts connections and says nothing"));
    timeout(OPEN, PgConnection::connect_with(options)).await.map_err(silent)?
}

async fn open_postgres(options: &PgConnectOptions) -> Result<Engine, sqlx::Error> {
    let server = Server {
        host: options.get_host().to_owned(),
        port: options.get_port(),
        database: options.get_database().unwrap_or(options.get_username()).to_owned(),
    };
    let options = options.clone().application_name("cruddur-backend").options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
    ]);
    // A pool would try again until its time is up, and then say that and not why.
    connect(&options).await?.close().await?;
    let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE).connect_with(options).await?;
    Ok(Engine::Postgres(Pools { readers: pool.clone(), writer: pool }, server))
}
