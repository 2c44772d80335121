//! Accounts over HTTP: which sign-ins and sessions are accepted or refused, and what a session may do.

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::http::{Answer, JSON};
use crate::support::person::{PASSWORD, Person};
use crate::support::{Folder, engines, http};

fn sign_up(cruddur: &Cruddur, handle: &str, email: &str) -> Answer {
    let account = json!({"handle": handle, "display_name": "Somebody", "email": email, "password": PASSWORD});
    http::post(&format!("{}/api/auth/signup", cruddur.backend), &account)
}

fn sign_in(cruddur: &Cruddur, body: &Value) -> Answer {
    http::post(&format!("{}/api/auth/signin", cruddur.backend), body)
}

#[test]
fn a_sign_up_signs_in_and_allows_later_sign_ins() {
    engines::each(&[], |cruddur| {
        let answer = sign_up(cruddur, " @Zed ", "Zed@Example.com");
        let cookie = answer.header("set-cookie").to_owned();
        for part in ["HttpOnly", "SameSite=Lax", "Path=/", "Max-Age="] {
            assert!(cookie.contains(part), "{cookie}");
        }
        assert!(!cookie.contains("Secure"), "a browser drops it over HTTP: {cookie}");
        let zed = Person::answered(&cruddur.backend, &answer);
        assert_eq!(
            zed.get("/api/auth/me").json(),
            json!({"uuid": zed.uuid, "handle": "zed", "display_name": "Somebody", "bio": "", "email": "zed@example.com"})
        );
        for login in ["zed", "@ZED", "zed@example.com"] {
            assert_eq!(sign_in(cruddur, &json!({"login": login, "password": PASSWORD})).json(), answer.json());
        }
        for (handle, email) in [("zed", "other@example.com"), ("other", "zed@example.com"), ("ZED", "ZED@example.com")]
        {
            assert_eq!(sign_up(cruddur, handle, email).status, 409, "{handle} {email}");
        }
    });
}

#[test]
fn a_cookie_is_secure_behind_https() {
    let data = Folder::new();
    let cruddur = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let zed = cruddur.person();
    let body = json!({"login": zed.handle, "password": PASSWORD}).to_string();
    let headers = [JSON, ("x-forwarded-proto", "https")];
    let answer = http::send(&format!("{}/api/auth/signin", cruddur.backend), &headers, body.as_bytes());
    assert!(answer.header("set-cookie").contains("; Secure"), "{}", answer.header("set-cookie"));
}

#[test]
fn signing_out_ends_that_session_alone() {
    engines::each(&[], |cruddur| {
        let here = cruddur.person();
        let elsewhere = sign_in(cruddur, &json!({"login": here.handle, "password": PASSWORD}));
        let elsewhere = Person::answered(&cruddur.backend, &elsewhere);
        assert_ne!(here.cookie, elsewhere.cookie);
        let out = here.post("/api/auth/signout", &json!({}));
        assert_eq!(out.status, 204);
        assert!(out.header("set-cookie").contains("Max-Age=0"), "{}", out.header("set-cookie"));
        assert_eq!(here.get("/api/auth/me").status, 401);
        assert_eq!(elsewhere.get("/api/auth/me").status, 200);
        // A sign-in with a session's cookie ends that session.
        let again = json!({"login": elsewhere.handle, "password": PASSWORD});
        assert_eq!(elsewhere.post("/api/auth/signin", &again).status, 200);
        assert_eq!(elsewhere.get("/api/auth/me").status, 401);
    });
}

#[test]
fn a_session_token_works_as_a_bearer_token_and_a_wrong_one_does_not() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let token = me.cookie.split_once('=').unwrap().1;
        let send = |value: &str| {
            http::request("GET", &format!("{}/api/auth/me", cruddur.backend), &[("authorization", value)])
        };
        assert_eq!(send(&format!("Bearer {token}")).status, 200);
        for value in ["Bearer", "Bearer ", "Basic eDp5", "Bearer x", &format!("Bearer {}", token.to_lowercase())] {
            let answer = send(value);
            assert_eq!(
                (answer.status, answer.header("www-authenticate")),
                (401, "Bearer realm=\"cruddur\""),
                "{value}"
            );
        }
    });
}

#[test]
fn an_invalid_input_is_reported_in_codes() {
    engines::each(&[], |cruddur| {
        let wrong = [
            ("signup", json!({}), json!(["handle_blank", "display_name_blank", "email_blank", "password_blank"])),
            (
                "signup",
                json!({"handle": "a b", "display_name": "x".repeat(51), "email": "a@b", "password": "short"}),
                json!(["handle_invalid", "display_name_exceed_max_chars", "email_invalid", "password_too_short"]),
            ),
            ("signin", json!({}), json!(["login_blank", "password_blank"])),
            ("signin", json!({"login": "zed", "password": "x".repeat(257)}), json!(["password_exceed_max_chars"])),
        ];
        for (route, body, codes) in wrong {
            let answer = http::post(&format!("{}/api/auth/{route}", cruddur.backend), &body);
            assert_eq!((answer.status, answer.json()), (422, codes), "{route} {body}");
        }
        let me = cruddur.person();
        let update = me.post("/api/profile/update", &json!({"display_name": " ", "bio": "x".repeat(161)}));
        assert_eq!((update.status, update.json()), (422, json!(["display_name_blank", "bio_exceed_max_chars"])));
        let update = me.post("/api/profile/update", &json!({"display_name": "New", "bio": "about\nme"})).json();
        assert_eq!(
            (&update["display_name"], &update["bio"], &update["cruds_count"]),
            (&json!("New"), &json!("about\nme"), &json!(0))
        );
    });
}

/// Neither the response nor the count of attempts reveals whether the login exists.
#[test]
fn password_guesses_are_bounded() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        for login in [me.handle.as_str(), "nobody"] {
            let guess = || sign_in(cruddur, &json!({"login": login, "password": "a wrong one"}));
            for _ in 0..10 {
                let answer = guess();
                assert_eq!((answer.status, &answer.json()["detail"]), (401, &json!("wrong login or password")));
            }
            let answer = guess();
            assert_eq!(answer.status, 429, "{login}");
            let seconds: u64 = answer.header("retry-after").parse().unwrap();
            assert!((1..=901).contains(&seconds), "{seconds}");
        }
        let right = json!({"login": me.handle, "password": PASSWORD});
        assert_eq!(sign_in(cruddur, &right).status, 429, "the correct one too, from that address");
        let headers = [JSON, ("x-forwarded-for", "192.0.2.7")];
        let url = format!("{}/api/auth/signin", cruddur.backend);
        let elsewhere = http::send(&url, &headers, right.to_string().as_bytes());
        assert_eq!(elsewhere.status, 200, "guesses from one address lock out no other");
    });
}

#[test]
fn a_correct_password_resets_the_count_of_guesses() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        for _ in 0..3 {
            for password in ["a wrong one", "another", "yet another", "and one more", "the last", PASSWORD] {
                let answer = sign_in(cruddur, &json!({"login": me.handle, "password": password}));
                assert_eq!(answer.status, if password == PASSWORD { 200 } else { 401 });
            }
        }
    });
}

/// Guarantee 14, first part: every route of one user's data refuses all other users.
#[test]
fn a_user_cannot_act_for_another() {
    engines::each(&[], |cruddur| {
        let (me, another) = (cruddur.person(), cruddur.person());
        let crud = me.crud("mine")["uuid"].as_str().unwrap().to_owned();
        let sent = me.post("/api/messages", &json!({"message": "between us", "handle": "bayko"})).json();
        let group = sent["message_group_uuid"].as_str().unwrap();

        assert_eq!(another.request("DELETE", &format!("/api/activities/{crud}")).status, 403);
        assert_eq!(another.get(&format!("/api/messages/{group}")).status, 403);
        let into = another.post("/api/messages", &json!({"message": "hello?", "message_group_uuid": group}));
        assert_eq!(into.status, 403);
        assert_eq!(another.get("/api/messages/@bayko").json(), json!([]));
        assert_eq!(another.get("/api/message_groups").json(), json!([]));
        assert_eq!(me.get(&format!("/api/messages/{group}")).json().as_array().unwrap().len(), 1);

        // A user named in a body is ignored.
        let assigned = json!({
            "message": "x", "ttl": "1-hour", "user_uuid": me.uuid, "handle": me.handle, "uuid": crud,
            "likes_count": 1_000, "created_at": "2000-01-01T00:00:00Z",
        });
        let made = another.post("/api/activities", &assigned).json();
        assert_eq!((&made["handle"], &made["likes_count"]), (&json!(another.handle), &json!(0)));
        assert!(made["uuid"] != crud && made["created_at"].as_str().unwrap().starts_with("20"), "{made}");

        let url = |path: &str| format!("{}{path}", cruddur.backend);
        for (method, path) in [
            ("POST", "/api/activities".to_owned()),
            ("DELETE", format!("/api/activities/{crud}")),
            ("POST", format!("/api/activities/{crud}/reply")),
            ("POST", format!("/api/activities/{crud}/like")),
            ("DELETE", format!("/api/activities/{crud}/like")),
            ("POST", format!("/api/activities/{crud}/repost")),
            ("DELETE", format!("/api/activities/{crud}/repost")),
            ("GET", "/api/activities/notifications".to_owned()),
            ("GET", "/api/message_groups".to_owned()),
            ("GET", format!("/api/messages/{group}")),
            ("GET", "/api/messages/@bayko".to_owned()),
            ("POST", "/api/messages".to_owned()),
            ("POST", "/api/profile/update".to_owned()),
            ("PUT", "/api/profile/update".to_owned()),
            ("GET", "/api/auth/me".to_owned()),
        ] {
            assert_eq!(http::request(method, &url(&path), &[]).status, 401, "{method} {path}");
        }
        assert_eq!(me.get(&format!("/api/activities/{crud}")).status, 200, "the other user's data still exists");
    });
}

#[test]
fn the_sign_in_link_works_once() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let link = cruddur.sign_in.clone();
    let (page, token) = link.split_once("/#/sign-in/").unwrap();
    assert_eq!(page, cruddur.page);
    let redeem = || cruddur.post("/api/auth/signin", &json!({"token": token}));
    let visitor = Person::answered(&cruddur.page, &redeem());
    assert_eq!(visitor.handle, "andrewbrown");
    assert_eq!(visitor.get("/api/message_groups").json()[0]["handle"], "bayko");
    assert_eq!(redeem().status, 401, "it works once");
    assert_eq!(cruddur.post("/api/auth/signin", &json!({"token": "guessed"})).status, 401);
    let ended = cruddur.stop();
    assert!(!ended.errors.contains(token), "the token is on standard output alone");
    assert_eq!(ended.errors.matches("shown only once").count(), 1);
    let again = Cruddur::up(&data, &[]);
    assert!(!again.stop().errors.contains("shown only once"));
}
