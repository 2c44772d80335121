//! The journey of `cruddur up`: faults before the start, the start, the stop, and the start after a crash.

use std::net::TcpListener;

use serde_json::json;

use crate::support::clock::Clock;
use crate::support::cruddur::{Cruddur, Ended, run};
use crate::support::{Folder, http};

#[test]
fn sigterm_stops_it_and_every_span_is_accounted_for() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    for _ in 0..20 {
        assert_eq!(cruddur.get("/api/activities/home").status, 200);
    }
    let ended = cruddur.stop();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.errors);
    let accounts = accounts(&ended);
    // Twenty requests make two spans each in the proxy and three in the backend, whose start makes six more.
    for (service, spans) in [("frontend-proxy", 40), ("backend", 66)] {
        for destination in ["otlp", "xray"] {
            let account = accounts.iter().find(|account| account.starts_with(&format!("{service}: {destination}: ")));
            let expected =
                format!("{service}: {destination}: {spans} spans created = {spans} delivered + 0 queued + 0 dropped");
            assert_eq!(account, Some(&expected), "{}", ended.errors);
        }
    }
}

#[test]
fn it_announces_its_addresses_to_people_too() {
    let data = Folder::new();
    let mut cruddur = Cruddur::up(&data, &[]);
    let text = cruddur.announced().join("\n");
    let Cruddur { backend, viewer, xray, .. } = &cruddur;
    // A session belongs to the name of the page's address, and people type this one.
    let [page, sign_in] = [&cruddur.page, &cruddur.sign_in].map(|url| url.replace("127.0.0.1", "localhost"));
    assert!(sign_in.len() <= 80, "a terminal breaks {sign_in}");
    for line in [
        format!("  page       {page}/"),
        "  sign in    as @andrewbrown with this link; it works once, for an hour:".to_owned(),
        sign_in.clone(),
        format!("  API        {page}/api/activities/home   (backend {backend})"),
        format!("  traces     {viewer}/   (also {page}/traces/)"),
        format!("  receives   OTLP at {viewer}, X-Ray segments at udp {xray}"),
    ] {
        assert!(text.lines().any(|own| own == line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn it_prints_the_destination_of_log_records() {
    let logs = |variables: &[(&str, &str)]| {
        let data = Folder::new();
        let mut cruddur = Cruddur::up(&data, variables);
        let line =
            cruddur.announced().into_iter().find_map(|line| Some(line.strip_prefix("  logs       ")?.to_owned()));
        (line, cruddur.stop().errors)
    };
    let export = ("OTEL_LOGS_EXPORTER", "otlp");
    assert_eq!(logs(&[]).0, None);
    let (line, errors) = logs(&[export]);
    assert!(line.unwrap().starts_with("sent nowhere: the viewer accepts none; name a collector"), "{errors}");
    assert!(errors.contains("backend: warning: OTEL_LOGS_EXPORTER: no destination accepts log records"), "{errors}");
    let (line, errors) = logs(&[export, ("OTEL_EXPORTER_OTLP_LOGS_ENDPOINT", "http://127.0.0.1:1/in")]);
    assert_eq!(line.as_deref(), Some("http://127.0.0.1:1/in"), "{errors}");
}

#[test]
fn it_prints_no_bounds_of_its_services() {
    let data = Folder::new();
    let errors = Cruddur::up(&data, &[]).stop().errors;
    assert!(errors.contains("backend: ") && !errors.contains(" connections"), "{errors}");
}

#[test]
fn it_warns_of_a_misspelt_variable() {
    let data = Folder::new();
    let variables = [("CRUDDUR_FAULT", "n-plus-one"), ("CRUDDUR_COLOUR", "red"), ("OTEL_PYTHON_LOG_LEVEL", "debug")];
    let errors = Cruddur::up(&data, &variables).stop().errors;
    let warnings: Vec<_> = errors.lines().filter(|line| line.starts_with("warning: ")).collect();
    let expected = [
        "warning: CRUDDUR_COLOUR is unknown; unset it, or correct its name",
        "warning: CRUDDUR_FAULT is unknown; did you mean CRUDDUR_FAULTS?",
    ];
    assert_eq!(warnings, expected, "{errors}");
}

#[test]
fn ctrl_c_stops_it() {
    let data = Folder::new();
    let mut cruddur = Cruddur::up(&data, &[]);
    cruddur.signal("INT");
    assert_eq!(cruddur.wait().status.code(), Some(0));
}

#[test]
fn all_faults_are_reported_together_before_anything_starts() {
    let occupied = TcpListener::bind("127.0.0.1:0").unwrap();
    let occupied = occupied.local_addr().unwrap().to_string();
    let ended = run(
        &["up"],
        &[
            ("CRUDDUR_PROXY_LISTEN", "3000"),
            ("CRUDDUR_BACKEND_LISTEN", &occupied),
            ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
            ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
            // A file is at the path where a folder would have to be created.
            ("CRUDDUR_DATA", concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml/data")),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://me:canary@collector"),
            ("HONEYCOMB_API_KEY", "two words"),
            ("AWS_XRAY_DAEMON_ADDRESS", "nowhere"),
            ("FRONTEND_URL", "*"),
        ],
    );
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    let lines: Vec<_> = ended.errors.lines().collect();
    for name in [
        "CRUDDUR_PROXY_LISTEN",
        "CRUDDUR_BACKEND_LISTEN",
        "CRUDDUR_DATA",
        "HONEYCOMB_API_KEY",
        "AWS_XRAY_DAEMON_ADDRESS",
        "FRONTEND_URL",
        "OTEL_EXPORTER_OTLP_ENDPOINT",
    ] {
        let line = lines.iter().find(|line| line.starts_with(&format!("error: {name}: ")));
        assert!(line.is_some(), "{name} in {}", ended.errors);
    }
    assert_eq!(lines.iter().filter(|line| line.starts_with("error: ")).count(), 7, "one line each: {}", ended.errors);
    assert!(!ended.errors.contains("two words") && !ended.errors.contains("canary"), "a key is never quoted back");
}

#[test]
fn a_second_start_names_the_running_cruddur_instead_of_its_ports() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let address = |url: &str| url.trim_start_matches("http://").to_owned();
    let (page, backend, viewer) = (address(&cruddur.page), address(&cruddur.backend), address(&cruddur.viewer));
    let ended = run(
        &["up"],
        &[
            ("CRUDDUR_PROXY_LISTEN", &page),
            ("CRUDDUR_BACKEND_LISTEN", &backend),
            ("CRUDDUR_VIEWER_LISTEN", &viewer),
            ("CRUDDUR_XRAY_LISTEN", &cruddur.xray),
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
        ],
    );
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    let expected = format!("error: CRUDDUR_PROXY_LISTEN: Cruddur is already running at http://{page}; use it");
    let lines: Vec<_> = ended.errors.lines().collect();
    assert!(matches!(lines.as_slice(), [line] if line.starts_with(&expected)), "{lines:?}");
}

#[test]
fn a_single_service_reports_its_faults_and_exits_with_64() {
    for (service, variable) in [
        ("backend", "CRUDDUR_BACKEND_LISTEN"),
        ("frontend-proxy", "CRUDDUR_PROXY_LISTEN"),
        ("trace-viewer", "CRUDDUR_VIEWER_LISTEN"),
    ] {
        let ended = run(&[service], &[(variable, "everywhere")]);
        assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
        assert!(
            ended.errors.starts_with(&format!("error: {variable}: \"everywhere\" is not valid")),
            "{}",
            ended.errors
        );
    }
}

#[test]
fn an_unreachable_database_is_named_without_its_password() {
    let data = Folder::new();
    let data = data.path().to_str().unwrap();
    let free = ["CRUDDUR_PROXY_LISTEN", "CRUDDUR_BACKEND_LISTEN", "CRUDDUR_VIEWER_LISTEN", "CRUDDUR_XRAY_LISTEN"];
    let away = [("CRUDDUR_DATA", data), ("DATABASE_URL", "postgres://me:canary@127.0.0.1:1/cruddur")];
    let variables: Vec<_> = free.map(|name| (name, "127.0.0.1:0")).into_iter().chain(away).collect();
    let ended = run(&["up"], &variables);
    assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("cannot open PostgreSQL 127.0.0.1:1/cruddur: "), "{}", ended.errors);
    assert!(!ended.errors.contains("canary"), "{}", ended.errors);
}

#[test]
fn a_clock_before_1970_is_an_error_of_every_service() {
    let Some(clock) = Clock::make() else { return };
    let data = Folder::new();
    let before = clock.at(-86_400);
    let own = [("CRUDDUR_DATA", data.path().to_str().unwrap())];
    let before: Vec<_> = before.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let variables: Vec<_> = own.into_iter().chain(before).collect();
    for command in ["up", "backend", "frontend-proxy", "trace-viewer", "doctor"] {
        let ended = run(&[command], &variables);
        assert_eq!(ended.status.code(), Some(1), "{command}: {}", ended.errors);
        assert!(ended.errors.contains("this machine's clock is before 1970; set it"), "{command}: {}", ended.errors);
        assert!(!ended.errors.contains("panicked"), "{command}: {}", ended.errors);
    }
}

#[test]
fn when_the_viewer_stops_all_stop() {
    let data = Folder::new();
    let mut cruddur = Cruddur::up(&data, &[]);
    cruddur.signal_child("trace-viewer", "TERM");
    let ended = cruddur.wait();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
    let expected = "error: trace-viewer stopped unexpectedly (exit status: 0)";
    assert!(ended.errors.contains(expected), "{}", ended.errors);
}

#[test]
fn when_another_service_stops_the_viewer_stays_and_the_loss_is_reported() {
    for (services, signal, how) in
        [(&["backend"][..], "KILL", "signal: 9 (SIGKILL)"), (&["frontend-proxy", "backend"], "TERM", "exit status: 0")]
    {
        let data = Folder::new();
        let cruddur = Cruddur::up(&data, &[]);
        let trace = cruddur.get("/api/activities/home").trace_id();
        cruddur.spans(&trace, 5);
        for service in services {
            cruddur.signal_child(service, signal);
            cruddur.wait_for_log(&format!("{service} stopped unexpectedly ({how})"));
        }
        cruddur.wait_for_log(&format!("the viewer stays: traces are at {}/ until Ctrl-C", cruddur.viewer));
        assert_eq!(http::get(&format!("{}/api/traces/{trace}", cruddur.viewer)).status, 200);
        if services == ["backend"] {
            assert_eq!(cruddur.get("/api/activities/home").status, 502, "the proxy stays too");
        }
        let ended = cruddur.stop();
        assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
        let first = format!("error: {} stopped unexpectedly ({how})", services[0]);
        assert!(ended.errors.contains(&first), "{}", ended.errors);
    }
}

#[test]
fn a_hung_service_is_killed_and_reported() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    cruddur.signal_child("trace-viewer", "STOP");
    let ended = cruddur.stop();
    assert_eq!(ended.status.code(), Some(1), "{}", ended.errors);
    assert!(ended.errors.contains("error: trace-viewer did not stop within 9 s"), "{}", ended.errors);
}

#[test]
fn it_stops_while_a_database_is_silent() {
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("postgres://me:canary@{}/cruddur", silent.local_addr().unwrap());
    let backend = Cruddur::spawn(&["backend"], &[("CRUDDUR_BACKEND_LISTEN", "127.0.0.1:0"), ("DATABASE_URL", &url)]);
    // The service has connected, and now waits for a response.
    let (_connection, _) = silent.accept().unwrap();
    assert_eq!(backend.stop().status.code(), Some(0));
}

#[test]
fn a_post_survives_kill_9() {
    let data = Folder::new();
    let mut cruddur = Cruddur::up(&data, &[]);
    let answer = cruddur.person().post("/api/activities", &json!({"message": "still running", "ttl": "1-day"}));
    assert_eq!(answer.status, 200);
    cruddur.kill();
    let again = Cruddur::up(&data, &[]);
    let home = again.get("/api/activities/home").json();
    assert_eq!(home[0]["message"], "still running");
    assert_eq!(home[0], {
        let mut crud = answer.json();
        crud["replies"] = json!([]);
        crud
    });
}

#[test]
fn killing_up_ends_its_services() {
    let data = Folder::new();
    let mut cruddur = Cruddur::up(&data, &[]);
    let ports =
        [&cruddur.page, &cruddur.backend, &cruddur.viewer].map(|url| url.trim_start_matches("http://").to_owned());
    cruddur.kill();
    for port in ports {
        crate::support::eventually(format!("the end of the listener at {port}"), || TcpListener::bind(&port).ok());
    }
}

#[test]
fn each_service_runs_alone() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let data = Folder::new();
    let to_viewer =
        [("OTEL_EXPORTER_OTLP_ENDPOINT", viewer.viewer.as_str()), ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray)];
    let data = [("CRUDDUR_DATA", data.path().to_str().unwrap()), ("OTEL_SERVICE_NAME", "backend-flask")];
    let backend = Cruddur::service("backend", &[to_viewer, data].concat());
    let upstream = [("CRUDDUR_UPSTREAM", backend.backend.as_str())];
    let proxy = Cruddur::service("frontend-proxy", &[to_viewer.as_slice(), &upstream].concat());
    let answer = proxy.get("/api/activities/home");
    assert_eq!(answer.status, 200);
    viewer.spans(&answer.trace_id(), 5);
    let trace = http::get(&format!("{}/api/traces/{}", viewer.viewer, answer.trace_id())).json();
    assert_eq!(
        trace["services"],
        json!(["frontend-proxy", "backend-flask", "sqlite"]),
        "the service has the lesson's name"
    );
    for service in [proxy, backend, viewer] {
        assert_eq!(service.stop().status.code(), Some(0));
    }
}

fn accounts(ended: &Ended) -> Vec<String> {
    ended.errors.lines().filter(|line| line.contains(" spans created = ")).map(str::to_owned).collect()
}

#[test]
fn no_process_has_a_key_that_only_another_needs() {
    let data = Folder::new();
    let database = format!("sqlite:{}", data.path().join("keys.db").display());
    let keys = [
        ("HONEYCOMB_API_KEY", "hcaik_canary_of_this_test"),
        ("HONEYCOMB_API_ENDPOINT", "http://127.0.0.1:9"),
        ("AWS_SECRET_ACCESS_KEY", "canary-aws"),
        ("OTEL_RESOURCE_ATTRIBUTES", "canary=otel"),
        ("DATABASE_URL", database.as_str()),
        ("CRUDDUR_RELAY_KEY", "canary: at least thirty-two characters"),
        ("GITHUB_TOKEN", "canary-unknown"),
    ];
    let cruddur = Cruddur::up(&data, &keys);
    let both = &["HONEYCOMB_API_KEY", "AWS_SECRET_ACCESS_KEY", "OTEL_RESOURCE_ATTRIBUTES"][..];
    for (service, needed) in [
        ("trace-viewer", Vec::new()),
        ("backend", [both, &["DATABASE_URL"]].concat()),
        ("frontend-proxy", [both, &["CRUDDUR_RELAY_KEY"]].concat()),
    ] {
        let environment = cruddur.child_environment(service);
        for (name, value) in keys.iter().filter(|(name, _)| *name != "HONEYCOMB_API_ENDPOINT") {
            let has = environment.contains(&format!("{name}={value}"));
            assert_eq!(has, needed.contains(name), "{service}: {name}");
        }
    }
    assert_eq!(cruddur.get("/api/activities/home").status, 200);
}
