//! An actix-web service that keeps orders with sqlx and asks another service with reqwest.
#![allow(clippy::print_stdout, reason = "the test reads the address")]

use std::env;
use std::error::Error;
use std::net::Ipv4Addr;

use actix_web::error::{ErrorBadGateway, ErrorConflict};
use actix_web::middleware::from_fn;
use actix_web::{App, HttpServer, web};
use reqwest_middleware::reqwest::Client;
use reqwest_middleware::{ClientBuilder, ClientWithMiddleware, Error as RequestError};
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use telemetry::actix::{RootSpan, finish};
use telemetry::reqwest::ClientMiddleware;
use telemetry::sql::{Database, Statement};
use telemetry::sqlx::run;
use tracing_actix_web::TracingLogger;

const DATABASE: Database<'_> = Database { system: "sqlite", namespace: "", server: None };
const CREATE: Statement<'_> =
    Statement { operation: "CREATE TABLE", collection: "orders", text: "CREATE TABLE orders (id INTEGER PRIMARY KEY)" };
const INSERT: Statement<'_> =
    Statement { operation: "INSERT", collection: "orders", text: "INSERT INTO orders (id) VALUES ($1)" };

struct Orders {
    pool: SqlitePool,
    client: ClientWithMiddleware,
    stock: String,
}

#[actix_web::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.install("orders")?;
    let pool = SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await?;
    run(&CREATE, &DATABASE, sqlx::query(CREATE.text).execute(&pool)).await?;
    let client = ClientBuilder::new(Client::new()).with(ClientMiddleware).build();
    let orders = web::Data::new(Orders { pool, client, stock: env::var("STOCK")? });
    let app = move || {
        App::new()
            .wrap(from_fn(finish))
            .wrap(TracingLogger::<RootSpan>::new())
            .app_data(orders.clone())
            .route("/orders/{id}", web::post().to(order))
    };
    let server = HttpServer::new(app).workers(1).bind((Ipv4Addr::LOCALHOST, 0))?;
    println!("{}", server.addrs()[0]);
    server.run().await?;
    telemetry.shutdown();
    Ok(())
}

async fn order(orders: web::Data<Orders>, id: web::Path<u32>) -> Result<String, actix_web::Error> {
    let id = id.into_inner();
    let insert = sqlx::query(INSERT.text).bind(id).execute(&orders.pool);
    run(&INSERT, &DATABASE, insert).await.map_err(ErrorConflict)?;
    orders.in_stock(id).await.map_err(ErrorBadGateway)
}

impl Orders {
    async fn in_stock(&self, id: u32) -> Result<String, RequestError> {
        let response = self.client.get(format!("http://{}/stock/{id}", self.stock)).send().await?;
        Ok(response.text().await?)
    }
}
