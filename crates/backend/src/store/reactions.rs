//! Every statement about likes, reposts and notifications. A crud's counts change in the same transaction as the reaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::activities::{ActivityRow, SHOW, activity};
use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::ids::id;
use super::statement::{BEGIN, Statement, statement};
use super::tx::Tx;
use crate::domain::{Activity, Notification, Page, Reaction, User};

/// The actor, the action and its time, followed by a crud as in every other list.
type Notified = (
    Uuid,
    String,
    String,
    String,
    DateTime<Utc>,
    Uuid,
    String,
    String,
    String,
    DateTime<Utc>,
    DateTime<Utc>,
    i64,
    i64,
    i64,
    Option<Uuid>,
);

const REACT: Statement = statement(
    "INSERT",
    "reactions",
    "INSERT INTO reactions (activity_uuid, user_uuid, kind, uuid, owner_uuid, created_at) \
     SELECT a.uuid, $2, $3, $4, CASE WHEN a.user_uuid = $2 THEN NULL ELSE a.user_uuid END, $5 \
     FROM activities a WHERE a.uuid = $1 AND a.expires_at > $5 ON CONFLICT DO NOTHING",
);
const RETRACT: Statement =
    statement("DELETE", "reactions", "DELETE FROM reactions WHERE activity_uuid = $1 AND user_uuid = $2 AND kind = $3");
const COUNT_LIKE: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET likes_count = likes_count + $2 WHERE uuid = $1");
const COUNT_REPOST: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET reposts_count = reposts_count + $2 WHERE uuid = $1");
const NOTIFICATIONS: Statement = statement(
    "SELECT",
    "reactions",
    "SELECT r.uuid, r.kind, w.handle, w.display_name, r.created_at, a.uuid, u.handle, u.display_name, a.message, a.created_at, \
     a.expires_at, a.likes_count, a.replies_count, a.reposts_count, a.reply_to_activity_uuid \
     FROM reactions r CROSS JOIN activities a CROSS JOIN users u CROSS JOIN users w \
     WHERE a.uuid = r.activity_uuid AND u.uuid = a.user_uuid AND w.uuid = r.user_uuid AND r.owner_uuid = $2 \
     AND (r.created_at, r.uuid) < ($3, $4) AND a.expires_at > $1 \
     ORDER BY r.created_at DESC, r.uuid DESC LIMIT $5 + 0",
);

impl Tx<'_> {
    /// Adds to one of a crud's counts. Returns the updated crud, or `None` if it is not living.
    async fn count(
        &mut self,
        uuid: Uuid,
        reaction: Reaction,
        more: i64,
        now: DateTime<Utc>,
    ) -> Result<Option<Activity>, Error> {
        let count = match reaction {
            Reaction::Like => COUNT_LIKE,
            Reaction::Repost => COUNT_REPOST,
        };
        if more != 0 {
            on!(self, count, uuid, more)?;
        }
        let row = on!(self, SHOW, |connection| {
            sqlx::query_as::<_, ActivityRow>(SHOW.text).bind(now).bind(uuid).fetch_optional(connection)
        })?;
        Ok(row.map(activity))
    }
}

impl Store {
    /// Likes or reposts a crud, unless that was already done. Returns the crud with its current counts, or `None` if no such crud is living.
    ///
    /// # Errors
    /// A statement failed; nothing has changed.
    pub async fn react(
        &self,
        user: &User,
        uuid: Uuid,
        reaction: Reaction,
        now: DateTime<Utc>,
    ) -> Result<Option<Activity>, Error> {
        let user = user.uuid;
        self.transact(move |store| async move {
            let mut tx = store.begin(&BEGIN).await?;
            tx.lock(uuid).await?;
            let reacted = on!(tx, REACT, uuid, user, reaction.as_str(), id(now), now)?;
            let activity = tx.count(uuid, reaction, i64::from(reacted > 0), now).await?;
            tx.commit().await?;
            Ok(activity)
        })
        .await
    }

    /// Takes back a like or repost, if there is one. Returns the crud with its current counts, or `None` if no such crud is living.
    ///
    /// # Errors
    /// A statement failed; nothing has changed.
    pub async fn retract(
        &self,
        user: &User,
        uuid: Uuid,
        reaction: Reaction,
        now: DateTime<Utc>,
    ) -> Result<Option<Activity>, Error> {
        let user = user.uuid;
        self.transact(move |store| async move {
            let mut tx = store.begin(&BEGIN).await?;
            tx.lock(uuid).await?;
            let retracted = on!(tx, RETRACT, uuid, user, reaction.as_str())?;
            let activity = tx.count(uuid, reaction, -i64::from(retracted > 0), now).await?;
            tx.commit().await?;
            Ok(activity)
        })
        .await
    }

    /// The reactions and replies of others to the living cruds of `user`, newest first.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn notifications(&self, user: &User, now: DateTime<Utc>, page: Page) -> Result<Vec<Notification>, Error> {
        let rows = on!(self.reads(), NOTIFICATIONS, |reader| sqlx::query_as::<_, Notified>(NOTIFICATIONS.text)
            .bind(now)
            .bind(user.uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(reader))?;
        Ok(rows.into_iter().map(notification).collect())
    }
}

fn notification(row: Notified) -> Notification {
    let (uuid, kind, handle, display_name, created_at, a, b, c, d, e, f, g, h, i, j) = row;
    Notification { uuid, kind, handle, display_name, created_at, activity: activity((a, b, c, d, e, f, g, h, i, j)) }
}
