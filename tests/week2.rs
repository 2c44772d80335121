//! The bootcamp's unmodified React frontend of week 2: its sign-in is a mock, and its requests carry no credentials. The tests make each request of its
//! pages as a browser does, and check the fields that the pages read in the responses.

use fantoccini::Locator;
use serde_json::{Value, json};

use crate::support::browser::Browser;
use crate::support::cruddur::{Cruddur, run};
use crate::support::http::{self, Answer, JSON};
use crate::support::{Folder, engines};

const FRONTEND: &str = "http://localhost:3000";
const WEEK2: [(&str, &str); 2] = [("CRUDDUR_API", "week2"), ("FRONTEND_URL", FRONTEND)];

const ACTIVITY: [&str; 6] = ["uuid", "display_name", "handle", "message", "created_at", "expires_at"];
const COUNTS: [&str; 3] = ["likes_count", "replies_count", "reposts_count"];
const MESSAGE: [&str; 5] = ["uuid", "display_name", "handle", "message", "created_at"];

/// A page in a browser: it can read a response only if the response names the page's origin.
struct FrontendPage<'a> {
    base: &'a str,
    origin: &'a str,
}

impl FrontendPage<'_> {
    fn get(&self, path: &str) -> Value {
        let answer = self.try_get(path);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, self.origin), "{path}");
        answer.json()
    }

    fn try_get(&self, path: &str) -> Answer {
        let headers = [("origin", self.origin), ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")];
        http::request("GET", &format!("{}{path}", self.base), &headers)
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        let preflight = self.preflight(path);
        assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (200, self.origin), "{path}");
        assert!(preflight.header("access-control-allow-headers").contains("content-type"), "{path}");
        assert!(preflight.header("access-control-allow-methods").contains("POST"), "{path}");
        let answer = self.try_post(path, body);
        assert_eq!((answer.status, answer.header("access-control-allow-origin")), (200, self.origin), "{path}");
        answer.json()
    }

    fn preflight(&self, path: &str) -> Answer {
        let headers = [
            ("origin", self.origin),
            ("access-control-request-method", "POST"),
            ("access-control-request-headers", "content-type"),
        ];
        http::request("OPTIONS", &format!("{}{path}", self.base), &headers)
    }

    fn try_post(&self, path: &str, body: &Value) -> Answer {
        let headers = [("origin", self.origin), ("sec-fetch-site", "same-site"), ("accept", "application/json"), JSON];
        http::send(&format!("{}{path}", self.base), &headers, body.to_string().as_bytes())
    }
}

fn assert_activity(of: &str, one: &Value) {
    assert!(ACTIVITY.iter().all(|key| one[key].is_string()), "{of}: {one}");
    assert!(COUNTS.iter().all(|key| one[key].is_u64()), "{of}: {one}");
    assert!(one["replies"].is_array(), "the page pushes new replies onto it, {of}: {one}");
}

#[test]
fn every_page_of_the_original_week_2_frontend_works() {
    engines::each(&WEEK2, |cruddur| {
        let page = FrontendPage { base: &cruddur.backend, origin: FRONTEND };
        let crud = page.post("/api/activities", &json!({"message": "from React", "ttl": "7-days"}));
        assert_eq!((&crud["handle"], &crud["replies"]), (&json!("andrewbrown"), &json!([])));
        let path = format!("/api/activities/{}/reply", crud["uuid"].as_str().unwrap());
        let reply = page.post(&path, &json!({"activity_uuid": crud["uuid"], "message": "a reply"}));
        assert_eq!(reply["reply_to_activity_uuid"], crud["uuid"]);
        let sent = page.post("/api/messages", &json!({"message": "hello", "user_receiver_handle": "bayko"}));

        // Another user does something that causes a notification for andrewbrown.
        let other = cruddur.person();
        other.post(&path, &json!({"message": "and another"}));
        let notifications = page.get("/api/activities/notifications");
        assert_eq!(notifications[0]["message"], "and another");

        let home = page.get("/api/activities/home");
        let found = page.get("/api/activities/search?term=react");
        let profile = page.get("/api/activities/@andrewbrown");
        for (of, one) in [
            ("a new crud", &crud),
            ("a new reply", &reply),
            ("home", &home[0]),
            ("home's replies", &home[0]["replies"][1]),
            ("notifications", &notifications[0]),
            ("a profile, which is the plain list", &profile[0]),
            ("a search", &found[0]),
        ] {
            assert_activity(of, one);
        }
        assert_eq!((home[0]["replies_count"].as_u64(), home[0]["replies"].as_array().unwrap().len()), (Some(2), 2));

        let groups = page.get("/api/message_groups");
        assert_eq!(groups[0]["handle"], "bayko");
        let messages = page.get("/api/messages/@bayko");
        assert_eq!(messages.as_array().unwrap().last(), Some(&sent));
        for (of, one) in [("a new message", &sent), ("conversations", &groups[0]), ("messages", &messages[0])] {
            assert!(MESSAGE.iter().all(|key| one[key].is_string()), "{of}: {one}");
        }
        let refused = page.try_post("/api/activities", &json!({"message": "", "ttl": ""}));
        assert_eq!((refused.status, refused.json()), (422, json!(["ttl_blank", "message_blank"])));
    });
}

#[test]
fn only_a_configured_origin_acts_without_signing_in() {
    engines::each(&WEEK2, |cruddur| {
        let base = &cruddur.backend;
        let crud = json!({"message": "forged", "ttl": "1-hour"});
        // Another port of the same site, another name of the same machine, and a name that was rebound.
        for origin in ["http://localhost:8080", "http://127.0.0.1:3000", "http://evil.example:4567", "null"] {
            let page = FrontendPage { base, origin };
            assert_ne!(page.try_post("/api/activities", &crud).status, 200, "{origin}");
            assert_ne!(page.try_get("/api/message_groups").status, 200, "{origin}");
        }
        let json = JSON;
        let body = crud.to_string();
        let post = |headers: &[(&str, &str)]| http::send(&format!("{base}/api/activities"), headers, body.as_bytes());
        assert_eq!(post(&[json]).status, 401, "from no page");
        assert_ne!(post(&[("content-type", "text/plain"), ("origin", "http://localhost:8080")]).status, 200, "a form");
        let credentials = [json, ("origin", FRONTEND), ("authorization", "Bearer of-nobody")];
        assert_eq!(post(&credentials).status, 401, "wrong credentials are not ignored");

        let read = |headers: &[(&str, &str)]| http::request("GET", &format!("{base}/api/message_groups"), headers);
        assert_eq!(read(&[]).status, 401);
        let referer = format!("{FRONTEND}/messages");
        assert_eq!(read(&[("referer", &referer), ("sec-fetch-site", "same-origin")]).status, 200, "behind one proxy");
        assert_eq!(read(&[("referer", "http://localhost:8080/")]).status, 401);

        let person = cruddur.person();
        let own =
            http::request("GET", &format!("{base}/api/auth/me"), &[("origin", FRONTEND), ("cookie", &person.cookie)]);
        assert_eq!(own.json()["handle"], person.handle, "a session wins over the page");
        let home = http::get(&format!("{base}/api/activities/home")).json();
        assert!(home.as_array().unwrap().iter().all(|crud| crud["message"] != "forged"), "{home}");
    });
}

#[test]
fn without_week_2_mode_no_page_acts_without_signing_in() {
    engines::each(&[("FRONTEND_URL", FRONTEND)], |cruddur| {
        let page = FrontendPage { base: &cruddur.backend, origin: FRONTEND };
        assert_eq!(page.try_get("/api/message_groups").status, 401);
        assert_eq!(page.try_post("/api/activities", &json!({"message": "x", "ttl": "1-hour"})).status, 401);
        assert!(http::get(&format!("{}/api/health-check", cruddur.backend)).json()["acts_as"].is_null());
    });
}

#[test]
fn week_2_mode_is_logged_and_refused_in_production_and_with_an_issuer() {
    let data = Folder::new();
    let sqlite = ("CRUDDUR_DATA", data.path().to_str().unwrap());
    let cruddur = Cruddur::service("backend", &[&[sqlite][..], &WEEK2].concat());
    let notice = cruddur.wait_for_log("week 2 mode is on");
    assert!(notice.contains(FRONTEND) && notice.contains("@andrewbrown"), "{notice}");
    assert_eq!(http::get(&format!("{}/api/health-check", cruddur.backend)).json()["acts_as"], "andrewbrown");

    for other in [("CRUDDUR_ENV", "production"), ("AUTH_MODE", "cognito")] {
        let wrong = ("CRUDDUR_BACKEND_LISTEN", "nowhere");
        let refused = run(&["backend"], &[&[sqlite, wrong, other][..], &WEEK2].concat());
        assert_eq!(refused.status.code(), Some(64), "{other:?}");
        for variable in ["CRUDDUR_API: ", "CRUDDUR_BACKEND_LISTEN: "] {
            assert!(refused.errors.contains(variable), "{}", refused.errors);
        }
    }
}

/// The page is opened under another name of the machine than the one in `FRONTEND_URL`.
#[test]
fn an_unconfigured_origin_is_logged_once_with_the_configured_one() {
    let data = Folder::new();
    let variables = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ("FRONTEND_URL", FRONTEND)];
    let cruddur = Cruddur::service("backend", &variables);
    let other = FrontendPage { base: &cruddur.backend, origin: "http://127.0.0.1:3000" };
    for _ in 0..3 {
        other.try_get("/api/activities/home");
        other.preflight("/api/activities");
    }
    let warning = cruddur.wait_for_log("http://127.0.0.1:3000");
    assert!(warning.contains(FRONTEND) && warning.contains("FRONTEND_URL"), "{warning}");
    // Neither the configured origin, nor the API's own, nor any number of other origins fill the log.
    FrontendPage { base: &cruddur.backend, origin: FRONTEND }.get("/api/activities/home");
    FrontendPage { base: &cruddur.backend, origin: &cruddur.backend }.try_get("/api/activities/home");
    for port in 5000..5050 {
        FrontendPage { base: &cruddur.backend, origin: &format!("http://localhost:{port}") }
            .try_get("/api/activities/home");
    }
    let errors = cruddur.stop().errors;
    assert_eq!(
        (errors.matches("cannot use the API").count(), errors.matches("http://127.0.0.1:3000").count()),
        (4, 2),
        "{errors}"
    );
}

/// The frontend and the API behind the proxy, as one origin: the proxy forwards the headers by which the backend recognises the page. Cruddur's
/// own page announces the mode.
#[tokio::test(flavor = "multi_thread")]
async fn week_2_mode_works_through_the_proxy_and_is_shown_on_the_page() {
    let data = Folder::new();
    let cruddur = tokio::task::block_in_place(|| Cruddur::up(&data, &WEEK2));
    tokio::task::block_in_place(|| {
        let referer = format!("{FRONTEND}/notifications");
        let read = http::request("GET", &format!("{}/api/message_groups", cruddur.page), &[("referer", &referer)]);
        assert_eq!((read.status, &read.json()[0]["handle"]), (200, &json!("bayko")));
        let page = FrontendPage { base: &cruddur.page, origin: FRONTEND };
        assert_eq!(page.try_post("/api/activities", &json!({"message": "x", "ttl": "1-hour"})).status, 200);
        assert_eq!(cruddur.get("/api/message_groups").status, 401);
    });
    let Some(browser) = Browser::start().await else { return };
    browser.client.goto(&cruddur.page).await.unwrap();
    let notice = Locator::Css("[data-testid=week2]:not([hidden])");
    let notice = browser.client.wait().for_element(notice).await.unwrap().text().await.unwrap();
    assert!(notice.contains("@andrewbrown"), "{notice}");
    browser.stop().await;
}
