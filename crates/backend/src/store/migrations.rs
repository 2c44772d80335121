//! The tables, version by version. A released migration is never changed, except that line endings do not count. sqlx's `migrate!` would read the same folder,
//! at the price of compiling both database drivers a second time for its macro.

use std::borrow::Cow;

use sqlx::error::DatabaseError;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration, MigrationType, Migrator};
use sqlx::{AssertSqlSafe, SqlSafeStr};

use super::progress::Progress;

const MIGRATIONS: [(i64, &str, &str); 9] = [
    (1, "users and activities", include_str!("../../migrations/0001_users_and_activities.sql")),
    (2, "expiry", include_str!("../../migrations/0002_expiry.sql")),
    (3, "accounts", include_str!("../../migrations/0003_accounts.sql")),
    (4, "feed", include_str!("../../migrations/0004_feed.sql")),
    (5, "words", include_str!("../../migrations/0005_words.sql")),
    (6, "reactions", include_str!("../../migrations/0006_reactions.sql")),
    (7, "messages", include_str!("../../migrations/0007_messages.sql")),
    (8, "idempotency", include_str!("../../migrations/0008_idempotency.sql")),
    (9, "progress", include_str!("../../migrations/0009_progress.sql")),
];

/// The newest version.
pub(super) const LATEST: i64 = MIGRATIONS[MIGRATIONS.len() - 1].0;

/// The tables that all versions make, and sqlx's own list of versions.
pub(super) fn tables() -> impl Iterator<Item = &'static str> {
    let made = MIGRATIONS.iter().flat_map(|(_, _, text)| text.lines());
    let made = made.filter_map(|line| line.strip_prefix("CREATE TABLE ")?.split_whitespace().next());
    made.chain(["_sqlx_migrations"])
}

/// Runs the migrations that have not run yet. The caller makes other starting processes wait.
pub(super) async fn run(connection: &mut impl Migrate, progress: &mut Progress) -> Result<(), MigrateError> {
    let applied = applied(connection).await?;
    let migrations = migrations(&applied);
    let is_applied = |migration: &Migration| {
        applied.iter().any(|applied| (applied.version, &applied.checksum) == (migration.version, &migration.checksum))
    };
    // Even with nothing to run, sqlx would need the right to create tables.
    if applied.len() == migrations.len() && migrations.iter().all(is_applied) {
        return Ok(());
    }
    let newest = applied.iter().map(|migration| migration.version).max().unwrap_or(0);
    let migrator = Migrator { migrations: Cow::Owned(migrations), locking: false, ..Migrator::DEFAULT };
    // Always includes the last version: running it checks what has been applied before.
    for (version, description, _) in
        MIGRATIONS.into_iter().filter(|(version, ..)| *version > newest || *version == LATEST)
    {
        let what = format_args!("migrating the database to version {version} of {LATEST} ({description})");
        progress.during(what, migrator.run_direct(Some(version), connection, false)).await?;
    }
    Ok(())
}

/// The migrations that have run on a database. Changes nothing.
pub(super) async fn applied(connection: &mut impl Migrate) -> Result<Vec<AppliedMigration>, MigrateError> {
    match connection.list_applied_migrations(&Migrator::DEFAULT.table_name).await {
        Err(MigrateError::Execute(sqlx::Error::Database(error))) if is_missing(&*error) => Ok(Vec::new()),
        applied => applied,
    }
}

/// Whether a table is missing. SQLite has no code for it.
fn is_missing(error: &dyn DatabaseError) -> bool {
    error.code().is_some_and(|code| code == "42P01") || error.message().starts_with("no such table")
}

/// Every migration, with the checksum that the database may have of it: a program built from files with CRLF recorded the checksum of those.
fn migrations(applied: &[AppliedMigration]) -> Vec<Migration> {
    let migration = |(version, description, text): (i64, &'static str, &str)| {
        let of = |text: String| {
            let sql = AssertSqlSafe(text).into_sql_str();
            Migration::new(version, description.into(), MigrationType::Simple, sql, false)
        };
        let text = text.replace("\r\n", "\n");
        let crlf = of(text.replace('\n', "\r\n")).checksum;
        let has_crlf = applied.iter().any(|applied| applied.version == version && applied.checksum == crlf);
        let migration = of(text);
        if has_crlf { Migration { checksum: crlf, ..migration } } else { migration }
    };
    MIGRATIONS.into_iter().map(migration).collect()
}

#[cfg(test)]
mod tests {
    use sqlx::Connection;
    use sqlx::sqlite::SqliteConnection;

    use super::*;

    /// The checksums in a database migrated by a program that was built from files with `ending`.
    fn kept(ending: &str) -> Vec<AppliedMigration> {
        let checksum = |text: &str| {
            let text = text.replace("\r\n", "\n").replace('\n', ending);
            Migration::new(0, "".into(), MigrationType::Simple, AssertSqlSafe(text).into_sql_str(), false).checksum
        };
        MIGRATIONS
            .iter()
            .map(|(version, _, text)| AppliedMigration { version: *version, checksum: checksum(text) })
            .collect()
    }

    #[test]
    fn line_endings_do_not_count() {
        for ending in ["\n", "\r\n"] {
            let kept = kept(ending);
            for (migration, kept) in migrations(&kept).iter().zip(&kept) {
                assert_eq!(migration.checksum, kept.checksum, "{ending:?}, {}", migration.version);
            }
        }
        assert!(migrations(&[]).iter().all(|migration| !migration.sql.as_str().contains('\r')));
    }

    #[tokio::test]
    async fn a_changed_migration_is_refused() {
        let mut connection = SqliteConnection::connect("sqlite::memory:").await.unwrap();
        run(&mut connection, &mut Progress::new()).await.unwrap();
        sqlx::query("UPDATE _sqlx_migrations SET checksum = x'00' WHERE version = 3")
            .execute(&mut connection)
            .await
            .unwrap();
        let refused = run(&mut connection, &mut Progress::new()).await;
        assert!(matches!(refused, Err(MigrateError::VersionMismatch(3))), "{refused:?}");
    }
}
