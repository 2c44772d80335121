//! Every statement that writes cruds and replies. Everything that belongs to one (its words, its parent's counts, its notification, the kept response) is
//! written in its transaction.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::once::{claim, keep};
use super::statement::{Statement, statement};
use super::sweep::DELETED;
use super::words::index;
use super::{Error, Once, Outcome, Store, transaction, within};
use crate::domain::{Activity, Message, Ttl, User, words};

/// The most dependent rows with which a crud is deleted in one transaction.
const LIGHT: i64 = 500;

pub(super) const CREATE: Statement = statement(
    "INSERT",
    "activities",
    "INSERT INTO activities (uuid, user_uuid, message, ttl_hours, created_at, expires_at) VALUES ($1, $2, $3, $4, $5, $6)",
);
/// Numbers the reply, and locks its parent, so that no two replies get the same number.
pub(super) const NUMBER: Statement = statement(
    "UPDATE",
    "activities",
    "UPDATE activities SET replies_count = replies_count + 1, replies_made = replies_made + 1 \
     WHERE uuid = $1 AND expires_at > $2 RETURNING user_uuid, replies_made, expires_at",
);
pub(super) const REPLY: Statement = statement(
    "INSERT",
    "activities",
    "INSERT INTO activities (uuid, user_uuid, message, created_at, expires_at, reply_to_activity_uuid, reply_number) \
     VALUES ($1, $2, $3, $4, $5, $6, $7)",
);
pub(super) const NOTIFY: Statement = statement(
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
pub(super) const LOCK: Statement =
    statement("SELECT", "activities", "SELECT uuid FROM activities WHERE uuid = $1 FOR NO KEY UPDATE");
const DELETE: Statement = statement("DELETE", "activities", "DELETE FROM activities WHERE uuid = $1");
const EXPIRE: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET expires_at = $2 WHERE uuid = $1 AND expires_at > $3");
const UNCOUNT: Statement =
    statement("UPDATE", "activities", "UPDATE activities SET replies_count = replies_count - 1 WHERE uuid = $1");

/// Within a transaction: locks a crud before the rows that depend on it, as its deletion does. If some transactions started with those rows, two would wait for
/// one another until the server ends one of them. On SQLite a transaction has the whole database to itself.
macro_rules! lock {
    ($store:expr, $tx:ident, $uuid:expr) => {
        if matches!(*$store.engine, $crate::store::Engine::Postgres(..)) {
            within!($store, $tx, $crate::store::posts::LOCK, |connection| {
                sqlx::query($crate::store::posts::LOCK.text).bind($uuid).execute(connection)
            })?;
        }
    };
}

/// Within a transaction: keeps a crud.
macro_rules! post {
    ($store:expr, $tx:ident, $user:expr, $crud:expr, $ttl:expr) => {{
        let crud: &Activity = $crud;
        within!($store, $tx, $crate::store::posts::CREATE, |connection| {
            sqlx::query($crate::store::posts::CREATE.text)
                .bind(crud.uuid)
                .bind($user)
                .bind(&crud.message)
                .bind($ttl.hours())
                .bind(crud.created_at)
                .bind(crud.expires_at)
                .execute(connection)
        })?;
        index!($store, $tx, words(&crud.message), crud.uuid, crud.created_at, crud.expires_at);
    }};
}

/// Within a transaction: keeps a reply, which expires with its parent. Evaluates to the kept reply, or to `None` if the parent is not living.
macro_rules! answer {
    ($store:expr, $tx:ident, $user:expr, $parent:expr, $reply:expr) => {{
        let reply: Activity = $reply;
        let numbered = within!($store, $tx, $crate::store::posts::NUMBER, |connection| {
            sqlx::query_as::<_, (Uuid, i64, DateTime<Utc>)>($crate::store::posts::NUMBER.text)
                .bind($parent)
                .bind(reply.created_at)
                .fetch_optional(connection)
        })?;
        match numbered {
            None => None,
            Some((owner, number, expires_at)) => {
                let reply = Activity { expires_at, ..reply };
                within!($store, $tx, $crate::store::posts::REPLY, |connection| {
                    sqlx::query($crate::store::posts::REPLY.text)
                        .bind(reply.uuid)
                        .bind($user)
                        .bind(&reply.message)
                        .bind(reply.created_at)
                        .bind(expires_at)
                        .bind($parent)
                        .bind(number)
                        .execute(connection)
                })?;
                within!($store, $tx, $crate::store::posts::NOTIFY, |connection| {
                    sqlx::query($crate::store::posts::NOTIFY.text)
                        .bind(reply.uuid)
                        .bind($user)
                        .bind(Uuid::now_v7())
                        .bind(Some(owner).filter(|owner| *owner != $user))
                        .bind(reply.created_at)
                        .execute(connection)
                })?;
                index!($store, $tx, words(&reply.message), reply.uuid, reply.created_at, reply.expires_at);
                Some(reply)
            }
        }
    }};
}
pub(super) use {answer, lock, post};

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
    /// Keeps a new crud. With `once`, also keeps the `Location` and the body that `answer` returns.
    ///
    /// # Errors
    /// A statement failed; nothing is kept.
    pub async fn create(
        &self,
        user: &User,
        message: Message,
        ttl: Ttl,
        now: DateTime<Utc>,
        once: Option<Once>,
        answer: fn(&Activity) -> (String, String),
    ) -> Result<Outcome<Activity>, Error> {
        let crud = new(user, message.as_str(), now, now + ttl.duration(), None);
        let user = user.uuid;
        self.transact(move |store| {
            let (crud, once) = (crud.clone(), once.clone());
            async move {
                Ok(transaction!(&store, |tx| {
                    claim!(store, tx, user, &once, now);
                    post!(store, tx, user, &crud, ttl);
                    keep!(store, tx, user, &once, answer(&crud));
                    Outcome::Done(crud)
                }))
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
        once: Option<Once>,
        answer: fn(&Activity) -> (String, String),
    ) -> Result<Outcome<Option<Activity>>, Error> {
        let reply = new(user, message.as_str(), now, now, Some(parent));
        let user = user.uuid;
        self.transact(move |store| {
            let (reply, once) = (reply.clone(), once.clone());
            async move {
                Ok(transaction!(&store, |tx| {
                    claim!(store, tx, user, &once, now);
                    let Some(reply) = answer!(store, tx, user, parent, reply) else {
                        return Ok(Outcome::Done(None));
                    };
                    keep!(store, tx, user, &once, answer(&reply));
                    Outcome::Done(Some(reply))
                }))
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
    Ok(transaction!(store, planned, |tx| {
        type Row = (Uuid, Option<Uuid>, i64, i64);
        let found = within!(store, tx, OWNER, |connection| sqlx::query_as::<_, Row>(OWNER.text)
            .bind(uuid)
            .bind(now)
            .fetch_optional(connection))?;
        let (reply_to, reactions, replies) = match found {
            None => return Ok((Deletion::NotFound, true)),
            Some((owner, ..)) if owner != user => return Ok((Deletion::Forbidden, true)),
            Some((_, reply_to, reactions, replies)) => (reply_to, reactions, replies),
        };
        if let Some(parent) = reply_to {
            lock!(store, tx, parent);
        }
        let mut weight = reactions.max(replies);
        if (1..=LIGHT).contains(&replies) && weight <= LIGHT {
            let (of_replies,) = within!(store, tx, REPLIES_WEIGHT, |connection| {
                sqlx::query_as::<_, (i64,)>(REPLIES_WEIGHT.text).bind(uuid).bind(LIGHT + 1).fetch_one(connection)
            })?;
            weight = weight.max(of_replies);
        }
        let is_light = weight <= LIGHT;
        let deleted = if is_light {
            within!(store, tx, DELETE, |connection| sqlx::query(DELETE.text).bind(uuid).execute(connection))?
                .rows_affected()
        } else {
            within!(store, tx, EXPIRE, |connection| sqlx::query(EXPIRE.text)
                .bind(uuid)
                .bind(DELETED)
                .bind(now)
                .execute(connection))?
            .rows_affected()
        };
        // Two requests may delete the crud at the same time.
        if deleted == 0 {
            return Ok((Deletion::NotFound, true));
        }
        if let Some(parent) = reply_to {
            within!(store, tx, UNCOUNT, |connection| sqlx::query(UNCOUNT.text).bind(parent).execute(connection))?;
        }
        (Deletion::Done, is_light)
    }))
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
        uuid: Uuid::now_v7(),
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
