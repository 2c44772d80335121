//! Accounts of an external issuer: which tokens are valid, and what happens while the issuer changes its keys or is away.

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, command, run};
use crate::support::http::{self, Answer, JSON};
use crate::support::issuer::{CLIENT, Issuer, part};
use crate::support::{Folder, engines, eventually, raw};

fn send(base: &str, method: &str, path: &str, token: &str) -> Answer {
    http::request(method, &format!("{base}{path}"), &[("authorization", &format!("Bearer {token}"))])
}

fn me(base: &str, token: &str) -> Answer {
    send(base, "GET", "/api/auth/me", token)
}

fn post(base: &str, path: &str, token: &str, body: &Value) -> Answer {
    let authorization = format!("Bearer {token}");
    let headers = [JSON, ("authorization", authorization.as_str())];
    http::send(&format!("{base}{path}"), &headers, body.to_string().as_bytes())
}

/// A backend on SQLite that accepts the issuer's tokens.
fn backend(issuer: &Issuer, data: &Folder) -> Cruddur {
    let sqlite = ("CRUDDUR_DATA", data.path().to_str().unwrap());
    Cruddur::service("backend", &[&[sqlite][..], &issuer.variables()].concat())
}

fn assert_refused(answer: &Answer, why: &str) {
    assert_eq!((answer.status, answer.header("www-authenticate")), (401, "Bearer realm=\"cruddur\""), "{why}");
    assert_eq!(answer.header("content-type"), "application/problem+json", "{why}");
}

#[test]
fn two_users_of_an_issuer_cannot_act_for_each_other() {
    let Some(issuer) = Issuer::start() else { return };
    engines::each(&issuer.variables(), |cruddur| {
        let (zofie, altbrown) = (issuer.sign(&issuer.access("Zofie")), issuer.sign(&issuer.access("altbrown")));
        let who = me(&cruddur.backend, &zofie);
        assert_eq!((who.status, &who.json()["handle"]), (200, &json!("zofie")));
        assert_eq!(
            me(&cruddur.backend, &issuer.sign(&issuer.id("Zofie"))).json(),
            who.json(),
            "the id token names the same user"
        );
        let other = me(&cruddur.backend, &altbrown).json();
        let handle = other["handle"].as_str().unwrap();
        assert!(handle.starts_with("altbrown_"), "the first users' handles are not given away: {handle}");

        let profile = |handle: &str| {
            http::get(&format!("{}/api/activities/@{handle}", cruddur.backend)).json()["profile"].clone()
        };
        assert_eq!(profile("zofie")["cognito_user_uuid"], issuer.access("Zofie")["sub"]);
        assert_eq!(profile("bayko").get("cognito_user_uuid"), Some(&Value::Null), "bayko has no token");
        let update = json!({"display_name": "Zofie", "bio": ""});
        let updated = post(&cruddur.backend, "/api/profile/update", &zofie, &update);
        assert_eq!(updated.json()["cognito_user_uuid"], issuer.access("Zofie")["sub"]);

        let crud = post(&cruddur.backend, "/api/activities", &zofie, &json!({"message": "mine", "ttl": "1-hour"}));
        assert_eq!((crud.status, &crud.json()["handle"]), (200, &json!("zofie")));
        let path = format!("/api/activities/{}", crud.json()["uuid"].as_str().unwrap());
        assert_eq!(send(&cruddur.backend, "DELETE", &path, &altbrown).status, 403);
        assert_eq!(send(&cruddur.backend, "DELETE", &path, &zofie).status, 204);
    });
    assert!(issuer.requests().len() <= 2, "once for each backend: {:?}", issuer.requests());
}

#[test]
fn an_invalid_token_is_refused() {
    let Some(issuer) = Issuer::start() else { return };
    engines::each(&issuer.variables(), |cruddur| {
        let (access, id) = (issuer.access("zofie"), issuer.id("zofie"));
        let now = access["iat"].as_i64().unwrap();
        let with = |claims: &Value, name: &str, value: Value| {
            let mut claims = claims.clone();
            claims[name] = value;
            issuer.sign(&claims)
        };
        let good = issuer.sign(&access);
        let kid = issuer.kid();
        let signed = |header: Value| issuer.sign_with(&header, &access);
        let (head, signature) = good.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let mut admin = access.clone();
        admin["username"] = json!("andrewbrown");
        for (why, token) in [
            ("another issuer", with(&access, "iss", json!("https://cognito-idp.us-east-1.amazonaws.com/us-east-1_x"))),
            ("no issuer", with(&access, "iss", Value::Null)),
            ("another client", with(&access, "client_id", json!("another"))),
            ("another audience", with(&id, "aud", json!("another"))),
            ("an audience beside us", with(&id, "aud", json!([CLIENT, "another"]))),
            ("another use", with(&access, "token_use", json!("refresh"))),
            ("an access token as an id token", with(&access, "token_use", json!("id"))),
            ("an id token as an access token", with(&id, "token_use", json!("access"))),
            ("no use", with(&access, "token_use", Value::Null)),
            ("expired", with(&access, "exp", json!(now - 61))),
            ("no expiry", with(&access, "exp", Value::Null)),
            ("not yet valid", with(&access, "nbf", json!(now + 120))),
            ("no subject", with(&access, "sub", json!(""))),
            ("no algorithm", format!("{}.{}.", part(&json!({"alg": "none", "kid": kid})), part(&access))),
            ("no signature", format!("{head}.")),
            ("no algorithm, signed", signed(json!({"alg": "none", "kid": kid}))),
            ("another algorithm", signed(json!({"alg": "RS384", "kid": kid}))),
            ("HS256 by the public key", issuer.forge(&access)),
            ("no key name", signed(json!({"alg": "RS256"}))),
            ("a key of its own", signed(json!({"alg": "RS256", "jwk": {"kty": "RSA"}, "jku": issuer.url}))),
            ("a critical header", signed(json!({"alg": "RS256", "kid": kid, "crit": ["b64"], "b64": false}))),
            ("other claims", format!("{header}.{}.{signature}", part(&admin))),
            ("a fourth part", format!("{good}.{signature}")),
        ] {
            assert_refused(&me(&cruddur.backend, &token), why);
        }
        assert_eq!(me(&cruddur.backend, &good).status, 200);
        assert_eq!(me(&cruddur.backend, &with(&access, "exp", json!(now - 5))).status, 200, "clocks differ");
    });
}

#[test]
fn a_malformed_token_is_refused() {
    let Some(issuer) = Issuer::start() else { return };
    let data = Folder::new();
    let cruddur = backend(&issuer, &data);
    let good = issuer.sign(&issuer.access("zofie"));
    let kid = issuer.kid();
    let of = |header: &str| format!("{}.e30.AAAA", part(&serde_json::from_str(header).unwrap()));
    let deep = format!("{{\"kid\":\"{kid}\",\"alg\":\"RS256\",\"x\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let mut garbage: Vec<String> =
        ["", ".", "..", "...", "a.b.c", "e30.e30.", "e30.e30.e30", "=.=.=", "a b c"].map(str::to_owned).to_vec();
    garbage.extend([of("[]"), of("null"), of("1"), of(r#"{"alg":1}"#), of(r#"{"alg":[],"kid":{}}"#), of(&deep)]);
    garbage.push(of(&format!(r#"{{"alg":"RS256","kid":"{kid}"}}"#)));
    garbage.push(of(&format!(r#"{{"alg":"RS256","kid":"{}"}}"#, "k".repeat(5_000))));
    garbage.push("A".repeat(20_000));
    garbage.push(format!("{good}{}", "A".repeat(20_000)));
    for length in (0..good.len()).step_by(7) {
        garbage.push(good[..length].to_owned());
    }
    for token in &garbage {
        let answer = me(&cruddur.backend, token);
        assert!((400..500).contains(&answer.status), "{} {token}", answer.status);
        assert!(answer.status == 401 || token.len() > 16_000, "{} {token}", answer.status);
    }
    for value in ["Bearer", "Basic eDp5", &good, "Bearer\tx"] {
        let answer = http::request("GET", &format!("{}/api/auth/me", cruddur.backend), &[("authorization", value)]);
        assert_refused(&answer, value);
    }
    for odd in [b"\xff.\xfe.\x80".as_slice(), "é.é.é".as_bytes(), b"\x01.\x02.\x7f"] {
        let request =
            [b"GET /api/auth/me HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer ", odd, b"\r\n\r\n"].concat();
        let (statuses, _) = raw::exchange(&cruddur.backend, &request, 1);
        assert!([[400], [401]].contains(&[statuses[0]]), "{statuses:?} {odd:?}");
    }
    // Claims of every shape, with a valid signature.
    for claims in [json!(null), json!([]), json!({}), json!("text"), json!({"iss": [issuer.url], "exp": "soon"})] {
        assert_refused(&me(&cruddur.backend, &issuer.sign(&claims)), &claims.to_string());
    }
    assert_eq!(me(&cruddur.backend, &good).status, 200);
    let home = send(&cruddur.backend, "GET", "/api/activities/home", "a.b.c");
    assert_eq!(home.status, 200, "public data");
    let ended = cruddur.stop();
    assert!(!ended.errors.contains("ERROR") && !ended.errors.contains("panicked"), "{}", ended.errors);
}

#[test]
fn rotated_keys_are_found_and_forgeries_cause_few_requests_to_the_issuer() {
    let Some(issuer) = Issuer::start() else { return };
    let data = Folder::new();
    let cruddur = backend(&issuer, &data);
    let before = issuer.sign(&issuer.access("zofie"));
    assert_eq!((me(&cruddur.backend, &before).status, issuer.requests().len()), (200, 1));
    issuer.rotate();
    assert_eq!(me(&cruddur.backend, &issuer.sign(&issuer.access("zofie"))).status, 200, "an unknown key");
    assert_eq!(
        (me(&cruddur.backend, &before).status, issuer.requests().len()),
        (200, 2),
        "the earlier key is still published"
    );
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let (issuer, backend) = (&issuer, &cruddur.backend);
            scope.spawn(move || {
                for forgery in 0..25 {
                    let header = json!({"alg": "RS256", "kid": format!("forged-{thread}-{forgery}")});
                    let answer = me(backend, &issuer.sign_with(&header, &issuer.access("zofie")));
                    assert_refused(&answer, "an unknown key");
                }
            });
        }
    });
    let requests = issuer.requests();
    assert!(requests.len() <= 3, "200 forgeries, and {} requests to the issuer", requests.len());
    for head in requests {
        assert!(!head.to_ascii_lowercase().contains("authorization"), "{head}");
        assert!(head.contains("/local_pool/.well-known/jwks.json") && !head.contains("traceparent"), "{head}");
    }
    assert_eq!(me(&cruddur.backend, &before).status, 200);
}

#[test]
fn a_backend_starts_and_keeps_running_without_its_issuer() {
    let Some(issuer) = Issuer::start() else { return };
    issuer.is_away(true);
    engines::each(&issuer.variables(), |cruddur| {
        issuer.is_away(true);
        let token = issuer.sign(&issuer.access("zofie"));
        for _ in 0..5 {
            let answer = me(&cruddur.backend, &token);
            assert_eq!((answer.status, answer.header("retry-after")), (503, "2"));
            assert_eq!(answer.header("content-type"), "application/problem+json");
            assert!(!answer.json().to_string().contains("127.0.0.1"), "not the caller's fault");
        }
        assert_refused(&me(&cruddur.backend, "a.b.c"), "no key would help");
        assert_eq!(send(&cruddur.backend, "GET", "/api/activities/home", &token).status, 200, "public data");
        let errors = cruddur.wait_for_log("cannot fetch the account issuer's keys");
        assert!(errors.contains("check AUTH_ISSUER") && !errors.contains(&token), "{errors}");

        issuer.is_away(false);
        eventually("the issuer's keys", || (me(&cruddur.backend, &token).status == 200).then_some(()));
        issuer.is_away(true);
        assert_eq!(me(&cruddur.backend, &token).status, 200, "known keys stay valid");
        let unknown = issuer.sign_with(&json!({"alg": "RS256", "kid": "unknown"}), &issuer.access("zofie"));
        assert_refused(&me(&cruddur.backend, &unknown), "an unknown key");
        assert_eq!(me(&cruddur.backend, &token).status, 200);
    });
}

#[test]
fn an_invalid_key_document_has_no_keys() {
    let Some(issuer) = Issuer::start() else { return };
    let Some(other) = Issuer::start() else { return };
    let kept = r#"{"kty":"RSA","kid":"x","n":"AQAB","e":"AQAB"}"#;
    for (status, body) in [
        (format!("302 Found\r\nlocation: {}/.well-known/jwks.json", other.url), String::new()),
        ("500 Broken".to_owned(), "{}".to_owned()),
        ("200 OK".to_owned(), "<html>".to_owned()),
        ("200 OK".to_owned(), r#"{"keys":[]}"#.to_owned()),
        ("200 OK".to_owned(), format!(r#"{{"keys":[{kept}]}}"#)),
        ("200 OK".to_owned(), format!(r#"{{"keys":[{}]}}"#, vec![kept; 65].join(","))),
        ("200 OK".to_owned(), format!(r#"{{"keys":[]{}}}"#, " ".repeat(65_536))),
    ] {
        issuer.answers(&status, body);
        let data = Folder::new();
        let cruddur = backend(&issuer, &data);
        assert_eq!(me(&cruddur.backend, &issuer.sign(&issuer.access("zofie"))).status, 503, "{status}");
        cruddur.wait_for_log("cannot fetch the account issuer's keys");
    }
    assert_eq!(other.requests().len(), 0, "no redirect is followed");
}

#[test]
fn with_an_issuer_the_sign_in_routes_are_off() {
    let Some(issuer) = Issuer::start() else { return };
    let data = Folder::new();
    let cookie = {
        let own = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
        own.person().cookie
    };
    let cruddur = backend(&issuer, &data);
    let token = issuer.sign(&issuer.access("zofie"));
    for path in ["/api/auth/signup", "/api/auth/signin", "/api/auth/signout"] {
        for body in [json!({}), json!({"login": "andrewbrown", "password": "correct horse battery"}), json!("x")] {
            let answer = post(&cruddur.backend, path, &token, &body);
            assert_eq!(answer.status, 404, "{path}");
            assert!(answer.json()["detail"].as_str().unwrap().starts_with("accounts are the issuer's"), "{path}");
        }
        assert_eq!(send(&cruddur.backend, "GET", path, &token).status, 404);
    }
    let health = http::get(&format!("{}/api/health-check", cruddur.backend)).json();
    assert_eq!(health, json!({"success": true, "ver": 1, "accounts": "issued"}));
    let document = http::get(&format!("{}/api/openapi.json", cruddur.backend)).json();
    for path in ["/api/auth/signup", "/api/auth/signin", "/api/auth/signout"] {
        assert_eq!(document["paths"][path], Value::Null, "{path}");
    }
    assert_eq!(document["paths"]["/api/auth/me"]["get"]["security"], json!([{"bearer": []}]));
    let text = document.to_string();
    assert!(["session", "SignIn", "SignUp"].iter().all(|ours| !text.contains(&format!("{ours}\""))), "{text}");
    let url = format!("{}/api/auth/me", cruddur.backend);
    assert_refused(&http::request("GET", &url, &[("cookie", &cookie)]), "a session's cookie");
    assert_refused(&me(&cruddur.backend, cookie.split_once('=').unwrap().1), "a session's token");
    assert_refused(&http::get(&url), "no token");
    let answer = me(&cruddur.backend, &token);
    assert_eq!((answer.status, answer.header("set-cookie"), answer.header("cache-control")), (200, "", "no-store"));
}

/// Guarantee 6, and the user's id on every span, including the spans about the issuer.
#[test]
fn a_trace_has_the_users_id_and_no_token() {
    let Some(issuer) = Issuer::start() else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &issuer.variables());
    assert_eq!(cruddur.sign_in, "", "no link is offered");
    let token = issuer.sign(&issuer.access("zofie"));
    let answer = post(&cruddur.page, "/api/activities", &token, &json!({"message": "traced", "ttl": "1-hour"}));
    assert_eq!(answer.status, 200);
    let user = me(&cruddur.page, &token).json()["uuid"].clone();
    // The spans of a post and of its author's authentication: the issuer's keys, two user lookups, and the user.
    let spans = cruddur.spans(&answer.trace_id(), 12);
    let named = |name: &str, service: &str| {
        let found =
            spans.iter().find(|span| span["source"] == "otlp" && span["name"] == name && span["service"] == service);
        found.unwrap_or_else(|| panic!("no {name} in {spans:#?}"))
    };
    for name in ["POST /api/activities", "create-activity", "INSERT activities"] {
        assert_eq!(named(name, "backend")["attributes"]["user.id"], user, "{name}");
    }
    let keys = named("GET", "backend");
    assert_eq!(keys["parent_span_id"], named("POST /api/activities", "backend")["span_id"]);
    assert_eq!((&keys["kind"], &keys["attributes"]["http.response.status_code"]), (&json!("client"), &json!(200)));
    assert_eq!(keys["attributes"]["url.full"], format!("{}/.well-known/jwks.json", issuer.url));
    let everything = Value::from(spans.clone()).to_string();
    let errors = cruddur.stop().errors;
    for part in token.split('.') {
        assert!(!everything.contains(part) && !errors.contains(part), "{part}");
    }
}

#[test]
fn missing_settings_are_reported_together_and_the_doctor_checks_the_issuer() {
    let ended = run(&["backend"], &[("AUTH_MODE", "cognito"), ("CRUDDUR_API", "week3")]);
    assert_eq!(ended.status.code(), Some(64));
    for variable in ["AWS_COGNITO_USER_POOL_ID", "AWS_COGNITO_USER_POOL_CLIENT_ID", "CRUDDUR_API"] {
        assert!(ended.errors.contains(&format!("{variable}: ")), "{}", ended.errors);
    }

    let Some(issuer) = Issuer::start() else { return };
    let doctor = |variables: &[(&str, &str)]| -> Value {
        let data = Folder::new();
        let free = ["CRUDDUR_PROXY_LISTEN", "CRUDDUR_BACKEND_LISTEN", "CRUDDUR_VIEWER_LISTEN", "CRUDDUR_XRAY_LISTEN"];
        let own = free.map(|name| (name, "127.0.0.1:0"));
        let data = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
        let variables = [&own[..], &data, variables].concat();
        let output = command(&["doctor", "--json"], &variables).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let checks = report["checks"].as_array().unwrap();
        checks.iter().find(|check| check["check"] == "accounts").cloned().unwrap_or_default()
    };
    let check = doctor(&issuer.variables());
    assert_eq!((&check["status"], &check["detail"]), (&json!("ok"), &json!(format!("{} has 1 key", issuer.url))));
    issuer.answers("404 Not Found", "{}");
    let check = doctor(&issuer.variables());
    let detail = check["detail"].as_str().unwrap();
    assert!(check["status"] == "wrong" && detail.contains("status is 404; check AUTH_ISSUER"), "{detail}");
    assert_eq!(doctor(&[])["detail"], "Cruddur's own (AUTH_MODE)");
}
