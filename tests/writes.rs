//! Test 1 of the guarantees: whatever was acknowledged is kept, although other clients disconnect in the middle of their posts. Also
//! shows why the backend writes in separate tasks: with the same clients, a handler that does not do so loses posts.

use std::sync::Mutex;
use std::thread;
use std::time::Duration;

use sqlx::PgPool;
use sqlx::postgres::PgPoolOptions;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use uuid::Uuid;

use crate::support::cruddur::Cruddur;
use crate::support::http;
use crate::support::postgres;
use crate::support::slow_wire::SlowWire;
use crate::support::witness::Witness;
use crate::support::writer::Writer;

const RESETS: u32 = 400;
/// Clients at the same time, as many as the backend has connections to its database.
const CLIENTS: u32 = 8;
const ROUND_TRIP: Duration = Duration::from_millis(2);

#[tokio::test(flavor = "multi_thread")]
async fn disconnecting_clients_lose_no_acknowledged_post() {
    let Some(database) = postgres::database().await else { return };
    tokio::task::spawn_blocking(move || {
        let wire = SlowWire::before(&database, ROUND_TRIP);
        let backend = Cruddur::service("backend", &[("DATABASE_URL", &wire.url)]);
        let writer = Writer::at(&backend.backend);
        let parent = writer.keep(&backend.backend, "Who goes?");
        let acknowledged = load(&backend.backend, &writer, &format!("/api/activities/{parent}/reply"));

        let witness = Witness::of(&database);
        let lost = witness.missing(&acknowledged).len();
        println!("the backend: {RESETS} resets, {} posts acknowledged, {lost} lost", acknowledged.len());
        assert_eq!(lost, 0);
        witness.assert_no_transaction_is_open();
        for session in witness.sessions() {
            let only_reads = session.query.starts_with("SELECT");
            assert!(only_reads || session.query.ends_with("ROLLBACK"), "each returns clean: {session:?}");
        }
        writer.keep(&backend.backend, "Still here.");
        assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    })
    .await
    .unwrap();
}

/// Without this loss, the rule would be unnecessary. A future that is dropped within `begin()` returns its connection inside a
/// transaction that no one ends. A statement that the other route then runs there is lost with the next rollback.
#[tokio::test(flavor = "multi_thread")]
async fn a_handler_dropped_with_its_client_loses_acknowledged_posts() {
    let Some(database) = postgres::database().await else { return };
    let wire = SlowWire::before(&database, ROUND_TRIP);
    let pool = PgPoolOptions::new().max_connections(CLIENTS).connect(&wire.url).await.unwrap();
    sqlx::query("CREATE TABLE activities (uuid uuid PRIMARY KEY)").execute(&pool).await.unwrap();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", listener.local_addr().unwrap());
    let server = tokio::spawn(serve_naively(listener, pool.clone()));
    let load = move || load(&address, &Writer::anonymous(), "/in-a-transaction");
    let acknowledged = tokio::task::spawn_blocking(load).await.unwrap();
    server.abort();
    pool.close().await;

    let lost = tokio::task::spawn_blocking(move || Witness::of(&database).missing(&acknowledged).len()).await.unwrap();
    println!("the naive handler: {RESETS} resets, {} posts acknowledged, {lost} lost", 2 * RESETS);
    assert!(lost > 0);
}

/// Posts to `cut` with clients that disconnect after 0 to 8 ms, each followed by two posts that wait; returns the acknowledged ids.
fn load(backend: &str, writer: &Writer, cut: &str) -> Vec<Uuid> {
    let acknowledged = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for client in 0..CLIENTS {
            let acknowledged = &acknowledged;
            scope.spawn(move || {
                for number in (client..RESETS).step_by(CLIENTS as usize) {
                    writer.reset(backend, cut, Duration::from_millis(8) * number / RESETS);
                    for _ in 0..2 {
                        let uuid = writer.keep(backend, &format!("after reset {number}"));
                        acknowledged.lock().unwrap().push(uuid);
                    }
                }
            });
        }
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(acknowledged.len(), 2 * RESETS as usize);
    acknowledged
}

/// A handler in its obvious form: a future that ends with its connection. One route needs a transaction, the other
/// does not, and both use one pool.
async fn serve_naively(listener: TcpListener, pool: PgPool) {
    loop {
        let (mut stream, _) = listener.accept().await.unwrap();
        let pool = pool.clone();
        tokio::spawn(async move {
            let Some(request) = read(&mut stream).await else { return };
            let uuid = tokio::select! {
                uuid = keep(&pool, request.starts_with("POST /in-a-transaction")) => uuid.unwrap(),
                () = gone(&stream) => return,
            };
            let body = serde_json::json!({"uuid": uuid}).to_string();
            let head = format!("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: {}\r\n\r\n", body.len());
            drop(stream.write_all(format!("{head}{body}").as_bytes()).await);
        });
    }
}

async fn keep(pool: &PgPool, in_a_transaction: bool) -> sqlx::Result<Uuid> {
    let uuid = Uuid::now_v7();
    let insert = sqlx::query("INSERT INTO activities VALUES ($1)").bind(uuid);
    if in_a_transaction {
        let mut tx = pool.begin().await?;
        insert.execute(&mut *tx).await?;
        tx.commit().await?;
    } else {
        insert.execute(pool).await?;
    }
    Ok(uuid)
}

/// A whole request; `None` if the client disconnects first.
async fn read(stream: &mut TcpStream) -> Option<String> {
    let mut request = Vec::new();
    while !request.ends_with(b"}") {
        if stream.read_buf(&mut request).await.ok()? == 0 {
            return None;
        }
    }
    String::from_utf8(request).ok()
}

async fn gone(stream: &TcpStream) {
    while stream.peek(&mut [0]).await.is_ok_and(|length| length > 0) {}
}
