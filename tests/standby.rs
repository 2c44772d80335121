//! A PostgreSQL server with a standby: one that is away costs no sessions, and one that takes over is found without a restart.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use serde_json::json;

use crate::support::cruddur::Cruddur;
use crate::support::postgres_server::PostgresServer;
use crate::support::witness::Witness;
use crate::support::writer::Writer;
use crate::support::{eventually, http};

const WRITERS: usize = 8;
/// What the backend may have at its server in all, and for writing.
const SESSIONS: [i64; 2] = [12, 4];

/// A COMMIT that waits for a standby is ended by no time limit, and does not notice that its client is gone.
#[test]
fn a_standby_that_is_away_costs_no_sessions() {
    let Some(server) = PostgresServer::start() else { return };
    let url = server.url();
    let backend = Cruddur::service("backend", &[("DATABASE_URL", &url)]);
    let address = backend.backend.as_str();
    let (writer, me, witness) = (Writer::at(address), backend.person(), Witness::of(&url));
    server.set("synchronous_standby_names", "nobody");
    let (over, put_off) = (AtomicBool::new(false), [const { AtomicUsize::new(0) }; WRITERS]);
    let retried = json!({"message": "only once", "ttl": "1-day"});
    let post = || me.post_with("/api/activities", &[("idempotency-key", "only-once")], &retried).status;
    // The server acknowledges nothing any more once it has read its configuration again.
    eventually("a post that is put off", || (post() == 503).then_some(()));
    thread::scope(|scope| {
        for count in &put_off {
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
        // Long enough for each writer's place to have been given up more than once.
        eventually("posts that are put off", || {
            let sessions = [all, write].map(|count| witness.number(count));
            let within = sessions[0] <= SESSIONS[0] && sessions[1] <= SESSIONS[1];
            if !within {
                over.store(true, Relaxed);
            }
            assert!(within, "{sessions:?} sessions");
            put_off.iter().all(|count| count.load(Relaxed) >= 12).then_some(())
        });
        assert_eq!(http::get(&format!("{address}/api/activities/home")).status, 200, "reads go on");
        over.store(true, Relaxed);
    });
    server.set("synchronous_standby_names", "");
    eventually("a post that is acknowledged", || (post() == 200).then_some(()));
    assert_eq!(post(), 200);
    assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message = 'only once'"), 1);
    writer.keep(address, "All is well.");
}
