//! A connection that reads and is kept from one statement to the next. To give it back in between would have it pinged, which on SQLite
//! is a hand-over to the connection's thread and back, as the statement itself is.

use sqlx::pool::PoolConnection;
use sqlx::{Database, Pool, Postgres, Sqlite};

/// Keeps the connection of the last statement that succeeded, unless no other is free: then others may wait for it. Gives it back when it is
/// dropped.
#[derive(Default)]
pub struct Reader {
    sqlite: Option<PoolConnection<Sqlite>>,
    postgres: Option<PoolConnection<Postgres>>,
}

/// An engine whose connections a [`Reader`] has a place for.
pub(super) trait Kept: Database {
    fn place(reader: &mut Reader) -> &mut Option<PoolConnection<Self>>;
}

impl Kept for Sqlite {
    fn place(reader: &mut Reader) -> &mut Option<PoolConnection<Self>> {
        &mut reader.sqlite
    }
}

impl Kept for Postgres {
    fn place(reader: &mut Reader) -> &mut Option<PoolConnection<Self>> {
        &mut reader.postgres
    }
}

impl Reader {
    pub(super) async fn take<DB: Kept>(&mut self, pool: &Pool<DB>) -> Result<PoolConnection<DB>, sqlx::Error> {
        match DB::place(self).take() {
            Some(connection) => Ok(connection),
            None => pool.acquire().await,
        }
    }

    pub(super) fn keep<DB: Kept>(&mut self, pool: &Pool<DB>, connection: PoolConnection<DB>) {
        let used = (pool.size() as usize).saturating_sub(pool.num_idle());
        *DB::place(self) = (used < pool.options().get_max_connections() as usize).then_some(connection);
    }
}

#[cfg(test)]
mod tests {
    use sqlx::sqlite::SqlitePoolOptions;

    use super::*;

    #[tokio::test]
    async fn the_last_connection_is_given_back() {
        let pool = SqlitePoolOptions::new().max_connections(2).connect("sqlite::memory:").await.unwrap();
        let mut reader = Reader::default();
        let own = reader.take(&pool).await.unwrap();
        reader.keep(&pool, own);
        assert!(reader.sqlite.is_some());
        let others = pool.acquire().await.unwrap();
        let own = reader.take(&pool).await.unwrap();
        reader.keep(&pool, own);
        assert!(reader.sqlite.is_none());
        pool.acquire().await.unwrap();
        drop(others);
    }
}
