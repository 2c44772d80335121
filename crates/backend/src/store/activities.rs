//! Every statement that reads cruds.

use std::cmp::Reverse;
use std::collections::HashMap;

use chrono::{DateTime, Utc};
use sqlx::query::QueryAs;
use sqlx::{Database, Encode, FromRow, Type};
use uuid::Uuid;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::statement::{Statement, statement};
use crate::domain::{Activity, Limit, Page, Profile, Thread, Ttl};

/// How many of the newest replies accompany a crud. The remaining ones are only counted, in `replies_count`.
const REPLIES: i64 = 20;

pub(super) type ActivityRow = (Uuid, String, String, String, DateTime<Utc>, DateTime<Utc>, i64, i64, i64, Option<Uuid>);

/// The text of a statement that selects the activities `a` living at `$1`, from its `FROM` and the end of its `WHERE`. SQLite reads tables joined by `CROSS
/// JOIN` in the order in which they are written. Left to choose, it would start with all living rows.
macro_rules! activities {
    ($from:expr, $rest:expr) => {
        concat!(
            "SELECT a.uuid, u.handle, u.display_name, a.message, a.created_at, a.expires_at, a.likes_count, \
             a.replies_count, a.reposts_count, a.reply_to_activity_uuid FROM ",
            $from,
            " CROSS JOIN users u WHERE u.uuid = a.user_uuid AND a.expires_at > $1",
            $rest
        )
    };
}
pub(super) use activities;

/// The newest cruds of one lifetime before `($2, $3)`. Those that are living were made after `$since`.
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

/// The feed's stretch: one range of an index for each lifetime, merged. Reads neither expired rows nor deeper ones.
macro_rules! feed {
    () => {
        concat!(
            "SELECT uuid FROM (",
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
            ") AS lifetimes ORDER BY created_at DESC, uuid DESC LIMIT $4 + 0"
        )
    };
}

/// The feed's cruds and the newest `$12` replies to each, in one statement, so that both are from the same moment, in no order: to sort these few rows
/// here costs less than two sorters of SQLite. If no reply to a crud has been deleted, their numbers identify the newest. Otherwise the newest are those
/// numbered above the next older reply.
const HOME: Statement = statement(
    "SELECT",
    "activities",
    concat!(
        "WITH feed AS (",
        feed!(),
        ") ",
        activities!("feed CROSS JOIN activities a", " AND a.uuid = feed.uuid"),
        " UNION ALL ",
        activities!(
            "feed CROSS JOIN activities p CROSS JOIN activities a",
            " AND p.uuid = feed.uuid AND a.reply_to_activity_uuid = p.uuid AND a.reply_number > CASE \
             WHEN p.replies_count = p.replies_made THEN p.replies_made - $12 ELSE COALESCE((\
             SELECT r.reply_number FROM activities r WHERE r.reply_to_activity_uuid = p.uuid \
             ORDER BY r.reply_number DESC LIMIT 1 OFFSET $12 + 0), 0) END"
        )
    ),
);
/// The feed's cruds alone.
const CRUDS: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        concat!("(", feed!(), ") AS feed CROSS JOIN activities a"),
        " AND a.uuid = feed.uuid ORDER BY a.created_at DESC, a.uuid DESC"
    ),
);
const REPLIES_TO: Statement = statement(
    "SELECT",
    "activities",
    activities!(
        "activities a",
        " AND a.reply_to_activity_uuid = $2 AND (a.created_at, a.uuid) < ($3, $4) ORDER BY a.created_at DESC, a.uuid DESC LIMIT $5 + 0"
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
        if self.faults.n_plus_one {
            return self.home_crud_by_crud(now, page).await;
        }
        let rows = on!(self.reads(), HOME, |reader| feed(HOME, now, page).bind(REPLIES).fetch_all(reader))?;
        let mut activities: Vec<_> = rows.into_iter().map(activity).collect();
        activities.sort_unstable_by_key(|activity| Reverse((activity.created_at, activity.uuid)));
        let (replies, cruds) = activities.into_iter().partition(|activity| activity.reply_to.is_some());
        Ok(threads(cruds, replies))
    }

    /// The wrong way to read it: the fault `n-plus-one`.
    async fn home_crud_by_crud(&self, now: DateTime<Utc>, page: Page) -> Result<Vec<Thread>, Error> {
        let rows = on!(self.reads(), CRUDS, |reader| feed(CRUDS, now, page).fetch_all(reader))?;
        let mut threads = Vec::new();
        for crud in rows.into_iter().map(activity) {
            let replies = self.replies_to(crud.uuid, now, Page::first(Limit::default())).await?;
            threads.push(Thread { activity: crud, replies });
        }
        Ok(threads)
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
        let rows = on!(self.reads(), BY_USER, |reader| sqlx::query_as::<_, ActivityRow>(BY_USER.text)
            .bind(now)
            .bind(user.uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(reader))?;
        Ok(Some((Profile { user, cruds_count }, rows.into_iter().map(activity).collect())))
    }

    /// How many living cruds and replies a user has.
    ///
    /// # Errors
    /// The statement failed.
    pub async fn cruds_count(&self, user: Uuid, now: DateTime<Utc>) -> Result<i64, Error> {
        let (count,) = on!(self.reads(), COUNT, |reader| sqlx::query_as::<_, (i64,)>(COUNT.text)
            .bind(user)
            .bind(now)
            .fetch_one(reader))?;
        Ok(count)
    }

    /// A crud with a page of its replies, newest first.
    ///
    /// # Errors
    /// A statement failed.
    pub async fn show(&self, uuid: Uuid, now: DateTime<Utc>, page: Page) -> Result<Option<Thread>, Error> {
        let row = on!(self.reads(), SHOW, |reader| sqlx::query_as::<_, ActivityRow>(SHOW.text)
            .bind(now)
            .bind(uuid)
            .fetch_optional(reader))?;
        let Some(crud) = row.map(activity) else {
            return Ok(None);
        };
        let replies = self.replies_to(uuid, now, page).await?;
        Ok(Some(Thread { activity: crud, replies }))
    }

    async fn replies_to(&self, uuid: Uuid, now: DateTime<Utc>, page: Page) -> Result<Vec<Activity>, Error> {
        let rows = on!(self.reads(), REPLIES_TO, |reader| sqlx::query_as::<_, ActivityRow>(REPLIES_TO.text)
            .bind(now)
            .bind(uuid)
            .bind(page.before.created_at)
            .bind(page.before.uuid)
            .bind(i64::from(page.limit.get()))
            .fetch_all(reader))?;
        Ok(rows.into_iter().map(activity).collect())
    }
}

/// A statement about the feed, with the values that all of these need.
fn feed<'q, D>(
    statement: Statement,
    now: DateTime<Utc>,
    page: Page,
) -> QueryAs<'q, D, ActivityRow, <D as Database>::Arguments>
where
    D: Database,
    DateTime<Utc>: Encode<'q, D> + Type<D>,
    Uuid: Encode<'q, D> + Type<D>,
    i64: Encode<'q, D> + Type<D>,
    ActivityRow: for<'r> FromRow<'r, D::Row>,
{
    let query = sqlx::query_as(statement.text)
        .bind(now)
        .bind(page.before.created_at)
        .bind(page.before.uuid)
        .bind(i64::from(page.limit.get()));
    Ttl::ALL.iter().fold(query, |query, ttl| query.bind(now - ttl.duration()))
}

pub(super) fn activity(row: ActivityRow) -> Activity {
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
