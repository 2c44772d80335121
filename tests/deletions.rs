//! Deletions with many dependent rows: however many replies and likes a crud has, its owner can delete it, and it goes once it has expired. A row that
//! cannot be deleted stops no other deletion.

use crate::support::cruddur::Cruddur;
use crate::support::engines;
use crate::support::eventually;
use crate::support::person::Person;
use crate::support::witness::Witness;

const STUCK_POSTGRESQL: &str = "CREATE FUNCTION stuck() RETURNS trigger LANGUAGE plpgsql AS \
     $$ BEGIN RAISE EXCEPTION 'this row is stuck'; END $$; \
     CREATE TRIGGER stuck BEFORE DELETE ON activities FOR EACH ROW WHEN (OLD.message = 'stuck') EXECUTE FUNCTION stuck()";
const STUCK_SQLITE: &str = "CREATE TRIGGER stuck BEFORE DELETE ON activities WHEN OLD.message = 'stuck' \
     BEGIN SELECT RAISE(ABORT, 'this row is stuck'); END";

/// An SQL expression for the id of number `n` of a kind.
fn id(witness: &Witness, kind: u8) -> String {
    if witness.is_sqlite() {
        format!("CAST(printf('{kind}%015d', n) AS BLOB)")
    } else {
        format!("('{kind}' || lpad(n::text, 31, '0'))::uuid")
    }
}

/// Gives the crud with this message `count` replies, each with a like and a word.
fn fill(witness: &Witness, message: &str, kind: u8, count: u32) {
    let id = id(witness, kind);
    let numbers =
        format!("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})");
    witness.execute(&format!(
        "{numbers} INSERT INTO activities \
             (uuid, user_uuid, message, created_at, expires_at, reply_to_activity_uuid, reply_number, likes_count) \
         SELECT {id}, p.user_uuid, 'reply {kind} ' || n, p.created_at, p.expires_at, p.uuid, n, 1 \
         FROM numbers CROSS JOIN activities p WHERE p.message = '{message}'"
    ));
    let replies = format!("activities WHERE message LIKE 'reply {kind} %'");
    witness.execute(&format!(
        "INSERT INTO reactions (activity_uuid, user_uuid, kind, uuid, created_at) \
         SELECT uuid, user_uuid, 'like', uuid, created_at FROM {replies}"
    ));
    witness.execute(&format!(
        "INSERT INTO words (word, created_at, activity_uuid, expires_at, hashtag) \
         SELECT 'reply', created_at, uuid, expires_at, false FROM {replies}"
    ));
    witness.execute(&format!(
        "UPDATE activities SET replies_count = {count}, replies_made = {count} WHERE message = '{message}'"
    ));
}

/// Adds likes from `count` users made for this purpose.
fn like(witness: &Witness, message: &str, count: u32) {
    let id = id(witness, 9);
    let numbers =
        format!("WITH RECURSIVE numbers(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM numbers WHERE n < {count})");
    witness.execute(&format!(
        "{numbers} INSERT INTO users (uuid, handle, display_name, email, bio, created_at) \
         SELECT {id}, 'liker' || n, 'Liker', 'liker' || n, '', '2026-01-01T00:00:00+00:00' FROM numbers"
    ));
    witness.execute(&format!(
        "INSERT INTO reactions (activity_uuid, user_uuid, kind, uuid, created_at) \
         SELECT a.uuid, u.uuid, 'like', u.uuid, u.created_at FROM activities a CROSS JOIN users u \
         WHERE a.message = '{message}' AND u.display_name = 'Liker'"
    ));
    witness.execute(&format!("UPDATE activities SET likes_count = {count} WHERE message = '{message}'"));
}

fn delete(me: &Person, crud: &serde_json::Value) -> u16 {
    me.request("DELETE", &format!("/api/activities/{}", crud["uuid"].as_str().unwrap())).status
}

#[test]
fn a_crud_with_thousands_of_replies_or_likes_can_be_deleted_and_expires() {
    engines::each_database(|url| {
        let backend = Cruddur::service("backend", &[("DATABASE_URL", url)]);
        let (witness, me) = (Witness::of(url), backend.person());
        let [replied, liked] = ["many replies", "many likes"].map(|message| me.crud(message));
        let light = me.crud("few replies");
        for message in ["that expires", "stuck", "expired among others"] {
            me.crud(message);
        }
        fill(&witness, "many replies", 1, 20_000);
        fill(&witness, "that expires", 2, 5_000);
        fill(&witness, "few replies", 3, 100);
        like(&witness, "many likes", 2_000);
        if !witness.is_sqlite() {
            // As on a server in use: according to the statistics, nearly all replies are to one crud.
            witness.execute("ANALYZE");
        }
        witness.execute(if witness.is_sqlite() { STUCK_SQLITE } else { STUCK_POSTGRESQL });
        witness.execute(
            "UPDATE activities SET expires_at = '2026-01-01T00:00:00+00:00' \
             WHERE message IN ('that expires', 'stuck', 'expired among others') OR message LIKE 'reply 2 %'",
        );
        witness.execute(
            "INSERT INTO sessions (token_hash, user_uuid, created_at, expires_at) \
             SELECT 'expired', uuid, created_at, '2026-01-01T00:00:00+00:00' FROM users WHERE handle = 'andrewbrown'",
        );

        assert_eq!(delete(&me, &light), 204);
        assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message LIKE 'reply 3 %'"), 0, "at once");
        assert_eq!(delete(&me, &liked), 204);
        assert_eq!(delete(&me, &replied), 204);
        assert_eq!(delete(&me, &replied), 404);
        assert_eq!(me.get("/api/activities/search?term=reply").json().as_array().unwrap().len(), 0);
        let profile = me.get(&format!("/api/activities/@{}", me.handle)).json();
        assert_eq!(profile["activities"].as_array().map_or(0, Vec::len), 0, "{profile}");

        eventually("the end of all that expired or was deleted", || {
            let left = "SELECT count(*) FROM activities WHERE message LIKE 'reply %' OR message LIKE 'many %' OR message LIKE '%expire%'";
            (witness.number(left) == 0).then_some(())
        });
        eventually("the end of an expired session", || {
            (witness.number("SELECT count(*) FROM sessions WHERE token_hash = 'expired'") == 0).then_some(())
        });
        assert_eq!(witness.number("SELECT count(*) FROM reactions WHERE kind = 'like'"), 0);
        assert_eq!(witness.number("SELECT count(*) FROM activities WHERE message = 'stuck'"), 1);
        let errors = backend.stderr();
        assert_eq!(errors.matches("cannot delete some expired rows").count(), 1, "{errors}");
        assert_eq!(me.crud("and later")["message"], "and later");
    });
}
