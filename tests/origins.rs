//! Pages of other origins: which of them may write with a user's cookie, and which may read the proxy's error responses.

use std::io::{Read, Write};
use std::net::TcpListener;
use std::thread;

use fantoccini::Locator;
use serde_json::json;

use crate::support::browser::Browser;
use crate::support::cruddur::Cruddur;
use crate::support::http::{Headers, JSON};
use crate::support::{DEADLINE, Folder, engines, http};

const APP: (&str, &str) = ("origin", "http://app.example:3000");
/// `FRONTEND_URL` with the default port of its scheme, as an operator may include it.
const CONFIGURED: [(&str, &str); 2] =
    [("FRONTEND_URL", "http://app.example:3000/"), ("BACKEND_URL", "https://API.example:443")];

/// One write for each method that accepts a cookie, with and without a body.
const WRITES: [(&str, &str, &str); 6] = [
    ("POST", "/api/activities", r#"{"message": "x", "ttl": "1-hour"}"#),
    ("POST", "/api/activities/CRUD/like", ""),
    ("DELETE", "/api/activities/CRUD/like", ""),
    ("PUT", "/api/profile/update", r#"{"display_name": "New", "bio": ""}"#),
    ("POST", "/api/auth/signout", ""),
    ("DELETE", "/api/activities/CRUD", ""),
];

#[test]
fn a_page_of_another_origin_cannot_write_with_a_cookie() {
    engines::each(&CONFIGURED, |cruddur| {
        let me = cruddur.person();
        let crud = me.crud("liked by nobody")["uuid"].as_str().unwrap().to_owned();
        let own = ("origin", cruddur.backend.as_str());
        let site = |site: &'static str| ("sec-fetch-site", site);
        let write = |(method, path, body): (&str, &str, &str), headers: Headers<'_>| {
            let url = format!("{}{}", cruddur.backend, path.replace("CRUD", &crud));
            let session = [("cookie", me.cookie.as_str()), JSON];
            http::send_by(method, &url, &[&session, headers].concat(), body.as_bytes()).status
        };
        for headers in [
            &[site("same-site")][..],
            &[site("cross-site")],
            &[site("same-site"), own],
            &[site("same-site"), ("origin", "http://127.0.0.1:8000")],
            &[("origin", "http://127.0.0.1:8000")],
            &[("origin", "https://app.example")],
            &[("origin", "null")],
            &[("origin", "http://127.0.0.1:8000"), ("x-forwarded-proto", "https")],
        ] {
            for write_of in WRITES {
                assert_eq!(write(write_of, headers), 403, "{write_of:?} {headers:?}");
            }
        }
        assert_eq!(me.get("/api/auth/me").status, 200, "not signed out");
        assert_eq!(me.get(&format!("/api/activities/{crud}")).json()["likes_count"], 0);
        for headers in [
            &[][..],
            &[site("same-origin"), own],
            &[site("none")],
            &[own],
            &[APP, site("same-site")],
            &[APP, site("cross-site")],
            &[("origin", "https://api.example")],
        ] {
            for write_of in &WRITES[..4] {
                assert_eq!(write(*write_of, headers), 200, "{write_of:?} {headers:?}");
            }
        }
        // Browsers never add this header unprompted, and other origins may not add it, so a request with it needs no cookie.
        let token = me.cookie.split_once('=').unwrap().1;
        let bearer = [("authorization", &*format!("Bearer {token}")), site("same-site")];
        let like = format!("{}/api/activities/{crud}/like", cruddur.backend);
        assert_eq!(http::request("POST", &like, &bearer).status, 200);
    });
}

#[test]
fn the_pages_own_origin_is_the_one_that_the_client_sees() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &backend.backend)]);
    let me = backend.person();
    let crud = me.crud("x")["uuid"].as_str().unwrap().to_owned();
    let like = |headers: Headers<'_>| {
        let url = format!("{}/api/activities/{crud}/like", proxy.page);
        http::request("POST", &url, &[&[("cookie", me.cookie.as_str())], headers].concat()).status
    };
    let behind = [("x-forwarded-proto", "https"), ("x-forwarded-host", "app.example")];
    assert_eq!(like(&[("origin", proxy.page.as_str())]), 200);
    assert_eq!(like(&[behind[0], behind[1], ("origin", "https://app.example")]), 200);
    assert_eq!(like(&[behind[0], behind[1], ("origin", "http://app.example")]), 403);
    assert_eq!(like(&[("origin", backend.backend.as_str())]), 403, "the page is the proxy's");
}

#[test]
fn a_write_accepts_only_application_json() {
    engines::each(&[], |cruddur| {
        let me = cruddur.person();
        let crud = me.crud("liked by nobody")["uuid"].as_str().unwrap().to_owned();
        let types: [Headers<'_>; 7] = [
            &[("content-type", "text/json")],
            &[("content-type", "application/problem+json")],
            &[("content-type", "text/plain;charset=UTF-8")],
            &[("content-type", "application/x-www-form-urlencoded")],
            &[("content-type", "application/json, text/plain")],
            &[JSON, JSON],
            &[],
        ];
        let chunked = ("transfer-encoding", "chunked");
        for (method, path, body) in WRITES {
            let url = format!("{}{}", cruddur.backend, path.replace("CRUD", &crud));
            let body = if body.is_empty() { "{}" } else { body };
            for headers in types {
                let headers = [&[("cookie", me.cookie.as_str())], headers].concat();
                let answer = http::send_by(method, &url, &headers, body.as_bytes());
                assert_eq!(answer.status, 415, "{method} {path} {headers:?}");
                assert_eq!(answer.header("content-type"), "application/problem+json");
                let answer = http::send_by(method, &url, &[&headers[..], &[chunked]].concat(), body.as_bytes());
                assert_eq!(answer.status, 415, "chunked: {method} {path} {headers:?}");
            }
        }
        assert_eq!(me.get("/api/auth/me").status, 200, "not signed out");
        let like = format!("{}/api/activities/{crud}/like", cruddur.backend);
        let session = ("cookie", me.cookie.as_str());
        assert_eq!(
            http::send(&like, &[session, ("content-type", "text/plain")], b"").status,
            200,
            "the request has no body"
        );
        let empty = [session, ("content-type", "text/plain"), chunked];
        assert_eq!(http::send(&like, &empty, b"").status, 200, "the body is chunked, and empty");
        assert_eq!(
            http::send(&like, &[session, ("content-type", "Application/JSON; charset=utf-8")], b"{}").status,
            200
        );
    });
}

#[test]
fn a_configured_origin_may_include_its_default_port() {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let backend = Cruddur::service("backend", &[&own[..], &CONFIGURED].concat());
    let url = format!("{}/api/activities/home", backend.backend);
    let allowed =
        |origin| http::request("GET", &url, &[("origin", origin)]).header("access-control-allow-origin").to_owned();
    assert_eq!(allowed("https://api.example"), "https://api.example");
    assert_eq!(allowed("https://api.example:443"), "", "no browser sends this form");
    assert_eq!(allowed("http://api.example"), "");
}

#[test]
fn the_proxys_own_errors_are_readable_to_a_configured_origin() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let own = [("CRUDDUR_UPSTREAM", gone.as_str())];
    let proxy = Cruddur::service("frontend-proxy", &[&own[..], &CONFIGURED].concat());
    for (method, path, status) in [
        ("GET", "/api/activities/home", 502),
        ("POST", "/api/activities", 502),
        ("GET", "/nowhere", 404),
        ("POST", "/", 405),
        ("GET", "/a/%2e%2e/b", 400),
    ] {
        let send = |headers: Headers<'_>| http::request(method, &format!("{}{path}", proxy.page), headers);
        let answer = send(&[APP]);
        assert_eq!(answer.status, status, "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), APP.1, "{path}");
        assert_eq!(answer.header("access-control-allow-credentials"), "true");
        assert!(answer.header("access-control-expose-headers").contains("x-request-id"));
        for headers in [&[("origin", "http://evil.example")][..], &[("origin", "http://app.example")], &[]] {
            let answer = send(headers);
            assert_eq!(answer.header("access-control-allow-origin"), "", "{path} {headers:?}");
            let vary: Vec<&str> = answer.headers.get_all("vary").iter().map(|value| value.to_str().unwrap()).collect();
            assert!(vary.join(", ").contains("origin"), "{path} {vary:?}");
        }
    }
    let silent = Cruddur::service("frontend-proxy", &own);
    let answer = http::request("GET", &format!("{}/nowhere", silent.page), &[APP]);
    assert_eq!((answer.header("access-control-allow-origin"), answer.header("vary")), ("", "accept"));
}

/// Serves an empty page on every connection.
fn page() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            // A browser opens connections on which it sends nothing.
            thread::spawn(move || {
                drop(stream.read(&mut [0; 4_096]));
                drop(stream.write_all(
                    b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 2\r\nconnection: close\r\n\r\nhi",
                ));
            });
        }
    });
    format!("http://localhost:{port}/")
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_page_on_another_port_changes_nothing() {
    let Some(browser) = Browser::start().await else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let crud =
        tokio::task::block_in_place(|| cruddur.person().crud("liked by nobody")["uuid"].as_str().unwrap().to_owned());
    let likes = || {
        let url = format!("{}/api/activities/{crud}", cruddur.backend);
        tokio::task::block_in_place(|| http::get(&url).json()["likes_count"].as_u64())
    };
    let client = &browser.client;
    let signed_in = async |url: &str| {
        client.goto(url).await.unwrap();
        client.wait().at_most(DEADLINE).for_element(Locator::Css("html[data-session=in]")).await.unwrap();
    };
    let site = cruddur.page.replace("127.0.0.1", "localhost");
    signed_in(&cruddur.sign_in.replace("127.0.0.1", "localhost")).await;
    let script = "const [url, done] = arguments; fetch(url, { method: 'POST', mode: 'no-cors', credentials: 'include' })\
                  .then(() => done('sent'), () => done('failed'))";
    let post = async |path: &str| {
        let sent = client.execute_async(script, vec![json!(format!("{site}{path}"))]).await.unwrap();
        assert_eq!(sent, json!("sent"), "{path}");
    };
    let like = format!("/api/activities/{crud}/like");
    client.goto(&page()).await.unwrap();
    post(&like).await;
    post("/api/auth/signout").await;
    assert_eq!(likes(), Some(0));
    // The session still exists, and the same request takes effect from a page of its own origin.
    signed_in(&site).await;
    post(&like).await;
    assert_eq!(likes(), Some(1));
    browser.stop().await;
}
