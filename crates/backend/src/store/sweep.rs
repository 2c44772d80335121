//! Deletes expired rows, which no response shows any more, so the time of a sweep does not matter. A transaction deletes a bounded number of rows, however many
//! depend on one crud, so that no writer waits long for it and no time limit ends it. Reactions go first, then replies, then their parents. A batch that fails is
//! retried in smaller ones. A row that cannot be deleted is skipped: it stops neither its neighbours nor the other tables.

use std::collections::HashSet;
use std::convert::Infallible;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::timeout;
use tracing::Instrument;

use super::clock::{self, Horizon, TOLERANCE};
use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::statement::{BEGIN_PLANNED, Statement, statement};
use super::time::answered;

/// The interval between two sweeps.
const EVERY: Duration = Duration::from_secs(60);
/// Rows that are deleted together.
const BATCH: u32 = 500;
/// Rows of a table that one sweep skips because they cannot be deleted.
const SKIPS: u32 = 20;
/// How long the response to an `Idempotency-Key` is kept.
const KEYS: TimeDelta = TimeDelta::days(1);
/// The expiry of a deleted crud that the sweeper has yet to remove. It has passed by every clock.
pub(super) const DELETED: DateTime<Utc> = DateTime::UNIX_EPOCH;

/// The next cruds that have expired by `$1` and have no replies: at most `$2`, after the first `$3`.
macro_rules! next {
    () => {
        "SELECT a.uuid FROM activities a WHERE a.expires_at <= $1 \
         AND NOT EXISTS (SELECT 1 FROM activities r WHERE r.reply_to_activity_uuid = a.uuid) \
         ORDER BY a.expires_at, a.uuid LIMIT $2 + 0 OFFSET $3 + 0"
    };
}

/// The earliest rows of a table that have expired by `$1`, by the table's key and its expiry column.
macro_rules! expired {
    ($table:literal, $key:literal, $column:literal) => {
        statement(
            "DELETE",
            $table,
            concat!(
                "DELETE FROM ",
                $table,
                " WHERE (",
                $key,
                ") IN (SELECT ",
                $key,
                " FROM ",
                $table,
                " WHERE ",
                $column,
                " <= $1 ORDER BY ",
                $column,
                " LIMIT $2 + 0 OFFSET $3 + 0)"
            ),
        )
    };
}

/// A crud may have more reactions than fit in a batch.
const REACTIONS: Statement = statement(
    "DELETE",
    "reactions",
    concat!(
        "DELETE FROM reactions WHERE (activity_uuid, user_uuid, kind) IN (SELECT r.activity_uuid, r.user_uuid, r.kind FROM (",
        next!(),
        ") AS a CROSS JOIN reactions r WHERE r.activity_uuid = a.uuid LIMIT $2 + 0)"
    ),
);
const ACTIVITIES: Statement =
    statement("DELETE", "activities", concat!("DELETE FROM activities WHERE uuid IN (", next!(), ")"));
/// Replies expire with their crud, unless it was deleted.
const REPLIES: Statement = statement(
    "UPDATE",
    "activities",
    "UPDATE activities SET expires_at = $1 WHERE uuid IN (SELECT r.uuid FROM activities p CROSS JOIN activities r \
     WHERE p.expires_at <= $1 AND r.reply_to_activity_uuid = p.uuid AND r.expires_at > $1 LIMIT $2 + 0 OFFSET $3 + 0)",
);
const SESSIONS: Statement = expired!("sessions", "token_hash", "expires_at");
const LINKS: Statement = expired!("sign_in_links", "token_hash", "expires_at");
const ATTEMPTS: Statement = expired!("attempts", "subject_hash", "expires_at");
const ANSWERS: Statement = expired!("idempotency_keys", "user_uuid, key", "created_at");
const TABLES: [Statement; 5] = [ACTIVITIES, SESSIONS, LINKS, ATTEMPTS, ANSWERS];
const ANY: &str = "SELECT (SELECT count(*) FROM (SELECT 1 FROM activities WHERE expires_at <= $1 LIMIT 1) AS a) \
                   + (SELECT count(*) FROM (SELECT 1 FROM sessions WHERE expires_at <= $1 LIMIT 1) AS b) \
                   + (SELECT count(*) FROM (SELECT 1 FROM sign_in_links WHERE expires_at <= $1 LIMIT 1) AS c) \
                   + (SELECT count(*) FROM (SELECT 1 FROM attempts WHERE expires_at <= $1 LIMIT 1) AS d) \
                   + (SELECT count(*) FROM (SELECT 1 FROM idempotency_keys WHERE created_at <= $2 LIMIT 1) AS e)";

/// What the sweeper remembers from one sweep to the next.
#[derive(Default)]
struct Sweeper {
    horizon: Option<Horizon>,
    /// Tables of which a failure has been logged since they were last swept without one.
    failing: HashSet<&'static str>,
    clock_differs: bool,
    is_away: bool,
}

impl Store {
    /// Deletes at most `most` rows of each table that have expired by `end`, and returns how many there were.
    ///
    /// # Errors
    /// A statement failed; what it would have deleted is still there.
    pub async fn sweep(&self, end: DateTime<Utc>, most: u32) -> Result<u64, Error> {
        let mut deleted = 0;
        for table in TABLES {
            deleted += self.sweep_batch(table, end, most, 0).await?;
        }
        Ok(deleted)
    }

    /// Sweeps every minute, and whenever the sweeper must finish the deletion of a crud. Makes a trace only if there is something to delete.
    pub(crate) async fn keep_swept(&self) -> Infallible {
        let mut sweeper = Sweeper::default();
        loop {
            let swept = self.sweep_once(&mut sweeper).await;
            match &swept {
                Err(error) if !sweeper.is_away => {
                    tracing::warn!(
                        error = error as &dyn std::error::Error,
                        "cannot delete expired rows; retrying every minute"
                    );
                }
                _ => {}
            }
            sweeper.is_away = swept.is_err();
            // Whether the time has elapsed or a notification has come, the next sweep is due.
            timeout(EVERY, self.deleted.notified()).await.ok();
        }
    }

    async fn sweep_once(&self, sweeper: &mut Sweeper) -> Result<(), Error> {
        let difference = self.clock_difference().await?;
        let differs = difference.abs() > TOLERANCE;
        if differs && !sweeper.clock_differs {
            tracing::error!(
                "the database server's clock differs from this machine's by {} s; nothing expired is deleted until they agree: \
                 synchronise both",
                clock::seconds(difference)
            );
        }
        sweeper.clock_differs = differs;
        // Deleted cruds are removed in any case.
        let end = if differs { DELETED } else { self.deletable_until(&mut sweeper.horizon).await?.max(DELETED) };
        if self.has_expired(end).await? {
            self.sweep_all(end, &mut sweeper.failing).instrument(tracing::info_span!("sweep")).await?;
        }
        Ok(())
    }

    async fn sweep_all(&self, end: DateTime<Utc>, failing: &mut HashSet<&'static str>) -> Result<(), Error> {
        let mut all = 0;
        for table in TABLES {
            let (deleted, failure) = self.sweep_table(table, end).await?;
            all += deleted;
            match failure {
                None => drop(failing.remove(table.collection)),
                Some(error) if failing.insert(table.collection) => {
                    let error: &dyn std::error::Error = &error;
                    tracing::warn!(error, table = table.collection, "cannot delete some expired rows; skipping them");
                }
                Some(_) => {}
            }
        }
        if all > 0 {
            tracing::info!(deleted = all, "deleted expired rows");
        }
        Ok(())
    }

    /// Returns how many rows were deleted, and why others could not be.
    ///
    /// # Errors
    /// The database cannot be reached, so the other tables can wait as well.
    async fn sweep_table(&self, table: Statement, end: DateTime<Utc>) -> Result<(u64, Option<Error>), Error> {
        let (mut most, mut skip, mut all, mut failure) = (BATCH, 0, 0, None);
        loop {
            match self.sweep_batch(table, end, most, skip).await {
                Ok(0) => return Ok((all, failure)),
                Ok(deleted) => {
                    all += deleted;
                    most = BATCH.min(most * 2);
                }
                Err(error) if !error.is_of_a_statement() => return Err(error),
                // Halved until the row is alone.
                Err(_) if most > 1 => most /= 2,
                Err(error) if skip == SKIPS => return Ok((all, Some(error))),
                Err(error) => {
                    skip += 1;
                    failure = Some(error);
                }
            }
        }
    }

    async fn sweep_batch(&self, table: Statement, end: DateTime<Utc>, most: u32, skip: u32) -> Result<u64, Error> {
        if table.collection != ACTIVITIES.collection {
            return self.sweep_rows(table, end, most, skip).await;
        }
        while self.sweep_rows(REACTIONS, end, most, skip).await? > 0 {}
        match self.sweep_rows(ACTIVITIES, end, most, skip).await? {
            0 => self.sweep_rows(REPLIES, end, most, skip).await,
            deleted => Ok(deleted),
        }
    }

    /// Marks all replies to deleted cruds as deleted too.
    pub(super) async fn sweep_replies(&self) -> Result<(), Error> {
        while self.sweep_rows(REPLIES, DELETED, BATCH, 0).await? > 0 {}
        self.deleted.notify_one();
        Ok(())
    }

    async fn sweep_rows(&self, statement: Statement, end: DateTime<Utc>, most: u32, skip: u32) -> Result<u64, Error> {
        let end = if statement.collection == ANSWERS.collection { end - KEYS } else { end };
        let store = self.clone();
        self.write(async move {
            let mut tx = store.begin(&BEGIN_PLANNED).await?;
            let swept = on!(tx, statement, end, i64::from(most), i64::from(skip))?;
            tx.commit().await?;
            Ok(swept)
        })
        .await
    }

    /// This looks without a span: most of the time nothing has expired.
    async fn has_expired(&self, end: DateTime<Utc>) -> Result<bool, Error> {
        let keys = end - KEYS;
        let any = on!(self.reads(), |reader| sqlx::query_as(ANY).bind(end).bind(keys).fetch_one(reader));
        let (any,): (i64,) = answered(any).await?;
        Ok(any > 0)
    }
}
