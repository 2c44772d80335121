//! The stand-ins that readers without an account use.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, command};
use crate::support::{Folder, http};

/// A running stand-in for Honeycomb, and the variables that it prints.
fn honeycomb(arguments: &[&str]) -> (Cruddur, Vec<(String, String)>) {
    stand_in(&[&["honeycomb", "--listen", "127.0.0.1:0"], arguments].concat())
}

fn stand_in(arguments: &[&str]) -> (Cruddur, Vec<(String, String)>) {
    let mut stand_in = Cruddur::spawn(arguments, &[]);
    let line = stand_in.line();
    let variables = line.strip_prefix("export ").unwrap().split(' ').map(|variable| variable.split_once('=').unwrap());
    let variables = variables.map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    (stand_in, variables)
}

#[test]
fn honeycombs_stand_in_prints_each_span_with_its_dataset() {
    let (mut honeycomb, variables) = honeycomb(&[]);
    let variables: Vec<_> = variables.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let output = command(&["doctor", "--json"], &variables).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let auth = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "honeycomb auth").unwrap();
    assert_eq!((&auth["status"], &auth["detail"]), (&json!("ok"), &json!("team stand-in, environment stand-in")));

    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &variables);
    assert_eq!(cruddur.get("/api/activities/home").status, 200);
    assert!(cruddur.stop().errors.contains("frontend-proxy: honeycomb: 2 spans created = 2 delivered"));
    let mut expected = BTreeSet::from([
        ("dataset=frontend-proxy", "service=frontend-proxy", "span=GET /api/activities/home"),
        ("dataset=backend", "service=backend", "span=SELECT activities"),
    ]);
    while !expected.is_empty() {
        let line = honeycomb.line();
        expected.retain(|(dataset, service, span)| {
            !(line.starts_with(&format!("{dataset} {service} ")) && line.ends_with(span))
        });
    }
    assert_eq!(honeycomb.stop().status.code(), Some(0));
}

#[test]
fn honeycombs_stand_in_refuses_what_honeycomb_refuses() {
    let classic = "0123456789abcdef0123456789abcdef";
    let (_honeycomb, variables) = honeycomb(&["--key", classic]);
    let url = format!("{}/v1/traces", variables[1].1);
    let (json, team) = (http::JSON, ("x-honeycomb-team", classic));
    let dataset = ("x-honeycomb-dataset", "lesson");
    for (headers, body, status, message) in [
        (vec![json], "{}", 401, "missing 'x-honeycomb-team' header"),
        (vec![json, ("x-honeycomb-team", "other")], "{}", 401, "unknown API key - check your credentials"),
        (vec![json, team], "{}", 401, "missing 'x-honeycomb-dataset' header"),
        (vec![json, team, dataset], "{", 400, "EOF while parsing"),
        (vec![json, team, dataset, ("content-encoding", "br")], "{}", 400, "the body cannot be read"),
        (vec![("content-type", "text/plain"), team, dataset], "{}", 415, "unsupported content type"),
        (vec![json, team, dataset], "{}", 200, "{}"),
    ] {
        let answer = http::send(&url, &headers, body.as_bytes());
        let text = String::from_utf8(answer.body.clone()).unwrap();
        assert!(answer.status == status && text.contains(message), "{headers:?}: {} {text}", answer.status);
    }
}

#[test]
fn the_daemons_stand_in_prints_each_segment_and_serves_rules() {
    let folder = Folder::new();
    let rules = folder.path().join("rules.json");
    let rule = json!({"RuleName": "all", "Priority": 1, "FixedRate": 1, "ReservoirSize": 1});
    std::fs::write(&rules, json!({"SamplingRuleRecords": [{"SamplingRule": rule}]}).to_string()).unwrap();
    let arguments = ["xray", "daemon", "--listen", "127.0.0.1:0", "--rules", rules.to_str().unwrap()];
    let (mut daemon, variables) = stand_in(&arguments);
    let [(name, address)] = variables.as_slice() else { panic!("{variables:?}") };
    let variables = [(name.as_str(), address.as_str()), ("OTEL_TRACES_SAMPLER", "xray")];
    let output = command(&["doctor", "--json"], &variables).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let rules = report["checks"].as_array().unwrap().iter().find(|check| check["check"] == "xray rules").unwrap();
    assert_eq!(rules["status"], "ok", "{rules}");

    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &variables);
    assert_eq!(cruddur.get("/api/activities/home").status, 200);
    let mut expected = BTreeSet::from([
        "segment name=frontend-proxy ",
        "segment name=backend ",
        "  subsegment name=home-activities-mock-data ",
    ]);
    while !expected.is_empty() {
        let line = daemon.line();
        expected.retain(|start| !line.starts_with(start));
    }
    drop(cruddur);
    assert_eq!(daemon.stop().status.code(), Some(0));
}
