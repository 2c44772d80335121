//! Every document that we send to the X-Ray daemon, for every kind of request, is one that X-Ray accepts.

use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::support::cruddur::Cruddur;
use crate::support::daemon::Daemon;
use crate::support::{Folder, http};

const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";

/// Pages, lists, posts, replies, invalid input, missing resources, headers of other tracers, characters that X-Ray does not allow,
/// and values longer than X-Ray's fields.
#[test]
fn every_request_makes_valid_documents() {
    let daemon = Daemon::start();
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("AWS_XRAY_DAEMON_ADDRESS", &daemon.address.to_string())]);
    let long = "a/é%20💣\"\\".repeat(60);
    let agent = "Mozilla/5.0 \"quoted\" \\ ".repeat(40);
    let person = cruddur.person();
    let posted = person.post("/api/activities", &json!({"message": "a crud", "ttl": "1-hour"})).json();
    let crud = format!("/api/activities/{}", posted["uuid"].as_str().unwrap());
    let mut served = Vec::new();
    for (status, path) in [
        (200, "/"),
        (404, "/nowhere"),
        (200, "/api/activities/home"),
        (200, "/api/activities/home?limit=1"),
        (200, "/api/activities/@andrewbrown"),
        (200, &crud),
        (200, "/api/activities/search?term=%F0%9F%92%A3"),
        (404, "/api/activities/@%F0%9F%92%A3%22%5C%09"),
        (404, "/api/activities/00000000-0000-0000-0000-000000000000"),
        (404, "/api/no/%C3%A9%22/'such'/route?secret=1"),
        (422, "/api/activities/search?term="),
        (400, "/api/activities/home?limit=x"),
    ] {
        let answer = cruddur.get(path);
        assert_eq!(answer.status, status, "{path}");
        served.push((answer.trace_id(), status));
    }
    let long = format!(
        "/api/{}",
        long.replace('"', "%22").replace('\\', "%5C").replace('é', "%C3%A9").replace('💣', "%F0%9F%92%A3")
    );
    for (method, path, headers) in [
        ("GET", "/api/activities/home", vec![("user-agent", agent.as_str())]),
        ("HEAD", "/api/activities/home", vec![]),
        ("BREW", "/api/activities/home", vec![("x-forwarded-for", "192.0.2.1, 192.0.2.2")]),
        ("GET", &long, vec![("user-agent", "é💣")]),
        (
            "GET",
            "/api/activities/home",
            vec![(
                "x-amzn-trace-id",
                "Self=1-67891234-12456789abcdef012345678;Root=1-5759e988-bd862e3fe1be46a994272793",
            )],
        ),
        (
            "GET",
            "/api/activities/home",
            vec![(
                "x-amzn-trace-id",
                "Root=1-5759e988-bd862e3fe1be46a994272794;Parent=46422517bae0bb00;Sampled=?;Lineage=1:a|2:b",
            )],
        ),
        (
            "GET",
            "/api/activities/home",
            vec![("traceparent", "00-6b02f03a54f4980499a5c1872558fcbf-46422517bae0bb00-01")],
        ),
        (
            "GET",
            "/api/activities/home",
            vec![
                ("traceparent", "00-6b02f03a54f4980499a5c1872558fcbe-46422517bae0bb00-01"),
                ("x-amzn-trace-id", "Root=1-5759e988-bd862e3fe1be46a994272795;Parent=46422517bae0bb00;Sampled=1"),
            ],
        ),
        (
            "OPTIONS",
            "/api/activities/home",
            vec![("origin", "https://elsewhere.example"), ("access-control-request-method", "GET")],
        ),
    ] {
        let answer = http::request(method, &format!("{}{path}", cruddur.page), &headers);
        served.push((answer.trace_id(), answer.status));
    }
    for (path, body, status) in [
        ("/api/activities", json!({}), 422),
        ("/api/activities", json!({"message": "💣".repeat(300), "ttl": "1-hour"}), 422),
        (&format!("{crud}/reply"), json!({"message": "a reply"}), 200),
        ("/api/activities/00000000-0000-0000-0000-000000000000/reply", json!({"message": "x"}), 404),
        ("/api/activities", json!({"message": "x".repeat(70_000), "ttl": "1-hour"}), 413),
    ] {
        let answer = person.post(path, &body);
        assert_eq!(answer.status, status, "{path}");
        served.push((answer.trace_id(), status));
    }
    for (trace, status) in served {
        // The page's request has at least a segment of the proxy, with its status.
        let spans = daemon.spans(&trace, 1);
        let proxy = segment(&spans, "frontend-proxy");
        assert_eq!(proxy["http"]["response"]["status"], status, "{proxy:#}");
        assert_eq!(proxy["error"] == true, (400..500).contains(&status), "{proxy:#}");
    }
    assert_eq!(segment(&daemon.spans(TRACE, 5), "frontend-proxy")["parent_id"], "46422517bae0bb00");
    let ended = cruddur.stop();
    let mut made = 0;
    for service in ["frontend-proxy", "backend"] {
        let account = ended.errors.lines().find_map(|line| line.strip_prefix(&format!("{service}: xray: ")));
        let account = account.filter(|account| account.contains(" 0 queued + 0 dropped"));
        let created = account.unwrap_or_else(|| panic!("{}", ended.errors)).split(' ').next().unwrap();
        made += created.parse::<usize>().unwrap();
    }
    assert_eq!(daemon.stop().len(), made, "each span is in a document");
}

/// A database that lost a table is a fault with a cause, an unreachable upstream is a fault without one, and both are valid.
#[tokio::test(flavor = "multi_thread")]
async fn a_fault_is_a_valid_document() {
    let daemon = Daemon::start();
    let data = Folder::new();
    let address = daemon.address.to_string();
    let cruddur = Cruddur::up(&data, &[("AWS_XRAY_DAEMON_ADDRESS", &address)]);
    let file = format!("sqlite:{}/cruddur.db", data.path().display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    database.execute("ALTER TABLE activities RENAME TO gone").await.unwrap();
    database.close().await.unwrap();
    let answer = cruddur.get("/api/activities/home");
    assert_eq!(answer.status, 500);
    let spans = daemon.spans(&answer.trace_id(), 5);
    for service in ["frontend-proxy", "backend"] {
        assert_eq!(segment(&spans, service)["fault"], true);
    }
    let cause = spans.iter().find(|span| !span["cause"].is_null()).unwrap_or_else(|| panic!("{spans:#?}"));
    assert!(cause["cause"]["exceptions"][0]["type"].is_string(), "{cause:#}");

    let variables = [("CRUDDUR_UPSTREAM", "127.0.0.1:1"), ("AWS_XRAY_DAEMON_ADDRESS", address.as_str())];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let answer = proxy.get("/api/activities/home");
    assert_eq!(answer.status, 502);
    let spans = daemon.spans(&answer.trace_id(), 2);
    assert!(spans.iter().all(|span| span["fault"] == true), "{spans:#?}");
}

fn segment<'a>(spans: &'a [Value], service: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["name"] == service && span["type"] != "subsegment");
    found.unwrap_or_else(|| panic!("no segment of {service}: {:#}", Value::from(spans.to_vec())))
}
