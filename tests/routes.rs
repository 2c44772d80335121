//! The proxy's routes file: its effect, its faults, and how it is reloaded while requests are in progress.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use serde_json::{Value, json};

use crate::support::cruddur::{Cruddur, command};
use crate::support::{Folder, eventually, http, raw, routes_file};

/// An upstream that answers each request with its own name, and the request line.
fn upstream(name: &'static str) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let serve = move |stream: TcpStream| -> Option<()> {
        let mut reader = BufReader::new(stream.try_clone().ok()?);
        let mut stream = stream;
        loop {
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if reader.read_line(&mut line).ok()? == 0 {
                    return None;
                }
                match line.trim_end() {
                    "" => break,
                    line => head.push(line.to_owned()),
                }
            }
            let body = format!("{name} {}", head[0]);
            write!(stream, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n{body}", body.len()).ok()?;
        }
    };
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || serve(stream));
        }
    });
    address
}

fn write(folder: &Folder, text: &str) -> String {
    let path = folder.path().join("routes.toml");
    std::fs::write(&path, text).unwrap();
    path.to_str().unwrap().to_owned()
}

fn route(prefix: &str, upstream: &str, more: &str) -> String {
    format!("[[route]]\nprefix = \"{prefix}\"\nupstreams = [\"{upstream}\"]\n{more}\n")
}

/// The result of `--check`: its exit code, standard output and standard error.
fn check(arguments: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
    let output = command(&[&["frontend-proxy", "--check"], arguments].concat(), variables).output().unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (output.status.code().unwrap(), text(output.stdout), text(output.stderr))
}

fn text(answer: &http::Answer) -> &str {
    std::str::from_utf8(&answer.body).unwrap()
}

#[test]
fn each_prefix_has_its_upstream_and_the_longest_decides() {
    let (folder, one, two) = (Folder::new(), upstream("one"), upstream("two"));
    let file = write(
        &folder,
        &[
            route("/", &one, "traced = false"),
            route("/api/", &one, ""),
            route("/api/deep/", &two, "strip_prefix = true\nread_only = true"),
        ]
        .concat(),
    );
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", &file)]);
    assert_eq!(text(&proxy.get("/api/x?q=1")), "one GET /api/x?q=1 HTTP/1.1");
    assert_eq!(text(&proxy.get("/api/deep/x?q=1")), "two GET /x?q=1 HTTP/1.1");
    assert_eq!(text(&proxy.get("/api/deep/")), "two GET / HTTP/1.1");
    assert_eq!(text(&proxy.get("/")), "one GET / HTTP/1.1", "a route for / replaces the page");
    assert_eq!(text(&proxy.get("/cruddur.css")), "one GET /cruddur.css HTTP/1.1");
    assert_eq!(text(&proxy.get("/traces")), "one GET /traces HTTP/1.1", "the viewer has no route here");
    assert_eq!(proxy.get("/health/live").status, 204, "the proxy's own paths are not forwarded");
    assert_eq!(proxy.post("/api/deep/x", &json!({})).status, 405);
    assert_eq!(proxy.get("/").header("server-timing"), "", "not traced");
    let mut stream = raw::connect(&proxy.page);
    write!(stream, "GET http://a?q=1 HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let (_, body) = raw::answer(&mut BufReader::new(stream)).unwrap();
    assert_eq!(String::from_utf8(body).unwrap(), "one GET /?q=1 HTTP/1.1", "the shortest path is a slash");
}

#[test]
fn spans_are_named_by_templates_and_never_by_paths() {
    let (folder, one) = (Folder::new(), upstream("one"));
    let more = "templates = [\"/api/users/@{handle}\", \"/api/users/{id}/posts/*\"]\nuntraced = [\"/api/ping\"]";
    let file = write(&folder, &[route("/api/", &one, more), route("/", &one, "")].concat());
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            ("CRUDDUR_PROXY_CONFIG", &file),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
            ("TRACE_TRUST", "always"),
        ],
    );
    for (path, route) in [
        ("/api/users/@canary?q=canary&page=2", "/api/users/@{handle}"),
        ("/api/users/7/posts/8/9", "/api/users/{id}/posts/*"),
        ("/api/users/7", "/api/*"),
    ] {
        let trace = proxy.get(path).trace_id();
        let spans = viewer.spans(&trace, 2);
        let server = spans.iter().find(|span| span["kind"] == "server" && span["source"] == "otlp").unwrap();
        assert_eq!(server["name"], format!("GET {route}"), "{path}");
        assert_eq!(server["attributes"]["http.route"], route);
        let query = path.split_once('?').map_or(Value::Null, |_| json!("q=REDACTED&page=REDACTED"));
        assert_eq!(server["attributes"]["url.query"], query);
        assert!(!Value::from(spans.clone()).to_string().contains("q=canary"));
    }
    assert_eq!(proxy.get("/api/ping").header("server-timing"), "");

    let trace = "4bf92f3577b34da6a3ce929d0e0e4736";
    let head =
        format!("GET http://a?q=canary HTTP/1.1\r\nhost: a\r\ntraceparent: 00-{trace}-00f067aa0ba902b7-01\r\n\r\n");
    assert_eq!(raw::exchange(&proxy.page, head.as_bytes(), 1), (vec![200], false));
    let spans = viewer.spans(trace, 2);
    let client = spans.iter().find(|span| span["kind"] == "client" && span["source"] == "otlp").unwrap();
    assert_eq!(client["attributes"]["url.full"], format!("http://{one}/"), "the shortest path is a slash");
}

#[test]
fn every_fault_is_reported_before_a_port_is_opened() {
    let folder = Folder::new();
    let file = write(&folder, "[[route]]\nprefix = \"api\"\nupstreams = [\"https://x\"]\nretires = 2\n");
    let variables = [("TRACE_TRUST", "sometimes"), ("CRUDDUR_PROXY_CONFIG", file.as_str())];
    let expected = [
        "error: TRACE_TRUST: \"sometimes\" is not valid (\"sometimes\" is not a network); give never, link, always, or networks such as 10.0.0.0/8,::1".to_owned(),
        format!("error: {file}:2: prefix \"api\" does not start and end with /; give one such as \"/api/\""),
        format!("error: {file}:3: \"https://x\" is not an upstream (expected http://host:port); give one such as \"http://127.0.0.1:4567\", without a path"),
        format!("error: {file}:4: `retires` is unknown; did you mean `retries`?"),
    ];
    for arguments in [&["frontend-proxy", "--check"][..], &["frontend-proxy"], &["up"]] {
        let output = command(arguments, &variables).current_dir(folder.path()).output().unwrap();
        let errors = String::from_utf8(output.stderr).unwrap();
        let mut reported: Vec<&str> = errors.lines().filter(|line| line.starts_with("error: ")).collect();
        reported.sort_unstable();
        let mut expected = expected.clone();
        expected.sort_unstable();
        assert_eq!(reported, expected, "{arguments:?}");
        assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(64), b"".as_slice()));
    }
    let gone = folder.path().join("gone.toml");
    let (code, _, errors) = check(&["--config", gone.to_str().unwrap()], &[]);
    assert!(code == 64 && errors.contains("gone.toml: cannot read the file: No such file"), "{code} {errors}");
    let (code, _, errors) = check(&["--trust", "sometimes"], &[]);
    assert!(code == 2 && errors.contains("\"sometimes\" is not a network"), "{code} {errors}");
}

#[test]
fn a_check_prints_the_resulting_routes() {
    let (code, table, errors) = check(&[], &[("CRUDDUR_VIEWER", "127.0.0.1:4318")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    let templates = routes_file::api().remove(0).templates.len();
    let limits = "connect 2s, answer 30s, idle 1m, tunnel 10m, age 1m, retries 1; body 1MiB in 30s";
    assert_eq!(
        table,
        format!(
            "/api/        -> http://127.0.0.1:4567; traced as /api/* and {templates} templates, but not /api/health-check; {limits}\n\
             /rollbar/    -> http://127.0.0.1:4567; traced as /rollbar/* and 1 template; {limits}\n\
             /traces/     -> http://127.0.0.1:4318, prefix stripped, read only; not traced; {limits}\n"
        )
    );
    // The file overrides the variable, and the example file has no faults.
    let example = Path::new(env!("CARGO_MANIFEST_DIR")).join("../frontend-proxy/routes.example.toml");
    let (code, table, errors) =
        check(&["--config", example.to_str().unwrap()], &[("CRUDDUR_PROXY_CONFIG", "/nowhere.toml")]);
    assert_eq!((code, errors.as_str()), (0, ""));
    assert_eq!(
        table,
        "/api/        -> http://127.0.0.1:4567, http://127.0.0.1:4568; traced as /api/* and 3 templates, but not /api/health-check; \
         connect 2s, answer 10s, idle 1m, tunnel 10m, age 1m, retries 2; body 64KiB in 30s\n\
         /traces/     -> nowhere: CRUDDUR_VIEWER is not set\n"
    );
}

#[test]
fn without_a_viewer_its_path_names_the_setting() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let answer = proxy.get("/traces/api/traces");
    assert_eq!((answer.status, answer.header("server-timing")), (404, ""));
    assert_eq!(answer.json()["detail"], "no trace viewer is configured; set CRUDDUR_VIEWER");
}

#[test]
fn sighup_loads_a_valid_file_ignores_an_invalid_one_and_fails_no_request() {
    let (folder, one, two) = (Folder::new(), upstream("one"), upstream("two"));
    let file = write(&folder, &route("/api/", &one, ""));
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", &file)]);
    let url = format!("{}/api/x", proxy.page);
    let (stop, served) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let load: Vec<_> = (0..4)
        .map(|_| {
            let (url, stop, served) = (url.clone(), Arc::clone(&stop), Arc::clone(&served));
            thread::spawn(move || {
                while !stop.load(Ordering::Relaxed) {
                    let answer = http::get(&url);
                    assert_eq!(answer.status, 200, "{}", text(&answer));
                    served.fetch_add(1, Ordering::Relaxed);
                }
            })
        })
        .collect();
    let answers = |name: &str| {
        eventually(format!("an answer of {name}"), || text(&proxy.get("/api/x")).starts_with(name).then_some(()))
    };
    answers("one");
    for (next, name) in [(&two, "two"), (&one, "one"), (&two, "two")] {
        write(&folder, &route("/api/", next, ""));
        proxy.signal("HUP");
        answers(name);
    }
    // A file with faults changes nothing.
    write(&folder, &route("/api/", "https://three", "x = 1"));
    proxy.signal("HUP");
    let line = proxy.wait_for_log("keeping the old routes");
    assert!(line.contains("routes.toml:3: ") && line.contains("routes.toml:4: `x` is unknown"), "{line}");
    let before = served.load(Ordering::Relaxed);
    eventually("requests after the invalid file", || (served.load(Ordering::Relaxed) > before + 20).then_some(()));
    assert!(text(&proxy.get("/api/x")).starts_with("two"));
    write(&folder, &(route("/api/", &two, "") + &route("/other/", &one, "")));
    proxy.signal("HUP");
    eventually("a further route", || text(&proxy.get("/other/x")).starts_with("one").then_some(()));
    stop.store(true, Ordering::Relaxed);
    load.into_iter().for_each(|thread| thread.join().unwrap());
    let ended = proxy.stop();
    assert_eq!(ended.status.code(), Some(0));
    let count = |text: &str| ended.errors.lines().filter(|line| line.contains(text)).count();
    assert_eq!(count("1 route is active: 0 added, 0 removed, 1 changed, 0 unchanged"), 3, "{}", ended.errors);
    assert_eq!(count("keeping the old routes"), 1);
    assert_eq!(count("2 routes are active: 1 added, 0 removed, 0 changed, 1 unchanged"), 1, "{}", ended.errors);
}

#[test]
fn sighup_keeps_the_old_routes_if_the_file_has_none() {
    let (folder, one) = (Folder::new(), upstream("one"));
    let good = route("/api/", &one, "") + &route("/other/", &one, "");
    let file = write(&folder, &good);
    let path = Path::new(&file);
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", &file)]);
    let texts = ["", "\n \n", "# a comment\n", "route = []\n", "\u{feff}", &good[..30], &good[..good.len() - 20]];
    for (n, what) in texts.iter().copied().chain(["no file", "a folder"]).enumerate() {
        match what {
            "no file" => std::fs::remove_file(path).unwrap(),
            "a folder" => std::fs::create_dir(path).unwrap(),
            text => std::fs::write(path, text).unwrap(),
        }
        proxy.signal("HUP");
        let lines = eventually(format!("a line about {what:?}"), || {
            let errors = proxy.stderr();
            let lines: Vec<_> =
                errors.lines().filter(|line| line.contains("keeping the old routes")).map(str::to_owned).collect();
            (lines.len() > n).then_some(lines)
        });
        assert_eq!(lines.len(), n + 1, "one line each: {lines:#?}");
        let fix = ["write at least one [[route]]", "give ", "routes.toml:"];
        assert!(fix.iter().any(|fix| lines[n].contains(fix)), "{what:?}: {}", lines[n]);
        assert!(text(&proxy.get("/other/x")).starts_with("one"), "{what:?}");
    }
    std::fs::remove_dir(path).unwrap();
    write(&folder, &good);
    proxy.signal("HUP");
    proxy.wait_for_log("0 added, 0 removed, 0 changed, 2 unchanged");
}

#[test]
fn a_file_without_routes_is_a_fault_at_the_start() {
    let folder = Folder::new();
    for text in ["", "# [[route]]\n", "route = []\n"] {
        let file = write(&folder, text);
        let (code, _, errors) = check(&["--config", &file], &[]);
        assert!(code == 64 && errors.contains("write at least one [[route]]"), "{text:?}: {code} {errors}");
    }
}

#[test]
fn the_doctor_checks_the_routes_file() {
    let folder = Folder::new();
    let file = write(&folder, &route("/api/", "127.0.0.1:1", ""));
    let checks = |file: &str| -> Vec<(String, String, String)> {
        let data = Folder::new();
        let variables = [("CRUDDUR_PROXY_CONFIG", file), ("CRUDDUR_DATA", data.path().to_str().unwrap())];
        let output = command(&["doctor", "--json"], &variables).current_dir(data.path()).output().unwrap();
        let report: Value = serde_json::from_slice(&output.stdout).unwrap();
        let field = |check: &Value, name: &str| check[name].as_str().unwrap().to_owned();
        let checks = report["checks"].as_array().unwrap();
        checks.iter().map(|check| (field(check, "check"), field(check, "status"), field(check, "detail"))).collect()
    };
    let report = checks(&file);
    let routes = report.iter().find(|(name, ..)| name == "routes").unwrap();
    assert_eq!((routes.1.as_str(), routes.2.as_str()), ("ok", format!("1, from {file}").as_str()));
    write(&folder, "[[route]]\n");
    let report = checks(&file);
    let wrong: Vec<_> =
        report.iter().filter(|(name, status, _)| name.contains("routes.toml") && status == "wrong").collect();
    assert_eq!(wrong.len(), 2, "{report:#?}");
    assert!(!report.iter().any(|(name, ..)| name == "routes"));
}
