//! What the services log, and the log records that they send.

use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use crate::faults::{KEY, REQUESTS, SendingBackend, number};
use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::person::PASSWORD;
use crate::support::{Folder, eventually, http};

/// With everything logged, and logs exported, one request causes a bounded number of exports, and exports cause no further
/// exports.
#[test]
fn logging_everything_causes_no_loop() {
    let (honeycomb, collector) = (Honeycomb::start(KEY), Honeycomb::start(""));
    // What a request of the ledger logs would be exported too. Exporters use none of these libraries.
    let levels = ("RUST_LOG", "trace,actix_cors=info,actix_http=info,mio=info");
    let often = ("OTEL_BLRP_SCHEDULE_DELAY", "50");
    let run = SendingBackend::start(&honeycomb, &collector, &[levels, often, ("OTEL_LOGS_EXPORTER", "otlp")]);
    run.request();
    // A loop would export in each delay. Ledger requests are not traced, and this many take longer than a delay. A statement of
    // the last request may be logged after its response, so the first rounds may see an export.
    let exports = eventually("no export without requests", || {
        let before = honeycomb.heads().len();
        (0..60).for_each(|_| drop(run.account()));
        let is_idle = number(&run.account(), "queued") == 0 && honeycomb.heads().len() == before;
        is_idle.then_some(before)
    });
    // A slow request may be split between two exports of spans and two of log records.
    assert!(exports <= 4 * REQUESTS, "{exports} exports for {REQUESTS} requests");
    run.stop();
}

/// A client that sends invalid requests cannot fill the log.
#[test]
fn invalid_requests_do_not_fill_the_log() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    for _ in 0..50 {
        let mut stream = TcpStream::connect(backend.backend.trim_start_matches("http://")).unwrap();
        stream.write_all(b"GET / HTTP/1.1\r\nX: \0\r\n\r\n").unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    }
    let errors = backend.stop().errors;
    assert!(errors.lines().count() < 20, "{errors}");
}

/// Log records go to the same destinations as spans, with the ids of the span in which they occurred.
#[test]
fn an_event_is_a_log_record_with_the_ids_of_its_span() {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let variables = [
        ("HONEYCOMB_API_KEY", KEY),
        ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str()),
        ("OTEL_LOGS_EXPORTER", "otlp"),
        ("CRUDDUR_DATA", data.path().to_str().unwrap()),
        ("CRUDDUR_UPSTREAM", "http://127.0.0.1:1"),
    ];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let answer = http::get(&format!("{}/api/activities/home", proxy.page));
    assert_eq!(answer.status, 502);
    let trace = answer.trace_id();
    let record = eventually("a log record", || honeycomb.logs().into_iter().next());
    assert_eq!(record.trace_id, u128::from_str_radix(&trace, 16).unwrap().to_be_bytes());
    assert_eq!((record.severity_text.as_str(), record.span_id.len()), ("WARN", 8));
    let counted = "telemetry_log_records_created_total{service=\"frontend-proxy\",destination=\"honeycomb-logs\"} 1\n";
    let metrics = String::from_utf8(http::get(&format!("{}/metrics", proxy.page)).body).unwrap();
    assert!(metrics.contains(counted), "{metrics}");
    assert_eq!(metrics.matches("telemetry_spans_created_total{").count(), 1, "{metrics}");
    let ended = proxy.stop();
    let to = format!("frontend-proxy: honeycomb-logs on: {}/v1/logs, http/protobuf, gzip", honeycomb.url);
    assert!(ended.errors.contains(&format!("{to} (by OTEL_LOGS_EXPORTER; levels ")), "{}", ended.errors);
    assert!(ended.errors.contains("frontend-proxy: honeycomb-logs: 1 log records created"), "{}", ended.errors);
    // The console has it too, as one line of JSON with the same ids.
    let line: Value = ended.errors.lines().find_map(|line| serde_json::from_str(line).ok()).unwrap();
    assert_eq!((&line["level"], &line["trace_id"]), (&json!("WARN"), &json!(trace)));
}

/// Canaries in the environment, in headers, a query, a body and the database's password reach no sink.
#[test]
fn no_secret_reaches_a_sink() {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let cruddur = Cruddur::up(
        &data,
        &[
            ("HONEYCOMB_API_KEY", KEY),
            ("HONEYCOMB_API_ENDPOINT", &honeycomb.url),
            ("OTEL_LOGS_EXPORTER", "otlp"),
            ("RUST_LOG", "trace"),
        ],
    );
    let headers = [("authorization", "Bearer canary-header"), ("cookie", "session=canary-cookie")];
    let url = format!("{}/api/activities/search?term=canary-query", cruddur.page);
    let answer = http::request("GET", &url, &headers);
    let person = cruddur.person();
    let signing_in = json!({"login": person.handle, "password": "canary-password"});
    let refused = cruddur.post("/api/auth/signin", &signing_in);
    let posted = person.post("/api/activities", &json!({"message": "canary-body", "ttl": "1-hour"}));
    assert_eq!((answer.status, refused.status, posted.status), (200, 401, 200));
    for trace in [answer.trace_id(), refused.trace_id(), posted.trace_id()] {
        let spans = cruddur.spans(&trace, 4);
        let text = Value::from(spans).to_string();
        assert!(!text.contains("canary"), "{text}");
        eventually("spans at Honeycomb", || (honeycomb.spans(&trace).len() >= 4).then_some(()));
    }
    let sent = [honeycomb.bodies().concat(), format!("{:?}", honeycomb.logs()).into_bytes()].concat();
    assert!(!String::from_utf8_lossy(&sent).contains("canary"));
    let ended = cruddur.stop();
    assert!(!ended.errors.contains("canary"), "{}", ended.errors);
    for secret in [PASSWORD, person.cookie.split_once('=').unwrap().1] {
        assert!(!ended.errors.contains(secret), "{}", ended.errors);
    }
    // ureq dumps the bytes that it sends in rows of sixteen.
    assert!(!ended.errors.contains("ureq_proto") && !ended.errors.contains("x-honeycomb"), "{}", ended.errors);
}
