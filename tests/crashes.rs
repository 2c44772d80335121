//! Tests 2 and 3 of the guarantees: whatever was acknowledged is on the disk. A backend that is killed repeatedly while it
//! writes still has all of it after each restart, and each acknowledgement came after the data was flushed to the disk.

use std::process::Command;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use uuid::Uuid;

use crate::support::cruddur::{self, Cruddur};
use crate::support::witness::Witness;
use crate::support::writer::{Writer, kept};
use crate::support::{Folder, cannot_run, eventually, http, postgres};

const KILLS: usize = 50;
const WRITERS: usize = 4;

#[test]
fn a_killed_backend_on_sqlite_keeps_every_acknowledged_write() {
    let folder = Folder::new();
    let database = format!("sqlite:{}/cruddur.db", folder.path().display());
    killed_again_and_again("SQLite", &database, Witness::assert_integrity);
}

#[tokio::test]
async fn a_killed_backend_on_postgresql_keeps_every_acknowledged_write() {
    let Some(database) = postgres::database().await else { return };
    let killed = move || killed_again_and_again("PostgreSQL", &database, Witness::assert_no_transaction_is_open);
    tokio::task::spawn_blocking(killed).await.unwrap();
}

fn killed_again_and_again(engine: &str, database: &str, assert_whole: impl Fn(&Witness)) {
    let witness = Witness::of(database);
    let acknowledged = Mutex::new(Vec::new());
    let (mut backend, _) = started(database);
    let writer = Writer::at(&backend.backend);
    let mut slowest = Duration::ZERO;
    for kill in 0..KILLS {
        let address = backend.backend.clone();
        let before = acknowledged.lock().unwrap().len();
        thread::scope(|scope| {
            for _ in 0..WRITERS {
                scope.spawn(|| {
                    while let Ok(answer) = writer.post(&address, "Is this kept?") {
                        assert_eq!(answer.status, 200);
                        acknowledged.lock().unwrap().push(kept(&answer));
                    }
                });
            }
            // Each kill comes somewhat later in the life of the process and of its files.
            let enough = before + 1 + kill % 13;
            eventually("acknowledged posts", || (acknowledged.lock().unwrap().len() >= enough).then_some(()));
            backend.kill();
        });
        let ready;
        (backend, ready) = started(database);
        slowest = slowest.max(ready);
        assert_eq!(witness.missing(&acknowledged.lock().unwrap()), Vec::<Uuid>::new(), "after kill {kill}");
        assert_whole(&witness);
    }
    let acknowledged = acknowledged.into_inner().unwrap().len();
    println!("{engine}: {KILLS} kills, {acknowledged} posts acknowledged, none lost; ready again within {slowest:?}");
}

/// A backend that responds from its database, and how long its start took.
fn started(database: &str) -> (Cruddur, Duration) {
    let started = Instant::now();
    let backend = Cruddur::service("backend", &[("DATABASE_URL", database)]);
    assert_eq!(http::get(&format!("{}/api/activities/home", backend.backend)).status, 200);
    (backend, started.elapsed())
}

/// Checks a running backend, so that writes at its shutdown do not count.
#[test]
fn data_is_flushed_to_disk_before_each_acknowledgement() {
    let tried = Command::new("strace").args(["-o", "/dev/null", "true"]).output();
    if !tried.is_ok_and(|tried| tried.status.success()) {
        return cannot_run("strace", "strace is not installed, or may not trace");
    }
    let folder = Folder::new();
    let calls = folder.path().join("calls");
    // As a grandchild, so that the backend is still the test's own child. With -y a call shows its file.
    let strace = ["-D", "-f", "-y", "-e", "trace=fsync,fdatasync", "-o", calls.to_str().unwrap()];
    let data = folder.path().join("data");
    let variables = [("CRUDDUR_DATA", data.to_str().unwrap())];
    let backend = Cruddur::service_of("backend", &mut cruddur::under("strace", &strace, &["backend"], &variables));
    let writer = Writer::at(&backend.backend);
    let synced = || {
        let calls = std::fs::read_to_string(&calls).unwrap();
        let log = |line: &&str| line.contains("sync(") && line.contains("cruddur.db-wal>");
        calls.lines().filter(log).count()
    };
    let before = synced();
    let mut acknowledged = 0;
    for _ in 0..20 {
        writer.keep(&backend.backend, "Is this on the disk?");
        acknowledged += 1;
        assert!(synced() - before >= acknowledged, "{} for {acknowledged} posts", synced() - before);
    }
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                for _ in 0..20 {
                    writer.keep(&backend.backend, "And this?");
                }
            });
        }
    });
    acknowledged += WRITERS * 20;
    let synced = synced() - before;
    println!("{synced} times the log was synced for {acknowledged} posts acknowledged");
    assert!(synced >= acknowledged);
}
