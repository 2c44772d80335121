//! A real pgbouncer before the database, and the limit on the backend's own connections.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use sqlx::{Connection, Executor, PgConnection};
use tokio::runtime::Runtime;

use crate::support::cruddur::{Cruddur, run};
use crate::support::pgbouncer::Pgbouncer;
use crate::support::witness::Witness;
use crate::support::writer::Writer;
use crate::support::{Folder, eventually, http, postgres};

/// A new database; `None` if there is no server.
fn database() -> Option<String> {
    Runtime::new().unwrap().block_on(postgres::database())
}

/// pgbouncer's default configuration: session pooling, and startup parameters that it does not know are refused.
#[test]
fn a_pooler_in_its_default_configuration_works() {
    let Some(database) = database() else { return };
    let Some(pooler) = Pgbouncer::before(&database, "") else { return };
    let run = Cruddur::service("backend", &[("DATABASE_URL", &pooler.url)]);
    let writer = Writer::at(&run.backend);
    let kept: Vec<_> = (0..20).map(|_| writer.keep(&run.backend, "Behind a pooler")).collect();
    let witness = Witness::of(&database);
    assert!(witness.missing(&kept).is_empty());
    assert_eq!(http::get(&format!("{}/api/activities/home", run.backend)).status, 200);
    // The session's timeouts are also active behind the pooler.
    let mut other = witness.runtime.block_on(PgConnection::connect(&database)).unwrap();
    let lock = "BEGIN; LOCK TABLE activities IN ACCESS EXCLUSIVE MODE";
    witness.runtime.block_on(other.execute(lock)).unwrap();
    assert_eq!(http::get(&format!("{}/api/activities/home", run.backend)).status, 503);
    run.wait_for_log("lock timeout");
}

#[test]
fn a_pooler_in_transaction_mode_is_refused() {
    let Some(database) = database() else { return };
    for settings in [
        "pool_mode = transaction",
        "pool_mode = transaction\nserver_round_robin = 1\nmin_pool_size = 4",
        "pool_mode = statement",
        "pool_mode = transaction\ndefault_pool_size = 1",
    ] {
        let Some(pooler) = Pgbouncer::before(&database, settings) else { return };
        let data = Folder::new();
        let variables = [("DATABASE_URL", pooler.url.as_str()), ("CRUDDUR_DATA", data.path().to_str().unwrap())];
        let ended = run(&["backend"], &variables);
        assert_eq!(ended.status.code(), Some(1), "{settings}: {}", ended.errors);
        let expected = "shares sessions among connections, as in transaction mode; set pool_mode=session";
        assert!(ended.errors.contains(expected), "{settings}: {}", ended.errors);
        assert_eq!(run(&["doctor"], &variables).status.code(), Some(1), "{settings}");
    }
}

#[test]
fn a_poolers_refusal_is_reported_with_its_fix() {
    let Some(database) = database() else { return };
    let name = database.rsplit_once('/').unwrap().1;
    let assert_refused = |pooler: &Pgbouncer, user: &str, name: &str, cause: &str, fix: &str| {
        let url = format!("postgres://{user}@127.0.0.1:{}/{name}", pooler.port);
        let ended = run(&["backend"], &[("DATABASE_URL", &url)]);
        assert_eq!(ended.status.code(), Some(1), "{cause}: {}", ended.errors);
        let line = ended.errors.lines().find(|line| line.contains("cannot open")).unwrap();
        let (before, after) = line.split_once("; ").unwrap();
        assert!(before.contains(cause) && after.contains(fix), "{line}");
        assert!(!line.contains("canary"), "{line}");
    };
    let Some(pooler) = Pgbouncer::before(&database, "auth_type = scram-sha-256") else { return };
    for user in ["me:canary", "me", "you:canary"] {
        assert_refused(&pooler, user, name, "authentication failed", "correct the user and password");
    }
    assert_refused(&pooler, "me:right", "other", "no such database", "name the database in the pooler's [databases]");
    let options = format!("{name}?options=-csearch_path%3Dx");
    assert_refused(&pooler, "me:right", &options, "startup parameter", "remove options");
    // A starting backend uses two connections at a time.
    let Some(pooler) = Pgbouncer::before(&database, "max_client_conn = 1") else { return };
    assert_refused(&pooler, "me", name, "no more connections allowed", "raise max_client_conn");
}

/// A backend's sessions, and how many of them are active.
const SESSIONS: &str = "SELECT count(*), count(*) FILTER (WHERE state = 'active') FROM pg_stat_activity \
                        WHERE datname = current_database() AND application_name LIKE 'cruddur-backend%'";

#[test]
fn a_backend_opens_at_most_the_configured_connections() {
    let Some(database) = database() else { return };
    let variables = [("DATABASE_URL", database.as_str()), ("CRUDDUR_DATABASE_CONNECTIONS", "3")];
    let backend = Cruddur::service("backend", &variables);
    let expected = "at most 3 connections to the database, 1 for writes and 2 for reads (CRUDDUR_DATABASE_CONNECTIONS)";
    backend.wait_for_log(expected);
    let (runtime, over) = (Runtime::new().unwrap(), AtomicBool::new(false));
    let mut db = runtime.block_on(PgConnection::connect(&database)).unwrap();
    let mut sessions = || {
        let (all, active) = runtime.block_on(sqlx::query_as::<_, (i64, i64)>(SESSIONS).fetch_one(&mut db)).unwrap();
        (active > 0).then_some(all)
    };
    let writer = Writer::at(&backend.backend);
    let most = thread::scope(|scope| {
        for _ in 0..12 {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    drop(writer.post(&backend.backend, "One of many"));
                    http::get(&format!("{}/api/activities/home", backend.backend));
                }
            });
        }
        let most = (0..20).map(|_| eventually("active sessions", &mut sessions)).max();
        over.store(true, Relaxed);
        most
    });
    assert_eq!(most, Some(3));
}
