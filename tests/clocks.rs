//! One machine's wrong clock never deletes anything: a backend with a wrong clock removes no live row.

use std::path::Path;

use crate::support::cruddur::Cruddur;
use crate::support::witness::Witness;
use crate::support::{Folder, cannot_run, engines, eventually, http, postgres};

/// Gives a process a false time. Debian's libfaketime, which `tests/run` installs.
const FAKETIME: &str = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1";

const LIVING: &str = "SELECT (SELECT count(*) FROM activities) + (SELECT count(*) FROM sessions) \
     + (SELECT count(*) FROM idempotency_keys) + (SELECT count(*) FROM attempts)";

/// A backend whose clock differs by `offset`.
fn backend(url: &str, offset: &str) -> Option<Cruddur> {
    backend_with(&[("FAKETIME", offset), ("DATABASE_URL", url)])
}

/// A backend whose clock libfaketime sets by these variables.
fn backend_with(variables: &[(&str, &str)]) -> Option<Cruddur> {
    if !Path::new(FAKETIME).exists() {
        cannot_run("faketime", "libfaketime is not installed; run tests/run as root on Debian, which installs it");
        return None;
    }
    let library = [("LD_PRELOAD", FAKETIME), ("FAKETIME_DONT_FAKE_MONOTONIC", "1")];
    Some(Cruddur::service("backend", &[&library[..], variables].concat()))
}

/// Leaves a live crud, session, attempt and key, and a row that every sweep deletes first.
fn fill(url: &str, witness: &Witness) {
    let backend = Cruddur::service("backend", &[("DATABASE_URL", url)]);
    let me = backend.person();
    let crud = serde_json::json!({"message": "for an hour", "ttl": "1-hour"});
    assert_eq!(me.post_with("/api/activities", &[("idempotency-key", "living")], &crud).status, 200);
    let attempt = serde_json::json!({"login": "nobody", "password": "no such password"});
    assert_eq!(http::post(&format!("{}/api/auth/signin", backend.backend), &attempt).status, 401);
    me.crud("deleted");
    witness.execute("UPDATE activities SET expires_at = '1970-01-01T00:00:00+00:00' WHERE message = 'deleted'");
}

fn is_swept(witness: &Witness) -> Option<()> {
    (witness.number("SELECT count(*) FROM activities WHERE message = 'deleted'") == 0).then_some(())
}

#[test]
fn a_backend_with_a_wrong_clock_deletes_no_live_row() {
    for offset in ["+2h", "+40d", "-40d"] {
        engines::each_database(|url| {
            let witness = Witness::of(url);
            fill(url, &witness);
            let living = witness.number(LIVING) - 1;
            let Some(_backend) = backend(url, offset) else { return };
            eventually(format!("a sweep at {offset}"), || is_swept(&witness));
            assert_eq!(witness.number(LIVING), living, "{offset} on {url}");
        });
    }
}

#[test]
fn a_clock_that_is_set_to_before_1970_interrupts_no_write() {
    engines::each_database(|url| {
        let folder = Folder::new();
        let clock = folder.path().join("clock");
        std::fs::write(&clock, "+0").unwrap();
        let file = [("FAKETIME_TIMESTAMP_FILE", clock.to_str().unwrap()), ("FAKETIME_NO_CACHE", "1")];
        let Some(backend) = backend_with(&[&file[..], &[("DATABASE_URL", url)]].concat()) else { return };
        let (me, other) = (backend.person(), backend.person());
        let crud = me.crud("before")["uuid"].as_str().unwrap().to_owned();
        std::fs::write(&clock, "-60y").unwrap();
        for (path, body) in [
            ("/api/activities".to_owned(), serde_json::json!({"message": "in 1966", "ttl": "1-hour"})),
            (format!("/api/activities/{crud}/reply"), serde_json::json!({"message": "a reply"})),
            (format!("/api/activities/{crud}/like"), serde_json::json!({})),
            ("/api/messages".to_owned(), serde_json::json!({"message": "a message", "handle": other.handle})),
        ] {
            let answer = me.post(&path, &body);
            assert_eq!(answer.status, 200, "{path} on {url}: {}", String::from_utf8_lossy(&answer.body));
        }
        backend.person();
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_whose_clock_differs_from_its_server_is_not_ready() {
    let Some(url) = postgres::database().await else { return };
    tokio::task::block_in_place(|| {
        let right = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
        assert_eq!(http::get(&format!("{}/health/ready", right.backend)).status, 204);
        for (offset, seconds) in [("+2h", "-7200"), ("-3m", "180")] {
            let Some(wrong) = backend(&url, offset) else { return };
            let line = wrong.wait_for_log("the database server's clock differs from this machine's by ");
            assert!(line.contains(&format!(" by {seconds} s")), "{line}");
            let ready = http::get(&format!("{}/health/ready", wrong.backend));
            assert_eq!(ready.status, 503);
            let why = ready.json()["detail"].as_str().unwrap().to_owned();
            assert_eq!(why, format!("the database server's clock differs from this machine's by {seconds} s"));
            assert_eq!(http::get(&format!("{}/api/health-check", wrong.backend)).status, 200, "the live row");
            assert_eq!(wrong.stderr().matches("clock differs").count(), 1, "it is logged once");
        }
    });
}

#[test]
fn a_backend_without_its_database_is_not_ready() {
    let folder = Folder::new();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let Some(url) = runtime.block_on(postgres::database()) else { return };
    let wire = crate::support::slow_wire::SlowWire::before(&url, std::time::Duration::ZERO);
    let backend =
        Cruddur::service("backend", &[("DATABASE_URL", &wire.url), ("CRUDDUR_DATA", folder.path().to_str().unwrap())]);
    let ready = format!("{}/health/ready", backend.backend);
    assert_eq!(http::get(&ready).status, 204);
    wire.cut();
    eventually("the loss of readiness", || (http::get(&ready).status == 503).then_some(()));
    wire.restore();
    eventually("readiness", || (http::get(&ready).status == 204).then_some(()));
}
