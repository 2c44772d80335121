//! The first users and cruds, into an empty database only. Whoever inserts the first user fills the rest in the same
//! transaction; a second starter that comes at the same time waits and finds it done.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use uuid::Uuid;

use super::{Engine, Error, Store};

/// The user as whom writes act until accounts exist.
pub const AUTHOR: &str = "andrewbrown";

const USERS: [(&str, &str, &str); 4] = [
    (AUTHOR, "Andrew Brown", "Follows every request to its last span."),
    ("altbrown", "Alt Brown", "The account for second opinions."),
    ("bayko", "Bayko", "Asks where the time went."),
    ("londo", "Londo", "Posts briefly. So does everyone here."),
];

/// Handle, age in minutes, life in hours, text, and replies: handle, age in minutes, text.
type Seed = (&'static str, i64, i64, &'static str, &'static [(&'static str, i64, &'static str)]);

const CRUDS: [Seed; 4] = [
    (
        AUTHOR,
        50,
        7 * 24,
        "This crud goes away in a week. The trace of your reading it is already in the viewer.",
        &[
            ("bayko", 41, "Which span took longest?"),
            (AUTHOR, 36, "The one that talks to the database. Open the waterfall and see."),
        ],
    ),
    ("londo", 180, 24, "One request, three services, one trace id.", &[]),
    ("altbrown", 420, 3 * 24, "A log line says that it happened. A span says how long, and because of what.", &[]),
    (
        "bayko",
        900,
        30 * 24,
        "If it is not in a trace, did it happen? #tracing",
        &[("londo", 840, "It was sampled out.")],
    ),
];

const USER: &str = "INSERT INTO users (uuid, handle, display_name, email, bio, created_at) \
                    VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING";
const ANY_USER: &str = "SELECT count(*) FROM users";
const ACTIVITY: &str = "INSERT INTO activities \
                        (uuid, user_uuid, message, folded, created_at, expires_at, reply_to_activity_uuid) \
                        VALUES ($1, $2, $3, $4, $5, $6, $7)";

/// One text for both engines' transactions; `$begin` is what differs: SQLite must take its write lock before it reads.
macro_rules! fill {
    ($pool:expr, $begin:literal, $now:expr) => {{
        let mut tx = $pool.begin_with($begin).await?;
        let (users,) = sqlx::query_as::<_, (i64,)>(ANY_USER).fetch_one(&mut *tx).await?;
        if users > 0 {
            return Ok(());
        }
        let mut ids = HashMap::new();
        for (handle, display_name, bio) in USERS {
            let id = Uuid::now_v7();
            let inserted = sqlx::query(USER)
                .bind(id)
                .bind(handle)
                .bind(display_name)
                .bind(format!("{handle}@cruddur.example"))
                .bind(bio)
                .bind($now)
                .execute(&mut *tx)
                .await?;
            if inserted.rows_affected() == 0 {
                return Ok(());
            }
            ids.insert(handle, id);
        }
        for crud in cruds(&ids, $now) {
            sqlx::query(ACTIVITY)
                .bind(crud.id)
                .bind(crud.user)
                .bind(crud.message)
                .bind(crud.message.to_lowercase())
                .bind(crud.created_at)
                .bind(crud.expires_at)
                .bind(crud.reply_to)
                .execute(&mut *tx)
                .await?;
        }
        tx.commit().await?;
    }};
}

/// Fills an empty database; leaves any other as it is.
pub(super) async fn run(store: &Store, now: DateTime<Utc>) -> Result<(), Error> {
    match &store.engine {
        Engine::Sqlite(pools) => fill!(&pools.writer, "BEGIN IMMEDIATE", now),
        Engine::Postgres(pools, _) => fill!(&pools.writer, "BEGIN", now),
    }
    Ok(())
}

struct Crud {
    id: Uuid,
    user: Option<Uuid>,
    message: &'static str,
    created_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    reply_to: Option<Uuid>,
}

/// Each crud, followed by its replies, which expire with it.
fn cruds(ids: &HashMap<&str, Uuid>, now: DateTime<Utc>) -> Vec<Crud> {
    let mut cruds = Vec::new();
    for (handle, age, life, message, replies) in CRUDS {
        let id = Uuid::now_v7();
        let created_at = now - TimeDelta::minutes(age);
        let expires_at = created_at + TimeDelta::hours(life);
        cruds.push(Crud { id, user: ids.get(handle).copied(), message, created_at, expires_at, reply_to: None });
        cruds.extend(replies.iter().map(|(handle, age, message)| Crud {
            id: Uuid::now_v7(),
            user: ids.get(handle).copied(),
            message,
            created_at: now - TimeDelta::minutes(*age),
            expires_at,
            reply_to: Some(id),
        }));
    }
    cruds
}
