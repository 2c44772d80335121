//! X-Ray's sampling rules: the command that explains a file of rules, the viewer that serves them, and services that sample by
//! them. The daemon of one test is a fake: the real one needs AWS credentials.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, command, run};
use crate::support::sampling::RulesServer;
use crate::support::{Folder, eventually, http};

/// A rule in the format of X-Ray's API.
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

/// Writes `rules` to a file in `folder`, and returns its path.
fn file(folder: &Folder, rules: &Value) -> String {
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

const HOME: &str = "/api/activities/home";

/// Whether the span that served this request is sampled, according to the response.
fn is_sampled(answer: &http::Answer) -> bool {
    let flags = answer.header("server-timing").trim_end_matches('"').rsplit('-').next().unwrap();
    u8::from_str_radix(flags, 16).unwrap() & 1 == 1
}

/// The rule's name on the proxy's span of this trace, as recorded in `source`, once the viewer has it.
fn sampled_by(cruddur: &Cruddur, trace: &str, source: &str) -> Option<Value> {
    let answer = http::get(&format!("{}/api/traces/{trace}", cruddur.viewer));
    let trace = (answer.status == 200).then(|| answer.json())?;
    let spans = trace["spans"].as_array().unwrap().clone();
    let is_root = |span: &&Value| {
        let kind = span["kind"].as_str().unwrap();
        span["source"] == source && span["service"] == "frontend-proxy" && ["server", "segment"].contains(&kind)
    };
    let attributes = &spans.iter().find(is_root)?["attributes"];
    Some(match source {
        "otlp" => attributes["aws.xray.sampling_rule_name"].clone(),
        _ => attributes["aws"]["xray"]["sampling_rule_name"].clone(),
    })
}

#[test]
fn services_sample_by_the_viewers_rules() {
    let (folder, data) = (Folder::new(), Folder::new());
    let rules = central(&[
        rule("home", 1, &json!({"URLPath": HOME, "FixedRate": 1.0, "ServiceName": "frontend-proxy"})),
        rule("nothing", 2, &json!({})),
    ]);
    let rules = file(&folder, &rules);
    let cruddur = Cruddur::up(&data, &[("OTEL_TRACES_SAMPLER", "xray"), ("CRUDDUR_XRAY_RULES", &rules)]);
    let mut traces = Vec::new();
    // Until the rules arrive, AWS's default applies.
    eventually("a trace by the rule \"home\"", || {
        traces.push(cruddur.get(HOME).trace_id());
        traces.iter().find(|trace| sampled_by(&cruddur, trace, "otlp") == Some(json!("home"))).cloned()
    });
    let others: Vec<String> = (0..20).map(|_| cruddur.get("/api/activities/nobody").trace_id()).collect();
    let last = cruddur.get(HOME).trace_id();
    let spans = cruddur.spans(&last, 5);
    assert_eq!(spans.len(), 10, "the backend keeps the proxy's decision");
    for source in ["otlp", "xray"] {
        assert_eq!(sampled_by(&cruddur, &last, source), Some(json!("home")), "{source}");
    }
    for trace in others {
        assert_eq!(http::get(&format!("{}/api/traces/{trace}", cruddur.viewer)).status, 404);
    }
    // In the other direction: the viewer reports that a rule has changed, and the services fetch it before their next turn.
    let turned = [
        rule("nothing", 1, &json!({"URLPath": HOME})),
        rule("others", 2, &json!({"FixedRate": 1.0, "HTTPMethod": "GET"})),
    ];
    file(&folder, &central(&turned));
    eventually("the file's new rules", || {
        (!is_sampled(&cruddur.get(HOME)) && is_sampled(&cruddur.get("/api/activities/nobody"))).then_some(())
    });
    let xray = cruddur.xray.clone();
    let ended = cruddur.stop();
    let named = format!(
        "frontend-proxy: xray on: udp {xray} (by AWS_XRAY_DAEMON_ADDRESS; sampler xray (central at http://{xray}, else 1 a second and 5 %)"
    );
    assert!(ended.errors.contains(&named), "{}", ended.errors);
    assert!(ended.errors.contains("received 3 sampling rules from http://127.0.0.1:"), "{}", ended.errors);
}

#[test]
fn local_rules_apply_if_no_daemon_answers() {
    let (folder, data) = (Folder::new(), Folder::new());
    let rules = json!({"version": 2, "default": {"fixed_target": 0, "rate": 0}, "rules": [
        {"host": "127.0.0.1", "http_method": "GET", "url_path": HOME, "fixed_target": 0, "rate": 1}]});
    let argument = format!("rules={}", file(&folder, &rules));
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let cruddur = Cruddur::up(
        &data,
        &[
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", &argument),
            ("AWS_XRAY_DAEMON_ADDRESS", &closed),
        ],
    );
    for _ in 0..5 {
        assert!(!is_sampled(&cruddur.get("/api/activities/nobody")));
        let home = cruddur.get(HOME);
        assert!(is_sampled(&home));
        let rule = eventually("its trace", || sampled_by(&cruddur, &home.trace_id(), "otlp"));
        assert_eq!(rule, "local-1");
    }
    let ended = cruddur.stop();
    assert!(ended.errors.contains(&format!("sampler xray (central at http://{closed}, else /")), "{}", ended.errors);
    let complaint = format!("no sampling rules: http://{closed}/GetSamplingRules did not respond");
    assert_eq!(ended.errors.matches(&complaint).count(), 2, "each service logs it once: {}", ended.errors);
}

#[test]
fn a_quota_is_obeyed_and_every_request_is_reported_once() {
    let folder = Folder::new();
    let daemon =
        RulesServer::start(json!([rule("few", 1, &json!({"ReservoirSize": 50, "ServiceName": "frontend-proxy"}))]));
    // Nothing is sampled until the daemon's rules arrive.
    let nothing = json!({"version": 2, "default": {"fixed_target": 0, "rate": 0}});
    let argument = format!("endpoint=http://{},polling_interval=1,rules={}", daemon.address, file(&folder, &nothing));
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            // No upstream listens there; a failed request is still a request.
            ("CRUDDUR_UPSTREAM", "http://127.0.0.1:1"),
            ("OTEL_TRACES_SAMPLER", "xray"),
            ("OTEL_TRACES_SAMPLER_ARG", &argument),
        ],
    );
    let request = || is_sampled(&proxy.get(HOME));
    assert!(!request());
    daemon.open();
    // The rule's first request is a borrowed sample.
    eventually("a borrowed sample", || request().then_some(()));
    let (mut requests, mut sampled) = (1, 1);
    let mut burst = || {
        let recorded: u64 = (0..10).map(|_| u64::from(request())).sum();
        (requests, sampled) = (requests + 10, sampled + recorded);
        recorded
    };
    assert!(burst() < 10, "one is borrowed a second, and there is no quota yet");
    daemon.give("few", 40, SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs() + 3_600);
    eventually("a quota", || (burst() == 10).then_some(()));
    let statistics = eventually(format!("{requests} requests reported"), || {
        let statistics = daemon.statistics("few");
        (statistics.requests >= requests).then_some(statistics)
    });
    assert_eq!((statistics.requests, statistics.sampled + statistics.borrowed), (requests, sampled));
    assert!(statistics.borrowed > 0 && statistics.refused > 0, "refused statistics are sent again");
    assert!(statistics.clients.len() == 1 && statistics.clients[0].len() == 24);
}

#[test]
fn an_invalid_sampler_argument_is_a_fault_at_the_start() {
    let folder = Folder::new();
    let rules = file(&folder, &json!({"version": 3}));
    let argument = format!("polling_interval=0,rules={rules}");
    let ended = run(&["backend"], &[("OTEL_TRACES_SAMPLER", "xray"), ("OTEL_TRACES_SAMPLER_ARG", &argument)]);
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    for problem in
        ["its polling_interval is not valid", "rules.json is invalid: the sampling rules need \"version\": 1"]
    {
        assert!(ended.errors.contains(problem), "{}", ended.errors);
    }
}
