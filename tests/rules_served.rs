//! The sampling rules that the viewer serves, as X-Ray's daemon does, and the quotas that it gives.

use serde_json::{Value, json};

use crate::rules::{central, file, rule};
use crate::support::cruddur::{Cruddur, run};
use crate::support::{Folder, http};

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
fn without_a_file_the_viewer_serves_awss_default_rule() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let [default] = rules_of(&viewer).as_array().unwrap().clone().try_into().unwrap();
    let rule = &default["SamplingRule"];
    assert_eq!(
        (&rule["RuleName"], &rule["ReservoirSize"], &rule["FixedRate"], &rule["Priority"]),
        (&json!("Default"), &json!(1), &json!(0.05), &json!(10_000))
    );
}

#[test]
fn the_viewer_serves_a_files_rules_and_divides_their_reservoirs() {
    let folder = Folder::new();
    let path = file(&folder, &central(&[rule("few", 5, &json!({"ReservoirSize": 5, "FixedRate": 0.25}))]));
    let viewer = Cruddur::service("trace-viewer", &[("CRUDDUR_XRAY_RULES", &path)]);
    let rules = rules_of(&viewer);
    assert_eq!((&rules[0]["SamplingRule"]["RuleName"], rules.as_array().unwrap().len()), (&json!("few"), 2));

    let targets = targets_of(&viewer, &[("few", "a"), ("few", "b"), ("none", "a")]);
    let quotas: Vec<&Value> = targets["SamplingTargetDocuments"]
        .as_array()
        .unwrap()
        .iter()
        .map(|target| {
            assert_eq!((&target["FixedRate"], &target["Interval"]), (&json!(0.25), &json!(10)));
            &target["ReservoirQuota"]
        })
        .collect();
    assert_eq!(quotas, [5, 2], "the second arrived after the response to the first");
    assert_eq!(targets_of(&viewer, &[("few", "a")])["SamplingTargetDocuments"][0]["ReservoirQuota"], 3);
    assert_eq!(targets["UnprocessedStatistics"][0]["RuleName"], "none");
    let before = targets["LastRuleModification"].as_f64().unwrap();

    file(&folder, &json!({"version": 2, "default": {"fixed_target": 0, "rate": 1}}));
    let rules = rules_of(&viewer);
    assert_eq!((rules.as_array().unwrap().len(), &rules[0]["SamplingRule"]["FixedRate"]), (1, &json!(1.0)));
    assert!(targets_of(&viewer, &[])["LastRuleModification"].as_f64().unwrap() >= before);
    file(&folder, &json!({"version": 3}));
    assert_eq!(rules_of(&viewer), rules, "an invalid file changes nothing");
    let ended = viewer.stop();
    assert_eq!(ended.errors.matches("keeping the old sampling rules").count(), 1, "{}", ended.errors);
}

#[test]
fn the_viewer_reports_errors_as_aws_does() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let url = |path: &str| format!("http://{}/{path}", viewer.xray);
    let documents = vec![json!({"RuleName": "x", "ClientID": "y"}); 26];
    let long = json!({"SamplingStatisticsDocuments": [{"RuleName": "Default", "ClientID": "y".repeat(65)}]});
    let page = [("origin", "http://evil.example"), ("content-type", "text/plain")];
    for (answer, status, kind) in [
        (http::post(&url("SamplingTargets"), &json!([])), 400, "InvalidRequestException"),
        (
            http::post(&url("SamplingTargets"), &json!({ "SamplingStatisticsDocuments": documents })),
            400,
            "InvalidRequestException",
        ),
        (http::post(&url("SamplingTargets"), &long), 400, "InvalidRequestException"),
        (http::send(&url("SamplingTargets"), &page, b"{}"), 404, "UnknownOperationException"),
        (http::send(&url("SamplingTargets"), &[], &vec![b' '; 300_000]), 413, "InvalidRequestException"),
        (http::send(&url("GetSamplingRules"), &[], &vec![b' '; 300_000]), 413, "InvalidRequestException"),
        (http::post(&url("TraceSegments"), &json!({})), 404, "UnknownOperationException"),
        (http::get(&url("GetSamplingRules")), 404, "UnknownOperationException"),
    ] {
        assert_eq!((answer.status, answer.header("x-amzn-errortype")), (status, kind));
        assert_eq!(answer.json()["__type"], kind);
        assert!(!answer.json()["Message"].as_str().unwrap().is_empty());
    }
}

#[test]
fn the_viewer_does_not_start_with_an_invalid_file() {
    let folder = Folder::new();
    let path = file(&folder, &central(&[rule("much", 1, &json!({"FixedRate": 5}))]));
    for (path, problem) in
        [(path.as_str(), "sampling rule much: give FixedRate"), ("/no/such/file", "cannot read /no/such/file")]
    {
        let listen = "127.0.0.1:0";
        let variables =
            [("CRUDDUR_VIEWER_LISTEN", listen), ("CRUDDUR_XRAY_LISTEN", listen), ("CRUDDUR_XRAY_RULES", path)];
        let ended = run(&["trace-viewer"], &variables);
        assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
        assert!(ended.errors.contains(problem) && ended.errors.contains("CRUDDUR_XRAY_RULES"), "{}", ended.errors);
    }
}
