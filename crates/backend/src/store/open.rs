//! Opens the two engines, each with what keeps an acknowledged write and bounds every wait.

use std::fs::{File, TryLockError};
use std::io;
use std::time::Duration;

use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};
use tokio::time::{Instant, sleep, timeout};

use super::cause::{Cause, Unusable};
use super::inspect::{self, Inspection};
use super::readers::Readers;
use super::{Engine, Error, Pools, Server, answered, pragmas};
use crate::config::{Database, Embedded, Postgres, private};

/// Connections to an embedded database that read at the same time.
const CONNECTIONS: u32 = 8;
/// For a server to take the first connection.
const OPEN: Duration = Duration::from_secs(10);
/// For a server that starts to accept connections.
const STARTING: Duration = Duration::from_secs(30);
const ACQUIRE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(5);
/// What bounds each session's waits. Set once it is open: a pooler may refuse them among the parameters of its start.
const SESSION: &str = "SET statement_timeout = '5s'; SET lock_timeout = '2s'; \
                       SET idle_in_transaction_session_timeout = '10s'; \
                       SET plan_cache_mode = force_generic_plan";

/// Keeps other starters on the same SQLite file away until it is dropped: neither the switch to WAL nor sqlx's migrations
/// wait for one another there. On PostgreSQL sqlx has a lock.
pub(super) async fn lock(database: &Database) -> Result<Option<File>, Error> {
    let Database::Sqlite(file) = database else { return Ok(None) };
    let path = file.path.with_extension("lock");
    let lock = private().open(&path).map_err(sqlx::Error::Io)?;
    let mut is_waiting = false;
    // Not `lock`, whose thread would keep a process that is asked to stop meanwhile.
    loop {
        match lock.try_lock() {
            Ok(()) => return Ok(Some(lock)),
            Err(TryLockError::Error(error)) => return Err(sqlx::Error::Io(error).into()),
            Err(TryLockError::WouldBlock) if !is_waiting => {
                is_waiting = true;
                tracing::warn!("waiting for another process that opens the database; it holds {}", path.display());
            }
            Err(TryLockError::WouldBlock) => sleep(Duration::from_millis(50)).await,
        }
    }
}

/// One connection writes, many read.
pub(super) async fn sqlite(file: &Embedded) -> Result<Engine, sqlx::Error> {
    // SQLite would make it readable for everyone. Its log and index get the file's own mode.
    private().open(&file.path)?;
    let options = SqliteConnectOptions::new()
        .filename(&file.path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true);
    // A pool would report its own time-out, and not why no connection could be opened.
    options.connect().await?.close().await?;
    // A ping is a hand-over to the connection's thread and back; one that is released has just answered one.
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE).test_before_acquire(false);
    // The writer comes first: it makes the file that the readers open.
    let writer = pool().max_connections(1).after_release(|connection, _| Box::pin(is_at_rest(connection)));
    let writer = writer.connect_with(options.clone()).await?;
    let readers = pool().max_connections(CONNECTIONS).connect_with(options.read_only(true)).await?;
    for pool in [&writer, &readers] {
        pragmas::in_force(pool, BUSY).await?;
    }
    Ok(Engine::Sqlite(Pools { readers: Readers::new(readers), writer }))
}

/// A transaction that a full disk has ended is none that sqlx knows to have ended: its connection would begin no other, and there is one
/// that writes. Such a connection is closed, and another takes its place.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // Behind a rollback that is still on its way.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Checks whether a database can be used, without making anything in it. An embedded one's folder is made.
///
/// # Errors
/// It cannot be used.
pub async fn reach(database: &Database) -> Result<Inspection, Error> {
    database.prepare()?;
    let inspection = match database {
        Database::Sqlite(file) => inspect::file(database, file).await,
        Database::Postgres(server) => probe(server, Duration::ZERO).await,
    };
    Ok(inspection.map_err(|cause| Unusable::new(database, cause))?)
}

/// Opens a session of its own and finds out whether the server can be used. A pool would try again until its time is up, and then report
/// that and not the cause.
async fn probe(server: &Postgres, patience: Duration) -> Result<Inspection, Cause> {
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    let mut connection = connect(&server.options, patience).await.map_err(failed)?;
    let mut other = connect(&server.options, patience).await.map_err(failed)?;
    if share_sessions(&mut connection, &mut other).await.map_err(failed)? {
        return Err(Cause::pooler());
    }
    other.close().await.map_err(failed)?;
    set_up(&mut connection).await.map_err(failed)?;
    let inspection = inspect::server(server, &mut connection).await;
    connection.close().await.map_err(failed)?;
    inspection
}

/// Whether two connections are served by the same session, or one by several, as by a pooler in transaction mode: what is set or prepared in
/// a session would be another's. The two take turns, so that a pooler is found out whichever free session it takes next.
async fn share_sessions(one: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (first, second) = (session(one).await?, session(other).await?);
    for _ in 0..2 {
        if first == second || session(one).await? != first || session(other).await? != second {
            return Ok(true);
        }
    }
    Ok(false)
}

/// A session's name among all of its server's. The statement is not prepared: a pooler may have given the name to another connection's.
async fn session(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let name = sqlx::raw_sql("SELECT concat(pg_backend_pid(), ' of ', pg_postmaster_start_time()) AS name");
    let row = answered(name.fetch_one(connection)).await?;
    sqlx::Row::try_get(&row, "name")
}

/// Waits for a server that is about to accept connections, for as long as `patience`.
async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, sqlx::Error> {
    const SILENT: &str = "it accepts connections and does not answer";
    let silent = |_| sqlx::Error::Io(io::Error::new(io::ErrorKind::TimedOut, SILENT));
    let deadline = Instant::now() + patience;
    loop {
        let connected = timeout(OPEN, PgConnection::connect_with(options)).await.map_err(silent)?;
        match connected {
            Err(error) if is_starting(&error) && Instant::now() < deadline => {
                tracing::warn!(error = &error as &dyn std::error::Error, "waiting for the database server to start");
                sleep(Duration::from_millis(500)).await;
            }
            connected => return connected,
        }
    }
}

fn is_starting(error: &sqlx::Error) -> bool {
    error.as_database_error().and_then(DatabaseError::code).is_some_and(|code| code == "57P03")
}

/// Connections that read, and those that write.
pub(super) async fn postgres(server: &Postgres) -> Result<Engine, Cause> {
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    probe(server, STARTING).await?;
    let pool = |connections| {
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
        pool.after_connect(|connection, _| Box::pin(set_up(connection)))
    };
    let writer = pool(server.connections.writers()).after_release(|connection, _| Box::pin(roll_back(connection)));
    let writer = writer.connect_with(server.options.clone()).await.map_err(failed)?;
    let readers = pool(server.connections.readers()).after_release(|connection, _| Box::pin(is_there(connection)));
    let readers = readers.connect_with(server.options.clone()).await.map_err(failed)?;
    let spans = Server { host: server.host(), port: server.options.get_port(), database: server.database().to_owned() };
    Ok(Engine::Postgres(Pools { readers: Readers::new(readers), writer }, spans))
}

async fn set_up(connection: &mut PgConnection) -> Result<(), sqlx::Error> {
    answered(connection.execute(SESSION)).await.map(drop)
}

/// sqlx waits without a bound for what a connection answers when it comes back: one whose server has gone and said nothing, as in a failover,
/// would keep its place until TCP gives up, a quarter of an hour later.
async fn is_there(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    answered(connection.ping()).await.map(|()| true)
}

/// A future that is dropped within `begin()` leaves its connection in a transaction of which sqlx knows nothing: what others
/// write there is acknowledged, and lost with the next rollback. BEGIN comes first because ROLLBACK alone warns each time that
/// there is nothing to roll back; so there is a warning where something was.
async fn roll_back(connection: &mut PgConnection) -> Result<bool, sqlx::Error> {
    answered(connection.execute("BEGIN; ROLLBACK")).await.map(|_| true)
}
