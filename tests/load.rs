//! `cruddur load` against a running Cruddur: both loops, counts by route, and traces that the viewer has. Also its behaviour if it
//! may not load the address, nothing responds there, the server goes away, or it is interrupted.

use std::process::{Child, Output, Stdio};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::support::cruddur::{Cruddur, command};
use crate::support::{Folder, eventually, http};

fn load(arguments: &[&str]) -> Output {
    command(&[&["load"], arguments].concat(), &[]).stdin(Stdio::null()).output().unwrap()
}

/// The summary of a load without failures.
fn well(cruddur: &Cruddur, arguments: &[&str]) -> Value {
    let own = [cruddur.page.as_str(), "--json"];
    let output = load(&[&own, arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let summary: Value = serde_json::from_slice(&output.stdout).unwrap();
    let routes = summary["routes"].as_array().unwrap();
    let count = |field: &str| routes.iter().map(|route| route[field].as_u64().unwrap()).sum::<u64>();
    for field in ["requests", "failed", "refused", "gone"] {
        assert_eq!(summary["total"][field], count(field), "the {field} of all routes add up to the total");
    }
    for route in routes {
        assert_eq!(route["errors"], serde_json::json!({}), "{route}");
        let latency = |name: &str| route["latency_ms"][name].as_f64().unwrap();
        assert!(
            latency("p50") > 0.0 && latency("p50") <= latency("p99") && latency("p99") <= latency("max"),
            "{route}"
        );
    }
    for route in ["", "/search", "/@{handle}", "/@{handle}/status/{uuid}"] {
        let name = if route.is_empty() {
            "GET /api/activities/home".to_owned()
        } else {
            format!("GET /api/activities{route}")
        };
        let found = routes.iter().find(|route| route["route"] == name.as_str());
        assert!(found.is_some_and(|route| route["requests"].as_u64() > Some(0)), "{name} in {summary:#}");
    }
    summary
}

/// How many of the slowest requests have a link to a trace that the viewer still has.
fn linked(cruddur: &Cruddur, summary: &Value) -> usize {
    let slowest = summary["slowest"].as_array().unwrap();
    assert_eq!(slowest.len(), 10);
    let linked = slowest.iter().filter_map(|slow| {
        let id = slow["trace_id"].as_str().unwrap();
        assert_eq!(id.len(), 32);
        let link = slow["link"].as_str()?;
        assert_eq!(link, format!("{}/traces/#{id}", cruddur.page));
        // The viewer may have only some of its spans, with the root still to come; or later spans may have evicted the trace.
        let path = eventually(link, || {
            let trace = http::get(&format!("{}/api/traces/{id}", cruddur.viewer));
            match trace.status {
                404 => Some(None),
                _ => trace.json()["root_path"].as_str().map(|path| Some(path.to_owned())),
            }
        })?;
        assert!(path.starts_with("/api/"), "{path}");
        Some(link)
    });
    linked.count()
}

#[test]
fn a_closed_loop_requests_as_fast_as_responses_arrive() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let summary = well(&cruddur, &["--users", "0", "--duration", "2s", "--concurrency", "2", "--seed", "1"]);
    assert_eq!(summary["loop"], serde_json::json!({"closed": {"concurrency": 2}}));
    assert_eq!((&summary["seed"], &summary["interrupted"]), (&1.into(), &false.into()));
    // The viewer's memory may be too small for all of them.
    assert!(linked(&cruddur, &summary) > 0, "{summary:#}");
}

#[test]
fn an_open_loop_keeps_its_rate_and_the_viewer_has_its_slowest_traces() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let summary = well(&cruddur, &["--users", "0", "--duration", "2s", "--rate", "40", "--seed", "1"]);
    assert_eq!(summary["total"]["requests"], 80, "all that were due in two seconds: {summary:#}");
    let sent = &summary["loop"]["open"];
    assert_eq!((sent["rate"].as_u64(), sent["unsent"].as_u64()), (Some(40), Some(0)));
    assert_eq!(sent["in_time"].as_u64().unwrap() + sent["late"].as_u64().unwrap(), 80);
    assert_eq!(linked(&cruddur, &summary), 10, "{summary:#}");
    let output = load(&[&cruddur.page, "--users", "0", "--duration", "500ms"]);
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.starts_with(&format!("{}, closed loop of 8", cruddur.page)) && !text.contains('\x1b'), "{text}");
    assert!(text.lines().any(|line| line.starts_with("all  ")) && text.contains("/traces/#"), "{text}");
}

#[test]
fn accounts_of_a_load_post_reply_like_and_message() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    // Longer than the other loads, because one request in fourteen writes.
    let summary = well(&cruddur, &["--users", "3", "--rate", "60", "--seed", "1", "--duration", "10s"]);
    assert_eq!((&summary["users"], &summary["total"]["requests"]), (&3.into(), &600.into()));
    let routes: Vec<&str> =
        summary["routes"].as_array().unwrap().iter().map(|route| route["route"].as_str().unwrap()).collect();
    for route in [
        "POST /api/activities",
        "POST /api/activities/{uuid}/reply",
        "POST /api/activities/{uuid}/like",
        "POST /api/messages",
        "GET /api/messages/@{handle}",
        "GET /api/activities/notifications",
    ] {
        assert!(routes.contains(&route), "{route} in {summary:#}");
    }
    let home = cruddur.get("/api/activities/home").json();
    let posted = home.as_array().unwrap().iter().filter_map(|crud| crud["handle"].as_str());
    assert!(posted.filter(|handle| handle.starts_with("load_") && handle.len() == 11).count() > 0, "{home:#}");
}

#[test]
fn another_machine_is_loaded_only_with_allow_remote() {
    for address in ["http://192.0.2.1:3000", "http://[2001:db8::1]", "http://0.0.0.0:3000"] {
        let output = load(&[address]);
        let errors = String::from_utf8(output.stderr).unwrap();
        assert_eq!(output.status.code(), Some(64), "{errors}");
        assert!(errors.contains("not this machine; give --allow-remote"), "{errors}");
    }
}

#[test]
fn an_unreachable_server_and_a_foreign_one_are_distinguished() {
    let output = load(&["http://127.0.0.1:1"]);
    assert_eq!(output.status.code(), Some(1));
    let unreachable = "error: nothing listens at http://127.0.0.1:1; start Cruddur with `cargo run`\n";
    assert_eq!(String::from_utf8(output.stderr).unwrap(), unreachable);
    let viewer = Cruddur::service("trace-viewer", &[]);
    let output = load(&[&viewer.viewer]);
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(errors.contains("no healthy Cruddur at") && errors.contains("404"), "{errors}");
}

/// A load of a minute that has started.
fn started(cruddur: &Cruddur) -> Child {
    let arguments = ["load", &cruddur.page, "--users", "0", "--duration", "60s", "--json"];
    let mut load = command(&arguments, &[]);
    let load = load.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let traces = format!("{}/api/traces", cruddur.viewer);
    eventually("a trace of the load", || {
        let list = http::get(&traces).json();
        let paths = list.as_array()?.iter().filter_map(|trace| trace["root_path"].as_str());
        paths.filter(|path| path.starts_with("/api/activities/")).nth(20).map(drop)
    });
    load
}

/// The load's summary and output after Ctrl-C.
fn interrupt(load: Child) -> (Value, Output) {
    kill_process(Pid::from_child(&load), Signal::INT).unwrap();
    let output = load.wait_with_output().unwrap();
    (serde_json::from_slice(&output.stdout).unwrap(), output)
}

#[test]
fn an_interrupted_load_reports_what_it_measured() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let (summary, output) = interrupt(started(&cruddur));
    assert_eq!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(summary["interrupted"], true);
    assert!(
        summary["seconds"].as_f64().unwrap() < 50.0 && summary["total"]["requests"].as_u64() > Some(20),
        "{summary:#}"
    );
}

#[test]
fn a_server_that_disappears_is_a_failure_and_not_retried_forever() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let load = started(&cruddur);
    assert_eq!(cruddur.stop().status.code(), Some(0));
    let (summary, output) = interrupt(load);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8(output.stderr).unwrap().contains("requests failed"));
    let errors = &summary["total"]["errors"];
    // Eight visitors, each ten times a second.
    assert!((1..5_000).contains(&errors["no connection"].as_u64().unwrap()), "{summary:#}");
}
