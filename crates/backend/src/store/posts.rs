//! Every statement that writes cruds and replies. Everything that belongs to one (its words, its parent's counts, its notification, the kept response) is
//! written in its transaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::idempotency::{KeyedRequest, Outcome, Rendered};
use super::ids::id;
use super::statement::{BEGIN, BEGIN_PLANNED, Statement, statement};
use super::sweep::DELETED;
use super::tx::Tx;
use crate::domain::{Activity, Message, Ttl, User};

/// The most dependent rows with which a crud is deleted in one transaction.
const LIGHT: i64 = 500;

const CREATE: Statement = statement(
    "INSERT",
    "activities",
    "INSERT INTO activities (uuid, user_uuid, message, ttl_hours, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
);
/// Numbers the reply, and locks its parent, so that no two replies get the same number.
const NUMBER: Statement = statement(
    "UPDATE",
    "activities",
    "UPDATE activities SET replies_count = replies_count + 1, replies_made = replies_made + 1 \
     WHERE uuid = $1 AND expires_at > $2 RETURNING user_uuid, replies_made, expires_at",
);
const REPLY: Statement = statement(
    "INSERT",
    "activities",
    "INSERT INTO activities (uuid, user_uuid, message, created_at, expires_at, reply_to_activity_uuid, reply_number) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
const NOTIFY: Statement = statement(
    "INSERT",
    "reactions",
    "INSERT INTO reactions (activity_uuid, user_uuid, kind, uuid, owner_uuid, created_at) VALUES ($1, $2, 'reply', $3, $4, $5)",
);
const OWNER: Statement = statement(
    "SELECT",
    "activities",
    "SELECT user_uuid, reply_to_activity_uuid, likes_count + reposts_count, replies_made FROM activities WHERE uuid = $1 AND expires_at > $2",
);
/// The number of rows that depend on a crud's replies: each reply, its reactions, and `$2` if it has replies as well.
const REPLIES_WEIGHT: Statement = statement(
    "SELECT",
    "activities",
    "SELECT CAST(COALESCE(SUM(1 + likes_count + reposts_count + CASE WHEN replies_made > 0 THEN $2 ELSE 0 END), 0) AS bigint) \
     FROM activities WHERE reply_to_activity_uuid = $1",
);
const LOCK: Statement =
    statement("SELECT", "activities", "SELECT uuid FROM activities WHERE uuid = $1 FOR NO KEY UPDATE");
const DELETE: Statement = statement("DELETE", "activities", "DELETE FROM activities WHERE uuid = $1");
const EXPIRE: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET expires_at = $2 WHERE uuid = $1 AND expires_at > $3");
const UNCOUNT: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET replies_count = replies_count - 1 WHERE uuid = $1");

impl Tx<'_> {
    /// Locks a crud before the rows that depend on it, as its deletion does. If some transactions started with those rows, two would wait for one another until
    /// the server ends one of them. On SQLite a transaction has the whole database to itself.
    pub(super) async fn lock(&mut self, crud: Uuid) -> Result<(), Error> {
        if let Self::Postgres(_) = self {
            on!(self, LOCK, crud)?;
        }
        Ok(())
    }

    /// Keeps a crud of `user`.
    pub(super) async fn post(&mut self, user: Uuid, crud: &Activity, ttl: Ttl) -> Result<(), Error> {
        on!(self, CREATE, crud.uuid, user, &crud.message, ttl.hours(), crud.created_at, crud.expires_at)?;
        self.index(crud).await
    }

    /// Keeps a reply of `user`, which expires with its parent. Returns the kept reply, or `None` if the parent is not living.
    pub(super) async fn reply(&mut self, user: Uuid, parent: Uuid, reply: Activity) -> Result<Option<Activity>, Error> {
        let numbered = on!(self, NUMBER, |connection| {
            sqlx::query_as::<_, (Uuid, i64, DateTime<Utc>)>(NUMBER.text)
                .bind(parent)
                .bind(reply.created_at)
                .fetch_optional(connection)
        })?;
        let Some((owner, number, expires_at)) = numbered else { return Ok(None) };
        let reply = Activity { expires_at, ..reply };
        on!(self, REPLY, reply.uuid, user, &reply.message, reply.created_at, expires_at, parent, number)?;
        let notified = Some(owner).filter(|owner| *owner != user);
        on!(self, NOTIFY, reply.uuid, user, id(reply.created_at), notified, reply.created_at)?;
        self.index(&reply).await?;
        Ok(Some(reply))
    }
}

/// The outcome of a request to delete a crud.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deletion {
    Done,
    /// The crud belongs to another user.
    Forbidden,
    /// The crud is not living.
    NotFound,
}

impl Store {
    /// Keeps a new crud, and for a keyed request also the response that `render` makes of it.
    ///
    /// # Errors
    /// A statement failed; nothing is kept.
    pub async fn create(
        &self,
        user: &User,
        message: Message,
        ttl: Ttl,
        now: DateTime<Utc>,
        keyed: Option<KeyedRequest>,
        render: fn(&Activity) -> Rendered,
    ) -> Result<Outcome<Activity>, Error> {
        let crud = new(user, message.as_str(), now, now + ttl.duration(), None);
        let user = user.uuid;
        self.transact(move |store| {
            let (crud, keyed) = (crud.clone(), keyed.clone());
            async move {
                let rendered = render(&crud);
                let mut tx = store.begin(&BEGIN).await?;
                if let Some(before) = tx.claim(user, keyed.as_ref(), now).await? {
                    return Ok(before);
                }
                tx.post(user, &crud, ttl).await?;
                tx.keep(user, keyed.as_ref(), &rendered).await?;
                tx.commit().await?;
                Ok(Outcome::Done(crud, rendered))
            }
        })
        .await
    }

    /// Keeps a reply to the crud `parent`, with which it will expire. Returns `None` if no such crud is living.
    ///
    /// # Errors
    /// A statement failed; nothing is kept.
    pub async fn reply(
        &self,
        user: &User,
        parent: Uuid,
        message: Message,
        now: DateTime<Utc>,
        keyed: Option<KeyedRequest>,
        render: fn(&Activity) -> Rendered,
    ) -> Result<Option<Outcome<Activity>>, Error> {
        let reply = new(user, message.as_str(), now, now, Some(parent));
        let user = user.uuid;
        self.transact(move |store| {
            let (reply, keyed) = (reply.clone(), keyed.clone());
            async move {
                let mut tx = store.begin(&BEGIN).await?;
                if let Some(before) = tx.claim(user, keyed.as_ref(), now).await? {
                    return Ok(Some(before));
                }
                let Some(reply) = tx.reply(user, parent, reply).await? else { return Ok(None) };
                let rendered = render(&reply);
                tx.keep(user, keyed.as_ref(), &rendered).await?;
                tx.commit().await?;
                Ok(Some(Outcome::Done(reply, rendered)))
            }
        })
        .await
    }

    /// Deletes a crud of `user` with its replies and reactions. If these are many, the crud and its replies expire here, and the sweeper deletes them.
    ///
    /// # Errors
    /// A statement failed; the crud is still there, or has expired and some of its replies have not yet.
    pub async fn delete(&self, user: &User, uuid: Uuid, now: DateTime<Utc>) -> Result<Deletion, Error> {
        let user = user.uuid;
        self.transact(move |store| async move {
            let (deletion, is_light) = delete(&store, user, uuid, now).await?;
            if deletion == Deletion::Done && !is_light {
                store.sweep_replies().await?;
            }
            Ok(deletion)
        })
        .await
    }
}

/// The outcome, and whether nothing is left of the crud.
async fn delete(store: &Store, user: Uuid, uuid: Uuid, now: DateTime<Utc>) -> Result<(Deletion, bool), Error> {
    type OwnerRow = (Uuid, Option<Uuid>, i64, i64);
    let mut tx = store.begin(&BEGIN_PLANNED).await?;
    let found = on!(tx, OWNER, |connection| {
        sqlx::query_as::<_, OwnerRow>(OWNER.text).bind(uuid).bind(now).fetch_optional(connection)
    })?;
    let (reply_to, reactions, replies) = match found {
        None => return Ok((Deletion::NotFound, true)),
        Some((owner, ..)) if owner != user => return Ok((Deletion::Forbidden, true)),
        Some((_, reply_to, reactions, replies)) => (reply_to, reactions, replies),
    };
    if let Some(parent) = reply_to {
        tx.lock(parent).await?;
    }
    let mut weight = reactions.max(replies);
    if (1..=LIGHT).contains(&replies) && weight <= LIGHT {
        let (of_replies,) = on!(tx, REPLIES_WEIGHT, |connection| {
            sqlx::query_as::<_, (i64,)>(REPLIES_WEIGHT.text).bind(uuid).bind(LIGHT + 1).fetch_one(connection)
        })?;
        weight = weight.max(of_replies);
    }
    let is_light = weight <= LIGHT;
    let deleted = if is_light { on!(tx, DELETE, uuid)? } else { on!(tx, EXPIRE, uuid, DELETED, now)? };
    // Two requests may delete the crud at the same time.
    if deleted == 0 {
        return Ok((Deletion::NotFound, true));
    }
    if let Some(parent) = reply_to {
        on!(tx, UNCOUNT, parent)?;
    }
    tx.commit().await?;
    Ok((Deletion::Done, is_light))
}

/// A crud or reply without reactions or replies yet.
pub(super) fn new(
    user: &User,
    message: &str,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    reply_to: Option<Uuid>,
) -> Activity {
    Activity {
        uuid: id(created_at),
        handle: user.handle.clone(),
        display_name: user.display_name.clone(),
        message: message.to_owned(),
        created_at,
        expires_at,
        likes_count: 0,
        replies_count: 0,
        reposts_count: 0,
        reply_to,
    }
}
