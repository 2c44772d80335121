//! Deletes what has expired and is in no answer any more, a bounded batch at a time, so that no writer waits long for it.
//! Nothing depends on when it runs.

use std::convert::Infallible;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tracing::Instrument;

use super::statement::Statement;
use super::{Engine, Error, Store, now, on};

/// Between two looks for what has expired.
const EVERY: Duration = Duration::from_secs(60);
/// Rows that are deleted at once.
const BATCH: u32 = 500;

/// Replies go first, so that no crud takes more of them along than a batch has room for.
const SWEEP: Statement = Statement {
    operation: "DELETE",
    collection: "activities",
    text: "DELETE FROM activities WHERE uuid IN (SELECT uuid FROM activities WHERE expires_at <= $1 \
           ORDER BY expires_at, reply_to_activity_uuid IS NULL LIMIT $2)",
};
const ANY: &str = "SELECT count(*) FROM (SELECT 1 FROM activities WHERE expires_at <= $1 LIMIT 1) AS one";

impl Store {
    /// Deletes at most so many rows that have expired by `now`, and tells how many it were.
    ///
    /// # Errors
    /// The statement failed; what it would have deleted is still there.
    pub async fn sweep(&self, now: DateTime<Utc>, most: u32) -> Result<u64, Error> {
        let store = self.clone();
        self.write(async move {
            on!(&store, writer, SWEEP, |pool| async {
                let deleted = sqlx::query(SWEEP.text).bind(now).bind(i64::from(most)).execute(pool).await?;
                Ok(deleted.rows_affected())
            })
        })
        .await
    }

    /// Sweeps each minute, for ever. Makes a trace only where there is something to delete.
    pub(crate) async fn keep_swept(&self) -> Infallible {
        loop {
            let swept = match self.has_expired().await {
                Ok(true) => self.sweep_all().instrument(tracing::info_span!("sweep")).await,
                Ok(false) => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = swept {
                tracing::warn!(error = &error as &dyn std::error::Error, "what has expired could not be deleted");
            }
            tokio::time::sleep(EVERY).await;
        }
    }

    async fn sweep_all(&self) -> Result<(), Error> {
        let now = now();
        let mut all = 0;
        loop {
            let deleted = self.sweep(now, BATCH).await?;
            all += deleted;
            if deleted < u64::from(BATCH) {
                tracing::info!(deleted = all, "deleted what had expired");
                return Ok(());
            }
        }
    }

    /// Asked without a span: most answers are no.
    async fn has_expired(&self) -> Result<bool, Error> {
        let now = now();
        let (any,): (i64,) = match &self.engine {
            Engine::Sqlite(pools) => sqlx::query_as(ANY).bind(now).fetch_one(&pools.readers).await?,
            Engine::Postgres(pools, _) => sqlx::query_as(ANY).bind(now).fetch_one(&pools.readers).await?,
        };
        Ok(any > 0)
    }
}
