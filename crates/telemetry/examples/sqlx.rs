//! A program whose SQL statements are spans, on a SQLite in memory. Sends nothing unless a variable names a destination.
//!
//! ```sh
//! OTEL_EXPORTER_OTLP_ENDPOINT=http://127.0.0.1:4318 cargo run -p cruddur-telemetry --features sqlx --example sqlx
//! ```
#![allow(clippy::print_stdout, reason = "an example shows what it does")]

use sqlx::sqlite::SqlitePoolOptions;
use telemetry::sql::{Database, Statement};
use telemetry::sqlx::run;
use tracing::Instrument;

const DATABASE: Database<'_> = Database { system: "sqlite", namespace: "", server: None };

const CREATE: Statement<'_> =
    Statement { operation: "CREATE TABLE", collection: "orders", text: "CREATE TABLE orders (id INTEGER PRIMARY KEY)" };
const INSERT: Statement<'_> =
    Statement { operation: "INSERT", collection: "orders", text: "INSERT INTO orders (id) VALUES ($1)" };
const COUNT: Statement<'_> =
    Statement { operation: "SELECT", collection: "orders", text: "SELECT count(*) FROM orders" };

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = telemetry::Config::from_env()?.service_version(env!("CARGO_PKG_VERSION")).install("orders")?;
    println!("{} order", count().instrument(tracing::info_span!("job")).await?);
    telemetry.shutdown();
    Ok(())
}

/// Inserts an order twice, and counts the orders.
pub(crate) async fn count() -> Result<i64, sqlx::Error> {
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    run(&CREATE, &DATABASE, sqlx::query(CREATE.text).execute(&pool)).await?;
    for _ in 0..2 {
        // The second is refused, and is an error in the trace, with SQLite's code.
        drop(run(&INSERT, &DATABASE, sqlx::query(INSERT.text).bind(7).execute(&pool)).await);
    }
    run(&COUNT, &DATABASE, sqlx::query_scalar(COUNT.text).fetch_one(&pool)).await
}
