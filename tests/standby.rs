//! A PostgreSQL server with a standby: an absent standby uses up no sessions, and a promoted standby is found without a restart.

use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;

use serde_json::json;
use uuid::Uuid;

use crate::support::cruddur::Cruddur;
use crate::support::postgres_server::PostgresServer;
use crate::support::slow_wire::SlowWire;
use crate::support::witness::Witness;
use crate::support::writer::{Writer, kept};
use crate::support::{StopOnDrop, eventually, http};

const WRITERS: usize = 8;
/// The most sessions that the backend may have at its server: in all, and for writing.
const SESSIONS: [i64; 2] = [12, 4];

/// No time limit ends a COMMIT that waits for a standby, and the COMMIT does not notice that its client is gone.
#[test]
fn an_absent_standby_uses_up_no_sessions() {
    let Some(server) = PostgresServer::start() else { return };
    let url = server.url();
    let backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    let address = backend.backend.as_str();
    let (writer, me, witness) = (Writer::at(address), backend.person(), Witness::of(&url));
    server.set("synchronous_standby_names", "absent");
    let (over, unavailable) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; WRITERS]);
    let retried = json!({"message": "only once", "ttl": "1-day"});
    let post = || me.post_with("/api/activities", &[("idempotency-key", "only-once")], &retried).status;
    // The server acknowledges nothing once it has reloaded its configuration.
    eventually("a post answered 503", || (post() == 503).then_some(()));
    thread::scope(|scope| {
        for count in &unavailable {
            let (writer, over) = (&writer, &over);
            scope.spawn(move || {
                while !over.load(Relaxed) {
                    let answer = writer.post(address, "Is this kept?").unwrap();
                    assert_eq!(answer.status, 503);
                    count.fetch_add(1, Relaxed);
                }
            });
        }
        let all = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'cruddur-backend%'";
        let write = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'cruddur-backend writes%'";
        let _over = StopOnDrop(&over);
        // Long enough for each writer's permit to have been given up more than once.
        eventually("posts answered 503", || {
            let sessions = [all, write].map(|count| witness.number(count));
            let within = sessions[0] <= SESSIONS[0] && sessions[1] <= SESSIONS[1];
            assert!(within, "{sessions:?} sessions");
            unavailable.iter().all(|count| count.load(Relaxed) >= 12).then_some(())
        });
        assert_eq!(http::get(&format!("{address}/api/activities/home")).status, 200, "reads continue");
    });
    server.set("synchronous_standby_names", "");
    eventually("an acknowledged post", || (post() == 200).then_some(()));
    assert_eq!(post(), 200);
    assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message = 'only once'"), 1);
    writer.keep(address, "All is well.");
}

/// A primary crashes and its standby is promoted. Acknowledged writes are kept, all others get a 503, and writes resume without intervention.
#[test]
fn a_promoted_standby_takes_over() {
    let Some(primary) = PostgresServer::start() else { return };
    let wire = SlowWire::before(&primary.url(), Duration::ZERO);
    let backend = Cruddur::service("backend", &[("DATABASE_URL", &wire.url)]);
    let address = backend.backend.as_str();
    let writer = Writer::at(address);
    let standby = primary.standby();
    // From here on, only what the standby has is acknowledged.
    primary.set("synchronous_standby_names", "*");
    let (over, unavailable, acknowledged) = (AtomicBool::new(false), AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..WRITERS {
            scope.spawn(|| {
                while !over.load(Relaxed) {
                    let answer = writer.post(address, "Is this kept?").unwrap();
                    match answer.status {
                        200 => acknowledged.lock().unwrap().push(kept(&answer)),
                        503 => drop(unavailable.fetch_add(1, Relaxed)),
                        other => {
                            over.store(true, Relaxed);
                            panic!("{other}: {}", String::from_utf8_lossy(&answer.body));
                        }
                    }
                }
            });
        }
        let _over = StopOnDrop(&over);
        let more = |what: &str, count: &dyn Fn() -> usize| {
            let before = count();
            eventually(what, || (over.load(Relaxed) || count() >= before + 2 * WRITERS).then_some(()));
        };
        let posts = || acknowledged.lock().unwrap().len();
        more("acknowledged posts before", &posts);
        primary.stop();
        more("posts answered 503 without a server", &|| unavailable.load(Relaxed));
        wire.cut();
        wire.lead_to(&standby.url());
        wire.restore();
        // The standby accepts connections, but no writes.
        backend.wait_for_log("cannot execute ");
        more("posts answered 503 at a standby", &|| unavailable.load(Relaxed));
        assert_eq!(http::get(&format!("{address}/api/activities/home")).status, 200, "a standby is read");
        standby.promote();
        more("acknowledged posts after", &posts);
    });
    let acknowledged = acknowledged.into_inner().unwrap();
    assert_eq!(Witness::of(&standby.url()).missing(&acknowledged), Vec::<Uuid>::new());
}
