//! A database of an earlier version is upgraded to this one, however long that takes and however many backends start.

use sqlx::migrate::{Migrate, Migration, MigrationType, Migrator};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{Connection, Executor, PgConnection, SqlSafeStr, SqliteConnection};
use tokio::runtime::Runtime;

use crate::support::cruddur::Cruddur;
use crate::support::witness::Witness;
use crate::support::{Folder, eventually, http, postgres};

/// The last version in which cruds had neither lifetimes nor counts nor words.
const EARLIER: [(i64, &str, &str); 3] = [
    (1, "users and activities", include_str!("../crates/backend/migrations/0001_users_and_activities.sql")),
    (2, "expiry", include_str!("../crates/backend/migrations/0002_expiry.sql")),
    (3, "accounts", include_str!("../crates/backend/migrations/0003_accounts.sql")),
];

/// The number of cruds, as on a server's site and in a workspace. Each tenth is a reply to the one before it.
const CRUDS_POSTGRESQL: i64 = 600_000;
const CRUDS_SQLITE: i64 = 20_000;

const FILL_POSTGRESQL: &str = "INSERT INTO users (uuid, handle, display_name, email, bio, created_at) \
         VALUES (lpad('1', 32, '0')::uuid, 'author', 'Author', 'author@cruddur.example', '', now()); \
     INSERT INTO activities (uuid, user_uuid, message, folded, created_at, expires_at, reply_to_activity_uuid) \
         SELECT lpad(n::text, 32, '0')::uuid, lpad('1', 32, '0')::uuid, 'crud ' || n, '', now(), now() + interval '1 day', \
         CASE WHEN n % 10 = 0 THEN lpad((n - 1)::text, 32, '0')::uuid END FROM generate_series(1, 600000) AS n";
const FILL_SQLITE: &str = "INSERT INTO users (uuid, handle, display_name, email, bio, created_at) \
         VALUES (CAST(printf('%016d', 1) AS BLOB), 'author', 'Author', 'author@cruddur.example', '', '2026-01-01T00:00:00+00:00'); \
     WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < 20000) \
         INSERT INTO activities (uuid, user_uuid, message, folded, created_at, expires_at, reply_to_activity_uuid) \
         SELECT CAST(printf('%016d', n) AS BLOB), CAST(printf('%016d', 1) AS BLOB), 'crud ' || n, '', \
         strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now'), strftime('%Y-%m-%dT%H:%M:%S+00:00', 'now', '+1 day'), \
         CASE WHEN n % 10 = 0 THEN CAST(printf('%016d', n - 1) AS BLOB) END FROM numbers";

#[test]
fn an_upgrade_on_postgresql_has_no_time_limit_and_other_starts_wait() {
    let runtime = Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::database()) else { return };
    let mut other = runtime.block_on(PgConnection::connect(&url)).unwrap();
    runtime.block_on(make_earlier(&mut other));
    runtime.block_on(other.execute(FILL_POSTGRESQL)).unwrap();
    runtime.block_on(other.execute("BEGIN; LOCK TABLE activities IN ACCESS SHARE MODE")).unwrap();
    assert_upgraded(&url, CRUDS_POSTGRESQL, || runtime.block_on(other.close()).unwrap());
}

#[test]
fn an_upgrade_on_sqlite_has_no_time_limit_and_other_starts_wait() {
    let runtime = Runtime::new().unwrap();
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let options = url.parse::<SqliteConnectOptions>().unwrap().create_if_missing(true);
    let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
    let mut other = runtime.block_on(SqliteConnection::connect_with(&options)).unwrap();
    runtime.block_on(make_earlier(&mut other));
    runtime.block_on(other.execute(FILL_SQLITE)).unwrap();
    runtime.block_on(other.execute("BEGIN IMMEDIATE")).unwrap();
    assert_upgraded(&url, CRUDS_SQLITE, || runtime.block_on(other.close()).unwrap());
}

async fn make_earlier<C: Migrate>(connection: &mut C) {
    let migrations = EARLIER.map(|(version, description, sql)| {
        Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
    });
    let migrator = Migrator { migrations: migrations.to_vec().into(), ..Migrator::DEFAULT };
    migrator.run_direct(None, connection, false).await.unwrap();
}

/// Two backends start on a database where the upgrade is blocked until `release` is called.
fn assert_upgraded(url: &str, cruds: i64, release: impl FnOnce()) {
    let first = Cruddur::starting_backend(&[("DATABASE_URL", url)]);
    first.wait_for_log("migrating the database to version ");
    let second = Cruddur::starting_backend(&[("DATABASE_URL", url)]);
    second.wait_for_log("waiting for another process that opens the database");
    // By now, every time limit on a request's statement and SQLite's limit on waiting for a lock have passed.
    eventually("progress after 8 s", || {
        let errors = first.stderr();
        let seconds = errors
            .lines()
            .filter(|line| line.contains("migrating the database"))
            .filter_map(|line| line.rsplit_once(" s since the start")?.0.rsplit_once('(')?.1.parse::<u64>().ok());
        seconds.max().filter(|seconds| *seconds >= 8)
    });
    release();
    let backends = [first, second].map(|backend| backend.once_ready("backend"));
    for backend in &backends {
        for number in [1, cruds - 10, cruds] {
            let found = http::get(&format!("{}/api/activities/search?term={number}", backend.backend)).json();
            assert_eq!(found[0]["message"], format!("crud {number}"));
        }
        assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    }
    let witness = Witness::of(url);
    assert_eq!(witness.number("SELECT count(*) FROM words"), 2 * cruds);
    assert_eq!(
        witness.number("SELECT count(*) FROM activities WHERE replies_count = 1 AND replies_made = 1"),
        cruds / 10
    );
    assert_eq!(witness.number("SELECT count(*) FROM activities WHERE reply_number = 1"), cruds / 10);
    assert_eq!(witness.number("SELECT count(*) FROM users"), 1, "a database with users is not seeded");
}
