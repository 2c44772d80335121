//! Spans of an application around sqlx on SQLite: sqlx's thread holds a clone of the current span until after it has replied.
//! An application runs in a process of its own, because a process has one subscriber.

use std::process::Command;

use actix_web::{App, HttpServer, middleware, web};
use opentelemetry_proto::tonic::trace::v1::Span;
use sqlx::SqlitePool;
use sqlx::sqlite::SqlitePoolOptions;
use telemetry::actix::{RootSpan, finish};
use telemetry::span::OwnedSpan;
use tracing::Instrument;
use tracing_actix_web::TracingLogger;

use crate::spans::{outlasting, while_busy};
use crate::support::eventually;
use crate::support::honeycomb::Honeycomb;

const KEY: &str = "hcaik_a_key_of_this_test";
/// Names the application that [`application`] runs.
const APPLICATION: &str = "TESTS_CLONES_APPLICATION";
const QUERIES: usize = 500;
/// The event by which an application records that the work of the span within has ended.
const RETURNED: &str = "returned";

/// The spans that an application made on busy cores.
fn spans_of(application: &str, count: usize) -> Vec<Span> {
    let honeycomb = Honeycomb::start(KEY);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "clones::application", "--nocapture"])
        .env(APPLICATION, application)
        .envs([("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)])
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    eventually("the spans of every query", || Some(honeycomb.accepted()).filter(|spans| spans.len() >= count))
}

/// By how many nanoseconds each span within another outlasts its work, whose end is that other span's event.
fn lateness(spans: &[Span], name: &str) -> Vec<u64> {
    let returned = |span: &Span| {
        let parent = spans.iter().find(|parent| parent.span_id == span.parent_span_id)?;
        parent.events.iter().find(|event| event.name == RETURNED).map(|event| event.time_unix_nano)
    };
    let named = spans.iter().filter(|span| span.name == name);
    let late = named.map(|span| span.end_time_unix_nano.saturating_sub(returned(span).unwrap()));
    late.collect()
}

fn assert_timely(spans: &[Span], name: &str) {
    let all = lateness(spans, name);
    let mut late: Vec<u64> = all.iter().copied().filter(|by| *by > 0).collect();
    late.sort_unstable();
    let (median, most) = (late.get(late.len() / 2), late.last());
    println!("{name}: {} of {} end late, median {median:?} ns, most {most:?} ns", late.len(), all.len());
    assert!(late.is_empty(), "{name}: {} of {} end late, by {most:?} ns at most", late.len(), all.len());
}

#[test]
fn no_instrumented_function_around_a_query_ends_late() {
    let spans = spans_of("queries", 3 * QUERIES);
    assert_eq!(spans.len(), 3 * QUERIES);
    assert_timely(&spans, "lookup");
    assert_timely(&spans, "request");
}

#[test]
fn no_instrumented_function_around_a_transaction_ends_late() {
    let spans = spans_of("commits", 3 * QUERIES);
    assert_timely(&spans, "lookup");
    assert_timely(&spans, "request");
}

#[test]
fn no_instrumented_function_around_an_abandoned_transaction_ends_late() {
    let spans = spans_of("dropped transactions", 3 * QUERIES);
    assert_timely(&spans, "lookup");
    assert_timely(&spans, "request");
}

#[test]
fn no_instrumented_function_of_a_request_outlasts_it() {
    let spans = spans_of("service", 2 * QUERIES);
    let late = outlasting(&spans);
    println!("{} of {} outlast their parent: {:#?}", late.len(), spans.len(), late.iter().take(5).collect::<Vec<_>>());
    assert!(late.is_empty(), "{} of {}: {:#?}", late.len(), spans.len(), late.iter().take(20).collect::<Vec<_>>());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the tests above set it for the process that they start")]
fn application() {
    let Ok(application) = std::env::var(APPLICATION) else { return };
    let telemetry = telemetry::Config::from_env().unwrap().install("clones").unwrap();
    while_busy(|| match application.as_str() {
        "queries" => calls(lookup),
        "commits" => calls(commit),
        "dropped transactions" => calls(abandon),
        _ => service(),
    });
    telemetry.shutdown();
}

fn calls<F: Future<Output = ()>>(query: impl Fn(SqlitePool) -> F) {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let pool = pool().await;
        for _ in 0..QUERIES {
            let caller = OwnedSpan::within_current("caller", |_| {});
            let call = async {
                request(query(pool.clone())).await;
                tracing::info!("{RETURNED}");
            };
            call.instrument((*caller).clone()).await;
        }
    });
}

#[tracing::instrument(skip_all)]
async fn request(lookup: impl Future<Output = ()>) {
    lookup.await;
    tracing::info!("{RETURNED}");
}

async fn pool() -> SqlitePool {
    SqlitePoolOptions::new().max_connections(1).connect("sqlite::memory:").await.unwrap()
}

#[tracing::instrument(skip_all)]
async fn lookup(pool: SqlitePool) {
    sqlx::query("SELECT 1").execute(&pool).await.unwrap();
}

#[tracing::instrument(skip_all, name = "lookup")]
async fn commit(pool: SqlitePool) {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
    transaction.commit().await.unwrap();
}

/// Drops a transaction, whose ROLLBACK no future waits for.
#[tracing::instrument(skip_all, name = "lookup")]
async fn abandon(pool: SqlitePool) {
    let mut transaction = pool.begin().await.unwrap();
    sqlx::query("SELECT 1").execute(&mut *transaction).await.unwrap();
}

fn service() {
    actix_web::rt::System::new().block_on(async {
        let pool = web::Data::new(pool().await);
        let handler = |pool: web::Data<SqlitePool>| async move {
            lookup(SqlitePool::clone(&pool)).await;
            "done"
        };
        let app = move || {
            let layers = App::new().wrap(middleware::from_fn(finish)).wrap(TracingLogger::<RootSpan>::new());
            layers.app_data(pool.clone()).route("/", web::get().to(handler))
        };
        let server = HttpServer::new(app).workers(1).disable_signals().bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/", server.addrs()[0]);
        let server = server.run();
        let handle = server.handle();
        let client = actix_web::rt::task::spawn_blocking(move || {
            for _ in 0..QUERIES {
                assert_eq!(ureq::get(&url).call().unwrap().status(), 200);
            }
        });
        let stop = async {
            client.await.unwrap();
            handle.stop(true).await;
        };
        let (served, ()) = tokio::join!(server, stop);
        served.unwrap();
    });
}
