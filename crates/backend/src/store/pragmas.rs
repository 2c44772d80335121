//! Reads back from SQLite the settings that keep an acknowledged write. If the storage cannot support a write-ahead log, SQLite goes on without one and reports
//! nothing.

use std::time::Duration;

use sqlx::sqlite::SqlitePool;

/// Checks that a pool's connections have the settings with which they were opened.
///
/// # Errors
/// They have other settings, or do not report them.
pub(super) async fn in_force(pool: &SqlitePool, busy: Duration) -> Result<(), sqlx::Error> {
    let (log, sync, keys, wait): (String, i64, i64, i64) = sqlx::query_as(
        "SELECT journal_mode, synchronous, foreign_keys, timeout FROM pragma_journal_mode, pragma_synchronous, \
         pragma_foreign_keys, pragma_busy_timeout",
    )
    .fetch_one(pool)
    .await?;
    // 2 is FULL: each commit waits for the disk.
    if (log.as_str(), sync, keys, u128::try_from(wait)) == ("wal", 2, 1, Ok(busy.as_millis())) {
        return Ok(());
    }
    Err(sqlx::Error::Configuration(
        format!("it works with journal_mode={log}, synchronous={sync}, foreign_keys={keys}, busy_timeout={wait}")
            .into(),
    ))
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::{SqliteConnectOptions, SqlitePoolOptions};

    use super::*;

    /// A database in memory has no write-ahead log, even if one is requested.
    #[tokio::test]
    async fn a_database_without_a_write_ahead_log_is_refused() {
        let options = SqliteConnectOptions::new().in_memory(true).busy_timeout(Duration::from_secs(5));
        let options = options.journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
        let pool = SqlitePoolOptions::new().max_connections(1).connect_with(options).await.unwrap();
        let refused = in_force(&pool, Duration::from_secs(5)).await.unwrap_err().to_string();
        let expected = "it works with journal_mode=memory, synchronous=2, foreign_keys=1, busy_timeout=5000";
        assert!(refused.ends_with(expected), "{refused}");
    }
}
