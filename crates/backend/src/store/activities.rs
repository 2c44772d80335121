//! Every statement about cruds and those who write them.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::statement::Statement;
use super::{Error, Store, on};
use crate::domain::{Activity, Message, Page, Profile, Term, Thread, Ttl, User};

/// The newest replies that come with a crud; the rest is counted in `replies_count`.
const REPLIES: i64 = 20;

type Row = (Uuid, String, String, String, DateTime<Utc>, DateTime<Utc>, i64, i64, i64, Option<Uuid>);

/// A statement that selects activities which live at `$1`.
macro_rules! activities {
    ($from_where:literal) => {
        Statement {
            operation: "SELECT",
            collection: "activities",
            text: concat!(
                "SELECT a.uuid, u.handle, u.display_name, a.message, a.created_at, a.expires_at, a.likes_count, \
                 (SELECT count(*) FROM activities r WHERE r.reply_to_activity_uuid = a.uuid AND r.expires_at > $1), \
                 a.reposts_count, a.reply_to_activity_uuid \
                 FROM activities a JOIN users u ON u.uuid = a.user_uuid WHERE a.expires_at > $1 AND ",
                $from_where
            ),
        }
    };
}

const HOME: Statement = activities!(
    "a.reply_to_activity_uuid IS NULL AND (a.created_at, a.uuid) < ($2, $3) \
     ORDER BY a.created_at DESC, a.uuid DESC LIMIT $4"
);
const HOME_REPLIES: Statement = activities!(
    "a.uuid IN (SELECT uuid FROM (SELECT r.uuid, row_number() OVER \
     (PARTITION BY r.reply_to_activity_uuid ORDER BY r.created_at DESC, r.uuid DESC) AS place FROM activities r \
     WHERE r.expires_at > $1 AND r.reply_to_activity_uuid IN (SELECT h.uuid FROM activities h WHERE h.expires_at > $1 \
     AND h.reply_to_activity_uuid IS NULL AND (h.created_at, h.uuid) < ($2, $3) \
     ORDER BY h.created_at DESC, h.uuid DESC LIMIT $4)) AS placed WHERE place <= $5) \
     ORDER BY a.created_at DESC, a.uuid DESC"
);
const BY_USER: Statement = activities!(
    "a.user_uuid = $2 AND (a.created_at, a.uuid) < ($3, $4) ORDER BY a.created_at DESC, a.uuid DESC LIMIT $5"
);
const SEARCH: Statement = activities!(
    "a.folded LIKE $2 ESCAPE '!' AND (a.created_at, a.uuid) < ($3, $4) \
     ORDER BY a.created_at DESC, a.uuid DESC LIMIT $5"
);
const SHOW: Statement = activities!("a.uuid = $2");
const REPLIES_TO: Statement =
    activities!("a.reply_to_activity_uuid = $2 ORDER BY a.created_at DESC, a.uuid DESC LIMIT $3");
const COUNT: Statement = Statement {
    operation: "SELECT",
    collection: "activities",
    text: "SELECT count(*) FROM activities WHERE user_uuid = $1 AND expires_at > $2",
};
const USER: Statement = Statement {
    operation: "SELECT",
    collection: "users",
    text: "SELECT uuid, handle, display_name, bio FROM users WHERE handle = $1",
};
const CREATE: Statement = Statement {
    operation: "INSERT",
    collection: "activities",
    text: "INSERT INTO activities (uuid, user_uuid, message, folded, created_at, expires_at) \
           VALUES ($1, $2, $3, $4, $5, $6)",
};
/// Takes its expiry from a parent that lives; inserts nothing where there is none.
const REPLY: Statement = Statement {
    operation: "INSERT",
    collection: "activities",
    text: "INSERT INTO activities (uuid, user_uuid, message, folded, created_at, expires_at, reply_to_activity_uuid) \
           SELECT $1, $2, $3, $4, $5, p.expires_at, p.uuid FROM activities p WHERE p.uuid = $6 AND p.expires_at > $5 \
           RETURNING expires_at",
};

impl Store {
    /// Cruds with their newest replies, newest first.
    pub async fn home(&self, now: DateTime<Utc>, page: Page) -> Result<Vec<Thread>, Error> {
        let (before, limit) = (page.before, i64::from(page.limit.get()));
        let cruds = on!(self, readers, HOME, |pool| sqlx::query_as::<_, Row>(HOME.text)
            .bind(now)
            .bind(before.created_at)
            .bind(before.uuid)
            .bind(limit)
            .fetch_all(pool))?;
        if cruds.iter().all(|row| row.7 == 0) {
            return Ok(threads(cruds, Vec::new()));
        }
        let replies = on!(self, readers, HOME_REPLIES, |pool| sqlx::query_as::<_, Row>(HOME_REPLIES.text)
            .bind(now)
            .bind(before.created_at)
            .bind(before.uuid)
            .bind(limit)
            .bind(REPLIES)
            .fetch_all(pool))?;
        Ok(threads(cruds, replies))
    }

    /// A user with their cruds and replies, newest first.
    pub async fn profile(&self, handle: &str, now: DateTime<Utc>, page: Page) -> Result<Option<Profile>, Error> {
        let Some(user) = self.user(handle).await? else {
            return Ok(None);
        };
        let (cruds_count,) = on!(self, readers, COUNT, |pool| sqlx::query_as::<_, (i64,)>(COUNT.text)
            .bind(user.uuid)
            .bind(now)
            .fetch_one(pool))?;
        let rows = on!(self, readers, BY_USER, |pool| sqlx::query_as::<_, Row>(BY_USER.text)
            .bind(now)
            .bind(user.uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(pool))?;
        Ok(Some(Profile { user, cruds_count, activities: rows.into_iter().map(activity).collect() }))
    }

    /// Cruds and replies that contain the term, in whatever case, newest first.
    pub async fn search(&self, term: &Term, now: DateTime<Utc>, page: Page) -> Result<Vec<Activity>, Error> {
        let pattern = like(term.as_str());
        let rows = on!(self, readers, SEARCH, |pool| sqlx::query_as::<_, Row>(SEARCH.text)
            .bind(now)
            .bind(&pattern)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(pool))?;
        Ok(rows.into_iter().map(activity).collect())
    }

    /// A crud with its newest replies.
    pub async fn show(&self, uuid: Uuid, now: DateTime<Utc>) -> Result<Option<Thread>, Error> {
        let row = on!(self, readers, SHOW, |pool| sqlx::query_as::<_, Row>(SHOW.text)
            .bind(now)
            .bind(uuid)
            .fetch_optional(pool))?;
        let Some(activity) = row.map(activity) else {
            return Ok(None);
        };
        let replies = on!(self, readers, REPLIES_TO, |pool| sqlx::query_as::<_, Row>(REPLIES_TO.text)
            .bind(now)
            .bind(uuid)
            .bind(REPLIES)
            .fetch_all(pool))?;
        Ok(Some(Thread { activity, replies: replies.into_iter().map(self::activity).collect() }))
    }

    /// The user of this handle.
    pub async fn user(&self, handle: &str) -> Result<Option<User>, Error> {
        type Row = (Uuid, String, String, String);
        // PostgreSQL's text has no NUL, and so no handle has one.
        if handle.contains('\0') {
            return Ok(None);
        }
        let row =
            on!(self, readers, USER, |pool| sqlx::query_as::<_, Row>(USER.text).bind(handle).fetch_optional(pool))?;
        Ok(row.map(|(uuid, handle, display_name, bio)| User { uuid, handle, display_name, bio }))
    }

    /// Keeps a new crud.
    pub async fn create(&self, user: &User, message: Message, ttl: Ttl, now: DateTime<Utc>) -> Result<Activity, Error> {
        let activity = new(user, &message, now, now + ttl.duration(), None);
        let (store, kept) = (self.clone(), activity.clone());
        let user = user.uuid;
        self.write(async move {
            on!(&store, writer, CREATE, |pool| async {
                sqlx::query(CREATE.text)
                    .bind(kept.uuid)
                    .bind(user)
                    .bind(&kept.message)
                    .bind(message.folded())
                    .bind(kept.created_at)
                    .bind(kept.expires_at)
                    .execute(pool)
                    .await
                    .map(drop)
            })
        })
        .await?;
        Ok(activity)
    }

    /// Keeps a reply to the crud `parent`, with which it will expire; `None` where no such crud lives.
    pub async fn reply(
        &self,
        user: &User,
        parent: Uuid,
        message: Message,
        now: DateTime<Utc>,
    ) -> Result<Option<Activity>, Error> {
        let reply = new(user, &message, now, now, Some(parent));
        let (store, kept) = (self.clone(), reply.clone());
        let user = user.uuid;
        let rows = self
            .write(async move {
                // All rows are fetched, so that SQLite has committed when this returns.
                on!(&store, writer, REPLY, |pool| sqlx::query_as::<_, (DateTime<Utc>,)>(REPLY.text)
                    .bind(kept.uuid)
                    .bind(user)
                    .bind(&kept.message)
                    .bind(message.folded())
                    .bind(kept.created_at)
                    .bind(parent)
                    .fetch_all(pool))
            })
            .await?;
        Ok(rows.into_iter().next().map(|(expires_at,)| Activity { expires_at, ..reply }))
    }
}

fn new(
    user: &User,
    message: &Message,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    reply_to: Option<Uuid>,
) -> Activity {
    Activity {
        uuid: Uuid::now_v7(),
        handle: user.handle.clone(),
        display_name: user.display_name.clone(),
        message: message.as_str().to_owned(),
        created_at,
        expires_at,
        likes_count: 0,
        replies_count: 0,
        reposts_count: 0,
        reply_to,
    }
}

fn activity(row: Row) -> Activity {
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

fn threads(cruds: Vec<Row>, replies: Vec<Row>) -> Vec<Thread> {
    let mut by_parent: HashMap<Option<Uuid>, Vec<Activity>> = HashMap::new();
    for reply in replies.into_iter().map(activity) {
        by_parent.entry(reply.reply_to).or_default().push(reply);
    }
    cruds
        .into_iter()
        .map(activity)
        .map(|activity| {
            let replies = by_parent.remove(&Some(activity.uuid)).unwrap_or_default();
            Thread { activity, replies }
        })
        .collect()
}

/// A pattern that contains `term`, none of whose characters is a wildcard.
fn like(term: &str) -> String {
    let mut pattern = String::from("%");
    for c in term.chars() {
        if matches!(c, '%' | '_' | '!') {
            pattern.push('!');
        }
        pattern.push(c);
    }
    pattern.push('%');
    pattern
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_term_has_no_wildcards() {
        assert_eq!(like("50%_a!"), "%50!%!_a!!%");
    }
}
