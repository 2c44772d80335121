//! A new PostgreSQL database for each test that needs one, on the server that `tests/run` found or started.

use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use super::cannot_run;

/// The URL of a new, empty database; `None` if there is no server.
pub(crate) async fn database() -> Option<String> {
    let Some(server) = settings::Settings::from_env().text("TEST_POSTGRES_URL") else {
        cannot_run("postgresql", "TEST_POSTGRES_URL is not set; run tests/run, which finds or starts a PostgreSQL");
        return None;
    };
    Some(create(&server).await)
}

/// A new database on `server`, a URL without a database's name. It is removed with the server.
pub(crate) async fn create(server: &str) -> String {
    let name = format!("test_{}", Uuid::now_v7().simple());
    let mut connection = PgConnection::connect(&format!("{server}/postgres")).await.unwrap();
    // The name consists of hex digits.
    connection.execute(sqlx::AssertSqlSafe(format!("CREATE DATABASE {name}"))).await.unwrap();
    connection.close().await.unwrap();
    format!("{server}/{name}")
}
