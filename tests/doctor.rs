//! `cruddur doctor` against a right key, wrong ones of every kind, dead destinations and a dead database: a line each with the
//! mend, and exit code 1 where something will not work.

use serde_json::Value;

use crate::support::Folder;
use crate::support::cruddur::{Cruddur, command};
use crate::support::honeycomb::{Honeycomb, Trouble};

const KEY: &str = "hcaik_a_key_of_this_test";
const FREE_PORTS: [(&str, &str); 4] = [
    ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
];

/// The checks, by the order in which they are told, and the exit code.
struct Told {
    checks: Vec<(String, String, String)>,
    code: i32,
}

fn doctor(variables: &[(&str, &str)]) -> Told {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let variables: Vec<_> = FREE_PORTS.iter().chain(&own).chain(variables).copied().collect();
    let output = command(&["doctor", "--json"], &variables).current_dir(data.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    let checks = checks.iter().map(|one| (text(one, "check"), text(one, "status"), text(one, "detail"))).collect();
    let code = output.status.code().unwrap();
    assert_eq!(report["ok"], Value::Bool(code == 0));
    Told { checks, code }
}

impl Told {
    fn of(&self, check: &str) -> (&str, &str) {
        let found = self.checks.iter().find(|(name, ..)| name == check);
        let (_, status, detail) = found.unwrap_or_else(|| panic!("no {check} in {:#?}", self.checks));
        (status, detail)
    }

    fn wrong(&self) -> Vec<&str> {
        self.checks.iter().filter(|(_, status, _)| status == "wrong").map(|(name, ..)| name.as_str()).collect()
    }
}

#[test]
fn a_right_key_is_well_in_every_check() {
    let honeycomb = Honeycomb::start(KEY);
    let told = doctor(&[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    assert_eq!((told.wrong(), told.code), (vec![], 0));
    assert_eq!(told.of("honeycomb key"), ("ok", "hcaik_a_ke… is an ingest key"));
    assert_eq!(told.of("honeycomb auth"), ("ok", "team Cruddur, environment test"));
    assert_eq!(told.of("clock").0, "ok");
    let (status, detail) = told.of("honeycomb span");
    assert_eq!(status, "ok");
    let taken = honeycomb.taken();
    let trace: String = taken[0].trace_id.iter().map(|byte| format!("{byte:02x}")).collect();
    assert!(detail.contains(&trace), "{detail}");
    for well in ["database", "cors", "CRUDDUR_PROXY_LISTEN", "variables"] {
        assert_eq!(told.of(well).0, "ok");
    }
    assert_eq!((told.of("otlp").0, told.of("xray").0), ("off", "off"));
}

#[test]
fn a_place_for_log_records_is_asked_by_itself() {
    let honeycomb = Honeycomb::start(KEY);
    let logs = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
    let own = [("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &*honeycomb.url), ("OTEL_LOGS_EXPORTER", "otlp")];
    let told = doctor(&own);
    assert_eq!((told.of("honeycomb log record").0, told.code), ("ok", 0));
    let told = doctor(&[own[0], own[1], own[2], ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!((told.of("honeycomb auth").0, told.of("honeycomb log record").0, told.code), ("ok", "ok", 0));
    assert!(told.checks.iter().all(|(check, ..)| check != "honeycomb span"), "{:#?}", told.checks);
    let told = doctor(&[own[0], own[1], own[2], (logs, "http://127.0.0.1:9/v1/logs"), ("OTEL_LOG_LEVEL", "info")]);
    assert_eq!((told.wrong(), told.code), (vec!["otlp log record"], 1));
    let (_, detail) = told.of("otlp log record");
    assert!(detail.contains("127.0.0.1:9") && detail.contains("did not answer"), "{detail}");
    assert!(
        told.checks.iter().any(|(_, _, detail)| detail == "OTEL_LOG_LEVEL: ignored: RUST_LOG decides what is logged")
    );
}

#[test]
fn a_wrong_key_is_told_in_honeycombs_words() {
    let honeycomb = Honeycomb::start("another");
    let told = doctor(&[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    assert_eq!((told.wrong(), told.code), (vec!["honeycomb auth"], 1));
    let (_, detail) = told.of("honeycomb auth");
    assert!(detail.contains("401") && detail.contains("unknown API key - check your credentials"), "{detail}");
    assert!(!detail.contains(KEY));
}

#[test]
fn a_key_that_cannot_send_is_explained_and_not_tried() {
    let honeycomb = Honeycomb::start(KEY);
    for (key, reason) in [
        ("hcamk_a_key_of_this_test", "is a management key"),
        ("hcalk_a_key_of_this_test", "is a configuration key"),
        ("0123456789abcdef0123456789abcdef", "is a classic key"),
    ] {
        let told = doctor(&[("HONEYCOMB_API_KEY", key), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
        assert_eq!(told.code, 1);
        let (status, detail) = told.of("HONEYCOMB_API_KEY");
        assert!(status == "wrong" && detail.starts_with(reason), "{detail}");
    }
    assert!(honeycomb.taken().is_empty());
    let classic = "0123456789abcdef0123456789abcdef";
    let honeycomb = Honeycomb::start(classic);
    let with_dataset = [
        ("HONEYCOMB_API_KEY", classic),
        ("HONEYCOMB_DATASET", "cruddur"),
        ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str()),
    ];
    assert_eq!(doctor(&with_dataset).wrong(), Vec::<&str>::new());
}

#[test]
fn what_is_dead_is_named_with_its_mend() {
    let told = doctor(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:1"),
        ("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/cruddur"),
        ("HONEYCOMB_API_ENDPOIN", "misspelt"),
    ]);
    assert_eq!((told.wrong(), told.code), (vec!["otlp connection", "xray daemon", "database"], 1));
    assert!(told.of("xray daemon").1.starts_with("UDP cannot tell"), "{}", told.of("xray daemon").1);
    let note = told.checks.iter().find(|(_, status, _)| status == "note").unwrap();
    assert!(note.2.starts_with("HONEYCOMB_API_ENDPOIN is set and means nothing here"), "{}", note.2);
    assert!(!format!("{:?}", told.checks).contains("canary"));
}

#[test]
fn the_rules_of_a_sampler_are_counted_and_their_absence_is_no_fault() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let of = |daemon: &str| doctor(&[("OTEL_TRACES_SAMPLER", "xray"), ("AWS_XRAY_DAEMON_ADDRESS", daemon)]);
    let told = of(&viewer.xray);
    assert_eq!(told.of("xray rules"), ("ok", format!("1 at http://{}", viewer.xray).as_str()));
    let dead = of("127.0.0.1:1");
    assert!(
        dead.of("xray rules").0 == "note"
            && dead.of("xray rules").1.starts_with("local rules hold: http://127.0.0.1:1")
    );
    assert!(doctor(&[]).checks.iter().all(|(check, ..)| check != "xray rules"), "of another sampler");
}

#[test]
fn a_collector_that_refuses_is_told_in_its_words() {
    let collector = Honeycomb::troubled("", Trouble::Refuses(403));
    let told = doctor(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    assert_eq!((told.wrong(), told.code), (vec!["otlp span"], 1));
    assert!(told.of("otlp span").1.ends_with("this is what it says"), "{}", told.of("otlp span").1);
}

#[test]
fn people_get_a_line_a_check() {
    let data = Folder::new();
    let variables: Vec<_> =
        FREE_PORTS.iter().chain(&[("CRUDDUR_DATA", data.path().to_str().unwrap())]).copied().collect();
    let output = command(&["doctor"], &variables).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().any(|line| line.starts_with("off    honeycomb")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok     database")), "{text}");
}
