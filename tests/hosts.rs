//! DNS rebinding: a page whose name was made to resolve to this machine has, to the browser, the origin of a listener here. Its requests
//! carry its own name, and every listener on loopback refuses them, except for what the proxy serves to everyone.

use std::io::BufReader;

use serde_json::json;

use crate::support::browser::{Browser, REBOUND};
use crate::support::cruddur::Cruddur;
use crate::support::{Folder, h2, http, raw};

/// Requests that read or change something, at every listener.
fn private(cruddur: &Cruddur) -> [(&str, &'static str); 8] {
    [
        (&*cruddur.viewer, "GET /"),
        (&*cruddur.viewer, "GET /api/traces"),
        (&*cruddur.viewer, "POST /v1/traces"),
        (&*cruddur.xray, "GET /health/live"),
        (&*cruddur.xray, "POST /GetSamplingRules"),
        (&*cruddur.backend, "GET /api/activities/home"),
        (&*cruddur.backend, "OPTIONS /api/activities"),
        (&*cruddur.page, "GET /traces/api/traces"),
    ]
}

/// The status of the response to a request with these lines after its method and path.
fn status(address: &str, request: &str, rest: &str) -> u16 {
    // actix-web refuses an HTTP/1.0 POST without a length.
    let length = if request.starts_with("POST") { "content-length: 0\r\n" } else { "" };
    let bytes = format!("{request} {rest}\r\n{length}\r\n");
    let (statuses, _) = raw::exchange(address, bytes.as_bytes(), 1);
    statuses.first().copied().unwrap_or_default()
}

fn start(variables: &[(&str, &str)]) -> (Cruddur, Folder) {
    let data = Folder::new();
    (Cruddur::up(&data, variables), data)
}

#[test]
fn a_foreign_host_is_misdirected_at_every_listener_on_loopback() {
    let (cruddur, _data) = start(&[("FRONTEND_URL", "https://app.example")]);
    for (address, request) in private(&cruddur) {
        for host in
            ["evil.example", "localhost.evil.example:4318", "127.0.0.1.evil.example", "127.1", "0.0.0.0", "[::]"]
        {
            assert_eq!(status(address, request, &format!("HTTP/1.1\r\nhost: {host}")), 421, "{request} {host}");
            assert_eq!(status(address, request, &format!("HTTP/1.0\r\nhost: {host}")), 421, "{request} {host}");
        }
        let claim = "HTTP/1.1\r\nhost: evil.example\r\nx-forwarded-host: localhost\r\nforwarded: host=localhost";
        assert_eq!(status(address, request, claim), 421, "a page can write any header but Host: {request}");
        for host in ["localhost", "LOCALHOST.:1", "127.9.9.9:3000", "[::1]", "app.example", "APP.example:1"] {
            let status = status(address, request, &format!("HTTP/1.1\r\nhost: {host}"));
            assert!(![400, 421].contains(&status) || request.starts_with("OPTIONS"), "{request} {host}: {status}");
        }
        for rest in
            ["HTTP/1.1\r\nhost: localhost@evil.example", "HTTP/1.1", "HTTP/1.1\r\nhost: localhost\r\nhost: localhost"]
        {
            assert_eq!(status(address, request, rest), 400, "{request} {rest:?}");
        }
        let status = status(address, request, "HTTP/1.0");
        assert!(status != 421, "no page sends HTTP/1.0 without a Host: {request} {status}");
    }
    for (address, request) in
        [(&cruddur.viewer, "GET http://evil.example/"), (&cruddur.backend, "GET http://evil.example/api/x")]
    {
        assert_eq!(status(address, request, "HTTP/1.1\r\nhost: localhost"), 421, "the target counts: {request}");
    }
    let mut request = h2::get("/traces/api/traces");
    request[2].1 = "evil.example".to_owned();
    assert_eq!(h2::request(&cruddur.page, &request, ""), Some(421));
    request[2].1 = "localhost:3000".to_owned();
    assert_eq!(h2::request(&cruddur.page, &request, ""), Some(200));
}

#[test]
fn a_refusal_has_the_form_of_each_services_errors() {
    let (cruddur, _data) = start(&[]);
    let xray = format!("http://{}", cruddur.xray);
    for (url, kind) in [
        (format!("{}/api/traces", cruddur.viewer), "application/problem+json"),
        (format!("{}/api/activities/home", cruddur.backend), "application/problem+json"),
        (format!("{}/traces/", cruddur.page), "application/problem+json"),
        (format!("{xray}/GetSamplingRules"), "application/json"),
    ] {
        let answer = http::request("GET", &url, &[("host", "evil.example")]);
        assert_eq!((answer.status, answer.header("content-type")), (421, kind), "{url}");
        assert!(answer.json().to_string().contains("use localhost"), "{url}");
    }
}

#[test]
fn public_routes_of_the_proxy_accept_every_host() {
    let (cruddur, _data) = start(&[]);
    for path in ["/", "/cruddur.css", "/api/activities/home", "/health/ready", "/metrics"] {
        let answer = http::request("GET", &format!("{}{path}", cruddur.page), &[("host", "app.example")]);
        assert!([200, 204].contains(&answer.status), "{path} {}", answer.status);
    }
}

#[test]
fn a_workspaces_own_names_are_accepted() {
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let listen = format!("127.0.0.1:{port}");
    let viewer = Cruddur::service(
        "trace-viewer",
        &[
            ("CRUDDUR_VIEWER_LISTEN", &listen),
            ("CODESPACE_NAME", "fuzzy-space"),
            ("GITPOD_WORKSPACE_URL", "https://me-cruddur-1a2b.ws-eu1.gitpod.io"),
        ],
    );
    let status = |host: &str| http::request("GET", &format!("{}/api/traces", viewer.viewer), &[("host", host)]).status;
    assert_eq!(status(&format!("fuzzy-space-{port}.app.github.dev")), 200);
    assert_eq!(status(&format!("{port}-me-cruddur-1a2b.ws-eu1.gitpod.io")), 200);
    assert_eq!(status("fuzzy-space-1.app.github.dev"), 421);
}

#[test]
fn a_listener_on_all_addresses_accepts_every_host() {
    let everywhere = [("CRUDDUR_VIEWER_LISTEN", "0.0.0.0:0"), ("CRUDDUR_XRAY_LISTEN", "0.0.0.0:0")];
    let viewer = Cruddur::service("trace-viewer", &everywhere);
    let here =
        |address: &str| format!("http://{}", address.trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1"));
    let named = [("host", "trace-viewer:4318")];
    assert_eq!(http::request("GET", &format!("{}/api/traces", here(&viewer.viewer)), &named).status, 200);
    assert_eq!(http::request("POST", &format!("{}/GetSamplingRules", here(&viewer.xray)), &named).status, 200);
}

#[test]
fn listed_hosts_bound_a_listener_on_all_addresses() {
    let viewer = Cruddur::service(
        "trace-viewer",
        &[
            ("CRUDDUR_VIEWER_LISTEN", "0.0.0.0:0"),
            ("CRUDDUR_XRAY_LISTEN", "0.0.0.0:0"),
            ("CRUDDUR_HOSTS", "trace-viewer"),
        ],
    );
    let here = |address: &str| address.trim_start_matches("http://").replace("0.0.0.0", "127.0.0.1");
    for (host, status) in [("trace-viewer:4318", 200), ("localhost", 200), ("evil.example", 421)] {
        let named = [("host", host)];
        let traces = format!("http://{}/api/traces", here(&viewer.viewer));
        assert_eq!(http::request("GET", &traces, &named).status, status, "{host}");
        let rules = format!("http://{}/GetSamplingRules", here(&viewer.xray));
        assert_eq!(http::request("POST", &rules, &named).status, status, "{host}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn in_a_browser_a_page_that_rebinds_its_name_reads_no_trace() {
    let Some(browser) = Browser::start().await else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let port = viewer.viewer.rsplit(':').next().unwrap().to_owned();
    let read = async |host: &str| {
        browser.client.goto(&format!("http://{host}:{port}/api/status")).await.unwrap();
        let fetch =
            "const [done] = arguments; fetch('/api/traces').then((answer) => done(answer.status), () => done(0))";
        browser.client.execute_async(fetch, Vec::new()).await.unwrap()
    };
    assert_eq!(read("localhost").await, json!(200));
    assert_eq!(read(REBOUND).await, json!(421));
    browser.stop().await;
}

/// A refused request's body must not be read as the next request.
#[test]
fn a_refused_body_is_not_the_next_request() {
    let (cruddur, _data) = start(&[]);
    let hidden = "GET /api/traces HTTP/1.1\r\nhost: localhost\r\n\r\n";
    let head = format!("POST /v1/traces HTTP/1.1\r\nhost: evil.example\r\ncontent-length: {}\r\n\r\n", hidden.len());
    for address in [&cruddur.viewer, &cruddur.backend] {
        let stream = raw::connect(address);
        std::io::Write::write_all(&mut &stream, format!("{head}{hidden}").as_bytes()).unwrap();
        stream.shutdown(std::net::Shutdown::Write).unwrap();
        let mut reader = BufReader::new(&stream);
        let statuses: Vec<u16> = std::iter::from_fn(|| raw::answer(&mut reader)).map(|(status, _)| status).collect();
        assert_eq!(statuses, [421], "{address}");
    }
}
