//! One request, one trace: the edges from the page's request to the SQL statement, in OTLP and in X-Ray's format.

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, http, postgres};

const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";
const CALLER: &str = "46422517bae0bb00";

#[test]
fn a_request_is_one_tree_from_the_page_to_sqlite() {
    let data = Folder::new();
    one_tree(&Cruddur::up(&data, &[]), "sqlite");
}

#[tokio::test]
async fn a_request_is_one_tree_from_the_page_to_postgresql() {
    let Some(url) = postgres::database().await else { return };
    let checked = tokio::task::spawn_blocking(move || {
        let data = Folder::new();
        one_tree(&Cruddur::up(&data, &[("DATABASE_URL", &url)]), "postgresql");
    });
    checked.await.unwrap();
}

fn one_tree(cruddur: &Cruddur, database: &str) {
    let traceparent = format!("00-{TRACE}-{CALLER}-01");
    let url = format!("{}/api/activities/home", cruddur.page);
    let answer = http::request("GET", &url, &[("traceparent", &traceparent)]);
    assert_eq!((answer.status, answer.trace_id().as_str()), (200, TRACE));

    // SERVER, CLIENT, SERVER, the lesson's span, and two statements.
    let spans = cruddur.spans(TRACE, 5);
    let otlp = |name: &str, kind: &str| find(&spans, "otlp", |span| span["name"] == name && span["kind"] == kind);
    let serving = |service: &str| {
        find(&spans, "otlp", |span| {
            (&span["name"], &span["kind"], &span["service"])
                == (&json!("GET /api/activities/home"), &json!("server"), &json!(service))
        })
    };
    let proxy = serving("frontend-proxy");
    let call = otlp("GET", "client");
    let backend = serving("backend");
    let lesson = otlp("home-activities-mock-data", "internal");
    let sql = otlp("SELECT activities", "client");
    assert_eq!(proxy["parent_span_id"], CALLER);
    for (child, parent) in [(call, proxy), (backend, call), (lesson, backend), (sql, lesson)] {
        assert_eq!(child["parent_span_id"], parent["span_id"], "{child:#}");
    }
    let posts = answer.json().as_array().unwrap().len();
    assert_eq!(lesson["attributes"]["app.result_length"], posts);
    assert!(lesson["attributes"]["app.now"].as_str().unwrap().starts_with("20"));
    assert_eq!(sql["attributes"]["db.system.name"], database);
    let text = sql["attributes"]["db.query.text"].as_str().unwrap();
    assert!(text.starts_with("WITH feed AS (SELECT uuid") && text.contains("$4"), "{text}");
    assert_eq!(backend["attributes"]["http.route"], "/api/activities/home");

    // The same edges, in segments and subsegments. A database server's statements are named by database and host.
    let name = sql["attributes"]["db.namespace"].as_str();
    let statement_name = name.map_or_else(|| database.to_owned(), |name| format!("{name}@127.0.0.1"));
    for (span, kind, name) in [
        (proxy, "segment", "frontend-proxy"),
        (call, "subsegment", cruddur.backend.trim_start_matches("http://")),
        (backend, "segment", "backend"),
        (lesson, "subsegment", "home-activities-mock-data"),
        (sql, "subsegment", &statement_name),
    ] {
        let twin = find(&spans, "xray", |twin| twin["span_id"] == span["span_id"]);
        assert_eq!((&twin["kind"], &twin["name"]), (&json!(kind), &json!(name)));
        assert_eq!(twin["parent_span_id"], span["parent_span_id"]);
    }
    let segment = find(&spans, "xray", |twin| twin["span_id"] == proxy["span_id"]);
    assert_eq!(segment["attributes"]["http"]["response"]["status"], 200);
    let statement = find(&spans, "xray", |twin| twin["span_id"] == sql["span_id"]);
    assert_eq!(statement["attributes"]["sql"]["database_type"], database);
    assert_eq!((&statement["service"], &statement["attributes"]["namespace"]), (&json!("backend"), &json!("remote")));

    // The trace's services: ours, and the database that they called.
    let list = http::get(&format!("{}/api/traces", cruddur.viewer)).json();
    let summary = list.as_array().unwrap().iter().find(|trace| trace["trace_id"] == TRACE).unwrap();
    assert_eq!(summary["root_path"], "/api/activities/home");
    assert_eq!(summary["services"], json!(["frontend-proxy", "backend", database]));
    assert_eq!(
        (&summary["root_name"], &summary["span_count"], &summary["errors"]),
        (&json!("GET /api/activities/home"), &json!(5), &json!(0))
    );
}

#[test]
fn a_posts_trace_has_its_users_id() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let person = cruddur.person();
    let answer = person.post("/api/activities", &json!({"message": "traced", "ttl": "1-hour"}));
    assert_eq!(answer.status, 200);
    let spans = cruddur.spans(&answer.trace_id(), 9);
    let named = |name: &str| find(&spans, "otlp", |span| span["name"] == name && span["service"] == "backend");
    let (backend, use_case) = (named("POST /api/activities"), named("create-activity"));
    assert_eq!(use_case["parent_span_id"], backend["span_id"]);
    for statement in ["BEGIN", "INSERT activities", "INSERT words", "COMMIT"] {
        let statement = named(statement);
        assert_eq!(statement["parent_span_id"], use_case["span_id"], "in a separate task, and in the same trace");
        assert_eq!(statement["attributes"]["user.id"], person.uuid);
    }
    assert_eq!(use_case["attributes"]["cruddur.activity.ttl_hours"], 1);
    assert_eq!(use_case["attributes"]["cruddur.message.length"], 6);
    for span in [backend, use_case, named("SELECT sessions")] {
        assert_eq!(span["attributes"]["user.id"], person.uuid, "{span:#}");
    }
    let everything = Value::from(spans.clone()).to_string();
    assert!(!everything.contains("\"traced\""), "no value is recorded");
}

#[test]
fn a_trace_of_an_x_ray_caller_is_continued() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let (epoch, random) = TRACE.split_at(8);
    let header = format!("Root=1-{epoch}-{random};Parent={CALLER};Sampled=1");
    let url = format!("{}/api/activities/home", cruddur.page);
    let answer = http::request("GET", &url, &[("x-amzn-trace-id", &header)]);
    assert_eq!(answer.trace_id(), TRACE);
    let spans = cruddur.spans(TRACE, 5);
    assert!(spans.iter().any(|span| span["parent_span_id"] == CALLER));
}

#[test]
fn an_invalid_input_is_the_clients_error_and_not_the_servers() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let answer = cruddur.post("/api/auth/signin", &json!({}));
    assert_eq!(answer.status, 422);
    let spans = cruddur.spans(&answer.trace_id(), 4);
    for span in spans.iter().filter(|span| span["source"] == "otlp" && span["name"] != "sign-in") {
        let expected = if span["kind"] == "client" { "error" } else { "unset" };
        assert_eq!(span["status"]["code"], expected, "{span:#}");
        assert_eq!(span["attributes"]["http.response.status_code"], 422);
    }
    let segment = find(&spans, "xray", |span| span["name"] == "backend");
    assert_eq!((&segment["attributes"]["error"], &segment["attributes"]["fault"]), (&json!(true), &Value::Null));
}

#[test]
fn a_health_check_and_a_stylesheet_are_not_traced() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    assert_eq!(http::get(&format!("{}/api/health-check", cruddur.backend)).json(), json!({"success": true, "ver": 1}));
    assert_eq!(cruddur.get("/api/health-check").status, 200);
    assert_eq!(cruddur.get("/cruddur.css").status, 200);
    let last = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&last, 5);
    let list = http::get(&format!("{}/api/traces", cruddur.viewer)).json();
    let names: Vec<_> = list.as_array().unwrap().iter().map(|trace| trace["root_name"].as_str().unwrap()).collect();
    assert_eq!(names, ["GET /api/activities/home", "start"]);
}

fn find<'a>(spans: &'a [Value], source: &str, is: impl Fn(&Value) -> bool) -> &'a Value {
    let found = spans.iter().find(|span| span["source"] == source && is(span));
    found.unwrap_or_else(|| panic!("no such span in {source}: {:#}", Value::from(spans.to_vec())))
}
