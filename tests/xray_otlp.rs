//! X-Ray's own OTLP endpoint, before a fake of AWS that checks every signature. Spans arrive with credentials from every
//! supported source, refusals are counted and reported in AWS's words, and no output contains a secret.

use std::fs;
use std::time::Duration;

use serde_json::Value;

use crate::support::aws::{Aws, ID, METADATA_TOKEN, REGION, SECRET, TOKEN};
use crate::support::cruddur::{Cruddur, Ended, command, run};
use crate::support::honeycomb::Honeycomb;
use crate::support::{Folder, eventually, http};

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", SECRET), ("AWS_SESSION_TOKEN", TOKEN)];
/// Logs everything, including the libraries' output.
const LOUD: (&str, &str) = ("RUST_LOG", "trace");

/// A backend that sends to the fake.
struct SigningBackend {
    backend: Cruddur,
    _data: Folder,
}

impl SigningBackend {
    fn start(aws: &Aws, variables: &[(&str, &str)]) -> Self {
        let data = Folder::new();
        let own = [
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
            ("AWS_XRAY_OTLP_ENDPOINT", aws.url.as_str()),
            ("AWS_REGION", REGION),
            ("OTEL_BSP_SCHEDULE_DELAY", "50"),
        ];
        let variables: Vec<_> = own.iter().chain(variables).copied().collect();
        Self { backend: Cruddur::service("backend", &variables), _data: data }
    }

    /// Sends one request, and returns its trace id.
    fn request(&self) -> String {
        let trace = uuid::Uuid::now_v7().simple().to_string();
        let parent = format!("00-{trace}-00f067aa0ba902b7-01");
        let url = format!("{}/api/activities/home", self.backend.backend);
        assert_eq!(http::request("GET", &url, &[("traceparent", &parent)]).status, 200);
        trace
    }

    /// X-Ray's counts, once `done` accepts them.
    fn account(&self, done: impl Fn(&Value) -> bool) -> Value {
        eventually("the ledger", || {
            let ledger = http::get(&format!("{}/health/telemetry", self.backend.backend)).json();
            let accounts = ledger["destinations"].as_array().unwrap();
            accounts.iter().find(|account| account["name"] == "xray-otlp").cloned().filter(&done)
        })
    }

    fn stop(self) -> Ended {
        let ended = self.backend.stop();
        assert!(ended.status.success(), "{}", ended.errors);
        assert_silent(&ended.errors);
        ended
    }
}

/// Asserts that a text contains no secret, nor the whole id of a key.
fn assert_silent(text: &str) {
    for secret in [ID, SECRET, TOKEN, METADATA_TOKEN] {
        assert!(!text.contains(secret), "{secret} in {text}");
    }
}

fn delivered(account: &Value) -> bool {
    account["created"].as_u64() > Some(0) && account["delivered"] == account["created"]
}

/// Asserts that all spans of a request through a backend with these variables arrive.
fn arrives(variables: &[(&str, &str)], from: &str) {
    let aws = Aws::start();
    let run = SigningBackend::start(&aws, &[variables, &[("AWS_REGION", REGION)]].concat());
    let trace = run.request();
    let id = u128::from_str_radix(&trace, 16).unwrap().to_be_bytes();
    eventually("three spans at X-Ray", || {
        (aws.spans().iter().filter(|span| span.trace_id == id).count() == 3).then_some(())
    });
    aws.assert_fresh();
    let account = run.account(delivered);
    assert_eq!((account["kind"].as_str(), &account["last_error"]), (Some("otlp_http"), &Value::Null));
    assert_eq!(account["endpoint"], format!("{}/v1/traces", aws.url));
    let ended = run.stop();
    let on = format!(
        "backend: xray-otlp on: {}/v1/traces, http/protobuf, gzip (by AWS_XRAY_OTLP_ENDPOINT, region {REGION}, credentials from {from}; ",
        aws.url
    );
    assert!(ended.errors.contains(&on), "{on} in {}", ended.errors);
}

#[test]
fn spans_arrive_signed_with_the_environments_credentials() {
    arrives(&[KEYS.as_slice(), &[LOUD]].concat(), "environment …MPLE");
}

#[test]
fn spans_arrive_signed_with_a_profiles_credentials() {
    let home = Folder::new();
    let file = home.path().join("keys");
    let keys = format!("aws_access_key_id = {ID}\naws_secret_access_key = {SECRET}\naws_session_token = {TOKEN}\n");
    fs::write(&file, format!("[default]\naws_access_key_id=no\n\n[lesson]\n{keys}")).unwrap();
    let profile = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().unwrap()), ("AWS_PROFILE", "lesson"), LOUD];
    arrives(&profile, "profile \"lesson\" …MPLE");
}

#[test]
fn spans_arrive_signed_with_a_containers_credentials() {
    let platform = Aws::start();
    let url = format!("{}/container", platform.url);
    let container = [
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url.as_str()),
        ("AWS_CONTAINER_AUTHORIZATION_TOKEN", METADATA_TOKEN),
        LOUD,
    ];
    arrives(&container, "the container's endpoint");
}

#[test]
fn spans_arrive_signed_with_an_instances_credentials() {
    let platform = Aws::start();
    let from = format!("the instance's metadata at {}", platform.url);
    arrives(&[("AWS_EC2_METADATA_SERVICE_ENDPOINT", platform.url.as_str()), LOUD], &from);
}

#[test]
fn every_service_of_up_sends_to_x_ray_and_to_the_viewer() {
    let (aws, data) = (Aws::start(), Folder::new());
    let own = [("AWS_XRAY_OTLP_ENDPOINT", aws.url.as_str()), ("AWS_REGION", REGION)];
    let cruddur = Cruddur::up(&data, &[own.as_slice(), &KEYS].concat());
    let trace = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&trace, 5);
    let id = u128::from_str_radix(&trace, 16).unwrap().to_be_bytes();
    eventually("five spans at X-Ray", || {
        (aws.spans().iter().filter(|span| span.trace_id == id).count() == 5).then_some(())
    });
    assert_silent(&cruddur.stop().errors);
}

#[test]
fn refusals_are_counted_and_logged_in_awss_words() {
    for (status, error, reason) in [
        (400, "ValidationException", "refused"),
        (403, "AccessDeniedException", "refused"),
        (413, "RequestTooLargeException", "too_large"),
    ] {
        let aws = Aws::start();
        aws.respond_with(status, error, "User is not authorized to perform: xray:PutSpans", usize::MAX);
        let run = SigningBackend::start(&aws, &KEYS);
        run.request();
        let account = run.account(|account| account["dropped"][reason].as_u64() > Some(0) && account["queued"] == 0);
        assert_eq!(account["dropped"][reason], account["created"], "{account}");
        let last = account["last_error"].as_str().unwrap();
        assert!(last.contains(&format!(": {error}: User is not authorized to perform")), "{last}");
        run.stop();
    }
}

#[test]
fn a_wrong_key_is_logged_once_and_pauses_the_destination() {
    let aws = Aws::start();
    let wrong = [("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7ANOTHER"), ("AWS_SECRET_ACCESS_KEY", SECRET)];
    let run = SigningBackend::start(&aws, &wrong);
    for _ in 0..20 {
        run.request();
    }
    let account =
        run.account(|account| account["dropped"]["refused"].as_u64() >= Some(20 * 3) && account["queued"] == 0);
    let words = "403 Forbidden: UnrecognizedClientException: The security token included in the request is invalid.";
    assert!(account["last_error"].as_str().unwrap().ends_with(words), "{account}");
    let ended = run.stop();
    let lines = ended.errors.lines().filter(|line| line.contains(words) && !line.starts_with("backend: "));
    assert_eq!(lines.count(), 1, "{}", ended.errors);
    assert!(!ended.errors.contains("AKIAIOSFODNN7ANOTHER"));
}

#[test]
fn parts_of_a_request_that_aws_repeats_are_masked() {
    let aws = Aws::start();
    // The key's id and the token are valid, but the secret is wrong: AWS's response repeats what should have been signed.
    let run = SigningBackend::start(
        &aws,
        &[("AWS_ACCESS_KEY_ID", ID), ("AWS_SECRET_ACCESS_KEY", "another"), ("AWS_SESSION_TOKEN", TOKEN)],
    );
    run.request();
    let account = run.account(|account| account["dropped"]["refused"].as_u64() > Some(0));
    let error = account["last_error"].as_str().unwrap();
    assert!(error.contains("InvalidSignatureException: The request signature we calculated does not match"), "{error}");
    assert!(!error.contains(TOKEN) && !error.contains(ID), "{error}");
    run.stop();
}

#[test]
fn a_wrong_clock_is_named_as_the_fix() {
    let aws = Aws::start();
    aws.ahead(Duration::from_secs(3_600));
    let run = SigningBackend::start(&aws, &KEYS);
    run.request();
    let account = run.account(|account| account["dropped"]["refused"].as_u64() > Some(0));
    let error = account["last_error"].as_str().unwrap();
    assert!(error.contains("InvalidSignatureException: Signature expired: 20"), "{error}");
    assert!(error.ends_with("; this machine's clock is wrong: set it, by NTP for example"), "{error}");
    run.stop();
}

#[test]
fn a_throttled_batch_is_retried_and_nothing_is_lost() {
    for status in [429, 400] {
        let aws = Aws::start();
        aws.respond_with(status, "ThrottlingException", "Rate exceeded", 2);
        let run = SigningBackend::start(&aws, &KEYS);
        run.request();
        let account = run.account(delivered);
        assert!(account["last_error"].as_str().unwrap().ends_with("ThrottlingException: Rate exceeded"), "{account}");
        aws.assert_fresh();
        run.stop();
    }
}

#[test]
fn missing_credentials_are_a_fault_that_names_every_source() {
    let data = Folder::new();
    let variables = [
        ("CRUDDUR_DATA", data.path().to_str().unwrap()),
        ("HOME", data.path().to_str().unwrap()),
        ("AWS_EC2_METADATA_DISABLED", "true"),
        ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://xray.eu-west-1.amazonaws.com/v1/traces"),
    ];
    let ended = run(&["backend"], &variables);
    assert_eq!(ended.status.code(), Some(64));
    let line = ended.errors.lines().find(|line| line.contains("needs credentials")).unwrap();
    assert!(line.starts_with("error: OTEL_EXPORTER_OTLP_TRACES_ENDPOINT: "), "{line}");
    for place in [
        "AWS_ACCESS_KEY_ID",
        "/.aws/credentials: no such file",
        "/.aws/config: no such file",
        "AWS_CONTAINER_",
        "AWS_EC2_",
    ] {
        assert!(line.contains(place), "{place} in {line}");
    }
}

#[test]
fn only_x_ray_gets_a_signature_and_both_destinations_the_same_spans() {
    let (aws, collector) = (Aws::start(), Honeycomb::start(""));
    let run =
        SigningBackend::start(&aws, &[KEYS.as_slice(), &[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]].concat());
    let trace = run.request();
    eventually("both", || (collector.spans(&trace).len() == 3 && aws.spans().len() >= 3).then_some(()));
    run.stop();
    for head in collector.heads() {
        assert!(!head.to_ascii_lowercase().contains("x-amz-") && !head.contains("AWS4"), "{head}");
        assert_silent(&head);
    }
}

/// The doctor's checks of X-Ray: name, status and detail.
fn doctor(variables: &[(&str, &str)]) -> Vec<(String, String, String)> {
    let data = Folder::new();
    let own = [
        ("CRUDDUR_DATA", data.path().to_str().unwrap()),
        ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
        ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
        ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
        ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
        ("AWS_REGION", REGION),
    ];
    let variables: Vec<_> = own.iter().chain(variables).copied().collect();
    let output = command(&["doctor", "--json"], &variables).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert_silent(&text);
    let report: Value = serde_json::from_str(&text).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap().iter();
    let checks = checks.map(|one| (text(one, "check"), text(one, "status"), text(one, "detail")));
    checks.filter(|(name, ..)| name.starts_with("xray-otlp")).collect()
}

#[test]
fn the_doctor_checks_that_x_ray_accepts_a_span() {
    let aws = Aws::start();
    let at = ("AWS_XRAY_OTLP_ENDPOINT", aws.url.as_str());
    let checks = doctor(&[KEYS.as_slice(), &[at]].concat());
    let names: Vec<_> = checks.iter().map(|(name, status, _)| (name.as_str(), status.as_str())).collect();
    let expected = [
        ("xray-otlp region", "ok"),
        ("xray-otlp credentials", "ok"),
        ("xray-otlp DNS", "ok"),
        ("xray-otlp connection", "ok"),
        ("xray-otlp TLS", "off"),
        ("xray-otlp span", "ok"),
    ];
    assert_eq!(names, expected);
    assert!(checks[1].2.starts_with("from environment …MPLE"), "{checks:?}");
    assert!(checks[5].2.ends_with("/v1/traces accepts spans; none were sent"), "{checks:?}");
    assert!(aws.spans().is_empty());
    aws.respond_with(403, "ExpiredTokenException", "The security token included in the request is expired", usize::MAX);
    let checks = doctor(&[KEYS.as_slice(), &[at]].concat());
    let (name, status, detail) = &checks[5];
    assert_eq!((name.as_str(), status.as_str()), ("xray-otlp span", "wrong"));
    assert!(
        detail.ends_with("ExpiredTokenException: The security token included in the request is expired"),
        "{detail}"
    );
    // Nothing listens at the container's endpoint.
    let unreachable = [at, ("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1:1/credentials")];
    let checks = doctor(&unreachable);
    let (name, status, detail) = checks.last().unwrap();
    assert_eq!((name.as_str(), status.as_str()), ("xray-otlp credentials", "wrong"));
    assert!(detail.starts_with("the container's endpoint: the metadata endpoint did not respond"), "{detail}");
}
