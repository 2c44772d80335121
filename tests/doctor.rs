//! `cruddur doctor` against a right key, wrong ones of every kind, dead destinations and a dead database: one line per check,
//! with the fix, and exit code 1 if something will not work.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener};
use std::thread;

use serde_json::Value;

use crate::support::certificate::{Authority, Certificate};
use crate::support::cruddur::{Cruddur, command};
use crate::support::honeycomb::{Honeycomb, Trouble};
use crate::support::{Folder, eventually, http};

const KEY: &str = "hcaik_a_key_of_this_test";
pub(crate) const FREE_PORTS: [(&str, &str); 4] = [
    ("CRUDDUR_PROXY_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
    ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
];

/// The checks, in printed order, and the exit code.
pub(crate) struct Report {
    pub(crate) checks: Vec<(String, String, String)>,
    pub(crate) code: i32,
}

pub(crate) fn doctor(variables: &[(&str, &str)]) -> Report {
    doctor_of(&[], variables)
}

/// Runs the doctor with additional arguments.
fn doctor_of(arguments: &[&str], variables: &[(&str, &str)]) -> Report {
    let data = Folder::new();
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let variables: Vec<_> = FREE_PORTS.iter().chain(&own).chain(variables).copied().collect();
    let output =
        command(&[&["doctor", "--json"], arguments].concat(), &variables).current_dir(data.path()).output().unwrap();
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    let text = |check: &Value, field: &str| check[field].as_str().unwrap().to_owned();
    let checks = report["checks"].as_array().unwrap();
    let checks = checks.iter().map(|one| (text(one, "check"), text(one, "status"), text(one, "detail"))).collect();
    let code = output.status.code().unwrap();
    assert_eq!(report["ok"], Value::Bool(code == 0));
    Report { checks, code }
}

impl Report {
    pub(crate) fn of(&self, check: &str) -> (&str, &str) {
        let found = self.checks.iter().find(|(name, ..)| name == check);
        let (_, status, detail) = found.unwrap_or_else(|| panic!("no {check} in {:#?}", self.checks));
        (status, detail)
    }

    pub(crate) fn wrong(&self) -> Vec<&str> {
        self.checks.iter().filter(|(_, status, _)| status == "wrong").map(|(name, ..)| name.as_str()).collect()
    }
}

#[test]
fn a_valid_key_passes_every_check() {
    let honeycomb = Honeycomb::start(KEY);
    let report = doctor(&[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    assert_eq!((report.wrong(), report.code), (vec![], 0));
    assert_eq!(report.of("honeycomb key"), ("ok", "hcaik_a_ke… is an ingest key"));
    assert_eq!(report.of("honeycomb auth"), ("ok", "team Cruddur, environment test"));
    assert_eq!(report.of("clock").0, "ok");
    let accepts = format!("{}/v1/traces accepts spans; none were sent", honeycomb.url);
    assert_eq!(report.of("honeycomb span"), ("ok", accepts.as_str()));
    assert!(honeycomb.accepted().is_empty() && !honeycomb.bodies().is_empty());
    for well in ["database", "cors", "CRUDDUR_PROXY_LISTEN", "variables"] {
        assert_eq!(report.of(well).0, "ok");
    }
    assert_eq!((report.of("otlp").0, report.of("xray").0), ("off", "off"));
}

#[test]
fn other_names_of_a_configured_page_are_reported() {
    let report = doctor(&[("FRONTEND_URL", "http://localhost:3000"), ("BACKEND_URL", "https://cruddur.example")]);
    let (status, detail) = report.of("cors");
    assert_eq!(status, "ok");
    for origin in ["http://localhost:3000", "https://cruddur.example", "http://127.0.0.1:3000", "http://[::1]:3000"] {
        assert!(detail.contains(origin), "{origin}: {detail}");
    }
    let report = doctor(&[("FRONTEND_URL", "https://cruddur.example")]);
    assert_eq!(report.of("cors").1, "https://cruddur.example may call the API");
}

#[test]
fn a_separate_endpoint_for_log_records_is_checked() {
    let honeycomb = Honeycomb::start(KEY);
    let logs = "OTEL_EXPORTER_OTLP_LOGS_ENDPOINT";
    let own = [("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &*honeycomb.url), ("OTEL_LOGS_EXPORTER", "otlp")];
    let report = doctor(&own);
    assert_eq!((report.of("honeycomb log record").0, report.code), ("ok", 0));
    assert!(honeycomb.logs().is_empty());
    let report = doctor(&[own[0], own[1], own[2], ("OTEL_TRACES_EXPORTER", "none")]);
    assert_eq!((report.of("honeycomb auth").0, report.of("honeycomb log record").0, report.code), ("ok", "ok", 0));
    assert!(report.checks.iter().all(|(check, ..)| check != "honeycomb span"), "{:#?}", report.checks);
    let report = doctor(&[own[0], own[1], own[2], (logs, "http://127.0.0.1:9/v1/logs"), ("OTEL_LOG_LEVEL", "info")]);
    assert_eq!((report.wrong(), report.code), (vec!["otlp log record"], 1));
    let (_, detail) = report.of("otlp log record");
    assert!(detail.contains("127.0.0.1:9") && detail.contains("did not respond"), "{detail}");
    assert!(
        report.checks.iter().any(|(_, _, detail)| detail == "OTEL_LOG_LEVEL: ignored: RUST_LOG selects what is logged")
    );
}

#[test]
fn a_wrong_key_is_reported_in_honeycombs_words() {
    let honeycomb = Honeycomb::start("another");
    let report = doctor(&[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    assert_eq!((report.wrong(), report.code), (vec!["honeycomb auth"], 1));
    let (_, detail) = report.of("honeycomb auth");
    assert!(detail.contains("401") && detail.contains("unknown API key - check your credentials"), "{detail}");
    assert!(!detail.contains(KEY));
}

#[test]
fn a_gzipped_response_is_read() {
    let honeycomb = Honeycomb::troubled(KEY, Trouble::Packs);
    let to = |key| doctor(&[("HONEYCOMB_API_KEY", key), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let report = to(KEY);
    assert_eq!(report.of("honeycomb auth").0, "ok", "{:#?}", report.checks);
    assert_eq!(report.of("honeycomb span").0, "ok", "{:#?}", report.checks);
    let report = to("hcaik_another");
    assert!(report.of("honeycomb auth").1.contains("unknown API key"), "{:#?}", report.checks);
}

#[test]
fn a_key_that_cannot_send_is_explained_without_a_request() {
    let honeycomb = Honeycomb::start(KEY);
    for (key, reason) in [
        ("hcamk_a_key_of_this_test", "is a management key"),
        ("hcalk_a_key_of_this_test", "is a configuration key"),
        ("0123456789abcdef0123456789abcdef", "is a classic key"),
    ] {
        let report = doctor(&[("HONEYCOMB_API_KEY", key), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
        assert_eq!(report.code, 1);
        let (status, detail) = report.of("HONEYCOMB_API_KEY");
        assert!(status == "wrong" && detail.starts_with(reason), "{detail}");
    }
    assert!(honeycomb.accepted().is_empty());
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
fn an_unreachable_service_is_named_with_its_fix() {
    let report = doctor(&[
        ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_XRAY_DAEMON_ADDRESS", "127.0.0.1:1"),
        ("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/cruddur"),
        ("HONEYCOMB_API_ENDPOIN", "misspelt"),
    ]);
    assert_eq!((report.wrong(), report.code), (vec!["otlp connection", "xray daemon", "database"], 1));
    assert!(report.of("xray daemon").1.starts_with("UDP does not confirm delivery"), "{}", report.of("xray daemon").1);
    let note = report.checks.iter().find(|(_, status, _)| status == "note").unwrap();
    assert_eq!(note.2, "HONEYCOMB_API_ENDPOIN is unknown; did you mean HONEYCOMB_API_ENDPOINT?");
    assert!(!format!("{:?}", report.checks).contains("canary"));
}

#[test]
fn sampling_rules_are_counted_and_may_be_absent() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let of = |daemon: &str| doctor(&[("OTEL_TRACES_SAMPLER", "xray"), ("AWS_XRAY_DAEMON_ADDRESS", daemon)]);
    let report = of(&viewer.xray);
    assert_eq!(report.of("xray rules"), ("ok", format!("1 at http://{}", viewer.xray).as_str()));
    let dead = of("127.0.0.1:1");
    assert!(
        dead.of("xray rules").0 == "note"
            && dead.of("xray rules").1.starts_with("local rules apply: http://127.0.0.1:1")
    );
    assert!(doctor(&[]).checks.iter().all(|(check, ..)| check != "xray rules"), "with another sampler");
}

#[test]
fn a_collectors_refusal_is_reported_in_its_words() {
    let collector = Honeycomb::troubled("", Trouble::Refuses(403));
    let report = doctor(&[("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url)]);
    assert_eq!((report.wrong(), report.code), (vec!["otlp span"], 1));
    assert!(report.of("otlp span").1.ends_with("this is what it says"), "{}", report.of("otlp span").1);
}

#[test]
fn the_text_output_has_one_line_per_check() {
    let data = Folder::new();
    let variables: Vec<_> =
        FREE_PORTS.iter().chain(&[("CRUDDUR_DATA", data.path().to_str().unwrap())]).copied().collect();
    let output = command(&["doctor"], &variables).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(output.status.success() && !text.contains('\u{1b}'), "{text}");
    assert!(text.lines().any(|line| line.starts_with("off    honeycomb")), "{text}");
    assert!(text.lines().any(|line| line.starts_with("ok     database")), "{text}");
}

#[test]
fn a_running_cruddur_is_recognised_and_receives_no_trace_from_the_doctor() {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let own = [("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &*honeycomb.url)];
    let cruddur = Cruddur::up(&data, &own);
    let at = |address: &str| address.trim_start_matches("http://").to_owned();
    let (page, backend, viewer) = (at(&cruddur.page), at(&cruddur.backend), at(&cruddur.viewer));
    // Waits until the spans of each service's start have been delivered.
    let settled = || {
        eventually("an empty queue", || {
            let ledgers =
                [&cruddur.page, &cruddur.backend].map(|at| http::get(&format!("{at}/health/telemetry")).json());
            let is_empty =
                |ledger: &Value| ledger["destinations"].as_array().unwrap().iter().all(|one| one["queued"] == 0);
            ledgers.iter().all(is_empty).then_some(())
        });
        honeycomb.accepted().len()
    };
    let before = settled();
    let listen = [
        ("CRUDDUR_PROXY_LISTEN", &*page),
        ("CRUDDUR_BACKEND_LISTEN", &*backend),
        ("CRUDDUR_VIEWER_LISTEN", &*viewer),
        ("CRUDDUR_XRAY_LISTEN", &*cruddur.xray),
    ];
    let report = doctor(&[listen.as_slice(), &own].concat());
    assert_eq!((report.wrong(), report.code), (vec![], 0));
    for (variable, address) in listen {
        assert_eq!(report.of(variable), ("ok", format!("{address} is in use by a running Cruddur").as_str()));
    }
    assert_eq!(settled(), before);
    cruddur.stop();
    assert_eq!(honeycomb.accepted().len(), before);
}

#[test]
fn a_check_of_one_service_covers_only_its_needs() {
    let dead = [("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/cruddur"), ("CRUDDUR_BACKEND_LISTEN", "nowhere")];
    assert_eq!(doctor(&dead).wrong(), ["CRUDDUR_BACKEND_LISTEN", "database"]);
    let of = |service: &str| doctor_of(&["--service", service], &dead);
    let names = |report: &Report| report.checks.iter().map(|(name, ..)| name.clone()).collect::<Vec<_>>();
    for (service, has, has_not) in [
        (
            "frontend-proxy",
            ["CRUDDUR_PROXY_LISTEN", "otlp", "routes"],
            ["database", "CRUDDUR_VIEWER_LISTEN", "accounts"],
        ),
        ("trace-viewer", ["CRUDDUR_VIEWER_LISTEN", "CRUDDUR_XRAY_LISTEN", "variables"], ["database", "otlp", "routes"]),
    ] {
        let report = of(service);
        assert_eq!((report.wrong(), report.code), (vec![], 0), "{service}");
        let names = names(&report);
        assert!(has.iter().all(|name| names.iter().any(|own| own == name)), "{service}: {names:?}");
        assert!(has_not.iter().all(|name| names.iter().all(|own| own != name)), "{service}: {names:?}");
    }
    assert_eq!(of("backend").wrong(), ["CRUDDUR_BACKEND_LISTEN", "database"]);
}

/// A server that sends `answer` to every connection, and closes it.
fn server(answer: &'static [u8]) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            if stream.read(&mut [0; 4096]).is_ok_and(|length| length > 0) {
                drop(stream.write_all(answer));
            }
        }
    });
    address
}

#[test]
fn a_foreign_server_at_a_collectors_address_is_named() {
    let of = |address: &str| {
        let report = doctor(&[("OTEL_EXPORTER_OTLP_ENDPOINT", address)]);
        assert_eq!(report.code, 1, "{:?}", report.checks);
        report.checks.into_iter().find(|(_, status, _)| status == "wrong").unwrap().2
    };
    // The first bytes of a gRPC server.
    let grpc = server(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0\x64");
    for scheme in ["http", "https"] {
        let detail = of(&format!("{scheme}://{grpc}"));
        assert!(detail.starts_with(&format!("{grpc} speaks only HTTP/2, like a gRPC port (4317)")), "{detail}");
    }
    let plain = Honeycomb::start("");
    let grpc = [("OTEL_EXPORTER_OTLP_ENDPOINT", plain.url.as_str()), ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")];
    let report = doctor(&grpc);
    let (_, detail) = report.of("otlp span");
    assert!(detail.contains("speaks HTTP/1.1, not gRPC; give the port of OTLP over gRPC, usually 4317"), "{detail}");
    let detail = of(&plain.url.replace("http://", "https://"));
    assert!(detail.contains("speaks HTTP without TLS; give its address with http://"), "{detail}");
    let page = Honeycomb::troubled("", Trouble::Answers("text/html", "<!doctype html>"));
    let detail = of(&page.url);
    assert!(detail.contains("responded 200 OK with a web page (text/html), which is not an OTLP response"), "{detail}");
    let Some(authority) = Authority::make() else { return };
    let encrypted = Honeycomb::encrypted("", authority.server(false));
    let detail = of(&encrypted.url.replace("https://", "http://"));
    assert!(detail.contains("speaks TLS; give its address with https://"), "{detail}");
    let detail = of(&encrypted.url);
    assert!(detail.contains("name its CA in OTEL_EXPORTER_OTLP_CERTIFICATE or SSL_CERT_FILE"), "{detail}");
    // A self-signed certificate, as `openssl req -x509` makes it.
    let Some(certificate) = Certificate::make() else { return };
    let own = Honeycomb::encrypted("", certificate.server());
    let file = certificate.file();
    let trusted =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", own.url.as_str()), ("OTEL_EXPORTER_OTLP_CERTIFICATE", file.to_str().unwrap())];
    let report = doctor(&trusted);
    assert!(
        report.of("otlp TLS").1.contains("give the server a certificate that the CA signed"),
        "{:?}",
        report.of("otlp TLS")
    );
    let file = authority.file();
    let trusted = [("OTEL_EXPORTER_OTLP_ENDPOINT", encrypted.url.as_str()), ("SSL_CERT_FILE", file.as_str())];
    assert_eq!(doctor(&trusted).wrong(), Vec::<&str>::new());
}
