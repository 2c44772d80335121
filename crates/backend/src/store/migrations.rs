//! The tables, version by version. A migration that has been released is never changed. sqlx's `migrate!` would read the same
//! folder, at the price of compiling both database drivers a second time for its macro.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::{Engine, Store};

const MIGRATIONS: [(i64, &str, &str); 8] = [
    (1, "users and activities", include_str!("../../migrations/0001_users_and_activities.sql")),
    (2, "expiry", include_str!("../../migrations/0002_expiry.sql")),
    (3, "accounts", include_str!("../../migrations/0003_accounts.sql")),
    (4, "feed", include_str!("../../migrations/0004_feed.sql")),
    (5, "words", include_str!("../../migrations/0005_words.sql")),
    (6, "reactions", include_str!("../../migrations/0006_reactions.sql")),
    (7, "messages", include_str!("../../migrations/0007_messages.sql")),
    (8, "idempotency", include_str!("../../migrations/0008_idempotency.sql")),
];

/// Runs what has not run yet. On PostgreSQL a lock keeps two starters apart.
pub(super) async fn run(store: &Store) -> Result<(), MigrateError> {
    let migrations: Vec<Migration> = MIGRATIONS
        .into_iter()
        .map(|(version, description, sql)| {
            Migration::new(version, description.into(), MigrationType::Simple, sql.into_sql_str(), false)
        })
        .collect();
    let migrator = Migrator { migrations: Cow::Owned(migrations), ..Migrator::DEFAULT };
    match &*store.engine {
        Engine::Sqlite(pools) => migrator.run(&pools.writer).await,
        Engine::Postgres(pools, _) => migrator.run(&pools.writer).await,
    }
}
