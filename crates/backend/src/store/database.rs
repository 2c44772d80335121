//! The open database, which every use case shares: its connections, and how a write, a transaction and a statement run.

use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Handle;
use tokio::sync::Notify;
use tokio::time::timeout;
use tokio_util::task::TaskTracker;
use tracing::Instrument;

use super::engine::{ByEngine, Engine};
use super::error::Error;
use super::passing;
use super::statement::{ServerDetails, Statement};
use super::time::{Bounds, answered};
use crate::faults::Faults;

const CLOSE: Duration = Duration::from_secs(1);

/// The open database. Cheap to clone.
#[derive(Clone)]
pub struct Store {
    pub(super) engine: Arc<Engine>,
    writes: TaskTracker,
    runtime: Handle,
    pub(super) faults: Faults,
    bounds: Bounds,
    /// Notified when the sweeper must finish the deletion of a crud.
    pub(super) deleted: Arc<Notify>,
}

impl Store {
    /// Must be called on the runtime that outlives it.
    pub(super) fn of(engine: Engine, faults: Faults, bounds: Bounds) -> Self {
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
        let (readers, writers) = match &self.engine.pools {
            ByEngine::Sqlite(pools) => (pools.readers.most(), pools.writers.most()),
            ByEngine::Postgres(pools) => (pools.readers.most(), pools.writers.most()),
        };
        let (all, variable) = match &self.engine.server {
            Some(server) => (server.connections, " (CRUDDUR_DATABASE_CONNECTIONS)"),
            None => (readers + writers, ""),
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
            tracing::warn!("the database did not respond within {} s; its connections are abandoned", CLOSE.as_secs());
        }
    }

    /// Runs a write in a separate task, so that a caller that disconnects does not interrupt it.
    pub(super) async fn write<T: Send + 'static>(
        &self,
        write: impl Future<Output = Result<T, Error>> + Send + 'static,
    ) -> Result<T, Error> {
        let task = self.writes.spawn_on(write.in_current_span(), &self.runtime);
        task.await?
    }

    /// Runs a transaction as [`Store::write`] does, and once more if one of its statements was stale. The second run keeps nothing of the first.
    pub(super) async fn transact<T, F>(&self, transaction: impl Fn(Self) -> F + Send + 'static) -> Result<T, Error>
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
    pub(super) async fn in_span<T>(
        &self,
        statement: &Statement,
        run: Pin<&mut impl Future<Output = Result<T, sqlx::Error>>>,
    ) -> Result<T, sqlx::Error> {
        let server = self.engine.server.as_ref();
        let run = async {
            self.faults.slow_down().await;
            match (server, self.bounds) {
                (Some(_), Bounds::Requests) => answered(run).await,
                _ => run.await,
            }
        };
        telemetry::sqlx::run(statement, &ServerDetails::database(server), pin!(run)).await
    }
}
