//! Bodies that no real page sends: too large, too deep, of the wrong types, or hardly JSON. Guarantee 14, third part: they are
//! refused, or accepted as plain text, and nothing fails because of them.

use serde_json::{Value, json};

use crate::listeners::gzip;
use crate::support::cruddur::Cruddur;
use crate::support::http::{Answer, JSON};
use crate::support::person::{PASSWORD, Person};
use crate::support::{engines, http};

/// Every route that accepts a body, with a valid body. `UUID` and `HANDLE` stand for a crud's id and another user's handle.
fn routes(handle: &str, uuid: &str) -> Vec<(&'static str, String, Value)> {
    let post = |path: &str, body: Value| ("POST", path.to_owned(), body);
    let profile = json!({"display_name": "Somebody", "bio": "about me"});
    vec![
        post("/api/activities", json!({"message": "hello", "ttl": "1-hour"})),
        post(&format!("/api/activities/{uuid}/reply"), json!({"message": "hello"})),
        post("/api/messages", json!({"message": "hello", "handle": handle})),
        post("/api/messages", json!({"message": "hello", "user_receiver_handle": handle})),
        post("/api/messages", json!({"message": "hello", "message_group_uuid": uuid})),
        post("/api/profile/update", profile.clone()),
        ("PUT", "/api/profile/update".to_owned(), profile),
        post(
            "/api/auth/signup",
            json!({"handle": handle, "display_name": "x", "email": "x@cruddur.example", "password": PASSWORD}),
        ),
        post("/api/auth/signin", json!({"login": handle, "password": "a wrong one"})),
        post("/api/auth/signin", json!({"token": "guessed"})),
    ]
}

/// Sends a request as `me`, with the body unchanged.
fn send(cruddur: &Cruddur, me: &Person, method: &str, path: &str, body: &[u8]) -> Answer {
    let headers = [JSON, ("cookie", me.cookie.as_str())];
    http::send_by(method, &format!("{}{path}", cruddur.backend), &headers, body)
}

/// A refusal is a problem document, or a list of codes: never a 5xx, and always JSON.
fn refused(answer: &Answer, statuses: &[u16], what: &str) {
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    assert!(statuses.contains(&answer.status), "{what}: {} {body}", answer.status);
    let kind = if answer.status == 422 { "application/json" } else { "application/problem+json" };
    assert_eq!(answer.header("content-type"), kind, "{what}");
    assert!(answer.json().is_array() || answer.json()["status"] == answer.status, "{what}: {body}");
}

/// Runs `test` for every route that accepts a body, as a signed-in user.
fn each_route(test: impl Fn(&Cruddur, &Person, &str, &str, &Value)) {
    engines::each(&[], |cruddur| {
        let (me, other) = (cruddur.person(), cruddur.person());
        let crud = me.crud("answered to")["uuid"].as_str().unwrap().to_owned();
        for (method, path, body) in routes(&other.handle, &crud) {
            test(cruddur, &me, method, &path, &body);
        }
        assert_eq!(me.get("/api/auth/me").status, 200, "it still answers, and the session is still valid");
        assert_eq!(http::get(&format!("{}/api/health-check", cruddur.backend)).status, 200);
    });
}

#[test]
fn a_body_that_is_not_a_json_object_is_refused() {
    let open = "[".repeat(10_000);
    let deep = format!("{open}{}", "]".repeat(10_000));
    // To the parser these are unknown fields.
    let deep_objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let bodies: [(&[u8], &str); 14] = [
        (b"", "nothing"),
        (b" ", "blank"),
        (b"null", "null"),
        (b"5", "a number"),
        (b"\"text\"", "a text"),
        (b"[]", "a list"),
        (b"[{}]", "a list of an object"),
        (b"{", "the beginning of an object"),
        (b"{\"message\"}", "a key without a value"),
        (b"{'message': 'x'}", "of another language"),
        (b"{} {}", "two objects"),
        (b"\xff\xfe{\x00}\x00", "UTF-16"),
        (open.as_bytes(), "deep and open"),
        (deep.as_bytes(), "deep lists"),
    ];
    each_route(|cruddur, me, method, path, good| {
        for (body, what) in bodies {
            refused(&send(cruddur, me, method, path, body), &[400], &format!("{method} {path}: {what}"));
        }
        let deep = send(cruddur, me, method, path, deep_objects.as_bytes());
        refused(&deep, &[422], &format!("{method} {path}: deep objects"));
        // The right values in the right order, as a list, are not an object either.
        let values: Vec<&Value> = good.as_object().unwrap().values().collect();
        let list = json!(values).to_string();
        refused(&send(cruddur, me, method, path, list.as_bytes()), &[400], &format!("{method} {path}: {list}"));
    });
}

#[test]
fn a_body_of_more_than_64_kib_is_refused() {
    each_route(|cruddur, me, method, path, good| {
        let mut body = good.clone();
        body["more"] = json!("x".repeat(70_000));
        refused(&send(cruddur, me, method, path, body.to_string().as_bytes()), &[413], &format!("{method} {path}"));
        let spaces = format!("{good}{}", " ".repeat(70_000));
        refused(&send(cruddur, me, method, path, spaces.as_bytes()), &[413], &format!("{method} {path}: spaces"));
    });
}

#[test]
fn a_body_with_a_content_encoding_is_refused() {
    each_route(|cruddur, me, method, path, good| {
        let (plain, packed) = (good.to_string(), gzip(good.to_string().as_bytes()));
        for encoding in
            ["gzip", "x-gzip", "GZIP", "deflate", "br", "zstd", "compress", "gzip, gzip", "identity, gzip", "x"]
        {
            for body in [plain.as_bytes(), &packed] {
                let headers = [JSON, ("cookie", &me.cookie), ("content-encoding", encoding)];
                let answer = http::send_by(method, &format!("{}{path}", cruddur.backend), &headers, body);
                refused(&answer, &[415], &format!("{method} {path}: {encoding}"));
                assert_eq!(answer.header("accept-encoding"), "identity", "{method} {path}: {encoding}");
            }
        }
    });
}

#[test]
fn a_field_of_the_wrong_type_is_refused() {
    // Besides other types: a number out of range, half a surrogate pair, an unknown escape, and invalid UTF-8.
    let wrong: [&[u8]; 21] = [
        b"5",
        b"-5",
        b"0.5",
        b"1e999",
        b"9223372036854775808",
        b"-9223372036854775809",
        b"123456789012345678901234567890",
        b"true",
        b"false",
        b"[]",
        b"[\"text\"]",
        b"{}",
        b"{\"text\": \"text\"}",
        b"\"\\ud800\"",
        b"\"\\udc00\\ud800\"",
        b"\"\\u12\"",
        b"\"\\x\"",
        b"\"\n\"",
        b"\"\xff\"",
        b"NaN",
        b"undefined",
    ];
    each_route(|cruddur, me, method, path, good| {
        for field in good.as_object().unwrap().keys() {
            let mut body = good.clone();
            body[field] = json!("STAND-IN");
            let body = body.to_string();
            let (before, after) = body.split_once("\"STAND-IN\"").unwrap();
            for value in wrong {
                let answer = send(cruddur, me, method, path, &[before.as_bytes(), value, after.as_bytes()].concat());
                refused(&answer, &[400], &format!("{method} {path}: {field} is {}", value.escape_ascii()));
            }
            // A key may occur once: otherwise one value would be checked and the other used.
            let twice = good.to_string().replacen('{', &format!("{{\"{field}\":\"first\","), 1);
            let what = format!("{method} {path}: {field} twice");
            refused(&send(cruddur, me, method, path, twice.as_bytes()), &[400], &what);
        }
    });
}

#[test]
fn text_of_invisible_characters_never_fails() {
    let texts = [
        "\0",
        "a\0b",
        "\u{1}\u{7f}\u{80}\u{9f}",
        "\u{feff}",
        "\u{202e}\u{2066}",
        "\u{fffe}\u{ffff}\u{10ffff}",
        "e\u{301}\u{301}\u{301}",
        "\u{fb2c}\u{958}",
        "' OR 1=1 --",
        "%00%s%n",
        "\\",
        "@",
        "@@",
        "#",
        "\u{1f4a3}",
        "\r\n",
        "\u{2028}\u{2029}",
    ];
    each_route(|cruddur, me, method, path, good| {
        let fields = good.as_object().unwrap().keys();
        for (field, text) in fields.flat_map(|field| texts.map(|text| (field, text))) {
            for text in [text.to_owned(), text.repeat(300)] {
                let mut body = good.clone();
                body[field] = json!(text);
                let answer = send(cruddur, me, method, path, body.to_string().as_bytes());
                let what = format!("{method} {path}: {field} is {text:?}");
                if answer.status == 200 {
                    let written = answer.json().to_string();
                    assert!(!written.contains("\\u0000") && !written.contains("\\u0001"), "{what}: {written}");
                } else {
                    refused(&answer, &[401, 403, 404, 409, 422, 429], &what);
                }
            }
        }
    });
}
