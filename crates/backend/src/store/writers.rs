//! The connections that write.

use std::sync::Arc;

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool};
use telemetry::metrics::{PoolCounts, observe_pool};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;
use tokio::time::timeout;

use super::acquire::{ACQUIRE, acquire, places};
use super::files::Files;
use super::renewal::Renewal;

/// The connections that write.
pub(super) struct Writers<DB: Database> {
    pool: Pool<DB>,
    places: Arc<Semaphore>,
    runtime: Handle,
    renewal: Renewal,
    files: Option<Arc<Files>>,
}

impl<DB: Database> Writers<DB> {
    /// Must be called on the runtime that outlives it. The files are those of an embedded database.
    pub(super) fn new(pool: Pool<DB>, renewal: Renewal, files: Option<Arc<Files>>) -> Self {
        let observed = pool.clone();
        observe_pool("writers", move || (!observed.is_closed()).then(|| counts(&observed)));
        Self { places: places(&pool), pool, runtime: Handle::current(), renewal, files }
    }

    /// Replaces all connections, because their prepared statements are stale.
    pub(super) fn renew(&self) {
        self.renewal.renew();
    }

    /// Checks that the next start will find what has just been committed.
    ///
    /// # Errors
    /// The database's files are not those that were opened.
    pub(super) fn check(&self) -> Result<(), sqlx::Error> {
        self.files.as_ref().map_or(Ok(()), |files| files.check())
    }

    /// # Errors
    /// No connection is free in time, none can be opened, or they are closed.
    pub(super) async fn acquire(&self) -> Result<PoolConnection<DB>, sqlx::Error> {
        let acquire = async {
            let place = Arc::clone(&self.places).acquire_owned().await.map_err(|_| sqlx::Error::PoolClosed)?;
            acquire(&self.pool, &self.runtime, place).await
        };
        timeout(ACQUIRE, acquire).await.map_err(|_| sqlx::Error::PoolTimedOut)?.map(|(connection, _)| connection)
    }

    /// The maximum number of connections.
    pub(super) fn most(&self) -> u32 {
        self.pool.options().get_max_connections()
    }

    pub(super) async fn close(&self) {
        self.pool.close().await;
    }
}

fn counts<DB: Database>(pool: &Pool<DB>) -> PoolCounts {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    PoolCounts {
        idle,
        used: pool.size().saturating_sub(idle),
        max: pool.options().get_max_connections(),
        pending: None,
    }
}
