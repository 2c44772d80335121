use std::time::Duration;

use serde_json::{Value, json};

use super::*;
use crate::attribute::SAMPLING_RULE;
use crate::http::{ServerRequest, server_span};
use crate::limits::Limits;
use crate::propagation::{self, Incoming, Trust};
use crate::span::recorder::Recorder;
use crate::span::sampler::{Root, Sampler};
use crate::subsegment::begin_segment;
use crate::testing::{attribute, recorded, recorded_by};

/// The random bits of a trace that only a rate of 1 samples.
const UNLUCKY: u64 = 1;

fn at(second: u64) -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(second)
}

fn central(reservoir: u32, rate: f64) -> Rules {
    Rules::central(&[json!({"RuleName": "x", "Priority": 1, "FixedRate": rate, "ReservoirSize": reservoir})])
}

fn rule_sampler() -> RuleSampler {
    RuleSampler::new("backend".to_owned(), "", &Rules::default(), String::new())
}

/// How many of ten requests in this second are sampled, and by which rule.
fn ten(rules: &RuleSampler, second: u64) -> (usize, String) {
    let verdicts: Vec<RuleDecision> = (0..10).map(|_| rules.decide(at(second), UNLUCKY, None)).collect();
    let rule = verdicts[0].rule.as_deref().unwrap_or_default().to_owned();
    (verdicts.iter().filter(|verdict| verdict.sampled).count(), rule)
}

fn target(quota: u32, until: f64) -> Target {
    Target {
        rule_name: "x".to_owned(),
        reservoir_quota: Some(quota),
        reservoir_quota_ttl: Some(until),
        ..Target::default()
    }
}

/// The reported counts of each rule: requests, sampled and borrowed.
fn counts(statistics: &[Statistics]) -> Vec<(&str, u64, u64, u64)> {
    let mut counts = Vec::new();
    for Statistics { rule_name, request_count, sampled_count, borrow_count, .. } in statistics {
        counts.push((rule_name.as_str(), *request_count, *sampled_count, *borrow_count));
    }
    counts
}

#[test]
fn local_rules_apply_before_central_ones_arrive_and_after_they_expire() {
    let rules = rule_sampler();
    assert_eq!(ten(&rules, 1_000), (1, "Default".to_owned()));
    assert!(rules.learn(&central(5, 0.0), at(1_000)));
    assert_eq!(ten(&rules, 4_600), (1, "x".to_owned()), "borrowed");
    assert_eq!(ten(&rules, 4_601), (1, "Default".to_owned()));
    assert!(!rules.learn(&central(5, 0.0), at(4_700)), "the same rules");
    assert_eq!(ten(&rules, 4_700), (1, "x".to_owned()));
}

#[test]
fn a_quota_lasts_until_its_end_and_survives_new_rules() {
    let rules = rule_sampler();
    rules.learn(&central(5, 0.0), at(10));
    rules.aim(&target(3, 12.9));
    assert_eq!(ten(&rules, 11).0, 3);
    rules.learn(&central(7, 0.0), at(12));
    assert_eq!((ten(&rules, 12).0, ten(&rules, 13).0), (3, 1));
    rules.aim(&Target { fixed_rate: Some(1.0), ..target(0, 20.0) });
    assert_eq!(ten(&rules, 14).0, 10, "all remaining requests");
    rules.aim(&Target { fixed_rate: Some(f64::NAN), ..target(0, f64::INFINITY) });
    assert_eq!(ten(&rules, 15).0, 10, "an invalid rate is ignored");
}

#[test]
fn counts_are_reported_once_and_again_if_the_report_fails() {
    let rules = rule_sampler();
    rules.learn(&central(5, 0.0), at(10));
    assert!(rules.report("id", at(10)).is_empty(), "nothing has matched");
    ten(&rules, 10);
    rules.aim(&target(3, 100.0));
    ten(&rules, 11);
    let report = rules.report("id", at(12));
    assert_eq!(counts(&report), [("x", 20, 3, 1)]);
    ten(&rules, 12);
    rules.give_back(&report);
    assert_eq!(counts(&rules.report("id", at(13))), [("x", 30, 6, 1)]);
    assert_eq!(counts(&rules.report("id", at(13))), [("x", 0, 0, 0)], "which keeps its quota");
}

#[test]
fn every_request_of_many_threads_is_counted() {
    let rules = rule_sampler();
    rules.learn(&central(5, 0.5), at(10));
    rules.aim(&target(7, 1_000.0));
    let sampled: u64 = std::thread::scope(|scope| {
        let decide = |_: u8| {
            let rules = &rules;
            scope.spawn(move || {
                let random = |n: u8| u64::from_be_bytes([0, n, n, n, n, n, n, n]);
                (0..=255).filter(|n| rules.decide(at(10), random(*n), None).sampled).count()
            })
        };
        let threads: Vec<_> = (0..4).map(decide).collect();
        threads.into_iter().map(|thread| u64::try_from(thread.join().unwrap()).unwrap()).sum()
    });
    assert_eq!(counts(&rules.report("id", at(11))), [("x", 1_024, sampled, 0)]);
    assert!(sampled >= 7);
}

/// The spans of requests for these paths under these rules: name, rule and `SampleRate` of each.
fn served(rules: &Value, paths: &[&str], incoming: &Incoming) -> Vec<(Option<String>, Option<String>, Option<String>)> {
    let rules = Rules::parse(rules.to_string().as_bytes()).unwrap();
    let rules = RuleSampler::new("backend".to_owned(), "", &rules, String::new());
    let sampler = Sampler { root: Root::Rules(Arc::new(rules)), parent_based: true };
    let recorded = recorded(sampler, Limits::default(), false, || {
        for path in paths {
            let served = ServerRequest {
                method: "GET",
                route: None,
                path,
                query: None,
                scheme: "http",
                host: Some("localhost"),
                peer: None,
                peer_port: None,
                client: None,
                user_agent: None,
                version: None,
            };
            let server = server_span(&served, incoming);
            server.in_scope(|| drop(tracing::info_span!("child")));
        }
    });
    let mut found = Vec::new();
    for span in recorded.spans {
        let of = |key: &str| attribute(&span.attributes, key);
        found.push((of("url.path"), of(SAMPLING_RULE), of("SampleRate")));
    }
    found
}

/// Rules that sample only `/yes`.
fn yes_alone() -> Value {
    json!({"version": 2, "default": {"fixed_target": 0, "rate": 0}, "rules": [
        {"host": "localhost", "http_method": "get", "url_path": "/yes", "fixed_target": 0, "rate": 1}]})
}

#[test]
fn a_request_selects_the_rule_that_its_span_names() {
    let spans = served(&yes_alone(), &["/no", "/yes", "/other"], &Incoming::default());
    let some = |text: &str| Some(text.to_owned());
    assert_eq!(spans, [(None, None, None), (some("/yes"), some("local-1"), None)], "a child, and its root");
}

#[test]
fn a_span_sampled_by_rate_has_a_sample_rate_and_one_by_reservoir_none() {
    let rules = json!({"version": 2, "default": {"fixed_target": 100_000, "rate": 0.25}});
    assert!(served(&rules, &["/x"; 5], &Incoming::default()).iter().all(|(.., rate)| rate.is_none()));
    let rules = json!({"version": 2, "default": {"fixed_target": 0, "rate": 0.25}});
    let spans = served(&rules, &["/x"; 400], &Incoming::default());
    assert!(spans.len() > 80 && spans.len() < 400, "{} of 800", spans.len());
    assert!(spans.iter().all(|(.., rate)| rate.as_deref() == Some("4")), "on the child too");
}

#[test]
fn an_incoming_decision_is_kept_and_a_missing_one_is_made() {
    let incoming = |sampled: &'static str| {
        let header = format!("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8{sampled}");
        let mut headers = ::http::HeaderMap::new();
        headers.insert("x-amzn-trace-id", header.parse().unwrap());
        propagation::extract(&headers, &Trust::ALWAYS, None)
    };
    let of = |sampled, path| served(&yes_alone(), &[path], &incoming(sampled)).last().map(|(_, rule, _)| rule.clone());
    assert_eq!(of(";Sampled=1", "/no"), Some(None), "recorded, but not by a local rule");
    assert_eq!(of(";Sampled=0", "/yes"), None);
    for undecided in ["", ";Sampled=?"] {
        assert_eq!((of(undecided, "/no"), of(undecided, "/yes")), (None, Some(Some("local-1".to_owned()))));
    }
}

#[test]
fn a_segment_that_is_not_created_is_not_counted() {
    let rules = Arc::new(rule_sampler());
    rules.learn(&central(5, 0.5), SystemTime::now());
    let sampler = Sampler { root: Root::Rules(Arc::clone(&rules)), parent_based: true };
    let set = |recorder| Recorder { sampler, levels: "off".parse().unwrap(), ..recorder };
    recorded_by(set, false, || drop(begin_segment("job", &Incoming::default())));
    assert_eq!(counts(&rules.report("id", SystemTime::now())), []);
}
