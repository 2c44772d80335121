//! Opens the two engines, each with the settings that keep an acknowledged write and bound every wait.

use std::sync::Arc;
use std::time::Duration;

use sqlx::postgres::{PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Executor};

use super::cause::{Cause, Unusable};
use super::connect::{OPEN, connect};
use super::engine::{ByEngine, Engine, Pools};
use super::error::Error;
use super::files::Files;
use super::folder::{self, private};
use super::inspect::{self, Inspection};
use super::pragmas;
use super::readers::Readers;
use super::released::Sessions;
use super::renewal::Renewal;
use super::statement::ServerDetails;
use super::time::{Bounds, answered};
use super::writers::Writers;
use crate::config::{Database, Embedded, Postgres};

/// Connections to an embedded database that read at the same time.
const CONNECTIONS: u32 = 8;
/// Time limit for a server that is about to accept connections.
const STARTING: Duration = Duration::from_secs(30);
const ACQUIRE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(5);
/// The longest that SQLite can wait for a lock: 24 days.
const FOR_EVER: Duration = Duration::from_millis(i32::MAX as u64);

/// Opens the database for requests, or to prepare it.
pub(super) async fn engine(database: &Database, bounds: Bounds) -> Result<Engine, Error> {
    match database {
        Database::Sqlite(file) => Ok(sqlite(file, bounds).await?),
        Database::Postgres(server) => {
            Ok(postgres(server, bounds).await.map_err(|cause| Unusable::new(database, cause))?)
        }
    }
}

/// One connection writes, many read.
async fn sqlite(file: &Embedded, bounds: Bounds) -> Result<Engine, sqlx::Error> {
    let busy = if bounds == Bounds::Start { FOR_EVER } else { BUSY };
    // SQLite would make the file readable for everyone. Its log and index get the file's own mode.
    private().open(&file.path)?;
    let options = SqliteConnectOptions::new()
        .filename(&file.path)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(busy)
        .foreign_keys(true);
    // A pool would report its own time-out, and not why no connection could be opened. This does not wait for a program that keeps the whole file locked.
    options.clone().busy_timeout(BUSY).connect().await?.close().await?;
    // A ping is a hand-over to the connection's thread and back; a released connection has just responded to one.
    let pool = || SqlitePoolOptions::new().acquire_timeout(ACQUIRE).test_before_acquire(false);
    // The writer comes first: it makes the file that the readers open.
    let writer = pool().max_connections(1).after_release(|connection, _| Box::pin(is_at_rest(connection)));
    let files = Arc::new(Files::of(file));
    let opened = Arc::clone(&files);
    // The writer is never closed for its age: its log must stay the one that `files` knows.
    let writer = writer.idle_timeout(None).max_lifetime(None).after_connect(move |connection, _| {
        let files = Arc::clone(&opened);
        Box::pin(async move {
            // This opens the log.
            connection.fetch_one("SELECT count(*) FROM sqlite_schema").await?;
            files.open()
        })
    });
    let writer = writer.connect_with(options.clone()).await?;
    let readers = pool().max_connections(CONNECTIONS).connect_with(options.read_only(true)).await?;
    for pool in [&writer, &readers] {
        pragmas::in_force(pool, busy).await?;
    }
    let readers = Readers::new(readers, Renewal::default());
    let writers = Writers::new(writer, Renewal::default(), Some(files));
    Ok(Engine { pools: ByEngine::Sqlite(Pools { readers, writers }), server: None })
}

/// If a full disk ends a transaction, sqlx does not notice. The connection would begin no other transaction, and it is the only one that writes. Such a
/// connection is closed and replaced.
async fn is_at_rest(connection: &mut SqliteConnection) -> Result<bool, sqlx::Error> {
    if connection.is_in_transaction() {
        // The ping comes after any rollback that is still on its way.
        connection.ping().await?;
    }
    Ok(!connection.is_in_transaction())
}

/// Checks whether a database can be used, and makes nothing: neither a table nor a folder.
///
/// # Errors
/// The database cannot be used.
pub async fn reach(database: &Database) -> Result<Inspection, Error> {
    folder::check(database)?;
    let inspection = match database {
        Database::Sqlite(file) => inspect::file(database, file).await,
        Database::Postgres(server) => probe(server, Duration::ZERO).await,
    };
    Ok(inspection.map_err(|cause| Unusable::new(database, cause))?)
}

/// Opens a separate session and checks whether the server can be used. A pool would retry until its time is up, and then report the time-out and not the cause.
async fn probe(server: &Postgres, patience: Duration) -> Result<Inspection, Cause> {
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    let mut connection = connect(&server.options, patience).await.map_err(failed)?;
    let mut other = connect(&server.options, patience).await.map_err(failed)?;
    if share_sessions(&mut connection, &mut other).await.map_err(failed)? {
        return Err(Cause::pooler());
    }
    other.close().await.map_err(failed)?;
    set_up(&mut connection, Bounds::Requests).await.map_err(failed)?;
    let inspection = inspect::server(server, &mut connection).await;
    connection.close().await.map_err(failed)?;
    inspection
}

/// Whether two connections share a session, or one connection uses several, as behind a pooler in transaction mode. Settings and prepared statements of a
/// session would then be another connection's. The two take turns, so that a pooler is detected whichever free session it picks next.
async fn share_sessions(one: &mut PgConnection, other: &mut PgConnection) -> Result<bool, sqlx::Error> {
    let (first, second) = (session(one).await?, session(other).await?);
    for _ in 0..2 {
        if first == second || session(one).await? != first || session(other).await? != second {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The name of a session, unique at its server. The statement is not prepared: a pooler may have given the name to another connection's statement.
async fn session(connection: &mut PgConnection) -> Result<String, sqlx::Error> {
    let name = sqlx::raw_sql("SELECT concat(pg_backend_pid(), ' of ', pg_postmaster_start_time()) AS name");
    let row = answered(name.fetch_one(connection)).await?;
    sqlx::Row::try_get(&row, "name")
}

/// Opens the session in which a start does its work.
pub(super) async fn starter(server: &Postgres) -> Result<PgConnection, Cause> {
    probe(server, STARTING).await?;
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    let mut connection = connect(&server.options, Duration::ZERO).await.map_err(failed)?;
    set_up(&mut connection, Bounds::Start).await.map_err(failed)?;
    Ok(connection)
}

/// Opens the connections that read, and those that write.
async fn postgres(server: &Postgres, bounds: Bounds) -> Result<Engine, Cause> {
    let failed = |error: sqlx::Error| Cause::of_server(server, &error);
    let connections = &server.connections;
    let [reading, writing] =
        if bounds == Bounds::Start { [1, 1] } else { [connections.readers(), connections.writers()] };
    // This is not a caller's waiting time: a connection that is being opened outlives its caller's wait.
    let pool = |connections| {
        let pool = PgPoolOptions::new().max_connections(connections).acquire_timeout(OPEN);
        pool.after_connect(move |connection, _| Box::pin(set_up(connection, bounds)))
    };
    let renewal = Renewal::default();
    let (sessions, own) = Sessions::new(&server.options, "writes", &renewal);
    let writers = sessions.writing(pool(writing)).connect_with(own).await.map_err(failed)?;
    let (sessions, own) = Sessions::new(&server.options, "reads", &renewal);
    let readers = sessions.reading(pool(reading)).connect_with(own).await.map_err(failed)?;
    let details = ServerDetails {
        host: server.host(),
        port: server.options.get_port(),
        database: server.database().to_owned(),
        connections: connections.all(),
    };
    let readers = Readers::new(readers, renewal.clone());
    let writers = Writers::new(writers, renewal, None);
    Ok(Engine { pools: ByEngine::Postgres(Pools { readers, writers }), server: Some(details) })
}

async fn set_up(connection: &mut PgConnection, bounds: Bounds) -> Result<(), sqlx::Error> {
    answered(connection.execute(bounds.of_a_session())).await.map(drop)
}
