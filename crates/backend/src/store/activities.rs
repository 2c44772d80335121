//! Every statement that reads cruds.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::statement::{Statement, statement};
use super::{Error, Store, on};
use crate::domain::{Activity, Page, Profile, Thread, Ttl};

/// The newest replies that come with a crud; the rest is counted in `replies_count`.
const REPLIES: i64 = 20;
/// Cruds whose replies one statement asks for.
const PARENTS: usize = 20;

pub(super) type Row = (Uuid, String, String, String, DateTime<Utc>, DateTime<Utc>, i64, i64, i64, Option<Uuid>);

/// The text of a statement that selects activities `a` which live at `$1`, by its `FROM` up to `JOIN users u`, and what follows.
macro_rules! activities {
    ($from:expr, $rest:expr) => {
        concat!(
            "SELECT a.uuid, u.handle, u.display_name, a.message, a.created_at, a.expires_at, a.likes_count, \
             a.replies_count, a.reposts_count, a.reply_to_activity_uuid FROM ",
            $from,
            " JOIN users u ON u.uuid = a.user_uuid WHERE a.expires_at > $1",
            $rest
        )
    };
}
pub(super) use activities;

/// The newest cruds of one lifetime that lie before `($2, $3)`: those that live were made after `$since`.
macro_rules! of_lifetime {
    ($hours:literal, $since:literal) => {
        concat!(
            "SELECT uuid, created_at FROM (SELECT uuid, created_at FROM activities WHERE ttl_hours = ",
            $hours,
            " AND created_at > ",
            $since,
            " AND (created_at, uuid) < ($2, $3) AND expires_at > $1 ORDER BY created_at DESC, uuid DESC LIMIT $4 + 0) AS t",
            $hours
        )
    };
}

/// One stretch of an index for each lifetime, merged: neither what has expired nor what lies deeper is looked at.
const HOME: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        concat!(
            "(SELECT uuid FROM (",
            of_lifetime!("720", "$5"),
            " UNION ALL ",
            of_lifetime!("168", "$6"),
            " UNION ALL ",
            of_lifetime!("72", "$7"),
            " UNION ALL ",
            of_lifetime!("24", "$8"),
            " UNION ALL ",
            of_lifetime!("12", "$9"),
            " UNION ALL ",
            of_lifetime!("3", "$10"),
            " UNION ALL ",
            of_lifetime!("1", "$11"),
            ") AS lifetimes ORDER BY created_at DESC, uuid DESC LIMIT $4 + 0) AS feed JOIN activities a ON a.uuid = feed.uuid"
        ),
        " ORDER BY a.created_at DESC, a.uuid DESC"
    ),
);
/// The newest replies to each of [`PARENTS`] cruds.
const REPLIES_TO_MANY: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        "activities p JOIN activities a ON a.reply_to_activity_uuid = p.uuid AND a.reply_number > p.replies_made - $2",
        " AND p.uuid IN ($3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22) \
         ORDER BY a.created_at DESC, a.uuid DESC"
    ),
);
const REPLIES_TO: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        "activities a",
        " AND a.reply_to_activity_uuid = $2 ORDER BY a.created_at DESC, a.uuid DESC LIMIT $3 + 0"
    ),
);
const BY_USER: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        "activities a",
        " AND a.user_uuid = $2 AND (a.created_at, a.uuid) < ($3, $4) ORDER BY a.created_at DESC, a.uuid DESC LIMIT $5 + 0"
    ),
);
pub(super) const SHOW: Statement = statement("SELECT", "activities", activities!("activities a", " AND a.uuid = $2"));
const COUNT: Statement =
    statement("SELECT", "activities", "SELECT count(*) FROM activities WHERE user_uuid = $1 AND expires_at > $2");

impl Store {
    /// Cruds with their newest replies, newest first.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn home(&self, now: DateTime<Utc>, page: Page) -> Result<Vec<Thread>, Error> {
        let since = Ttl::ALL.map(|ttl| now - ttl.duration());
        let rows = on!(self, readers, HOME, |pool| {
            let query = sqlx::query_as::<_, Row>(HOME.text)
                .bind(now)
                .bind(page.before.created_at)
                .bind(page.before.uuid)
                .bind(i64::from(page.limit.get()));
            since.iter().fold(query, |query, since| query.bind(*since)).fetch_all(pool)
        })?;
        let cruds: Vec<_> = rows.into_iter().map(activity).collect();
        let parents: Vec<_> = cruds.iter().filter(|crud| crud.replies_count > 0).map(|crud| crud.uuid).collect();
        let at_once = if self.faults.n_plus_one { 1 } else { PARENTS };
        let mut replies = Vec::new();
        for parents in parents.chunks(at_once) {
            replies.extend(self.replies_to_many(parents, now).await?);
        }
        Ok(threads(cruds, replies))
    }

    /// `parents` are at most [`PARENTS`].
    async fn replies_to_many(&self, parents: &[Uuid], now: DateTime<Utc>) -> Result<Vec<Activity>, Error> {
        let none = std::iter::repeat_n(&const { Uuid::nil() }, PARENTS.saturating_sub(parents.len()));
        let rows = on!(self, readers, REPLIES_TO_MANY, |pool| {
            let query = sqlx::query_as::<_, Row>(REPLIES_TO_MANY.text).bind(now).bind(REPLIES);
            parents.iter().chain(none).fold(query, |query, parent| query.bind(*parent)).fetch_all(pool)
        })?;
        Ok(rows.into_iter().map(activity).collect())
    }

    /// A user with their cruds and replies, newest first.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn profile(
        &self,
        handle: &str,
        now: DateTime<Utc>,
        page: Page,
    ) -> Result<Option<(Profile, Vec<Activity>)>, Error> {
        let Some(user) = self.user(handle).await? else {
            return Ok(None);
        };
        let cruds_count = self.cruds_count(user.uuid, now).await?;
        let rows = on!(self, readers, BY_USER, |pool| sqlx::query_as::<_, Row>(BY_USER.text)
            .bind(now)
            .bind(user.uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(pool))?;
        Ok(Some((Profile { user, cruds_count }, rows.into_iter().map(activity).collect())))
    }

    /// How many living cruds and replies a user has.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn cruds_count(&self, user: Uuid, now: DateTime<Utc>) -> Result<i64, Error> {
        let (count,) = on!(self, readers, COUNT, |pool| sqlx::query_as::<_, (i64,)>(COUNT.text)
            .bind(user)
            .bind(now)
            .fetch_one(pool))?;
        Ok(count)
    }

    /// A crud with its newest replies.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn show(&self, uuid: Uuid, now: DateTime<Utc>) -> Result<Option<Thread>, Error> {
        let row = on!(self, readers, SHOW, |pool| sqlx::query_as::<_, Row>(SHOW.text)
            .bind(now)
            .bind(uuid)
            .fetch_optional(pool))?;
        let Some(crud) = row.map(activity) else {
            return Ok(None);
        };
        let replies = on!(self, readers, REPLIES_TO, |pool| sqlx::query_as::<_, Row>(REPLIES_TO.text)
            .bind(now)
            .bind(uuid)
            .bind(REPLIES)
            .fetch_all(pool))?;
        Ok(Some(Thread { activity: crud, replies: replies.into_iter().map(activity).collect() }))
    }
}

pub(super) fn activity(row: Row) -> Activity {
    let (uuid, handle, display_name, message, created_at, expires_at, likes, replies, reposts, reply_to) = row;
    Activity {
        uuid,
        handle,
        display_name,
        message,
        created_at,
        expires_at,
        likes_count: likes,
        replies_count: replies,
        reposts_count: reposts,
        reply_to,
    }
}

fn threads(cruds: Vec<Activity>, replies: Vec<Activity>) -> Vec<Thread> {
    let mut by_parent: HashMap<Option<Uuid>, Vec<Activity>> = HashMap::new();
    for reply in replies {
        by_parent.entry(reply.reply_to).or_default().push(reply);
    }
    cruds
        .into_iter()
        .map(|activity| {
            let replies = by_parent.remove(&Some(activity.uuid)).unwrap_or_default();
            Thread { activity, replies }
        })
        .collect()
}
