//! Opens a session at a server.

use std::io;
use std::time::Duration;

use sqlx::Connection;
use sqlx::error::DatabaseError;
use sqlx::postgres::{PgConnectOptions, PgConnection};
use tokio::time::{Instant, sleep, timeout};

/// Time limit for a server to accept the first connection.
pub(super) const OPEN: Duration = Duration::from_secs(10);

/// Waits for a server that is about to accept connections, for as long as `patience`.
pub(super) async fn connect(options: &PgConnectOptions, patience: Duration) -> Result<PgConnection, sqlx::Error> {
    const SILENT: &str = "it accepts connections but does not respond";
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
