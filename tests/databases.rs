//! Test 11 of the guarantees: databases in trouble. Whatever happens to a database, each request gets either its result or
//! "come back later"; acknowledged writes are kept; and the backend recovers as soon as the database does, without a
//! restart.

use std::fs::File;
use std::io::Write;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use sqlx::sqlite::SqliteConnection;
use sqlx::{Connection, Executor, PgConnection};
use uuid::Uuid;

use crate::support::cruddur::Cruddur;
use crate::support::http::{self, Answer};
use crate::support::slow_wire::SlowWire;
use crate::support::small_disk::SmallDisk;
use crate::support::witness::Witness;
use crate::support::writer::{Writer, kept};
use crate::support::{Folder, StopOnDrop, eventually, postgres};

/// Three times as many as the backend has connections to its database.
const WRITERS: usize = 24;

/// A backend, and its responses to the clients that write there without a pause.
struct LoadedBackend {
    backend: Cruddur,
    witness: Witness,
    writers: Vec<Responses>,
    /// Responses that are neither a success nor "come back later".
    wrong: Mutex<Vec<String>>,
}

/// The responses that one writer received.
#[derive(Default)]
struct Responses {
    acknowledged: Mutex<Vec<Uuid>>,
    unavailable: AtomicUsize,
}

impl LoadedBackend {
    /// Starts a backend on the database at `url`; `witness` is that database's direct URL.
    fn start(url: &str, witness: &str) -> Self {
        Self {
            backend: Cruddur::service("backend", &[("DATABASE_URL", url)]),
            witness: Witness::of(witness),
            writers: (0..WRITERS).map(|_| Responses::default()).collect(),
            wrong: Mutex::default(),
        }
    }

    /// Applies load from before `trouble` until the backend has recovered from it.
    fn through(&self, trouble: impl FnOnce(&Self)) {
        let over = AtomicBool::new(false);
        let (address, wrong) = (self.backend.backend.as_str(), &self.wrong);
        let writer = Writer::at(address);
        thread::scope(|scope| {
            for responses in &self.writers {
                let (writer, over) = (&writer, &over);
                scope.spawn(move || {
                    while !over.load(Relaxed) {
                        responses.post(address, writer).unwrap_or_else(|answer| wrong.lock().unwrap().push(answer));
                    }
                });
            }
            // Ends the load even if `trouble` panics.
            let _over = StopOnDrop(&over);
            self.all_succeed();
            trouble(self);
            self.all_succeed();
        });
        let acknowledged: Vec<_> =
            self.writers.iter().flat_map(|responses| responses.acknowledged.lock().unwrap().clone()).collect();
        let unavailable: usize = self.writers.iter().map(|responses| responses.unavailable.load(Relaxed)).sum();
        println!("{} acknowledged, {unavailable} answered 503", acknowledged.len());
        assert_eq!(self.witness.missing(&acknowledged), Vec::<Uuid>::new());
        assert_eq!(self.home().status, 200);
    }

    fn all_succeed(&self) {
        self.each("acknowledged posts", |responses| responses.acknowledged.lock().unwrap().len());
    }

    fn all_get_503(&self) {
        self.each("posts answered 503", |responses| responses.unavailable.load(Relaxed));
        // A request that does not need the database still succeeds.
        assert_eq!(http::get(&format!("{}/api/health-check", self.backend.backend)).status, 200);
    }

    /// Waits until each writer's count has grown by two. One writer's progress does not make up for another that hangs, and the
    /// second of the two requests started in the present state.
    fn each(&self, what: &str, count: impl Fn(&Responses) -> usize) {
        let before: Vec<_> = self.writers.iter().map(&count).collect();
        eventually(format!("{what}, for each writer,"), || {
            let wrong = self.wrong.lock().unwrap().first().cloned();
            assert!(wrong.is_none(), "{wrong:?}, and in the log:\n{}", self.backend.stderr());
            self.writers.iter().zip(&before).all(|(responses, before)| count(responses) >= before + 2).then_some(())
        });
    }

    fn home(&self) -> Answer {
        http::get(&format!("{}/api/activities/home", self.backend.backend))
    }
}

impl Responses {
    /// Posts once. A response that is neither a success nor "come back later" is an error.
    fn post(&self, backend: &str, writer: &Writer) -> Result<(), String> {
        let answer = writer.post(backend, &"Is this kept? ".repeat(20)).map_err(|error| error.to_string())?;
        if answer.status == 200 {
            self.acknowledged.lock().unwrap().push(kept(&answer));
        } else if is_unavailable(&answer) {
            self.unavailable.fetch_add(1, Relaxed);
        } else {
            return Err(format!("{} {}", answer.status, String::from_utf8_lossy(&answer.body)));
        }
        Ok(())
    }
}

/// Whether a response is "come back later", without a reason.
fn is_unavailable(answer: &Answer) -> bool {
    let mut body = answer.json();
    let traced = body.as_object_mut().is_some_and(|body| body.remove("trace_id").is_some());
    let problem = serde_json::json!({"type": "about:blank", "title": "Service Unavailable", "status": 503});
    (answer.status, answer.header("retry-after"), traced) == (503, "2", true)
        && answer.header("content-type") == "application/problem+json"
        && body == problem
}

/// A run on PostgreSQL behind a wire; does nothing if there is no server.
async fn with_postgresql(test: impl FnOnce(&LoadedBackend, &SlowWire) + Send + 'static) {
    let Some(database) = postgres::database().await else { return };
    let test = move || {
        let wire = SlowWire::before(&database, Duration::ZERO);
        test(&LoadedBackend::start(&wire.url, &database), &wire);
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

#[tokio::test]
async fn a_silent_server_is_not_waited_for() {
    with_postgresql(|run, wire| {
        run.through(|run| {
            wire.fall_silent();
            run.all_get_503();
            assert!(is_unavailable(&run.home()));
            wire.restore();
        });
        // A database that never responds to the pending requests.
        run.through(|run| {
            wire.fall_silent();
            run.all_get_503();
            wire.cut();
            run.all_get_503();
            assert!(is_unavailable(&run.home()));
            wire.restore();
        });
        run.witness.assert_no_transaction_is_open();
    })
    .await;
}

#[tokio::test]
async fn unanswered_connections_are_replaced() {
    let Some(database) = postgres::database().await else { return };
    let test = move || {
        // Long enough for all eight connections to be in use together.
        let wire = SlowWire::before(&database, Duration::from_millis(40));
        let run = LoadedBackend::start(&wire.url, &database);
        let (over, unavailable, read) = (AtomicBool::new(false), AtomicUsize::new(0), AtomicUsize::new(0));
        let url = format!("{}/api/activities/@andrewbrown", run.backend.backend);
        thread::scope(|scope| {
            for _ in 0..24 {
                scope.spawn(|| {
                    while !over.load(Relaxed) {
                        let count = if http::get(&url).status == 200 { &read } else { &unavailable };
                        count.fetch_add(1, Relaxed);
                    }
                });
            }
            let _over = StopOnDrop(&over);
            let reads_on = |what: &str| {
                let before = read.load(Relaxed);
                eventually(what, || (read.load(Relaxed) >= before + 100).then_some(()));
            };
            reads_on("reads before");
            // The loss hits connections that wait for a response; none of them may keep its permit.
            wire.lose_connections();
            reads_on("reads by other connections");
            assert!(unavailable.load(Relaxed) > 0);
        });
        // Each write detects one dead connection, and there are four.
        let sign_in = format!("{}/api/auth/signin", run.backend.backend);
        let attempt = serde_json::json!({"login": "nobody", "password": "no such password"});
        eventually("writes", || (0..8).all(|_| http::post(&sign_in, &attempt).status != 503).then_some(()));
        run.through(|_| {});
    };
    tokio::task::spawn_blocking(test).await.unwrap();
}

#[tokio::test]
async fn dropped_connections_fail_only_requests_in_progress() {
    with_postgresql(|run, wire| {
        run.through(|run| {
            for _ in 0..5 {
                wire.cut();
                run.all_get_503();
                wire.restore();
                run.all_succeed();
            }
        });
        run.through(|run| {
            for _ in 0..10 {
                assert!(run.witness.terminate_sessions() > 0);
                run.all_succeed();
            }
        });
        run.witness.assert_no_transaction_is_open();
    })
    .await;
}

/// Connections are kept between reads; the next reader does not notice that one has ended meanwhile.
#[tokio::test]
async fn a_connection_that_ends_between_two_reads_fails_no_request() {
    with_postgresql(|run, wire| {
        for _ in 0..10 {
            assert_eq!(run.home().status, 200);
            assert!(run.witness.terminate_sessions() > 0);
            assert_eq!(run.home().status, 200);
            wire.cut();
            wire.restore();
        }
        assert_eq!(run.home().status, 200);
    })
    .await;
}

/// Requests with a connection wait for the lock, and the others for a connection; neither wait for ever.
#[tokio::test]
async fn a_locked_table_and_an_exhausted_pool_are_503s() {
    with_postgresql(|run, _| {
        run.through(|run| {
            let lock = "BEGIN; LOCK TABLE activities IN ACCESS EXCLUSIVE MODE";
            let mut other = run.witness.runtime.block_on(PgConnection::connect(run.witness.url())).unwrap();
            run.witness.runtime.block_on(other.execute(lock)).unwrap();
            run.all_get_503();
            assert!(is_unavailable(&run.home()));
            run.backend.wait_for_log("lock timeout");
            run.backend.wait_for_log("pool timed out");
            run.witness.runtime.block_on(other.close()).unwrap();
        });
        run.witness.assert_no_transaction_is_open();
    })
    .await;
}

/// The SQLite counterpart of the locked table on PostgreSQL; readers do not wait at all.
#[test]
fn on_sqlite_a_writer_of_another_process_makes_writes_503s() {
    let folder = Folder::new();
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let run = LoadedBackend::start(&url, &url);
    run.through(|run| {
        let mut other = run.witness.runtime.block_on(SqliteConnection::connect(&url)).unwrap();
        // This connection may have to wait for its own turn.
        run.witness.runtime.block_on(other.execute("PRAGMA busy_timeout = 60000; BEGIN IMMEDIATE")).unwrap();
        run.all_get_503();
        assert_eq!(run.home().status, 200);
        run.backend.wait_for_log("database is locked");
        run.backend.wait_for_log("pool timed out");
        run.witness.runtime.block_on(other.close()).unwrap();
    });
    run.witness.assert_integrity();
}

#[test]
fn a_full_disk_makes_writes_503s_until_there_is_space() {
    let folder = Folder::new();
    let Some(disk) = SmallDisk::of(folder.path(), "24m") else { return };
    let url = format!("sqlite:{}/cruddur.db", folder.path().display());
    let run = LoadedBackend::start(&url, &url);
    let rest = disk.path().join("rest");
    run.through(|run| {
        let mut file = File::create(&rest).unwrap();
        while file.write_all(&[0; 4096]).is_ok() {}
        run.all_get_503();
        run.backend.wait_for_log("database or disk is full");
        assert_eq!(run.home().status, 200);
        std::fs::remove_file(&rest).unwrap();
    });
    run.witness.assert_integrity();
}

#[test]
fn simultaneous_starts_on_sqlite_share_one_database() {
    let folder = Folder::new();
    assert_one_database(&format!("sqlite:{}/cruddur.db", folder.path().display()));
}

#[tokio::test]
async fn simultaneous_starts_on_postgresql_share_one_database() {
    let Some(database) = postgres::database().await else { return };
    tokio::task::spawn_blocking(move || assert_one_database(&database)).await.unwrap();
}

/// The database is created once and filled once, however many backends start on an empty one.
fn assert_one_database(url: &str) {
    let start = || Cruddur::service("backend", &[("DATABASE_URL", url)]);
    let backends: Vec<_> = thread::scope(|scope| {
        let starters: Vec<_> = (0..4).map(|_| scope.spawn(start)).collect();
        starters.into_iter().map(|starter| starter.join().unwrap()).collect()
    });
    let home = |backend: &Cruddur| http::get(&format!("{}/api/activities/home", backend.backend)).json();
    let first = home(&backends[0]);
    assert_eq!(first.as_array().unwrap().len(), 4);
    assert!(backends.iter().all(|backend| home(backend) == first));
}
