//! A connection that reads and is kept from one statement to the next. To give it back in between would have it pinged, which on SQLite
//! is a hand-over to the connection's thread and back, as the statement itself is.

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Postgres, Sqlite};

/// Keeps the connection of the last statement that succeeded, unless no other is free: then others may wait for it. Gives it back when it is
/// dropped.
#[derive(Default)]
pub struct Reader {
    pub(super) sqlite: Kept<Sqlite>,
    pub(super) postgres: Kept<Postgres>,
}

pub(super) struct Kept<DB: Database>(Option<PoolConnection<DB>>);

impl<DB: Database> Default for Kept<DB> {
    fn default() -> Self {
        Self(None)
    }
}

impl<DB: Database> Kept<DB> {
    pub(super) async fn take(&mut self, pool: &Pool<DB>) -> Result<PoolConnection<DB>, sqlx::Error> {
        match self.0.take() {
            Some(connection) => Ok(connection),
            None => pool.acquire().await,
        }
    }

    pub(super) fn keep(&mut self, pool: &Pool<DB>, connection: PoolConnection<DB>) {
        let used = (pool.size() as usize).saturating_sub(pool.num_idle());
        self.0 = (used < pool.options().get_max_connections() as usize).then_some(connection);
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn the_last_connection_is_given_back() {
        let pool = SqlitePoolOptions::new().max_connections(2).connect("sqlite::memory:").await.unwrap();
        let mut kept = Kept::default();
        let own = kept.take(&pool).await.unwrap();
        kept.keep(&pool, own);
        assert!(kept.0.is_some());
        let others = pool.acquire().await.unwrap();
        let own = kept.take(&pool).await.unwrap();
        kept.keep(&pool, own);
        assert!(kept.0.is_none());
        pool.acquire().await.unwrap();
        drop(others);
    }
}
