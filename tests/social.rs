//! How users act on each other's cruds, over HTTP: likes, reposts, replies, notifications, messages, deletion, and idempotency.

use std::thread;

use serde_json::{Value, json};

use crate::support::{engines, http};

fn uuid(of: &Value) -> &str {
    of["uuid"].as_str().unwrap()
}

#[test]
fn a_like_counts_once_and_notifies_the_author() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let crud = me.crud("like this");
        for (kind, count) in [("like", "likes_count"), ("repost", "reposts_count")] {
            let path = format!("/api/activities/{}/{kind}", uuid(&crud));
            for person in [&other, &other, &me] {
                assert_eq!(person.post(&path, &json!({})).status, 200);
            }
            assert_eq!(other.post(&path, &json!({})).json()[count], 2, "{kind}: each once");
            for _ in 0..2 {
                assert_eq!(me.request("DELETE", &path).json()[count], 1);
            }
        }
        let reply = other.post(&format!("/api/activities/{}/reply", uuid(&crud)), &json!({"message": "nice"})).json();
        let notifications = me.get("/api/activities/notifications").json();
        let about: Vec<_> =
            notifications.as_array().unwrap().iter().map(|one| (&one["notification"]["kind"], uuid(one))).collect();
        let expected =
            [(&json!("reply"), uuid(&reply)), (&json!("repost"), uuid(&crud)), (&json!("like"), uuid(&crud))];
        assert_eq!(about, expected, "newest first, without one's own acts");
        assert_eq!(notifications[0]["notification"]["handle"], json!(other.handle));
        let first = me.get("/api/activities/notifications?limit=1");
        let next = first.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
        assert_eq!(me.get(&next).json()[0], notifications[1]);
        assert_eq!(other.get("/api/activities/notifications").json(), json!([]));
        assert_eq!(me.post("/api/activities/01a2037a-94ce-7187-931e-c272fb321aa0/like", &json!({})).status, 404);
    });
}

#[test]
fn a_crud_is_deleted_with_its_dependants() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let crud = me.crud("away with #thisone");
        let path = format!("/api/activities/{}", uuid(&crud));
        let reply = other.post(&format!("{path}/reply"), &json!({"message": "why #thisone?"})).json();
        let of_reply = format!("/api/activities/{}", uuid(&reply));
        assert_eq!(me.request("DELETE", &of_reply).status, 403, "a reply belongs to its author");
        assert_eq!(other.request("DELETE", &of_reply).status, 204);
        assert_eq!(me.get(&path).json()["replies_count"], 0);
        other.post(&format!("{path}/reply"), &json!({"message": "once more"}));
        other.post(&format!("{path}/like"), &json!({}));
        assert_eq!(me.request("DELETE", &path).status, 204);
        assert_eq!((me.get(&path).status, me.request("DELETE", &path).status), (404, 404));
        assert_eq!(me.get("/api/activities/search?term=thisone").json(), json!([]));
        assert_eq!(me.get("/api/activities/notifications").json(), json!([]));
        assert_eq!(other.get(&format!("/api/activities/@{}", other.handle)).json()["activities"], json!([]));
        assert!(me.get("/api/trending").json().as_array().unwrap().iter().all(|trend| trend["hashtag"] != "thisone"));
    });
}

/// Each request succeeds, or finds that the crud no longer exists.
#[test]
fn a_crud_can_be_deleted_while_others_act_on_it() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        for round in 0..40 {
            let crud = format!("/api/activities/{}", uuid(&me.crud("not for long")));
            for person in [&me, &other] {
                assert_eq!(person.post(&format!("{crud}/like"), &json!({})).status, 200);
            }
            let reply = other.post(&format!("{crud}/reply"), &json!({"message": "why?"})).json();
            let reply = format!("/api/activities/{}", uuid(&reply));
            let requests = [
                (&me, "DELETE", crud.clone()),
                (&me, "DELETE", crud.clone()),
                (&other, "DELETE", reply.clone()),
                (&me, "DELETE", format!("{crud}/like")),
                (&other, "DELETE", format!("{crud}/like")),
                (&me, "POST", format!("{crud}/repost")),
                (&other, "POST", format!("{crud}/repost")),
                (&me, "POST", format!("{reply}/like")),
            ];
            let statuses = thread::scope(|scope| {
                let threads = requests.each_ref().map(|(person, method, path)| {
                    scope.spawn(move || match *method {
                        "POST" => person.post(path, &json!({})).status,
                        method => person.request(method, path).status,
                    })
                });
                threads.map(|thread| thread.join().unwrap())
            });
            let context = || format!("round {round}: {statuses:?}");
            assert!(statuses.iter().all(|status| [200, 204, 404].contains(status)), "{}", context());
            let deleted = statuses[..2].iter().filter(|status| **status == 204).count();
            assert_eq!(deleted, 1, "once, {}", context());
        }
    });
}

#[test]
fn a_crud_comes_with_its_newest_remaining_replies() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let crud = me.crud("many say something");
        let path = format!("/api/activities/{}", uuid(&crud));
        let reply = |number: usize| {
            let reply = me.post(&format!("{path}/reply"), &json!({"message": format!("reply {number}")})).json();
            uuid(&reply).to_owned()
        };
        let replies: Vec<String> = (0..25).map(reply).collect();
        let at_home = || {
            let home = me.get("/api/activities/home?limit=100").json();
            home.as_array().unwrap().iter().find(|thread| thread["uuid"] == crud["uuid"]).unwrap().clone()
        };
        let shown = |thread: &Value| -> Vec<String> {
            thread["replies"].as_array().unwrap().iter().map(|reply| uuid(reply).to_owned()).collect()
        };
        let newest = |left: &[String]| left.iter().rev().take(20).cloned().collect::<Vec<_>>();
        // Older ones are on further pages, each exactly once.
        let status = format!("/api/activities/@{}/status/{}", me.handle, uuid(&crud));
        for first in [path.clone(), status, format!("{path}?limit=7")] {
            let (mut next, mut all) = (first, Vec::new());
            while !next.is_empty() {
                let page = me.get(&next);
                all.extend(shown(&page.json()));
                next = page.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
            }
            assert_eq!(all, replies.iter().rev().cloned().collect::<Vec<_>>());
        }
        assert_eq!(me.get(&format!("{path}?limit=0")).status, 400);
        for left in [25, 22, 20, 5, 0] {
            for gone in &replies[left..] {
                me.request("DELETE", &format!("/api/activities/{gone}"));
            }
            let thread = at_home();
            assert_eq!((&thread["replies_count"], shown(&thread)), (&json!(left), newest(&replies[..left])));
            assert_eq!(shown(&me.get(&path).json()), newest(&replies[..left]));
        }
    });
}

#[test]
fn two_users_share_one_conversation() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let sent = me.post("/api/messages", &json!({"message": "hello", "user_receiver_handle": other.handle}));
        let group = sent.json()["message_group_uuid"].as_str().unwrap().to_owned();
        assert_eq!(sent.header("location"), format!("/api/messages/{group}"));
        let back = other.post("/api/messages", &json!({"message": "hi", "handle": format!("@{}", me.handle)})).json();
        assert_eq!(back["message_group_uuid"], json!(group));
        me.post("/api/messages", &json!({"message": "how are you?", "message_group_uuid": group}));

        let messages = other.get(&format!("/api/messages/@{}", me.handle)).json();
        let texts: Vec<_> = messages.as_array().unwrap().iter().map(|one| one["message"].as_str().unwrap()).collect();
        assert_eq!(texts, ["hello", "hi", "how are you?"], "oldest first");
        assert_eq!(me.get(&format!("/api/messages/{group}")).json(), messages);
        let newest = me.get(&format!("/api/messages/{group}?limit=2"));
        assert_eq!(newest.json()[0]["message"], "hi", "the newest of them, oldest first");
        let older = newest.header("link").trim_start_matches('<').split('>').next().unwrap().to_owned();
        assert_eq!(me.get(&older).json()[0]["message"], "hello");

        let groups = other.get("/api/message_groups").json();
        assert_eq!(groups.as_array().unwrap().len(), 1);
        let one = &groups[0];
        assert_eq!(
            (&one["uuid"], &one["handle"], &one["message"]),
            (&json!(group), &json!(me.handle), &json!("how are you?"))
        );
        for key in ["uuid", "display_name", "handle", "message", "created_at"] {
            assert!(one[key].is_string() && messages[0][key].is_string(), "{key}");
        }
        me.post("/api/messages", &json!({"message": "hi", "handle": "londo"}));
        let order = me.get("/api/message_groups").json();
        assert_eq!((&order[0]["handle"], &order[1]["handle"]), (&json!("londo"), &json!(other.handle)));
    });
}

#[test]
fn a_refused_message_has_a_reason() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        for (body, codes) in [
            (json!({}), json!(["message_blank", "user_reciever_handle_blank"])),
            (json!({"message": "x".repeat(1_025), "handle": "bayko"}), json!(["message_exceed_max_chars"])),
            (json!({"message": "x", "user_receiver_handle": " @ "}), json!(["user_reciever_handle_blank"])),
            (json!({"message": "x", "message_group_uuid": ""}), json!(["message_group_uuid_blank"])),
        ] {
            let answer = me.post("/api/messages", &body);
            assert_eq!((answer.status, answer.json()), (422, codes), "{body}");
        }
        for body in [
            json!({"message": "x", "handle": "nobody_at_all"}),
            json!({"message": "x", "message_group_uuid": "01a2037a-94ce-7187-931e-c272fb321aa0"}),
            json!({"message": "x", "message_group_uuid": "no uuid"}),
        ] {
            assert_eq!(me.post("/api/messages", &body).status, 404, "{body}");
        }
        assert_eq!(me.get("/api/messages/01a2037a-94ce-7187-931e-c272fb321aa0").status, 404);
        assert_eq!(me.get("/api/messages/@nobody_at_all").status, 404);
    });
}

#[test]
fn a_repeated_request_with_a_key_acts_once() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let key = [("idempotency-key", "8e03978e-40d5-43e8-bc93-6894a57f9324")];
        let crud = json!({"message": "once #only", "ttl": "1-hour"});
        let first = me.post_with("/api/activities", &key, &crud);
        let again = me.post_with("/api/activities", &key, &json!({"ttl": "1-hour", "message": "once #only"}));
        assert_eq!(
            (again.status, again.json(), again.header("location")),
            (200, first.json(), first.header("location"))
        );
        let found = me.get("/api/activities/search?term=%23only").json();
        assert_eq!(found.as_array().unwrap().len(), 1);
        let changed = me.post_with("/api/activities", &key, &json!({"message": "twice", "ttl": "1-hour"}));
        assert_eq!(changed.status, 409);
        let theirs = other.post_with("/api/activities", &key, &crud);
        assert_ne!(theirs.json()["uuid"], first.json()["uuid"], "a key belongs to one user");

        let path = format!("/api/activities/{}/reply", uuid(&first.json()));
        let reply = [("idempotency-key", "a-reply")];
        let replied: Vec<_> = (0..2).map(|_| me.post_with(&path, &reply, &json!({"message": "re"})).json()).collect();
        assert_eq!(replied[0], replied[1]);
        assert_eq!(me.get(&format!("/api/activities/{}", uuid(&first.json()))).json()["replies_count"], 1);
        let gone = [("idempotency-key", "to-nothing")];
        let nothing = "/api/activities/01a2037a-94ce-7187-931e-c272fb321aa0/reply";
        assert_eq!(me.post_with(nothing, &gone, &json!({"message": "re"})).status, 404);

        let message = [("idempotency-key", "a-message")];
        let body = json!({"message": "only once", "handle": other.handle});
        let sent: Vec<_> = (0..2).map(|_| me.post_with("/api/messages", &message, &body).json()).collect();
        assert_eq!(sent[0], sent[1]);
        assert_eq!(other.get(&format!("/api/messages/@{}", me.handle)).json().as_array().unwrap().len(), 1);
        for key in ["", "a b", &"x".repeat(256)] {
            assert_eq!(me.post_with("/api/activities", &[("idempotency-key", key)], &crud).status, 400, "{key}");
        }
    });
}

/// With simultaneous requests too: a later request waits for the first one's response.
#[test]
fn simultaneous_requests_with_a_key_act_once() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let key = [("idempotency-key", "all-at-once")];
        let post = || me.post_with("/api/activities", &key, &json!({"message": "a #crowd", "ttl": "1-hour"}));
        let answers: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(post)).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).collect()
        });
        for answer in &answers {
            assert_eq!((answer.status, answer.json()), (200, answers[0].json()));
        }
        assert_eq!(me.get("/api/activities/search?term=%23crowd").json().as_array().unwrap().len(), 1);
    });
}

#[test]
fn authors_whom_a_user_liked_are_not_suggested() {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let crud = other.crud("read me");
        let handles = || -> Vec<String> {
            let users = me.get("/api/users/suggested").json();
            users.as_array().unwrap().iter().map(|user| user["handle"].as_str().unwrap().to_owned()).collect()
        };
        let before = handles();
        assert!(before.contains(&other.handle) && !before.contains(&me.handle), "{before:?}");
        me.post(&format!("/api/activities/{}/like", uuid(&crud)), &json!({}));
        assert!(!handles().contains(&other.handle));
        let anyone = http::get(&format!("{}/api/users/suggested", cruddur.backend)).json();
        assert!(anyone.as_array().unwrap().iter().any(|user| user["handle"] == json!(me.handle)));
        let short = http::get(&format!("{}/api/users/@{}/short", cruddur.backend, me.handle)).json();
        assert_eq!(
            short,
            json!({"uuid": me.uuid, "handle": me.handle, "display_name": format!("Person {}", me.handle)})
        );
        assert_eq!(http::get(&format!("{}/api/users/@nobody/short", cruddur.backend)).status, 404);
    });
}
