//! Reads what a database holds directly, not through the backend.

use std::collections::HashSet;

use sqlx::sqlite::SqliteConnection;
use sqlx::{AssertSqlSafe, Connection, Executor, PgConnection};
use tokio::runtime::Runtime;
use uuid::Uuid;

const ALL: &str = "SELECT uuid FROM activities";

/// A reader of the database at a URL.
pub(crate) struct Witness {
    url: String,
    pub(crate) runtime: Runtime,
}

impl Witness {
    pub(crate) fn of(url: &str) -> Self {
        Self { url: url.to_owned(), runtime: Runtime::new().unwrap() }
    }

    pub(crate) fn url(&self) -> &str {
        &self.url
    }

    /// Those ids that the database does not hold.
    pub(crate) fn missing(&self, acknowledged: &[Uuid]) -> Vec<Uuid> {
        let held: HashSet<Uuid> = if self.is_sqlite() {
            self.sqlite(async |db| sqlx::query_scalar(ALL).fetch_all(db).await).into_iter().collect()
        } else {
            self.postgres(async |db| sqlx::query_scalar(ALL).fetch_all(db).await).into_iter().collect()
        };
        acknowledged.iter().filter(|uuid| !held.contains(uuid)).copied().collect()
    }

    /// Asserts that an embedded database passes its integrity check.
    pub(crate) fn assert_integrity(&self) {
        let check = self.sqlite(async |db| sqlx::query_scalar("PRAGMA integrity_check").fetch_all(db).await);
        let check: Vec<String> = check;
        assert_eq!(check, ["ok"]);
        let broken = self.sqlite(async |db| sqlx::query("PRAGMA foreign_key_check").fetch_all(db).await);
        assert!(broken.is_empty(), "{} rows refer to missing rows", broken.len());
    }

    /// Waits until none of the backend's sessions is active, and asserts that none has left a transaction open: writes
    /// in such a transaction would be lost.
    pub(crate) fn assert_no_transaction_is_open(&self) {
        super::eventually("idle sessions at the database", || {
            let sessions = self.sessions();
            // A short moment between two statements of a transaction does not count as left open.
            let left = sessions.iter().find(|session| session.transaction_seconds > 5.0);
            assert!(left.is_none(), "{left:?} has been in a transaction for seconds");
            sessions.iter().all(|session| session.state == "idle").then_some(())
        });
    }

    /// The backend's sessions at this database.
    pub(crate) fn sessions(&self) -> Vec<Session> {
        const SESSIONS: &str = "SELECT state, query, \
            coalesce(extract(epoch FROM clock_timestamp() - xact_start), 0)::float8 AS transaction_seconds \
            FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL";
        let rows = self.postgres(async |db| sqlx::query_as(SESSIONS).fetch_all(db).await);
        let session = |(state, query, transaction_seconds)| Session { state, query, transaction_seconds };
        rows.into_iter().map(session).collect()
    }

    /// Ends every session at this database but its own, and returns how many there were.
    pub(crate) fn terminate_sessions(&self) -> usize {
        const TERMINATE: &str = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity \
                                 WHERE datname = current_database() AND pid <> pg_backend_pid()";
        self.postgres(async |db| sqlx::query(TERMINATE).fetch_all(db).await).len()
    }

    /// Changes the database directly, not through the backend.
    pub(crate) fn execute(&self, sql: &str) {
        // The statements are the tests' own.
        let sql = AssertSqlSafe(sql.to_owned());
        if self.is_sqlite() {
            self.sqlite(async |db| db.execute(sql).await.map(drop));
        } else {
            self.postgres(async |db| db.execute(sql).await.map(drop));
        }
    }

    /// The number in a result of one row and one column.
    pub(crate) fn number(&self, sql: &'static str) -> i64 {
        if self.is_sqlite() {
            self.sqlite(async |db| sqlx::query_scalar(sql).fetch_one(db).await)
        } else {
            self.postgres(async |db| sqlx::query_scalar(sql).fetch_one(db).await)
        }
    }

    pub(crate) fn is_sqlite(&self) -> bool {
        self.url.starts_with("sqlite:")
    }

    fn sqlite<T>(&self, query: impl AsyncFnOnce(&mut SqliteConnection) -> sqlx::Result<T>) -> T {
        self.runtime.block_on(async {
            let mut db = SqliteConnection::connect(&self.url).await.unwrap();
            let answer = query(&mut db).await.unwrap();
            db.close().await.unwrap();
            answer
        })
    }

    fn postgres<T>(&self, query: impl AsyncFnOnce(&mut PgConnection) -> sqlx::Result<T>) -> T {
        self.runtime.block_on(async {
            let mut db = PgConnection::connect(&self.url).await.unwrap();
            let answer = query(&mut db).await.unwrap();
            db.close().await.unwrap();
            answer
        })
    }
}

/// A session as PostgreSQL reports it.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) state: String,
    /// Its latest query.
    pub(crate) query: String,
    pub(crate) transaction_seconds: f64,
}
