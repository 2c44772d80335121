use proptest::prelude::*;
use serde_json::json;

use super::*;

fn parse(file: &Value) -> Result<Rules, String> {
    Rules::parse(file.to_string().as_bytes()).map_err(|error| error.to_string())
}

fn record(name: &str, priority: u32, more: &Value) -> Value {
    let mut rule = json!({"RuleName": name, "ResourceARN": "*", "Priority": priority, "FixedRate": 0.5, "ReservoirSize": 3,
        "ServiceName": "*", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1, "Attributes": {}});
    for (key, value) in more.as_object().unwrap() {
        rule[key] = value.clone();
    }
    json!({"SamplingRule": rule, "CreatedAt": 0.0, "ModifiedAt": "2026-11-22T10:00:00+00:00"})
}

fn page<'a>() -> Request<'a> {
    Request {
        method: Some("GET"),
        host: Some("localhost:3000"),
        path: Some("/api/home"),
        ..Request::of("frontend-proxy")
    }
}

fn names(rules: &Rules) -> Vec<&str> {
    rules.iter().map(Rule::name).collect()
}

#[test]
fn rules_are_tried_by_priority_then_by_name_and_default_last() {
    let records = [
        record("Default", 10_000, &json!({"FixedRate": 0.1, "ServiceName": "none"})),
        record("b", 20, &json!({})),
        record("z", 1, &json!({"URLPath": "/x"})),
        record("a", 20, &json!({})),
    ];
    let rules = Rules::central(&records);
    assert_eq!(names(&rules), ["z", "a", "b", "Default"]);
    assert_eq!(rules.find(&page()).name(), "a");
    let alone = Rules::central(&records[..1]);
    assert_eq!((alone.find(&page()).name(), alone.find(&page()).rate()), ("Default", 0.1), "its patterns are ignored");
    assert_eq!(Rules::central([]).find(&page()).reservoir(), 1, "AWS's own");
}

#[test]
fn an_unsupported_rule_is_skipped_with_its_reason() {
    let records = [
        record("later", 1, &json!({"Version": 2})),
        record("one", 1, &json!({"ResourceARN": "arn:aws:ecs:x"})),
        record("attributes", 1, &json!({"Attributes": {"a": "b"}})),
        record("wrong", 1, &json!({"FixedRate": 2})),
        record("good", 1, &json!({})),
        record("good", 2, &json!({})),
        json!(5),
    ];
    let rules = Rules::central(&records);
    assert_eq!(names(&rules), ["good", "Default"]);
    let skipped: Vec<String> = rules.skipped().iter().map(ToString::to_string).collect();
    let expected = [
        "later: its Version is 2, not 1",
        "one: its ResourceARN is \"arn:aws:ecs:x\", not \"*\"",
        "attributes: it has Attributes, which are unknown when a request starts",
        "wrong: give FixedRate as a number from 0 to 1",
        "good: another rule has the same RuleName",
        "?: the sampling rules have a record that is not an object with a SamplingRule",
    ];
    assert_eq!(skipped, expected);
}

#[test]
fn a_difference_names_the_field_and_the_pattern() {
    let rules = Rules::central(&[record("x", 1, &json!({"ServiceName": "backend-flask", "URLPath": "/X/*"}))]);
    let differences: Vec<String> =
        rules.iter().next().unwrap().differences(&page()).map(|one| one.to_string()).collect();
    let expected = [
        r#"ServiceName "frontend-proxy" does not match "backend-flask""#,
        r#"URLPath "/api/home" does not match "/X/*""#,
    ];
    assert_eq!(differences, expected);
}

#[test]
fn a_host_matches_with_or_without_its_port() {
    for (pattern, matches) in [("localhost", true), ("localhost:3000", true), ("LOCAL*", true), ("localhost:80", false)]
    {
        let rules = Rules::central(&[record("x", 1, &json!({"Host": pattern}))]);
        assert_eq!(rules.find(&page()).name() == "x", matches, "{pattern}");
    }
}

#[test]
fn work_without_a_request_matches_by_the_service_alone() {
    let fields = json!({"ServiceName": "backend", "Host": "h", "HTTPMethod": "POST", "URLPath": "/x"});
    let rules = Rules::central(&[record("x", 1, &fields)]);
    assert_eq!(rules.find(&Request::of("backend")).name(), "x");
    assert_eq!(rules.find(&Request::of("other")).name(), "Default");
    let elsewhere = Rules::central(&[record("x", 1, &json!({"ServiceType": "AWS::ECS::*"}))]);
    assert_eq!(elsewhere.find(&page()).name(), "Default", "only * matches a service that does not know where it runs");
    let ecs = Request { service_type: "AWS::ECS::Container", ..page() };
    assert_eq!(elsewhere.find(&ecs).name(), "x");
}

/// The file that the course passes to `aws xray create-sampling-rule --cli-input-json`.
#[test]
fn one_rule_is_read_in_each_form_of_the_aws_command() {
    let rule = json!({"RuleName": "Cruddur", "ResourceARN": "*", "Priority": 9000, "FixedRate": 0.1, "ReservoirSize": 5,
        "ServiceName": "Cruddur", "ServiceType": "*", "Host": "*", "HTTPMethod": "*", "URLPath": "*", "Version": 1});
    let record = json!({"SamplingRule": rule, "CreatedAt": 0, "ModifiedAt": 0});
    for file in [
        json!({ "SamplingRule": rule }),
        rule.clone(),
        record.clone(),
        json!({ "SamplingRuleRecord": record }),
        json!([rule]),
        json!([{ "SamplingRule": rule }]),
        json!([{ "SamplingRuleRecord": record }]),
        json!({"SamplingRuleRecords": [record], "NextToken": null}),
    ] {
        let rules = parse(&file).unwrap();
        assert_eq!(names(&rules), ["Cruddur", "Default"], "{file}");
        assert_eq!(rules.find(&Request::of("Cruddur")).reservoir(), 5);
    }
}

#[test]
fn both_versions_of_a_local_file_name_the_host_in_their_own_way() {
    for (version, host) in [(1, "service_name"), (2, "host")] {
        let rules = json!({"version": version, "default": {"fixed_target": 2, "rate": 0.25}, "rules": [
            {"description": "home", host: "localhost", "http_method": "GET", "url_path": "/api/*", "fixed_target": 0, "rate": 1}]});
        let rules = parse(&rules).unwrap();
        let home = rules.find(&page());
        assert_eq!((home.name(), home.description(), home.rate(), home.reservoir()), ("local-1", Some("home"), 1.0, 0));
        let other = rules.find(&Request { method: Some("POST"), ..page() });
        assert_eq!((other.name(), other.rate(), other.reservoir()), ("Default", 0.25, 2));
    }
}

#[test]
fn an_invalid_file_is_an_error_that_names_the_rule_and_the_fix() {
    let local = |rule: Value| json!({"version": 2, "default": {"fixed_target": 1, "rate": 0}, "rules": [rule]});
    let needs = |what: &str| format!("the sampling rules need {what}{}", local::FORMS);
    let central = |records: Value| json!({ "SamplingRuleRecords": records });
    let (form, object_or_list) = (needs(""), needs("an object or a list: "));
    for (file, error) in [
        (json!([]), object_or_list.as_str()),
        (json!("x"), object_or_list.as_str()),
        (json!([{"host": "*"}]), "the sampling rules have a rule without a RuleName; give it one"),
        (json!({"default": {"fixed_target": 1, "rate": 0.5}}), form.as_str()),
        (json!({"version": 3}), form.as_str()),
        (
            json!({"version": 1}),
            "the sampling rules need a default, such as \"default\": {\"fixed_target\": 1, \"rate\": 0.05}",
        ),
        (
            json!({"version": 2, "default": {"host": "*", "fixed_target": 1, "rate": 0.1}}),
            "sampling rule default: it applies to every request; remove host",
        ),
        (
            local(json!({"description": "d", "service_name": "*", "http_method": "*", "url_path": "*"})),
            "sampling rule local-1 (d): give host as a text of 1 to 256 characters, \"*\" for any",
        ),
        (
            local(json!({"host": "*", "http_method": "*", "url_path": "*", "fixed_target": -1, "rate": 0.1})),
            "sampling rule local-1: give fixed_target as a whole number from 0",
        ),
        (
            local(json!({"host": "*", "http_method": "*", "url_path": "*", "fixed_target": 1, "rate": 5})),
            "sampling rule local-1: give rate as a number from 0 to 1",
        ),
        (central(json!({})), "the sampling rules need a list as \"SamplingRuleRecords\""),
        (central(json!([record("x", 0, &json!({}))])), "sampling rule x: give Priority as a number from 1 to 9999"),
        (
            central(json!([record("x", 1, &json!({})), record("x", 2, &json!({}))])),
            "sampling rule x: another rule has the same RuleName; give it a different one",
        ),
    ] {
        assert_eq!(parse(&file), Err(error.to_owned()));
    }
    assert!(Rules::parse(b"{").unwrap_err().to_string().starts_with("the sampling rules are not JSON: "));
}

#[test]
fn a_rule_survives_its_record() {
    let fields = json!({"ServiceName": "a", "ServiceType": "b", "Host": "c", "HTTPMethod": "d", "URLPath": "e"});
    let rules = Rules::central(&[record("x", 7, &fields), record("Default", 10_000, &json!({"ReservoirSize": 9}))]);
    let records: Vec<Value> = rules.iter().map(|rule| rule.record(1.5)).collect();
    assert_eq!(Rules::central(&records), rules);
}

#[test]
fn targets_have_the_shapes_of_awss_api() {
    let statistics = Statistics {
        rule_name: "x".to_owned(),
        client_id: "0".repeat(24),
        timestamp: 1.5,
        request_count: 3,
        sampled_count: 2,
        borrow_count: 1,
    };
    let request = serde_json::to_value(TargetsRequest { sampling_statistics_documents: vec![statistics] }).unwrap();
    let expected = json!({"SamplingStatisticsDocuments": [{"RuleName": "x", "ClientID": "0".repeat(24), "Timestamp": 1.5,
        "RequestCount": 3, "SampledCount": 2, "BorrowCount": 1}]});
    assert_eq!(request, expected);
    let response = json!({"SamplingTargetDocuments": [
            {"RuleName": "x", "FixedRate": 0.1, "ReservoirQuota": 2, "ReservoirQuotaTTL": 1_700_000_000.0, "Interval": 10},
            {"RuleName": "y", "FixedRate": 0.2, "ReservoirQuota": null}],
        "LastRuleModification": 1_600_000_000, "UnprocessedStatistics": [{"RuleName": "z", "ErrorCode": "e", "Message": "m"}]});
    let response: TargetsResponse = serde_json::from_value(response).unwrap();
    let [x, y] = response.sampling_target_documents.as_slice() else { panic!("{response:?}") };
    assert_eq!((x.reservoir_quota, x.reservoir_quota_ttl, x.interval), (Some(2), Some(1.7e9), Some(10)));
    assert_eq!((y.fixed_rate, y.reservoir_quota), (Some(0.2), None));
    assert_eq!((response.last_rule_modification, response.unprocessed_statistics.len()), (Some(1.6e9), 1));
    assert_eq!(serde_json::from_value::<TargetsResponse>(json!({})).unwrap(), TargetsResponse::default());
}

/// JSON that may be rules: right keys with values of every kind.
fn nearly_valid() -> impl Strategy<Value = Value> {
    let value = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        (-2i64..20_000).prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        "[a*?/]{0,5}".prop_map(Value::from),
    ];
    let key = prop::sample::select(vec![
        "RuleName",
        "Priority",
        "FixedRate",
        "ReservoirSize",
        "Version",
        "URLPath",
        "host",
        "service_name",
        "http_method",
        "url_path",
        "fixed_target",
        "rate",
    ]);
    let rule = prop::collection::vec((key, value), 0..8);
    let rule = rule.prop_map(|pairs| pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect::<Value>());
    (prop::collection::vec(rule.clone(), 0..4), rule, 0..4, any::<bool>()).prop_map(
        |(rules, default, version, central)| {
            if central {
                json!({ "SamplingRuleRecords": rules })
            } else {
                json!({"version": version, "default": default, "rules": rules})
            }
        },
    )
}

proptest! {
    #[test]
    fn any_bytes_are_rules_or_an_error(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = Rules::parse(&bytes);
    }

    #[test]
    fn a_nearly_valid_file_is_rules_or_an_error_and_rules_end_with_default(file in nearly_valid()) {
        if let Ok(rules) = Rules::parse(file.to_string().as_bytes()) {
            prop_assert_eq!(rules.iter().last().unwrap().name(), "Default");
            prop_assert!(rules.iter().all(|rule| (0.0..=1.0).contains(&rule.rate())));
            prop_assert!(rules.iter().any(|rule| rule == rules.find(&page())));
        }
        if let Some(records) = file["SamplingRuleRecords"].as_array() {
            let rules = Rules::central(records);
            prop_assert!(rules.iter().count() + rules.skipped().len() <= records.len() + 1);
        }
    }
}
