//! The first users, cruds and messages, for an empty database only. The process that inserts the first user inserts the remaining rows in the same transaction.
//! A second process that starts at the same time waits and finds them done.

use std::collections::HashMap;

use chrono::{DateTime, TimeDelta, Utc};
use tracing::Instrument;
use tracing::instrument::WithSubscriber;
use tracing::subscriber::NoSubscriber;

use super::database::Store;
use super::engine::on;
use super::error::Error;
use super::ids::id;
use super::statement::{BEGIN, Statement, statement};
use super::{messages, passwords, posts, sessions};
use crate::domain::{FIRST_USER, Password, Ttl, User};

const USERS: [(&str, &str, &str); 4] = [
    (FIRST_USER, "Andrew Brown", "Follows every request to its last span."),
    ("altbrown", "Alt Brown", "The account for second opinions."),
    ("bayko", "Bayko", "Asks where the time went."),
    ("londo", "Londo", "Posts briefly. So does everyone here."),
];

/// The handles of the first users.
pub const FIRST_USERS: [&str; 4] = [USERS[0].0, USERS[1].0, USERS[2].0, USERS[3].0];

/// Handle, age in minutes, life, text, and replies: handle, age in minutes, text.
type Seed = (&'static str, i64, Ttl, &'static str, &'static [(&'static str, i64, &'static str)]);

/// The oldest first.
const CRUDS: [Seed; 4] = [
    (
        "bayko",
        900,
        Ttl::ThirtyDays,
        "If it is not in a trace, did it happen? #tracing",
        &[("londo", 840, "It was sampled out.")],
    ),
    (
        "altbrown",
        420,
        Ttl::ThreeDays,
        "A log line says that it happened. A span says how long, and because of what.",
        &[],
    ),
    ("londo", 180, Ttl::OneDay, "One request, three services, one trace id. #tracing", &[]),
    (
        FIRST_USER,
        50,
        Ttl::SevenDays,
        "This crud goes away in a week. The trace of your reading it is already in the viewer. #opentelemetry",
        &[
            ("bayko", 41, "Which span took longest?"),
            (FIRST_USER, 36, "The one that talks to the database. Open the waterfall and see."),
        ],
    ),
];

/// Sender, recipient, age in minutes, and text.
const MESSAGES: [(&str, &str, i64, &str); 3] = [
    ("bayko", FIRST_USER, 75, "Your homework's P90 went up at noon. Was that you?"),
    (FIRST_USER, "bayko", 70, "A missing index. The trace had it in one line."),
    ("bayko", FIRST_USER, 68, "Then I shall read traces before I ask."),
];

const USER: Statement = statement(
    "INSERT",
    "users",
    "INSERT INTO users (uuid, handle, display_name, email, bio, password_hash, created_at) \
     VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT DO NOTHING",
);
const ANY_USER: Statement = statement("SELECT", "users", "SELECT count(*) FROM (SELECT 1 FROM users LIMIT 1) AS one");

/// Fills an empty database; leaves any other unchanged. Announces the password of its users before keeping them. So even a process that is killed at any moment
/// has announced the password of every user that exists.
pub(super) async fn run(
    store: &Store,
    now: DateTime<Utc>,
    announce: impl FnOnce(&Password) + Send + 'static,
) -> Result<(), Error> {
    let (any,) = on!(store.reads(), ANY_USER, |reader| sqlx::query_as::<_, (i64,)>(ANY_USER.text).fetch_one(reader))?;
    if any > 0 {
        return Ok(());
    }
    let password = sessions::random_password();
    let hash = passwords::hash(None, password.clone()).await?;
    let kept = store.clone();
    // One span for all of it: the first trace that a reader opens should not hold fifty statements.
    let span = tracing::info_span!("seed");
    let announce = move || announce(&password);
    let fill = async move { fill(&kept, &hash, now, announce).with_subscriber(NoSubscriber::new()).await };
    store.write(fill).instrument(span).await
}

/// Changes nothing if another process has filled it.
async fn fill(
    store: &Store,
    password_hash: &str,
    now: DateTime<Utc>,
    announce: impl FnOnce() + Send,
) -> Result<(), Error> {
    let ago = |minutes| now - TimeDelta::minutes(minutes);
    let mut tx = store.begin(&BEGIN).await?;
    let mut users = HashMap::new();
    for (handle, display_name, bio) in USERS {
        let uuid = id(now);
        let email = format!("{handle}@cruddur.example");
        if on!(tx, USER, uuid, handle, display_name, &email, bio, password_hash, now)? == 0 {
            return Ok(());
        }
        let (display_name, bio) = (display_name.to_owned(), bio.to_owned());
        users.insert(handle, User { uuid, handle: handle.to_owned(), display_name, bio });
    }
    for (handle, age, ttl, message, replies) in CRUDS {
        let Some(user) = users.get(handle) else { continue };
        let crud = posts::new(user, message, ago(age), ago(age) + ttl.duration(), None);
        tx.post(user.uuid, &crud, ttl).await?;
        for (handle, age, message) in replies {
            let Some(user) = users.get(handle) else { continue };
            let reply = posts::new(user, message, ago(*age), ago(*age), Some(crud.uuid));
            tx.reply(user.uuid, crud.uuid, reply).await?;
        }
    }
    for (from, to, age, message) in MESSAGES {
        let (Some(from), Some(to)) = (users.get(from), users.get(to)) else { continue };
        tx.send(from.uuid, to.uuid, &messages::new(from, to.uuid, message, ago(age))).await?;
    }
    announce();
    tx.commit().await
}
