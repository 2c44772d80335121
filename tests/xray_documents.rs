//! Every document that we send to the X-Ray daemon, for every kind of request, is one that X-Ray accepts.

use serde_json::{Value, json};
use sqlx::{Connection, Executor, SqliteConnection};

use crate::support::cruddur::Cruddur;
use crate::support::daemon::Daemon;
use crate::support::http::{self, Answer};
use crate::support::{Folder, eventually};

/// Pages, lists, missing resources and invalid queries, with characters that X-Ray does not allow.
#[test]
fn every_read_makes_valid_documents() {
    let fixture = Fixture::start();
    let posted =
        fixture.cruddur.person().post("/api/activities", &json!({"message": "a crud", "ttl": "1-hour"})).json();
    let crud = format!("/api/activities/{}", posted["uuid"].as_str().unwrap());
    let served = [
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
    ]
    .map(|(status, path)| {
        let response = fixture.cruddur.get(path);
        assert_eq!(response.status, status, "{path}");
        response
    });
    fixture.assert_each_is_a_segment(&served);
    fixture.assert_each_span_is_in_a_document();
}

/// A method, a path and headers.
type RequestParts<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

/// Unusual methods, headers of other tracers, and values longer than X-Ray's fields.
#[test]
fn every_method_and_header_makes_valid_documents() {
    const HOME: &str = "/api/activities/home";
    const SELF: &str = "Self=1-67891234-12456789abcdef012345678;Root=1-5759e988-bd862e3fe1be46a994272793";
    const LINEAGE: &str = "Root=1-5759e988-bd862e3fe1be46a994272794;Parent=46422517bae0bb00;Sampled=?;Lineage=1:a|2:b";
    const ROOT: &str = "Root=1-5759e988-bd862e3fe1be46a994272795;Parent=46422517bae0bb00;Sampled=1";
    const CONTINUED: &str = "6b02f03a54f4980499a5c1872558fcbf";
    let fixture = Fixture::start();
    let long = format!("/api/{}", "a/%C3%A9%20%F0%9F%92%A3%22%5C".repeat(60));
    let agent = "Mozilla/5.0 \"quoted\" \\ ".repeat(40);
    let traceparent = format!("00-{CONTINUED}-46422517bae0bb00-01");
    let other_traceparent = "00-6b02f03a54f4980499a5c1872558fcbe-46422517bae0bb00-01";
    let requests: [RequestParts; 9] = [
        ("GET", HOME, &[("user-agent", &agent)]),
        ("HEAD", HOME, &[]),
        ("BREW", HOME, &[("x-forwarded-for", "192.0.2.1, 192.0.2.2")]),
        ("GET", &long, &[("user-agent", "é💣")]),
        ("GET", HOME, &[("x-amzn-trace-id", SELF)]),
        ("GET", HOME, &[("x-amzn-trace-id", LINEAGE)]),
        ("GET", HOME, &[("traceparent", &traceparent)]),
        ("GET", HOME, &[("traceparent", other_traceparent), ("x-amzn-trace-id", ROOT)]),
        ("OPTIONS", HOME, &[("origin", "https://elsewhere.example"), ("access-control-request-method", "GET")]),
    ];
    let served = requests
        .map(|(method, path, headers)| http::request(method, &format!("{}{path}", fixture.cruddur.page), headers));
    fixture.assert_each_is_a_segment(&served);
    let spans = fixture.daemon.spans(CONTINUED, 5);
    assert_eq!(segment(&spans, "frontend-proxy")["parent_id"], "46422517bae0bb00");
    fixture.assert_each_span_is_in_a_document();
}

/// Posts and replies, refused and accepted.
#[test]
fn every_write_makes_valid_documents() {
    let fixture = Fixture::start();
    let person = fixture.cruddur.person();
    let posted = person.post("/api/activities", &json!({"message": "a crud", "ttl": "1-hour"})).json();
    let reply = format!("/api/activities/{}/reply", posted["uuid"].as_str().unwrap());
    let served = [
        ("/api/activities", json!({}), 422),
        ("/api/activities", json!({"message": "💣".repeat(300), "ttl": "1-hour"}), 422),
        (&reply, json!({"message": "a reply"}), 200),
        ("/api/activities/00000000-0000-0000-0000-000000000000/reply", json!({"message": "x"}), 404),
        ("/api/activities", json!({"message": "x".repeat(70_000), "ttl": "1-hour"}), 413),
    ]
    .map(|(path, body, status)| {
        let response = person.post(path, &body);
        assert_eq!(response.status, status, "{path}");
        response
    });
    fixture.assert_each_is_a_segment(&served);
    fixture.assert_each_span_is_in_a_document();
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

/// The services, and the daemon that they send to.
struct Fixture {
    cruddur: Cruddur,
    daemon: Daemon,
    _data: Folder,
}

impl Fixture {
    fn start() -> Self {
        let (daemon, data) = (Daemon::start(), Folder::new());
        let cruddur = Cruddur::up(&data, &[("AWS_XRAY_DAEMON_ADDRESS", &daemon.address.to_string())]);
        Self { cruddur, daemon, _data: data }
    }

    /// Each response has a segment of the proxy with its status. Reading a document checks it against the schema.
    fn assert_each_is_a_segment(&self, served: &[Answer]) {
        for response in served {
            let trace = response.trace_id();
            let proxy = eventually(format!("the proxy's segment of {trace}"), || {
                let spans = self.daemon.spans(&trace, 1);
                spans.into_iter().find(|span| is_segment_of(span, "frontend-proxy"))
            });
            assert_eq!(proxy["http"]["response"]["status"], response.status, "{proxy:#}");
            assert_eq!(proxy["error"] == true, (400..500).contains(&response.status), "{proxy:#}");
        }
    }

    /// Stops the services: their ledgers count as many spans as there are in the documents, and none dropped.
    fn assert_each_span_is_in_a_document(self) {
        let ended = self.cruddur.stop();
        let created = |service: &str| -> usize {
            let ledger = ended.errors.lines().find_map(|line| line.strip_prefix(&format!("{service}: xray: ")));
            let ledger = ledger.filter(|ledger| ledger.contains(" 0 queued + 0 dropped"));
            let (created, _) =
                ledger.and_then(|ledger| ledger.split_once(' ')).unwrap_or_else(|| panic!("{}", ended.errors));
            created.parse().unwrap()
        };
        assert_eq!(self.daemon.stop().len(), created("frontend-proxy") + created("backend"));
    }
}

fn segment<'a>(spans: &'a [Value], service: &str) -> &'a Value {
    let found = spans.iter().find(|span| is_segment_of(span, service));
    found.unwrap_or_else(|| panic!("no segment of {service}: {:#}", Value::from(spans.to_vec())))
}

fn is_segment_of(span: &Value, service: &str) -> bool {
    span["name"] == service && span["type"] != "subsegment"
}
