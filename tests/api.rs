//! The API's contract over HTTP: shapes, codes, errors, paging and CORS.

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::{engines, http};

fn with_backend(test: impl Fn(&Cruddur)) {
    engines::each(&[("FRONTEND_URL", "https://cruddur.example")], test);
}

#[test]
fn a_crud_has_the_shape_that_the_frontend_expects() {
    with_backend(|cruddur| {
        let api = format!("{}/api/activities", cruddur.backend);
        let me = cruddur.person();
        let body = json!({"message": "  hello\r\nworld ", "ttl": "7-days", "user_handle": "ignored"});
        let answer = me.post("/api/activities", &body);
        let crud = answer.json();
        assert_eq!(
            (answer.status, &crud["message"], &crud["handle"]),
            (200, &json!("hello\nworld"), &json!(me.handle))
        );
        assert_eq!(answer.header("location"), format!("/api/activities/{}", crud["uuid"].as_str().unwrap()));
        for field in ["uuid", "handle", "display_name", "message", "created_at", "expires_at"] {
            assert!(crud[field].is_string(), "{field}");
        }
        for field in ["likes_count", "replies_count", "reposts_count"] {
            assert_eq!(crud[field], 0, "{field}");
        }
        assert!(crud["created_at"].as_str().unwrap().ends_with("+00:00"), "RFC 3339 with an offset");

        let uuid = crud["uuid"].as_str().unwrap();
        let reply = me.post(&format!("/api/activities/{uuid}/reply"), &json!({"message": "and hello"})).json();
        assert_eq!((&reply["reply_to_activity_uuid"], &reply["expires_at"]), (&crud["uuid"], &crud["expires_at"]));
        let shown = http::get(&format!("{api}/{uuid}")).json();
        assert_eq!((&shown["replies"][0], &shown["replies_count"]), (&reply, &json!(1)));
        let status = http::get(&format!("{api}/@{}/status/{uuid}", me.handle)).json();
        assert_eq!((&status["activity"]["uuid"], &status["replies"]), (&crud["uuid"], &json!([reply])));
        let home = http::get(&format!("{api}/home")).json();
        assert_eq!(home[0], shown);
        let found = http::get(&format!("{api}/search?term=AND%20hello")).json();
        assert_eq!(found, json!([reply]));
        let profile = http::get(&format!("{api}/@{}", me.handle)).json();
        assert_eq!(profile["activities"][0], reply);
        assert_eq!(profile["profile"]["cruds_count"], profile["activities"].as_array().unwrap().len());
    });
}

#[test]
fn an_invalid_input_gets_every_code_that_applies() {
    with_backend(|cruddur| {
        let api = format!("{}/api/activities", cruddur.backend);
        let uuid = http::get(&format!("{api}/home")).json()[0]["uuid"].as_str().unwrap().to_owned();
        let wrong: [(&str, Value, &[&str]); 9] = [
            ("", json!({}), &["ttl_blank", "message_blank"]),
            ("", json!({"message": "x", "ttl": "2-days"}), &["ttl_blank"]),
            ("", json!({"message": " \n", "ttl": "1-hour"}), &["message_blank"]),
            ("", json!({"message": null, "ttl": "1-hour"}), &["message_blank"]),
            ("", json!({"message": "x".repeat(281), "ttl": "1-hour"}), &["message_exceed_max_chars"]),
            (&format!("/{uuid}/reply"), json!({}), &["message_blank"]),
            (&format!("/{uuid}/reply"), json!({"message": "x".repeat(1025)}), &["message_exceed_max_chars"]),
            ("/%20/reply", json!({"message": "x"}), &["activity_uuid_blank"]),
            ("//reply", json!({}), &["activity_uuid_blank", "message_blank"]),
        ];
        let me = cruddur.person();
        for (path, body, codes) in wrong {
            let answer = me.post(&format!("/api/activities{path}"), &body);
            assert_eq!((answer.status, answer.json()), (422, json!(codes)), "{path} {body}");
        }
        for (path, code) in [
            ("/search", "search_term_blank"),
            ("/search?term=%20", "search_term_blank"),
            ("/search?term=%00", "search_term_blank"),
            ("/@", "blank_user_handle"),
            ("/@%20", "blank_user_handle"),
        ] {
            let answer = http::get(&format!("{api}{path}"));
            assert_eq!((answer.status, answer.json()), (422, json!([code])), "{path}");
        }
    });
}

#[test]
fn every_other_error_is_a_problem_with_the_trace_id() {
    with_backend(|cruddur| {
        let base = &cruddur.backend;
        let me = cruddur.person();
        let json = [http::JSON, ("cookie", me.cookie.as_str())];
        let reply = "/api/activities/01a2037a-94ce-7187-931e-c272fb321aa0/reply";
        let long = format!("{{\"message\":\"{}\"}}", "x".repeat(70_000));
        let answers = [
            (404, http::get(&format!("{base}/api/activities/@nobody"))),
            (404, http::get(&format!("{base}/api/activities/not-a-uuid"))),
            (404, me.post(reply, &json!({"message": "to nothing"}))),
            (404, http::get(&format!("{base}/nowhere"))),
            (405, http::request("DELETE", &format!("{base}/api/activities/home"), &[])),
            (400, http::send(&format!("{base}/api/activities"), &json, b"{")),
            (400, http::send(&format!("{base}/api/activities"), &json, b"{\"message\": 5}")),
            (415, http::send(&format!("{base}/api/activities"), &[("content-type", "text/plain"), json[1]], b"{}")),
            (413, http::send(&format!("{base}/api/activities"), &json, long.as_bytes())),
            (404, http::get(&format!("{base}/api/activities/@a%00b"))),
            (400, http::get(&format!("{base}/api/activities/search?term={}", "a".repeat(1_025)))),
            (400, http::get(&format!("{base}/api/activities/home?limit=0&limit=0"))),
            (400, http::get(&format!("{base}/api/activities/home?limit=0"))),
            (400, http::get(&format!("{base}/api/activities/home?cursor=x"))),
        ];
        for (status, answer) in answers {
            assert_eq!(answer.status, status, "{}", String::from_utf8_lossy(&answer.body));
            assert_eq!(answer.header("content-type"), "application/problem+json");
            let problem = answer.json();
            assert_eq!(problem["status"], status);
            assert_eq!(problem["trace_id"].as_str().map(str::len), Some(32), "{problem}");
        }
    });
}

#[test]
fn a_list_continues_at_its_next_link() {
    with_backend(|cruddur| {
        let mut next = Some("/api/activities/home?limit=1".to_owned());
        let mut seen = Vec::new();
        while let Some(path) = next {
            let answer = http::get(&format!("{}{path}", cruddur.backend));
            seen.extend(answer.json().as_array().unwrap().iter().map(|crud| crud["uuid"].clone()));
            let link = answer.header("link");
            next = link.strip_prefix('<').and_then(|link| link.strip_suffix(">; rel=\"next\"")).map(str::to_owned);
        }
        let home = http::get(&format!("{}/api/activities/home", cruddur.backend)).json();
        let whole: Vec<_> = home.as_array().unwrap().iter().map(|crud| crud["uuid"].clone()).collect();
        assert_eq!(seen, whole);
        let search = http::get(&format!("{}/api/activities/search?term=the&limit=1", cruddur.backend));
        assert!(search.header("link").contains("term=the&limit=1&cursor="), "{}", search.header("link"));
    });
}

#[test]
fn head_is_get_without_the_body() {
    with_backend(|cruddur| {
        let url = format!("{}/api/activities/home", cruddur.backend);
        let (get, head) = (http::get(&url), http::request("HEAD", &url, &[]));
        assert_eq!((head.status, head.body.len()), (200, 0));
        assert_eq!(head.header("content-length"), get.body.len().to_string());
    });
}

#[test]
fn only_configured_origins_may_call() {
    with_backend(|cruddur| {
        let url = format!("{}/api/activities", cruddur.backend);
        let preflight = |origin| {
            let headers = [
                ("origin", origin),
                ("access-control-request-method", "POST"),
                ("access-control-request-headers", "content-type,traceparent,tracestate,baggage"),
            ];
            http::request("OPTIONS", &url, &headers)
        };
        let allowed = preflight("https://cruddur.example");
        assert_eq!(allowed.status, 200);
        assert_eq!(allowed.header("access-control-allow-origin"), "https://cruddur.example");
        assert!(allowed.header("access-control-allow-headers").contains("traceparent"));
        let refused = preflight("https://evil.example");
        assert_eq!((refused.status, refused.header("access-control-allow-origin")), (400, ""));
        assert_eq!(refused.header("content-type"), "application/problem+json");
        let problem = refused.json();
        assert!(problem["detail"].as_str().unwrap().starts_with("Origin is not allowed"), "{problem}");
        assert_eq!(problem["trace_id"].as_str().map(str::len), Some(32), "{problem}");
        let read = http::request("GET", &format!("{url}/home"), &[("origin", "https://cruddur.example")]);
        assert!(read.header("access-control-expose-headers").contains("server-timing"));
    });
}
