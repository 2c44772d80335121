//! Acquires a connection of a pool.

use std::sync::Arc;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// How long a caller waits for a connection.
pub(super) const ACQUIRE: Duration = Duration::from_secs(2);

pub(super) fn places<DB: Database>(pool: &Pool<DB>) -> Arc<Semaphore> {
    Arc::new(Semaphore::new(pool.options().get_max_connections() as usize))
}

/// Acquires a connection of the pool, which may have to open it, in a separate task. A caller that gives up must not end a connection that is being opened: the
/// server would go on with it, and the pool would not count it. The connection goes to the pool instead, and `place` bounds how many do.
pub(super) async fn acquire<DB: Database>(
    pool: &Pool<DB>,
    runtime: &Handle,
    place: OwnedSemaphorePermit,
) -> Result<(PoolConnection<DB>, OwnedSemaphorePermit), sqlx::Error> {
    let pool = pool.clone();
    let acquiring = runtime.spawn(async move { Ok((pool.acquire().await?, place)) });
    acquiring.await.map_err(|_| sqlx::Error::PoolClosed)?
}
