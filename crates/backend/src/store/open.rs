//! Opens the two engines, each with what keeps an acknowledged write and bounds every wait.

use std::fs::File;
use std::io;
use std::path::Path;
use std::time::Duration;

use sqlx::postgres::{PgConnectOptions, PgConnection, PgPoolOptions};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqlitePoolOptions, SqliteSynchronous};
use sqlx::{Connection, Executor};
use tokio::time::timeout;

use super::readers::Readers;
use super::{Engine, Error, Pools, Server, answered, pragmas};
use crate::config::Database;

/// Connections that read at the same time.
const CONNECTIONS: u32 = 8;
/// Connections to a server that write at the same time.
const WRITERS: u32 = 4;
/// For a server to take the first connection.
const OPEN: Duration = Duration::from_secs(10);
const ACQUIRE: Duration = Duration::from_secs(2);
const BUSY: Duration = Duration::from_secs(5);

/// Keeps other starters on the same SQLite file away until it is dropped: neither the switch to WAL nor sqlx's migrations
/// wait for one another there. On PostgreSQL sqlx has a lock.
pub(super) async fn lock(database: &Database) -> Result<Option<File>, Error> {
    let Database::Sqlite(path) = database else { return Ok(None) };
    let path = path.with_extension("lock");
    let locked = tokio::task::spawn_blocking(move || {
        let file = File::create(&path)?;
        file.lock().map(|()| file)
    });
    Ok(Some(locked.await?.map_err(sqlx::Error::Io)?))
}

/// One connection writes, many read.
pub(super) async fn sqlite(path: &Path) -> Result<Engine, sqlx::Error> {
    let options = SqliteConnectOptions::new()
        .filename(path)
        .create_if_missing(true)
        .journal_mode(SqliteJournalMode::Wal)
        .synchronous(SqliteSynchronous::Full)
        .busy_timeout(BUSY)
        .foreign_keys(true);
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

/// Those that read, and those that write.
pub(super) async fn postgres(options: &PgConnectOptions) -> Result<Engine, sqlx::Error> {
    let server = Server {
        host: options.get_host().to_owned(),
        port: options.get_port(),
        database: options.get_database().unwrap_or(options.get_username()).to_owned(),
    };
    let options = options.clone().application_name("cruddur-backend").options([
        ("statement_timeout", "5s"),
        ("lock_timeout", "2s"),
        ("idle_in_transaction_session_timeout", "10s"),
        // Every statement is written for one plan. Left the choice, the server plans the feed's at each execution, which takes three times
        // as long as to run it: it expects more rows behind a bound that it does not know than there are, and so a dearer plan.
        ("plan_cache_mode", "force_generic_plan"),
    ]);
    // A pool would try again until its time is up, and then say that and not why.
    connect(&options).await?.close().await?;
    let pool = |connections| PgPoolOptions::new().max_connections(connections).acquire_timeout(ACQUIRE);
    let writer = pool(WRITERS).after_release(|connection, _| Box::pin(roll_back(connection)));
    let writer = writer.connect_with(options.clone()).await?;
    let readers = pool(CONNECTIONS).after_release(|connection, _| Box::pin(is_there(connection)));
    let readers = readers.connect_with(options).await?;
    Ok(Engine::Postgres(Pools { readers: Readers::new(readers), writer }, server))
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
