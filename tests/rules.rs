//! `cruddur xray rules test`, which explains how a file of X-Ray's sampling rules decides.

use serde_json::{Value, json};

use crate::support::Folder;
use crate::support::cruddur::command;

/// A rule in the format of X-Ray's API.
pub(crate) fn rule(name: &str, priority: u32, more: &Value) -> Value {
    let mut rule = json!({"RuleName": name, "ResourceARN": "*", "Priority": priority, "FixedRate": 0.0, "ReservoirSize": 0,
        "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1});
    for (key, value) in more.as_object().unwrap() {
        rule[key] = value.clone();
    }
    json!({ "SamplingRule": rule })
}

pub(crate) fn central(rules: &[Value]) -> Value {
    json!({ "SamplingRuleRecords": rules })
}

/// Writes `rules` to a file in `folder`, and returns its path.
pub(crate) fn file(folder: &Folder, rules: &Value) -> String {
    let path = folder.path().join("rules.json");
    std::fs::write(&path, rules.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// The result of `cruddur xray rules test`: its exit code, standard output and standard error.
fn explain(rules: &str, request: &str, more: &[&str]) -> (i32, String, String) {
    let arguments = [&["xray", "rules", "test", "--rules", rules, "--request", request], more].concat();
    let output = command(&arguments, &[]).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

#[test]
fn a_file_is_explained_rule_by_rule() {
    let folder = Folder::new();
    let rules = file(
        &folder,
        &central(&[
            rule("flask", 3, &json!({"ServiceName": "backend-flask"})),
            rule("home", 2, &json!({"URLPath": "/api/activities/*", "FixedRate": 0.25, "ReservoirSize": 2})),
            rule("post", 1, &json!({"HTTPMethod": "POST", "Host": "example.org"})),
            rule("later", 1, &json!({"Version": 2})),
        ]),
    );
    let (code, output, _) = explain(&rules, "GET http://localhost:3000/api/activities/home?x=y", &[]);
    let expected = r#"GET /api/activities/home at localhost:3000, received by frontend-proxy:
      1  post     no: Host "localhost:3000" does not match "example.org"; HTTPMethod "GET" does not match "POST"
      2  home     decides
      3  flask    no: ServiceName "frontend-proxy" does not match "backend-flask"
  10000  Default  also matches, but comes later
skipped: later: its Version is 2, not 1
note: flask: no service here has the ServiceName "backend-flask"; use the name of a segment (backend, frontend-proxy)
home decides: it records 2 a second, and 25 % of the others
"#;
    assert_eq!((code, output.as_str()), (0, expected));
    let (code, output, _) = explain(&rules, "GET /other", &["--service", "backend-flask", "--json"]);
    let output: Value = serde_json::from_str(&output).unwrap();
    assert_eq!((code, &output["decides"]), (0, &json!({"rule": "flask", "reservoir": 0, "rate": 0.0})));
    assert_eq!((&output["notes"], &output["rules"][0]["matches"]), (&json!([]), &json!(false)));
    let ecs = rule("ecs", 1, &json!({"ServiceType": "AWS::ECS::Container", "ServiceName": "backend flask"}));
    let rules = file(&folder, &central(&[ecs]));
    let more = ["--service", "backend (flask)", "--service-type", "AWS::ECS::Container"];
    let (_, output, _) = explain(&rules, "GET /", &more);
    assert!(output.contains("ecs      decides") && !output.contains("note:"), "{output}");
}

#[test]
fn the_courses_rule_is_valid_and_matches_no_service_here() {
    let folder = Folder::new();
    let own = json!({"RuleName": "Cruddur", "ResourceARN": "*", "Priority": 9000, "FixedRate": 0.1, "ReservoirSize": 5,
        "ServiceName": "Cruddur", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1});
    let rules = file(&folder, &json!({ "SamplingRule": own }));
    let (code, output, errors) = explain(&rules, "GET http://localhost/", &[]);
    assert_eq!(code, 0, "{errors}");
    let note = "note: Cruddur: no service here has the ServiceName \"Cruddur\"; use the name of a segment (backend, frontend-proxy)";
    assert!(output.contains(note) && output.contains("Default decides"), "{output}");
    // A service that gets its name from either variable is matched.
    for named in [("OTEL_SERVICE_NAME", "Cruddur"), ("OTEL_RESOURCE_ATTRIBUTES", "team=a,service.name=Cruddur")] {
        let arguments = ["xray", "rules", "test", "--rules", &rules, "--request", "GET /"];
        let output = command(&arguments, &[named]).output().unwrap();
        assert!(!String::from_utf8(output.stdout).unwrap().contains("note: Cruddur"), "{named:?}");
    }
}

#[test]
fn a_service_name_in_version_1_is_reported_as_a_host() {
    let folder = Folder::new();
    let own = json!({"service_name": "backend", "http_method": "*", "url_path": "*", "fixed_target": 1, "rate": 0.5});
    let rules = json!({"version": 1, "default": {"fixed_target": 1, "rate": 0.05}, "rules": [own]});
    let (code, output, _) = explain(&file(&folder, &rules), "GET http://localhost/", &["--service", "backend"]);
    assert_eq!(code, 0);
    assert!(output.contains("local-1  no: Host \"localhost\" does not match \"backend\"\n"), "{output}");
    assert!(output.contains("note: local-1: the Host \"backend\" is a service's name"), "{output}");
    assert!(output.ends_with("Default decides: it records 1 a second, and 5 % of the others\n"), "{output}");
}

#[test]
fn an_invalid_file_and_an_invalid_request_are_distinguished() {
    let folder = Folder::new();
    let wrong = file(&folder, &central(&[rule("much", 1, &json!({"FixedRate": 5}))]));
    let (code, _, errors) = explain(&wrong, "GET /", &[]);
    assert_eq!(code, 1);
    assert!(
        errors.contains("rules.json is invalid: sampling rule much: give FixedRate as a number from 0 to 1"),
        "{errors}"
    );
    let (code, _, errors) = explain("/no/such/file", "GET /", &[]);
    assert!(code == 1 && errors.contains("cannot read /no/such/file"), "{errors}");
    let (code, _, errors) = explain(&wrong, "localhost", &[]);
    assert!(code == 2 && errors.contains("give a method and a URL"), "{errors}");
}

#[test]
fn the_documentations_files_are_valid() {
    let folder = Folder::new();
    let page = include_str!("../docs/src/sampling.md");
    let examples: Vec<&str> = page.split("```json").skip(1).map(|rest| rest.split_once("```").unwrap().0).collect();
    let decided: Vec<String> = examples
        .iter()
        .map(|example| {
            let path = folder.path().join("example.json");
            std::fs::write(&path, example).unwrap();
            let (code, output, errors) =
                explain(path.to_str().unwrap(), "POST http://localhost:3000/api/activities", &["--json"]);
            assert_eq!(code, 0, "{errors}");
            serde_json::from_str::<Value>(&output).unwrap()["decides"]["rule"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(decided, ["Default", "posts"]);
}
