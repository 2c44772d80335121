//! X-Ray's sampling rules: the command that explains a file of them, and the viewer that gives them out.

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, command, run};
use crate::support::{Folder, http};

/// A rule as X-Ray's API tells it.
fn rule(name: &str, priority: u32, more: &Value) -> Value {
    let mut rule = json!({"RuleName": name, "ResourceARN": "*", "Priority": priority, "FixedRate": 0.0, "ReservoirSize": 0,
        "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1});
    for (key, value) in more.as_object().unwrap() {
        rule[key] = value.clone();
    }
    json!({ "SamplingRule": rule })
}

fn central(rules: &[Value]) -> Value {
    json!({ "SamplingRuleRecords": rules })
}

/// Writes `rules` to a file in `folder`, and tells its path.
fn file(folder: &Folder, rules: &Value) -> String {
    let path = folder.path().join("rules.json");
    std::fs::write(&path, rules.to_string()).unwrap();
    path.to_str().unwrap().to_owned()
}

/// What `cruddur xray rules test` says: its exit code, standard output and standard error.
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
    let (code, told, _) = explain(&rules, "GET http://localhost:3000/api/activities/home?x=y", &[]);
    let expected = r#"GET /api/activities/home at localhost:3000, taken by frontend-proxy:
      1  post     no: Host "localhost:3000" is not of "example.org"; HTTPMethod "GET" is not of "POST"
      2  home     decides
      3  flask    no: ServiceName "frontend-proxy" is not of "backend-flask"
  10000  Default  matches too, and is asked later
skipped: later: its Version is 2, not 1
note: flask: its ServiceName "backend-flask" is none of our services (backend, frontend-proxy); it must be the name of the segment
home decides: 2 a second are recorded, and 25 % of the rest
"#;
    assert_eq!((code, told.as_str()), (0, expected));
    let (code, told, _) = explain(&rules, "GET /other", &["--service", "backend-flask", "--json"]);
    let told: Value = serde_json::from_str(&told).unwrap();
    assert_eq!((code, &told["decides"]), (0, &json!({"rule": "flask", "reservoir": 0, "rate": 0.0})));
    assert_eq!((&told["notes"], &told["rules"][0]["matches"]), (&json!([]), &json!(false)));
}

#[test]
fn a_service_name_in_version_1_is_a_host_and_that_is_said() {
    let folder = Folder::new();
    let own = json!({"service_name": "backend", "http_method": "*", "url_path": "*", "fixed_target": 1, "rate": 0.5});
    let rules = json!({"version": 1, "default": {"fixed_target": 1, "rate": 0.05}, "rules": [own]});
    let (code, told, _) = explain(&file(&folder, &rules), "GET http://localhost/", &["--service", "backend"]);
    assert_eq!(code, 0);
    assert!(told.contains("local-1  no: Host \"localhost\" is not of \"backend\"\n"), "{told}");
    assert!(told.contains("note: local-1: its Host \"backend\" is the name of a service"), "{told}");
    assert!(told.ends_with("Default decides: 1 a second are recorded, and 5 % of the rest\n"), "{told}");
}

#[test]
fn a_wrong_file_and_a_wrong_request_are_told_apart() {
    let folder = Folder::new();
    let wrong = file(&folder, &central(&[rule("much", 1, &json!({"FixedRate": 5}))]));
    let (code, _, errors) = explain(&wrong, "GET /", &[]);
    assert_eq!(code, 1);
    assert!(
        errors.contains("rules.json is wrong: sampling rule much: give FixedRate as a number from 0 to 1"),
        "{errors}"
    );
    let (code, _, errors) = explain("/no/such/file", "GET /", &[]);
    assert!(code == 1 && errors.contains("/no/such/file cannot be read"), "{errors}");
    let (code, _, errors) = explain(&wrong, "localhost", &[]);
    assert!(code == 2 && errors.contains("give a method and a URL"), "{errors}");
}

fn rules_of(viewer: &Cruddur) -> Value {
    let answer = http::post(&format!("http://{}/GetSamplingRules", viewer.xray), &json!({}));
    assert_eq!(answer.status, 200);
    answer.json()["SamplingRuleRecords"].clone()
}

fn targets_of(viewer: &Cruddur, rules: &[(&str, &str)]) -> Value {
    let documents: Vec<Value> = rules
        .iter()
        .map(|(rule, client)| json!({"RuleName": rule, "ClientID": client, "Timestamp": 1, "RequestCount": 1, "SampledCount": 0}))
        .collect();
    let body = json!({ "SamplingStatisticsDocuments": documents });
    http::post(&format!("http://{}/SamplingTargets", viewer.xray), &body).json()
}

#[test]
fn the_viewer_gives_awss_default_where_there_is_no_file() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let [default] = rules_of(&viewer).as_array().unwrap().clone().try_into().unwrap();
    let rule = &default["SamplingRule"];
    assert_eq!(
        (&rule["RuleName"], &rule["ReservoirSize"], &rule["FixedRate"], &rule["Priority"]),
        (&json!("Default"), &json!(1), &json!(0.05), &json!(10_000))
    );
}

#[test]
fn the_viewer_gives_a_files_rules_and_divides_their_reservoirs() {
    let folder = Folder::new();
    let path = file(&folder, &central(&[rule("few", 5, &json!({"ReservoirSize": 5, "FixedRate": 0.25}))]));
    let viewer = Cruddur::service("trace-viewer", &[("CRUDDUR_XRAY_RULES", &path)]);
    let rules = rules_of(&viewer);
    assert_eq!((&rules[0]["SamplingRule"]["RuleName"], rules.as_array().unwrap().len()), (&json!("few"), 2));

    let told = targets_of(&viewer, &[("few", "a"), ("few", "b"), ("none", "a")]);
    let quotas: Vec<&Value> = told["SamplingTargetDocuments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| {
            assert_eq!((&target["FixedRate"], &target["Interval"]), (&json!(0.25), &json!(10)));
            &target["ReservoirQuota"]
        })
        .collect();
    assert_eq!(quotas, [5, 2], "the second has come after the first was answered");
    assert_eq!(targets_of(&viewer, &[("few", "a")])["SamplingTargetDocuments"][0]["ReservoirQuota"], 3);
    assert_eq!(told["UnprocessedStatistics"][0]["RuleName"], "none");
    let before = told["LastRuleModification"].as_f64().unwrap();

    file(&folder, &json!({"version": 2, "default": {"fixed_target": 0, "rate": 1}}));
    let rules = rules_of(&viewer);
    assert_eq!((rules.as_array().unwrap().len(), &rules[0]["SamplingRule"]["FixedRate"]), (1, &json!(1.0)));
    assert!(targets_of(&viewer, &[])["LastRuleModification"].as_f64().unwrap() >= before);
    file(&folder, &json!({"version": 3}));
    assert_eq!(rules_of(&viewer), rules, "a wrong file changes nothing");
    let ended = viewer.stop();
    assert_eq!(ended.errors.matches("the sampling rules from before still hold").count(), 1, "{}", ended.errors);
}

#[test]
fn the_viewer_tells_errors_as_aws_does() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = |path: &str| format!("http://{}/{path}", viewer.xray);
    let documents = vec![json!({"RuleName": "x", "ClientID": "y"}); 26];
    for (answer, status, kind) in [
        (http::post(&url("SamplingTargets"), &json!([])), 400, "InvalidRequestException"),
        (
            http::post(&url("SamplingTargets"), &json!({ "SamplingStatisticsDocuments": documents })),
            400,
            "InvalidRequestException",
        ),
        (http::send(&url("SamplingTargets"), &[], &vec![b' '; 300_000]), 400, "InvalidRequestException"),
        (http::send(&url("GetSamplingRules"), &[], &vec![b' '; 300_000]), 400, "InvalidRequestException"),
        (http::post(&url("TraceSegments"), &json!({})), 404, "UnknownOperationException"),
        (http::get(&url("GetSamplingRules")), 404, "UnknownOperationException"),
    ] {
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, kind));
        assert_eq!(answer.json()["__type"], kind);
        assert!(!answer.json()["Message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_viewer_does_not_start_with_a_wrong_file() {
    let folder = Folder::new();
    let path = file(&folder, &central(&[rule("much", 1, &json!({"FixedRate": 5}))]));
    for (path, problem) in [(path.as_str(), "sampling rule much: give FixedRate"), ("/no/such/file", "cannot be read")]
    {
        let listen = "127.0.0.1:0";
        let variables =
            [("CRUDDUR_VIEWER_LISTEN", listen), ("CRUDDUR_XRAY_LISTEN", listen), ("CRUDDUR_XRAY_RULES", path)];
        let ended = run(&["trace-viewer"], &variables);
        assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
        assert!(ended.errors.contains(problem) && ended.errors.contains("CRUDDUR_XRAY_RULES"), "{}", ended.errors);
    }
}
