//! Services that sample by X-Ray's rules: those of the viewer, of a file, and of a daemon. The daemon of one test is a fake: the
//! real one needs AWS credentials.

use std::net::TcpListener;
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};

use crate::rules::{central, file, rule};
use crate::support::cruddur::{Cruddur, run};
use crate::support::sampling::RulesServer;
use crate::support::{Folder, eventually, http};

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
