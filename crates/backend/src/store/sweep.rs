//! Deletes what has expired and is in no answer any more, a bounded batch at a time, so that no writer waits long for it.
//! Nothing depends on when it runs.

use std::convert::Infallible;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Instrument;

use super::statement::{Statement, statement};
use super::{Engine, Error, Store, answered, now, read_of, run};

/// Between two looks for what has expired.
const EVERY: Duration = Duration::from_secs(60);
/// Rows that are deleted at once.
const BATCH: u32 = 500;
/// How long the answer to an `Idempotency-Key` is kept.
const KEYS: TimeDelta = TimeDelta::days(1);

/// Replies go first, so that no crud takes more of them along than a batch has room for.
const ACTIVITIES: Statement = statement(
    "DELETE",
    "activities",
    "DELETE FROM activities WHERE uuid IN (SELECT uuid FROM activities WHERE expires_at <= $1 \
     ORDER BY expires_at, reply_to_activity_uuid IS NULL LIMIT $2 + 0)",
);
const SESSIONS: Statement = statement(
    "DELETE",
    "sessions",
    "DELETE FROM sessions WHERE token_hash IN (SELECT token_hash FROM sessions WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 + 0)",
);
const LINKS: Statement = statement(
    "DELETE",
    "sign_in_links",
    "DELETE FROM sign_in_links WHERE token_hash IN (SELECT token_hash FROM sign_in_links WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 + 0)",
);
const ATTEMPTS: Statement = statement(
    "DELETE",
    "attempts",
    "DELETE FROM attempts WHERE subject_hash IN (SELECT subject_hash FROM attempts WHERE expires_at <= $1 \
     ORDER BY expires_at LIMIT $2 + 0)",
);
const ANSWERS: Statement = statement(
    "DELETE",
    "idempotency_keys",
    "DELETE FROM idempotency_keys WHERE (user_uuid, key) IN (SELECT user_uuid, key FROM idempotency_keys WHERE created_at <= $1 \
     ORDER BY created_at LIMIT $2 + 0)",
);
const ANY: &str = "SELECT (SELECT count(*) FROM (SELECT 1 FROM activities WHERE expires_at <= $1 LIMIT 1) AS a) \
                   + (SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at <= $1 LIMIT 1) AS b) \
                   + (SELECT count(*) FROM (SELECT 1 FROM sign_in_links WHERE expires_at <= $1 LIMIT 1) AS c) \
                   + (SELECT count(*) FROM (SELECT 1 FROM attempts WHERE expires_at <= $1 LIMIT 1) AS d) \
                   + (SELECT count(*) FROM (SELECT 1 FROM idempotency_keys WHERE created_at <= $2 LIMIT 1) AS e)";

impl Store {
    /// Deletes of each kind at most so many rows that have expired by `now`, and tells how many it were.
    ///
    /// # Errors
    /// A statement failed; what it would have deleted is still there.
    pub async fn sweep(&self, now: DateTime<Utc>, most: u32) -> Result<u64, Error> {
        let store = self.clone();
        self.write(async move {
            let mut deleted = 0;
            let keys = now - KEYS;
            for (statement, end) in [(ACTIVITIES, now), (SESSIONS, now), (LINKS, now), (ATTEMPTS, now), (ANSWERS, keys)]
            {
                deleted += run!(&store, statement, end, i64::from(most))?;
            }
            Ok(deleted)
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
            if deleted == 0 {
                tracing::info!(deleted = all, "deleted what had expired");
                return Ok(());
            }
        }
    }

    /// Asked without a span: most answers are no.
    async fn has_expired(&self) -> Result<bool, Error> {
        let (now, keys) = (now(), now() - KEYS);
        let any = async {
            match &*self.engine {
                Engine::Sqlite(pools) => {
                    read_of!(pools.readers, |reader| sqlx::query_as(ANY).bind(now).bind(keys).fetch_one(reader))
                }
                Engine::Postgres(pools, _) => {
                    read_of!(pools.readers, |reader| sqlx::query_as(ANY).bind(now).bind(keys).fetch_one(reader))
                }
            }
        };
        let (any,): (i64,) = answered(any).await?;
        Ok(any > 0)
    }
}
