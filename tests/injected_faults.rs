//! Faults that are injected on request: `CRUDDUR_FAULTS`, and the route that fails.

use serde_json::Value;

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, http};

#[test]
fn test_faults_work_on_request_and_are_refused_in_production() {
    let data = Folder::new();
    let data = ("CRUDDUR_DATA", data.path().to_str().unwrap());
    let viewer = Cruddur::service("trace-viewer", &[]);
    let to_viewer =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", viewer.viewer.as_str()), ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray)];
    let faults = |faults| [to_viewer.as_slice(), &[data, ("CRUDDUR_FAULTS", faults)]].concat();

    let slow = Cruddur::service("backend", &faults("slow-query:50ms,n-plus-one"));
    slow.wait_for_log("slow-query:50ms,n-plus-one");
    assert_eq!(http::get(&format!("{}/api/health-check", slow.backend)).json()["faults"], "slow-query:50ms,n-plus-one");
    let trace = "6b02f03a54f4980499a5c1872558fcbf";
    let parent = format!("00-{trace}-46422517bae0bb00-01");
    let home = format!("{}/api/activities/home", slow.backend);
    assert_eq!(http::request("GET", &home, &[("traceparent", &parent)]).status, 200);
    // The replies to each of the four cruds are queried separately.
    let spans = viewer.spans(trace, 7);
    let statements: Vec<_> =
        spans.iter().filter(|span| span["source"] == "otlp" && span["name"] == "SELECT activities").collect();
    assert_eq!(statements.len(), 5);
    let nanoseconds = |span: &Value, key: &str| span[key].as_str().unwrap().parse::<u64>().unwrap();
    for span in statements {
        assert!(nanoseconds(span, "end_unix_nano") - nanoseconds(span, "start_unix_nano") >= 50_000_000, "{span:#}");
    }

    let failing = Cruddur::service("backend", &faults("error:100%"));
    let answer = http::get(&format!("{}/api/activities/home", failing.backend));
    assert_eq!((answer.status, answer.header("content-type")), (500, "application/problem+json"));
    assert_eq!(http::get(&format!("{}/api/health-check", failing.backend)).status, 200);

    let production = [data, ("CRUDDUR_ENV", "production"), ("CRUDDUR_FAULTS", "n-plus-one")];
    let refused = crate::support::cruddur::run(&["backend"], &production);
    assert_eq!(refused.status.code(), Some(64));
    assert!(refused.errors.contains("CRUDDUR_FAULTS: ") && refused.errors.contains("production"), "{}", refused.errors);
    for wrong in ["slow", "error:5", "slow-query:0ms"] {
        assert_eq!(
            crate::support::cruddur::run(&["backend"], &[data, ("CRUDDUR_FAULTS", wrong)]).status.code(),
            Some(64)
        );
    }
}

#[test]
fn a_test_error_is_reported_in_its_trace() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let answer = cruddur.get("/rollbar/test");
    assert_eq!(answer.status, 500);
    let spans = cruddur.spans(&answer.trace_id(), 3);
    let text = Value::from(spans).to_string();
    assert!(text.contains("backend::TestError"), "{text}");
}
