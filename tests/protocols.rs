//! The proxy's protocols: HTTP/1.1 and HTTP/2, each with and without TLS, by `curl` and by hand.

use std::io::{BufReader, Write};
use std::process::Command;

use crate::forwarding::Bench;
use crate::proxy::read_head;
use crate::support::certificate::Certificate;
use crate::support::cruddur::{Cruddur, run};
use crate::support::h2::{self, END_HEADERS, END_STREAM, GOAWAY, HEADERS, RST_STREAM};
use crate::support::recorder::Recorder;
use crate::support::upstream::values;
use crate::support::{Folder, cannot_run, eventually, raw};

/// The result of a request by `curl`: the version, the status, and the trace in which it was served.
fn curl(arguments: &[&str], url: &str) -> Option<(String, String, String)> {
    let write_out = "%{http_version} %{http_code} %header{x-request-id}";
    let output =
        Command::new("curl").args(["-s", "-o", "/dev/null", "-w", write_out]).args(arguments).arg(url).output();
    let Ok(output) = output else {
        cannot_run("curl", "curl is not installed");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    let mut words = text.split(' ').map(str::to_owned);
    Some((words.next().unwrap(), words.next().unwrap(), words.next().unwrap()))
}

#[test]
fn http_2_works_without_tls_by_prior_knowledge() {
    let upstream = Recorder::start();
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            ("CRUDDUR_UPSTREAM", &upstream.address),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
        ],
    );
    let url = format!("{}/api/x", proxy.page);
    let crumbs = ["--http2-prior-knowledge", "-d", "hello", "-H", "cookie: a=1", "-H", "cookie: b=2"];
    let Some((version, status, trace)) = curl(&crumbs, &url) else { return };
    assert_eq!((version.as_str(), status.as_str()), ("2", "200"));
    let spans = viewer.spans(&trace, 2);
    let server = spans.iter().find(|span| span["kind"] == "server" && span["source"] == "otlp").unwrap();
    assert_eq!(server["attributes"]["network.protocol.version"], "2");
    assert_eq!(server["attributes"]["url.scheme"], "http");
    drop(proxy);
    let message = upstream.finish().remove(0);
    assert_eq!((message.method.as_str(), message.body.as_slice()), ("POST", b"hello".as_slice()));
    assert_eq!(message.all("cookie").collect::<Vec<_>>(), ["a=1; b=2"], "HTTP/1.1 has one");
}

/// A request by `curl` with `count` header fields, and the status and type of its response.
fn with_fields(version: &str, url: &str, count: usize) -> Option<(String, String)> {
    // `Host` counts as one; in HTTP/2 it is a pseudo-header that becomes `Host`.
    let fields = (1..count).flat_map(|n| ["-H".to_owned(), format!("x-{n}: {n}")]);
    let none = ["-H", "user-agent:", "-H", "accept:"].map(str::to_owned);
    let write_out = "%{http_code} %{content_type}";
    let mut curl = Command::new("curl");
    curl.args([version, "-s", "-o", "/dev/null", "-w", write_out]).args(none).args(fields).arg(url);
    let Ok(output) = curl.output() else {
        cannot_run("curl", "curl is not installed");
        return None;
    };
    let text = String::from_utf8(output.stdout).unwrap();
    text.split_once(' ').map(|(status, kind)| (status.to_owned(), kind.to_owned()))
}

#[test]
fn more_than_a_hundred_header_fields_are_refused_with_a_reason() {
    let upstream = Recorder::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &upstream.address)]);
    let url = |path: &str| format!("{}{path}", proxy.page);
    let refused = ("431".to_owned(), "application/problem+json".to_owned());
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let most = if version == "--http1.1" { 100 } else { 101 };
        for count in [88, 97, most] {
            let Some((status, _)) = with_fields(version, &url("/api/x"), count) else { return };
            assert_eq!(status, "200", "{count} by {version}");
        }
        assert_eq!(with_fields(version, &url("/api/x"), most + 1).unwrap(), refused, "{version}");
        assert_eq!(with_fields(version, &url("/health/live"), most + 1).unwrap(), refused, "{version}");
    }
    drop(proxy);
    assert_eq!(upstream.finish().iter().filter(|message| message.all("x-99").next() == Some("99")).count(), 2);
}

#[test]
fn cruddurs_own_services_accept_as_many_header_fields_as_the_proxy_sends() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &backend.backend)]);
    let path = "/api/activities/home";
    for version in ["--http1.1", "--http2-prior-knowledge"] {
        let most = if version == "--http1.1" { 100 } else { 101 };
        let Some((status, _)) = with_fields(version, &format!("{}{path}", proxy.page), most) else { return };
        assert_eq!(status, "200", "{version}");
    }
    let own = |count| with_fields("--http1.1", &format!("{}{path}", backend.backend), count).unwrap().0;
    assert_eq!((own(97), own(128), own(129)), ("200".to_owned(), "200".to_owned(), "431".to_owned()));
}

#[test]
fn a_head_too_large_for_the_upstream_is_refused_with_a_reason() {
    let bench = Bench::new(&[]);
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server.write_all(b"HTTP/1.1 431 Request Header Fields Too Large\r\ncontent-length: 0\r\n\r\n").unwrap();
    let head = read_head(&client);
    assert!(head[0].starts_with("HTTP/1.1 431 "), "{head:?}");
    assert_eq!(values(&head, "content-type"), ["application/problem+json"]);
}

#[test]
fn a_head_of_more_than_64_kib_is_refused_with_a_reason() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let url = format!("{}/health/live", proxy.page);
    // The most that curl sends in HTTP/2, which counts 32 more bytes for each field.
    let parts = (10..99).map(|n| format!("x-{n}: {}", "x".repeat(705))).collect();
    for (version, fields) in
        [("--http1.1", vec![format!("x: {}", "x".repeat(70_000))]), ("--http2-prior-knowledge", parts)]
    {
        let write_out = "%{http_code} %{content_type}";
        let mut curl = Command::new("curl");
        curl.args([version, "-s", "-o", "/dev/null", "-w", write_out]);
        curl.args(fields.iter().flat_map(|field| ["-H", field])).arg(&url);
        let Ok(output) = curl.output() else {
            return cannot_run("curl", "curl is not installed");
        };
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "431 application/problem+json", "{version}");
    }
}

#[test]
fn a_tls_port_accepts_only_tls() {
    let Some(certificate) = Certificate::make() else { return };
    let [file, key] = certificate.variables();
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            (file.0, &file.1),
            (key.0, &key.1),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
        ],
    );
    assert!(proxy.page.starts_with("https://"), "{}", proxy.page);
    let url = format!("{}/", proxy.page);
    for (arguments, expected) in [(&[][..], "2"), (&["--http1.1"], "1.1"), (&["--tls-max", "1.2"], "2")] {
        let arguments = [&["--cacert", file.1.as_str()], arguments].concat();
        let (version, status, trace) = curl(&arguments, &url).unwrap();
        assert_eq!((version.as_str(), status.as_str()), (expected, "200"), "{arguments:?}");
        let spans = viewer.spans(&trace, 1);
        let span = spans.iter().find(|span| span["source"] == "otlp").unwrap();
        assert_eq!(span["attributes"]["url.scheme"], "https");
    }
    let address = proxy.page.trim_start_matches("https://");
    let (statuses, closed) = raw::exchange(address, b"GET / HTTP/1.1\r\nhost: a\r\n\r\n", 2);
    assert_eq!((statuses.as_slice(), closed), ([400].as_slice(), true));
}

#[test]
fn a_certificate_is_reloaded_at_sighup() {
    let Some(certificate) = Certificate::make() else { return };
    let [file, key] = certificate.variables();
    let proxy = Cruddur::service("frontend-proxy", &[(file.0, &file.1), (key.0, &key.1)]);
    let url = format!("{}/health/live", proxy.page);
    let trusts = |file: &str| curl(&["--cacert", file], &url).is_some_and(|(_, status, _)| status == "204");
    let old = format!("{}.old", file.1);
    std::fs::copy(&file.1, &old).unwrap();
    assert!(trusts(&old));
    certificate.renew();
    assert!(!trusts(&file.1), "it is not reloaded before");
    proxy.signal("HUP");
    eventually("the new certificate", || trusts(&file.1).then_some(()));
    std::fs::write(&key.1, "nothing").unwrap();
    proxy.signal("HUP");
    assert!(trusts(&file.1));
    let errors = proxy.stop().errors;
    assert!(errors.contains("keeping the old certificate"), "{errors}");
}

#[test]
fn a_certificate_fault_is_reported_at_the_start() {
    let Some(certificate) = Certificate::make() else { return };
    let Some(other) = Certificate::make() else { return };
    let [file, key] = certificate.variables();
    let [_, wrong] = other.variables();
    for (variables, words) in [
        (vec![(file.0, file.1.as_str())], "CRUDDUR_PROXY_KEY: is not set, but CRUDDUR_PROXY_CERTIFICATE is; name"),
        (vec![(key.0, key.1.as_str())], "CRUDDUR_PROXY_CERTIFICATE: is not set, but CRUDDUR_PROXY_KEY is; name"),
        (vec![(file.0, "/nowhere"), (key.0, &key.1)], "CRUDDUR_PROXY_CERTIFICATE: cannot read /nowhere: No such"),
        (vec![(file.0, &file.1), (key.0, "/nowhere")], "CRUDDUR_PROXY_KEY: cannot read /nowhere: No such"),
        (vec![(file.0, &key.1), (key.0, &key.1)], ": no certificate found; name a PEM file"),
        (vec![(file.0, &file.1), (key.0, &file.1)], ": no items found; name a PEM file"),
        (vec![(file.0, &file.1), (wrong.0, &wrong.1)], "is not the key of"),
    ] {
        let ended = run(&["frontend-proxy"], &variables);
        assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
        assert!(ended.errors.contains(words), "{words} is not in {}", ended.errors);
    }
}

#[test]
fn streams_that_are_reset_repeatedly_end_the_connection() {
    let upstream = Recorder::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &upstream.address)]);
    let mut stream = h2::connect(&proxy.page);
    let block = h2::block(&h2::get("/api/x"));
    let mut ids = (1..).step_by(2);
    // The proxy accepts these at first, and then closes the connection.
    eventually("the end of the connection", || {
        let id = ids.next().unwrap();
        let pair =
            [h2::frame(HEADERS, END_HEADERS | END_STREAM, id, &block), h2::frame(RST_STREAM, 0, id, &[0, 0, 0, 8])];
        stream.write_all(&pair.concat()).err()
    });
    // Other clients are still served.
    assert_eq!(h2::request(&proxy.page, &h2::get("/api/x"), ""), Some(200));
}

#[test]
fn heads_are_bounded_in_both_protocols() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let head = |length: usize| format!("GET /health/live HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n", "y".repeat(length));
    assert_eq!(raw::exchange(&proxy.page, head(60_000).as_bytes(), 1).0, [204]);
    assert_eq!(raw::exchange(&proxy.page, head(70_000).as_bytes(), 2), (vec![431], true));
    let many = format!("GET /health/live HTTP/1.1\r\nhost: a\r\n{}\r\n", "x: y\r\n".repeat(100));
    assert_eq!(raw::exchange(&proxy.page, many.as_bytes(), 2), (vec![431], true));
    let fields = |count| [h2::get("/health/live"), vec![("x".to_owned(), "y".to_owned()); count]].concat();
    assert_eq!(h2::request(&proxy.page, &fields(100), ""), Some(204));
    assert_eq!(h2::request(&proxy.page, &fields(101), ""), Some(431));
    let crumbs = [h2::get("/health/live"), vec![("cookie".to_owned(), "a=b".to_owned()); 120]].concat();
    assert_eq!(h2::request(&proxy.page, &crumbs, ""), Some(204), "one header in many fields");
}

#[test]
fn a_body_over_its_bound_is_refused() {
    let upstream = Recorder::start();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &upstream.address)]);
    let declared = b"POST /api/x HTTP/1.1\r\nhost: a\r\nexpect: 100-continue\r\ncontent-length: 1048577\r\n\r\n";
    assert_eq!(raw::exchange(&proxy.page, declared, 1).0, [413]);
    let head = b"POST /api/x HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunk = format!("10000\r\n{}\r\n", "x".repeat(0x10000));
    let body = |chunks: usize| [head, chunk.repeat(chunks).as_bytes(), b"0\r\n\r\n"].concat();
    assert_eq!(raw::exchange(&proxy.page, &body(16), 1).0, [200]);
    assert_eq!(raw::exchange(&proxy.page, &body(17), 1).0, [413]);
    drop(proxy);
    let whole = upstream.finish().into_iter().filter(|message| message.whole).map(|message| message.body.len());
    assert_eq!(whole.collect::<Vec<_>>(), [1024 * 1024]);
}

#[test]
fn a_surplus_connection_gets_a_503() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONNECTIONS", "2")]);
    let request = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";
    let mut held: Vec<_> = (0..2).map(|_| BufReader::new(raw::connect(&proxy.page))).collect();
    for reader in &mut held {
        reader.get_mut().write_all(request).unwrap();
        assert_eq!(raw::answer(reader).unwrap().0, 204);
    }
    assert_eq!(raw::exchange(&proxy.page, request, 2), (vec![503], true));
    // The existing connections are served as before, and each one that ends makes space for another.
    held[0].get_mut().write_all(request).unwrap();
    assert_eq!(raw::answer(&mut held[0]).unwrap().0, 204);
    drop(held.pop());
    eventually("a free connection", || (raw::exchange(&proxy.page, request, 1).0 == [204]).then_some(()));
    let bounds = proxy.stop().errors;
    assert!(bounds.contains("frontend-proxy: at most 2 connections, 2 from one client; "), "{bounds}");
}

/// A connection is announced to end before it ends, in each protocol's way, and its pending requests are answered.
#[test]
fn a_stop_is_announced_on_kept_connections() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    let mut one = raw::connect(&proxy.page);
    one.write_all(b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let mut two = h2::connect(&proxy.page);
    two.write_all(&h2::frame(HEADERS, END_HEADERS | END_STREAM, 1, &h2::block(&h2::get("/api/x")))).unwrap();
    // A connection whose next request has started to arrive.
    let mut started = raw::connect(&proxy.page);
    started.write_all(b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\nGET /health/li").unwrap();
    assert_eq!(crate::proxy::read_head(&started)[0], "HTTP/1.1 204 No Content");
    let mut servers: Vec<_> = (0..2).map(|_| upstream.accept().unwrap().0).collect();
    proxy.signal("TERM");
    eventually("the end of listening", || std::net::TcpStream::connect(proxy.page.trim_start_matches("http://")).err());
    started.write_all(b"ve HTTP/1.1\r\nhost: a\r\n\r\n").unwrap();
    let head = crate::proxy::read_head(&started);
    assert_eq!(head[0], "HTTP/1.1 204 No Content");
    assert!(head.iter().any(|line| line == "connection: close"), "{head:?}");
    for server in &mut servers {
        crate::proxy::read_head(server);
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").unwrap();
    }
    let head = crate::proxy::read_head(&one);
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(head.iter().any(|line| line == "connection: close"), "{head:?}");
    let kinds: Vec<_> = std::iter::from_fn(|| h2::next(&mut two)).map(|frame| frame.kind).collect();
    assert!(kinds.contains(&GOAWAY) && kinds.contains(&HEADERS), "{kinds:?}");
    let ended = proxy.stop();
    assert!(ended.status.success() && !ended.errors.contains("cut off"), "{}", ended.errors);
}
