//! Prepared statements that the server no longer runs, because an operator has changed a table meanwhile: no client
//! notices, and nothing is written twice.

use std::thread;

use serde_json::json;

use crate::support::cruddur::Cruddur;
use crate::support::person::Person;
use crate::support::postgres;
use crate::support::witness::Witness;

/// More clients than the backend has connections, and few enough that none waits for long on a busy machine.
const CLIENTS: usize = 6;
const CONNECTIONS: (&str, &str) = ("CRUDDUR_DATABASE_CONNECTIONS", "4");

/// Each client's requests: a statement of every kind, on every connection that the backend has. The second reply reuses an idempotency key.
fn act(me: &Person, round: &str, client: usize) {
    let crud = me.crud(&format!("crud {round} {client}"));
    let crud = format!("/api/activities/{}", crud["uuid"].as_str().unwrap());
    let reply = json!({"message": format!("reply {round} {client}")});
    for _ in 0..2 {
        let key = format!("{round}-{client}");
        let answer = me.post_with(&format!("{crud}/reply"), &[("idempotency-key", &key)], &reply);
        assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    }
    assert_eq!(me.post(&format!("{crud}/like"), &json!({})).status, 200);
    let sent = me.post("/api/messages", &json!({"message": "hello", "handle": "andrewbrown"}));
    assert_eq!(sent.status, 200, "{}", String::from_utf8_lossy(&sent.body));
    for path in ["/api/activities/home", "/api/activities/notifications", "/api/message_groups", "/api/auth/me", &crud]
    {
        let answer = me.get(path);
        assert_eq!(answer.status, 200, "{path} {}", String::from_utf8_lossy(&answer.body));
    }
    assert_eq!(me.request("DELETE", &format!("{crud}/like")).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_table_change_under_prepared_statements_fails_no_request() {
    let Some(url) = postgres::database().await else { return };
    tokio::task::block_in_place(|| {
        let backend = Cruddur::service("backend", &[("DATABASE_URL", &url), CONNECTIONS]);
        let (me, witness) = (backend.person(), Witness::of(&url));
        let all = |round: &str| {
            thread::scope(|scope| {
                for client in 0..CLIENTS {
                    let me = &me;
                    scope.spawn(move || act(me, round, client));
                }
            });
        };
        all("before");
        // Each change alters the result type of some statement of a read and of a write.
        for change in [
            "ALTER TABLE activities ALTER COLUMN message TYPE varchar(1000)",
            "ALTER TABLE activities ALTER COLUMN expires_at TYPE timestamptz(6)",
            "ALTER TABLE users ALTER COLUMN display_name TYPE varchar(200)",
            "ALTER TABLE idempotency_keys ALTER COLUMN answer TYPE varchar(100000)",
            "ALTER TABLE sessions ALTER COLUMN created_at TYPE timestamptz(6)",
        ] {
            witness.execute(change);
        }
        all("after");
        let clients = i64::try_from(CLIENTS).unwrap();
        assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message LIKE 'crud %'"), 2 * clients);
        assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message LIKE 'reply %'"), 2 * clients);
        assert_eq!(
            witness.number("SELECT sum(replies_count)::bigint FROM activities WHERE message LIKE 'crud %'"),
            2 * clients
        );
    });
}
