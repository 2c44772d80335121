//! The proxy's own responses: files, the page with its trace, errors for people and programs, health, metrics, a log.

use std::io::Read;

use flate2::read::GzDecoder;
use serde_json::json;

use crate::support::cruddur::Cruddur;
use crate::support::http::{self, Answer};
use crate::support::raw;

const FILES: [&str; 18] = [
    "/actions.js",
    "/api.js",
    "/cruddur.css",
    "/cruddur.js",
    "/cruds.js",
    "/extras.js",
    "/favicon.svg",
    "/feed.css",
    "/feed.js",
    "/forms.js",
    "/latest.js",
    "/messages.js",
    "/page.js",
    "/profile.js",
    "/session.js",
    "/sign-in.js",
    "/trace.js",
    "/views.js",
];
/// Chromium's `Accept` header.
const BROWSER: (&str, &str) = ("accept", "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8");

fn request(proxy: &Cruddur, method: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
    http::request(method, &format!("{}{path}", proxy.page), headers)
}

fn unpacked(answer: &Answer) -> Vec<u8> {
    assert_eq!(answer.header("content-encoding"), "gzip");
    let mut content = Vec::new();
    GzDecoder::new(answer.body.as_slice()).read_to_end(&mut content).unwrap();
    content
}

/// The content of a page's `meta` element.
fn meta<'p>(page: &'p str, name: &str) -> Option<&'p str> {
    page.split_once(&format!("<meta name=\"{name}\" content=\""))?.1.split('"').next()
}

#[test]
fn a_file_is_tagged_compressed_and_not_resent() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    for path in FILES {
        let plain = request(&proxy, "GET", path, &[("accept-encoding", "identity")]);
        assert_eq!((plain.status, plain.header("cache-control")), (200, "no-cache"), "{path}");
        assert_eq!((plain.header("vary"), plain.header("content-encoding")), ("accept-encoding", ""));
        assert_eq!(plain.header("x-content-type-options"), "nosniff");
        let packed = request(&proxy, "GET", path, &[("accept-encoding", "br;q=1, gzip;q=0.8")]);
        assert_eq!(unpacked(&packed), plain.body, "{path}");
        let tags = [&plain, &packed].map(|answer| answer.header("etag"));
        assert!(
            tags.iter().all(|tag| tag.starts_with('"')) && tags[0] != tags[1],
            "strong, and one an encoding: {tags:?}"
        );

        let list = format!("\"other\", W/{}", tags[1]);
        for (encoding, tag, status) in [
            ("gzip", tags[1], 304),
            ("gzip", &list, 304),
            ("gzip", "*", 304),
            ("gzip", tags[0], 200),
            ("identity", tags[0], 304),
            ("identity", tags[1], 200),
        ] {
            let headers = [("accept-encoding", encoding), ("if-none-match", tag)];
            let answer = request(&proxy, "GET", path, &headers);
            assert_eq!(answer.status, status, "{path} {headers:?}");
            assert!(!answer.header("etag").is_empty() && !answer.header("cache-control").is_empty());
            assert_eq!((answer.body.is_empty(), answer.header("vary")), (status == 304, "accept-encoding"));
        }
        let head = request(&proxy, "HEAD", path, &[("accept-encoding", "identity")]);
        assert_eq!(head.header("content-length"), plain.body.len().to_string());
        assert!(head.body.is_empty() && head.header("etag") == tags[0]);
    }
}

#[test]
fn the_page_names_its_own_span_and_is_never_cached() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let plain = request(&proxy, "GET", "/", &[("accept-encoding", "identity")]);
    let packed = request(&proxy, "GET", "/", &[("accept-encoding", "gzip"), ("if-none-match", "*")]);
    let pages = [&plain.body, &unpacked(&packed)].map(|body| String::from_utf8(body.clone()).unwrap());
    for (answer, page) in [&plain, &packed].into_iter().zip(&pages) {
        assert_eq!((answer.status, answer.header("cache-control"), answer.header("etag")), (200, "no-store", ""));
        let context = meta(page, "traceparent").unwrap();
        assert_eq!(answer.header("server-timing"), format!("traceparent;desc=\"{context}\""));
        assert_eq!(meta(page, "trace-token").unwrap().split('-').nth(1).unwrap().len(), 32);
        assert!(page.contains("<title>Cruddur</title>") && page.trim_end().ends_with("</html>"));
        for (name, part) in [
            ("content-security-policy", "default-src 'none'; script-src 'self'"),
            ("referrer-policy", "same-origin"),
            ("permissions-policy", "camera=()"),
            ("cross-origin-opener-policy", "same-origin"),
            ("x-content-type-options", "nosniff"),
        ] {
            assert!(answer.header(name).contains(part), "{name}: {}", answer.header(name));
        }
        assert_eq!(answer.header("strict-transport-security"), "", "the connection is not TLS");
    }
    assert_ne!(meta(&pages[0], "traceparent"), meta(&pages[1], "traceparent"));
    let head = request(&proxy, "HEAD", "/", &[("accept-encoding", "identity")]);
    assert_eq!((head.status, head.header("content-length")), (200, plain.body.len().to_string().as_str()));
    assert!(head.body.is_empty());

    let unsampled = Cruddur::service("frontend-proxy", &[("OTEL_TRACES_SAMPLER", "always_off")]).get("/");
    let page = String::from_utf8(unsampled.body).unwrap();
    assert!(meta(&page, "traceparent").unwrap().ends_with("-02") && meta(&page, "trace-token").is_none());
}

#[test]
fn an_error_is_html_for_a_browser_and_json_for_a_program() {
    let viewer = ("CRUDDUR_VIEWER", "127.0.0.1:1");
    for (variables, has_viewer) in [(vec![viewer], true), (vec![], false)] {
        let proxy = Cruddur::service("frontend-proxy", &variables);
        let person = request(&proxy, "GET", "/%3Cscript%3Ealert(1)?q=%22", &[BROWSER]);
        let page = String::from_utf8(person.body.clone()).unwrap();
        assert_eq!((person.status, person.header("content-type")), (404, "text/html; charset=utf-8"));
        assert!(page.contains(&person.trace_id()) && page.contains("No such page."), "{page}");
        assert_eq!(page.contains(&format!("href=\"/traces/#{}\"", person.trace_id())), has_viewer);
        assert!(!page.contains("<script"), "{page}");
        let policy = person.header("content-security-policy");
        assert!(policy.contains("style-src 'sha256-") && !policy.contains("script-src"), "{policy}");
        for accept in [&[][..], &[("accept", "*/*")], &[("accept", "text/html;q=0.4, application/json;q=0.5")]] {
            let program = request(&proxy, "GET", "/nowhere", accept);
            assert_eq!(
                (program.status, program.header("content-type")),
                (404, "application/problem+json"),
                "{accept:?}"
            );
            assert_eq!(
                (&program.json()["status"], &program.json()["trace_id"]),
                (&json!(404), &json!(program.trace_id()))
            );
            assert_eq!(program.header("vary"), "accept");
        }
    }
    // A person also gets a page about an upstream that is away.
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", "127.0.0.1:1")]);
    let away = request(&proxy, "GET", "/api/activities/home", &[BROWSER]);
    assert_eq!((away.status, away.header("content-type")), (502, "text/html; charset=utf-8"));
}

#[test]
fn metrics_are_counted_by_route_template_and_status() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", "127.0.0.1:1")]);
    for path in ["/", "/trace.js", "/api/a?secret=1", "/api/b", "/nowhere/1", "/health/live", "/health/ready"] {
        proxy.get(path);
    }
    let metrics = proxy.get("/metrics");
    assert_eq!(metrics.header("content-type"), "text/plain; version=0.0.4; charset=utf-8");
    let metrics = String::from_utf8(metrics.body).unwrap();
    let count = |route: &str, status: &str| {
        let labels = [format!("http_route=\"{route}\""), format!("http_response_status_code=\"{status}\"")];
        let is_of = |line: &&str| match route {
            "" => !line.contains("http_route") && line.contains(&labels[1]),
            _ => labels.iter().all(|label| line.contains(label)),
        };
        let counts = metrics.lines().filter(|line| line.starts_with("http_server_request_duration_seconds_count{"));
        counts.filter(is_of).map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum::<u64>()
    };
    assert_eq!([count("/", "200"), count("/{file}", "200"), count("/api/*", "502"), count("", "404")], [1, 1, 2, 1]);
    assert_eq!([count("/health/live", "204"), count("/health/ready", "204")], [1, 1]);
    let failed = r#"{error_type="502",http_request_method="GET",http_response_status_code="502",http_route="/api/*","#;
    assert!(metrics.contains(failed), "{metrics}");
    let active = metrics.lines().find_map(|line| line.strip_prefix("http_server_active_requests{")).unwrap();
    assert_eq!(active, "http_request_method=\"GET\",url_scheme=\"http\"} 1", "the request for the metrics");
    for line in [
        "frontend_proxy_upstream_failures_total{http_response_status_code=\"502\"} 2",
        "frontend_proxy_relay_spans_total{outcome=\"accepted\"} 0",
    ] {
        assert!(metrics.lines().any(|own| own == line), "{line}\n{metrics}");
    }
    assert!(!metrics.contains("secret") && !metrics.contains("nowhere"), "a client's input is no label");
}

#[test]
fn the_access_log_is_off_by_default_and_has_one_event_per_request() {
    let logged = |variables: &[(&str, &str)]| {
        let proxy = Cruddur::service("frontend-proxy", variables);
        let page = proxy.get("/?canary=1");
        proxy.get("/health/live");
        proxy.get("/metrics");
        request(&proxy, "HEAD", "/nowhere/canary", &[]);
        request(&proxy, "canary", "/", &[]);
        assert_eq!(raw::exchange(&proxy.page, b"GET /canary HTTP/1.1\nhost: a\r\n\r\n", 1).0, [400]);
        let errors = proxy.stop().errors;
        let events = errors.lines().filter(|line| line.contains("frontend_proxy::access"));
        (page, events.map(|line| serde_json::from_str(line).unwrap()).collect::<Vec<serde_json::Value>>(), errors)
    };
    assert!(logged(&[]).1.is_empty());
    let (page, events, errors) = logged(&[("CRUDDUR_ACCESS_LOG", "on")]);
    assert!(!errors.contains("canary"), "no path, no query and no text of a client: {errors}");
    let [first, second, third, refused] = events.as_slice() else { panic!("{events:#?}") };
    assert_eq!(first["trace_id"], page.trace_id());
    assert_eq!((&first["http.route"], &first["http.response.status_code"]), (&json!("/"), &json!(200)));
    assert_eq!(first["http.response.body.size"], page.body.len());
    assert_eq!((&second["http.request.method"], &second["http.route"]), (&json!("HEAD"), &json!("other")));
    assert_eq!(second["network.peer.address"], "127.0.0.1");
    assert_eq!(third["http.request.method"], "_OTHER");
    assert_eq!(
        (&refused["http.request.method"], &refused["http.response.status_code"]),
        (&json!("_OTHER"), &json!(400))
    );
}
