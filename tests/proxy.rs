//! The reverse proxy before upstreams that behave in ways the backend does not.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use serde_json::json;

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, http};

#[test]
fn an_unreachable_upstream_is_a_502_with_its_trace() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            ("CRUDDUR_UPSTREAM", "127.0.0.1:1"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
        ],
    );
    let answer = proxy.get("/api/activities/home");
    let problem = answer.json();
    assert_eq!((answer.status, answer.header("content-type")), (502, "application/problem+json"));
    assert_eq!(problem["trace_id"], answer.trace_id());
    let spans = viewer.spans(&answer.trace_id(), 2);
    for span in &spans {
        assert_eq!(span["status"]["code"], "error", "{span:#}");
    }
    let client = spans.iter().find(|span| span["kind"] == "client").unwrap();
    assert_eq!(client["attributes"]["error.type"], "connect");
}

#[test]
fn a_forwarded_request_has_one_trace_and_no_hop_by_hop_headers() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    let served = thread::spawn(move || {
        let (mut stream, _) = upstream.accept().unwrap();
        let head = read_head(&stream);
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nkeep-alive: timeout=1\r\n\r\nok").unwrap();
        head
    });
    let answer = http::request(
        "GET",
        &format!("{}/api/x?q=1", proxy.page),
        &[
            ("traceparent", "00-6b02f03a54f4980499a5c1872558fcbf-46422517bae0bb00-01"),
            ("tracestate", "vendor=1"),
            ("baggage", "user=me"),
            ("x-amzn-trace-id", "Root=1-11111111-222222222222222222222222"),
            ("x-forwarded-for", "192.0.2.1"),
            ("connection", "x-hop"),
            ("x-hop", "1"),
        ],
    );
    assert_eq!((answer.status, answer.body.as_slice(), answer.header("keep-alive")), (200, b"ok".as_slice(), ""));
    let head = served.join().unwrap();
    assert_eq!(head[0], "GET /api/x?q=1 HTTP/1.1");
    let all = |name: &str| -> Vec<&str> {
        let of_name = |line: &'_ &String| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        head.iter().filter(of_name).map(|line| line.split_once(": ").unwrap().1).collect()
    };
    let traceparent = all("traceparent");
    let [traceparent] = traceparent.as_slice() else { panic!("{head:?}") };
    let fields: Vec<_> = traceparent.split('-').collect();
    assert_eq!((fields[1], fields[3]), ("6b02f03a54f4980499a5c1872558fcbf", "01"));
    assert_ne!(fields[2], "46422517bae0bb00", "the parent is the proxy's own CLIENT span");
    let xray = format!("Root=1-6b02f03a-54f4980499a5c1872558fcbf;Parent={};Sampled=1", fields[2]);
    assert_eq!(all("x-amzn-trace-id"), [xray]);
    assert_eq!((all("tracestate"), all("baggage"), all("x-hop")), (vec!["vendor=1"], vec![], vec![]));
    assert_eq!((all("x-forwarded-for"), all("x-forwarded-proto")), (vec!["192.0.2.1"], vec!["http"]));
}

#[test]
fn bodies_stream_both_ways() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    // Half a request is sent; the upstream sees it, and answers half a response, before the other halves exist.
    client.write_all(b"POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nab").unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    read_head(&server);
    assert_eq!(read(&mut server, 2), b"ab");
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n12").unwrap();
    let head = read_head(&client);
    assert_eq!(head[0], "HTTP/1.1 200 OK");
    assert!(head.iter().any(|line| line.starts_with("server-timing: traceparent;desc=\"00-")), "{head:?}");
    assert_eq!(read(&mut client, 2), b"12");
    client.write_all(b"cd").unwrap();
    assert_eq!(read(&mut server, 2), b"cd");
    server.write_all(b"34").unwrap();
    assert_eq!(read(&mut client, 2), b"34");
}

#[test]
fn a_client_that_leaves_before_the_response_is_recorded_in_both_spans() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let viewer = Cruddur::service("trace-viewer", &[]);
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[
            ("CRUDDUR_UPSTREAM", &address),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
        ],
    );
    let trace = "6b02f03a54f4980499a5c1872558fcbf";
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    write!(client, "GET /api/x HTTP/1.1\r\nhost: x\r\ntraceparent: 00-{trace}-46422517bae0bb00-01\r\n\r\n").unwrap();
    let (server, _) = upstream.accept().unwrap();
    read_head(&server);
    drop(client);
    for span in viewer.spans(trace, 2).iter().filter(|span| span["source"] == "otlp") {
        assert_eq!(span["attributes"]["error.type"], "client_disconnected", "{span:#}");
        assert_eq!(span["status"]["code"], "error");
    }
}

#[test]
fn a_request_cut_off_at_shutdown_is_counted() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let viewer = Cruddur::service("trace-viewer", &[]);
    let variables = [("CRUDDUR_UPSTREAM", address.as_str()), ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer)];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    client.write_all(b"GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n").unwrap();
    let (server, _) = upstream.accept().unwrap();
    read_head(&server);
    let ended = proxy.stop();
    assert_eq!(ended.status.code(), Some(0));
    assert!(ended.errors.contains("otlp: 2 spans created = 2 delivered + 0 queued + 0 dropped"), "{}", ended.errors);
}

#[test]
fn a_request_with_invalid_framing_or_address_is_a_400() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &address)]);
    for request in [
        "GET /api/x HTTP/1.1\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n",
        "GET /api/x HTTP/1.1\r\nhost: a b/c<>@x:99999\r\n\r\n",
        "GET /api/../health HTTP/1.1\r\nhost: x\r\n\r\n",
        "GET /api/%2e%2E/health HTTP/1.1\r\nhost: x\r\n\r\n",
        "CONNECT /api/x HTTP/1.1\r\nhost: x\r\n\r\n",
        "POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\n",
        "POST /api/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
    ] {
        let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
        client.write_all(request.as_bytes()).unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 400 Bad Request", "{request}");
    }
}

#[test]
fn the_viewer_is_read_only_behind_traces() {
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    assert_eq!(cruddur.get("/traces").header("location"), "/traces/");
    let page = cruddur.get("/traces/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(cruddur.get("/traces/api/traces").json().is_array());
    assert_eq!(cruddur.post("/traces/v1/traces", &json!({})).status, 405);
    let alone = Cruddur::service("frontend-proxy", &[]);
    assert_eq!(http::request("HEAD", &format!("{}/traces/", alone.page), &[]).status, 404);
}

#[test]
fn the_page_is_served_with_its_trace_and_a_content_security_policy() {
    let proxy = Cruddur::service("frontend-proxy", &[]);
    let page = proxy.get("/");
    assert_eq!((page.status, page.header("content-type")), (200, "text/html; charset=utf-8"));
    assert!(page.header("content-security-policy").starts_with("default-src 'none'; script-src 'self'"));
    assert_eq!(page.header("x-request-id"), page.trace_id());
    assert_eq!(proxy.get("/nowhere").status, 404);
    for path in ["/", "/cruddur.css"] {
        let answer = proxy.post(path, &json!({}));
        assert_eq!((answer.status, answer.header("allow")), (405, "GET, HEAD"), "{path}");
    }
}

/// The lines of a message's head, read byte by byte so that none of the body is consumed.
pub(crate) fn read_head(mut stream: &TcpStream) -> Vec<String> {
    let mut reader = BufReader::with_capacity(1, &mut stream);
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        match line.trim_end() {
            "" => return lines,
            line => lines.push(line.to_owned()),
        }
    }
}

pub(crate) fn read(stream: &mut TcpStream, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    stream.read_exact(&mut bytes).unwrap();
    bytes
}
