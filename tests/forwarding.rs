//! How the proxy forwards HTTP between a client and one upstream: upstreams that misbehave in each way, and what passes through
//! unchanged, such as events, trailers and bodies that wait for `100 Continue`.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::thread;

use serde_json::Value;

use crate::proxy::{read, read_head};
use crate::support::cruddur::Cruddur;
use crate::support::eventually;
use crate::support::upstream::values;

pub(crate) const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";

/// A proxy before an upstream whose part the test plays.
pub(crate) struct Bench {
    upstream: TcpListener,
    pub(crate) proxy: Cruddur,
    pub(crate) viewer: Cruddur,
}

impl Bench {
    pub(crate) fn new(variables: &[(&str, &str)]) -> Self {
        let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = upstream.local_addr().unwrap().to_string();
        let viewer = Cruddur::service("trace-viewer", &[]);
        let own = [
            ("CRUDDUR_UPSTREAM", address.as_str()),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &viewer.viewer),
            ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray),
        ];
        let variables: Vec<_> = own.iter().chain(variables).copied().collect();
        Self { proxy: Cruddur::service("frontend-proxy", &variables), upstream, viewer }
    }

    /// A client that has sent `request`; the text `TRACE` in it becomes a trace to continue.
    pub(crate) fn client(&self, request: &str) -> TcpStream {
        let mut client = TcpStream::connect(self.proxy.page.trim_start_matches("http://")).unwrap();
        let traceparent = format!("traceparent: 00-{TRACE}-46422517bae0bb00-01\r\n");
        client.write_all(request.replace("TRACE\r\n", &traceparent).as_bytes()).unwrap();
        client
    }

    pub(crate) fn accept(&self) -> TcpStream {
        self.upstream.set_nonblocking(true).unwrap();
        let (server, _) = eventually("a connection to the upstream", || self.upstream.accept().ok());
        server.set_nonblocking(false).unwrap();
        server
    }

    /// Sends a request through the proxy; returns both ends, and the head that arrived at the upstream.
    pub(crate) fn forwarded(&self, request: &str) -> (TcpStream, TcpStream, Vec<String>) {
        let client = self.client(request);
        let server = self.accept();
        let head = read_head(&server);
        (client, server, head)
    }

    /// The spans of [`TRACE`], SERVER and CLIENT.
    pub(crate) fn spans(&self, count: usize) -> Vec<Value> {
        let spans = self.viewer.spans(TRACE, count);
        spans.into_iter().filter(|span| span["source"] == "otlp").collect()
    }
}

pub(crate) fn read_all(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

#[test]
fn an_invalid_response_is_a_502_with_error_type() {
    let long = format!("HTTP/1.1 200 OK\r\nx: {}\r\n\r\n", "x".repeat(70_000));
    for (answer, kind) in [
        ("garbage and more of it\r\n\r\n", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: 2\r\ncontent-length: 3\r\n\r\nabc", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n", "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\ntransfer-encoding: gzip\r\n\r\n", "upstream_malformed"),
        ("HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\n\r\n", "upstream_malformed"),
        (&long, "upstream_malformed"),
        ("HTTP/1.1 200 OK\r\ncontent-le", "upstream"),
    ] {
        let bench = Bench::new(&[]);
        let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\nTRACE\r\n\r\n");
        server.write_all(answer.as_bytes()).unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 502 Bad Gateway", "{answer:.60}");
        let spans = bench.spans(2);
        let client = spans.iter().find(|span| span["kind"] == "client").unwrap();
        assert_eq!(client["attributes"]["error.type"], kind, "{answer:.60}");
    }
}

#[test]
fn a_truncated_response_closes_the_clients_connection_and_fails_both_spans() {
    for answer in ["content-length: 10\r\n\r\nhello", "transfer-encoding: chunked\r\n\r\na\r\nhello"] {
        let bench = Bench::new(&[]);
        let (mut client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\nTRACE\r\n\r\n");
        write!(server, "HTTP/1.1 200 OK\r\n{answer}").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
        drop(server);
        let body = read_all(&mut client);
        assert!(!body.ends_with(b"0\r\n\r\n"), "an incomplete body does not end like a complete one");
        for span in bench.spans(2) {
            assert_eq!(span["attributes"]["error.type"], "upstream_body", "{span:#}");
        }
    }
}

#[test]
fn the_valid_start_of_a_response_reaches_the_client() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\nTRACE\r\n\r\n");
    server.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nhi\r\nzz\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
    assert_eq!(read_all(&mut client), b"2\r\nhi\r\n");
    for span in bench.spans(2) {
        assert_eq!(span["attributes"]["error.type"], "upstream_malformed", "{span:#}");
    }
}

#[test]
fn an_interrupted_upload_does_not_end_like_a_complete_one() {
    let request = "POST /api/x HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n";
    for rest in ["a\r\nhel", "zz\r\n", ""] {
        let bench = Bench::new(&[]);
        let (mut client, mut server, _) = bench.forwarded(request);
        assert_eq!(read(&mut server, 9), b"4\r\npart\r\n");
        server.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
        client.write_all(rest.as_bytes()).unwrap();
        client.shutdown(Shutdown::Write).unwrap();
        server.set_read_timeout(Some(std::time::Duration::from_secs(1))).unwrap();
        let mut bytes = Vec::new();
        // The connection stays open for the remaining response, or is closed.
        drop(server.read_to_end(&mut bytes));
        assert!(!bytes.ends_with(b"0\r\n\r\n"), "{rest:?}: {:?}", String::from_utf8_lossy(&bytes));
    }
}

#[test]
fn a_response_before_the_end_of_the_body_reaches_the_client() {
    let bench = Bench::new(&[]);
    let (client, mut server, _) =
        bench.forwarded("POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 100000\r\n\r\nbeginning");
    assert_eq!(read(&mut server, 9), b"beginning");
    server.write_all(b"HTTP/1.1 413 Content Too Large\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
    drop(server);
    assert_eq!(read_head(&client)[0], "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn after_a_reused_connection_breaks_a_get_is_retried_and_a_post_is_not() {
    let bench = Bench::new(&[]);
    let ok = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server.write_all(ok).unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");

    let client = bench.client("GET /api/x HTTP/1.1\r\nhost: x\r\nTRACE\r\n\r\n");
    assert_eq!(read_head(&server)[0], "GET /api/x HTTP/1.1", "on the idle connection");
    drop(server);
    let mut server = bench.accept();
    assert_eq!(read_head(&server)[0], "GET /api/x HTTP/1.1", "retried on a new connection");
    server.write_all(ok).unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
    let attempts: Vec<_> = bench.spans(3).into_iter().filter(|span| span["kind"] == "client").collect();
    let of = |key: &str| attempts.iter().filter(|span| !span["attributes"][key].is_null()).count();
    assert_eq!((attempts.len(), of("http.request.resend_count"), of("error.type")), (2, 1, 1), "{attempts:#?}");

    let client = bench.client("POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\n\r\na");
    assert_eq!(read_head(&server)[0], "POST /api/x HTTP/1.1");
    drop(server);
    assert_eq!(read_head(&client)[0], "HTTP/1.1 502 Bad Gateway");
    let (_, _, head) = bench.forwarded("GET /api/next HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(head[0], "GET /api/next HTTP/1.1", "no part of the POST arrived in between");
}

#[test]
fn bytes_on_an_idle_connection_are_never_a_response() {
    let bench = Bench::new(&[]);
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server
        .write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nokHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\npoison")
        .unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 204 No Content");
}

#[test]
fn each_event_arrives_before_the_next_one() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, _) =
        bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\naccept: text/event-stream\r\n\r\n");
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n\r\ndata: 1\n\n").unwrap();
    assert_eq!(values(&read_head(&client), "transfer-encoding"), ["chunked"]);
    assert_eq!(read(&mut client, 14), b"9\r\ndata: 1\n\n\r\n");
    server.write_all(b"data: 2\n\n").unwrap();
    assert_eq!(read(&mut client, 14), b"9\r\ndata: 2\n\n\r\n");
    drop(server);
    assert_eq!(read(&mut client, 5), b"0\r\n\r\n", "complete: the upstream's close ends it");
}

#[test]
fn trailers_pass_both_ways() {
    let bench = Bench::new(&[]);
    let request = "POST /api/x HTTP/1.1\r\nhost: x\r\nte: trailers\r\ntransfer-encoding: chunked\r\n\r\n\
                   2\r\nhi\r\n0\r\nx-sum: 2\r\ncontent-length: 9\r\nx-forwarded-for: 10.0.0.1\r\nx-real-ip: 10.0.0.1\r\n\
                   traceparent: 00-6b02f03a54f4980499a5c1872558fcbf-46422517bae0bb00-01\r\n\r\n";
    let (mut client, mut server, head) = bench.forwarded(request);
    assert_eq!((values(&head, "te"), values(&head, "transfer-encoding")), (vec!["trailers"], vec!["chunked"]));
    let expected = b"2\r\nhi\r\n0\r\nx-sum: 2\r\n\r\n";
    assert_eq!(read(&mut server, expected.len()), expected, "framing, client and trace headers are no trailers");
    server
        .write_all(b"HTTP/1.1 200 OK\r\ntrailer: x-sum\r\ntransfer-encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nx-sum: 3\r\nhost: y\r\n\r\n")
        .unwrap();
    assert_eq!(values(&read_head(&client), "trailer"), ["x-sum"]);
    let expected = b"3\r\nabc\r\n0\r\nx-sum: 3\r\n\r\n";
    assert_eq!(read(&mut client, expected.len()), expected);
}

#[test]
fn a_head_request_is_forwarded_as_head() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, head) = bench.forwarded("HEAD /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(head[0], "HEAD /api/x HTTP/1.1");
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 1234\r\n\r\n").unwrap();
    assert_eq!(values(&read_head(&client), "content-length"), ["1234"]);
    client.write_all(b"GET /api/y HTTP/1.1\r\nhost: x\r\nif-none-match: \"1\"\r\n\r\n").unwrap();
    assert_eq!(read_head(&server)[0], "GET /api/y HTTP/1.1", "both connections carry the next request");
    server.write_all(b"HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\n\r\n").unwrap();
    let head = read_head(&client);
    assert_eq!((head[0].as_str(), values(&head, "etag")), ("HTTP/1.1 304 Not Modified", vec!["\"1\""]));
}

#[test]
fn an_expected_body_is_requested_when_the_upstream_requests_it() {
    let request = "PUT /api/x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";
    let bench = Bench::new(&[]);
    let (mut client, mut server, head) = bench.forwarded(request);
    assert_eq!(values(&head, "expect"), ["100-continue"]);
    server.write_all(b"HTTP/1.1 100 Continue\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 100 Continue");
    client.write_all(b"body").unwrap();
    assert_eq!(read(&mut server, 4), b"body");
    server.write_all(b"HTTP/1.1 201 Created\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 201 Created");

    let bench = Bench::new(&[]);
    let (client, mut server, _) = bench.forwarded(request);
    server.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 403 Forbidden", "the body is not requested");

    let bench = Bench::new(&[]);
    let (mut client, mut server, _) = bench.forwarded(request);
    assert_eq!(read_head(&client)[0], "HTTP/1.1 100 Continue", "a silent upstream eventually gets it");
    client.write_all(b"body").unwrap();
    assert_eq!(read(&mut server, 4), b"body");
}

#[test]
fn an_early_hint_is_not_the_response() {
    let bench = Bench::new(&[]);
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server
        .write_all(b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\nHTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n")
        .unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
}

#[test]
fn the_connection_header_cannot_remove_framing_routing_or_trace_headers() {
    let bench = Bench::new(&[]);
    let request = "POST /api/x HTTP/1.1\r\nhost: x\r\nx-hop: 1\r\ncontent-length: 2\r\n\
                   connection: content-length, host, traceparent, x-forwarded-for, x-hop\r\nTRACE\r\n\r\nhi";
    let (_client, mut server, head) = bench.forwarded(request);
    assert_eq!((values(&head, "content-length"), values(&head, "x-hop")), (vec!["2"], vec![]));
    assert_eq!((values(&head, "host").len(), values(&head, "x-forwarded-for")), (1, vec!["127.0.0.1"]));
    assert!(values(&head, "traceparent")[0].contains(TRACE));
    assert_eq!(read(&mut server, 2), b"hi");
}

#[test]
fn a_status_arrives_with_its_required_fields() {
    let bench = Bench::new(&[]);
    let request = "GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n";
    let (client, mut server, _) = bench.forwarded(request);
    let arrived = server.try_clone().unwrap();
    let fields = "upgrade: x/2\r\nproxy-authenticate: Basic\r\nwww-authenticate: Basic\r\nallow: GET\r\nretry-after: 1\r\n\
                  keep-alive: timeout=60\r\nconnection: upgrade\r\ncontent-length: 0\r\n\r\n";
    let mut answer = |client: &TcpStream, status: u16| {
        write!(server, "HTTP/1.1 {status} x\r\n{fields}").unwrap();
        let head = read_head(client);
        ["upgrade", "connection", "proxy-authenticate"].map(|name| values(&head, name).join(","))
    };
    assert_eq!(answer(&client, 426), ["x/2", "upgrade", ""]);
    for (status, expected) in [(200, ["", "", ""]), (407, ["", "", "Basic"]), (405, ["", "", ""]), (401, ["", "", ""])]
    {
        (&client).write_all(request.as_bytes()).unwrap();
        read_head(&arrived);
        assert_eq!(answer(&client, status), expected, "{status}");
    }
}

#[test]
fn a_large_body_streams_in_little_memory() {
    const PIECES: usize = 256;
    let bench = Bench::new(&[]);
    let (client, mut server, _) = bench.forwarded("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    read_head(&client);
    let before = bench.proxy.peak_memory();
    let mut client = bench.client("GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n");
    read_head(&server);
    let piece = vec![7; 1 << 20];
    let writer = thread::spawn(move || {
        write!(server, "HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", PIECES << 20).unwrap();
        (0..PIECES).for_each(|_| server.write_all(&piece).unwrap());
    });
    read_head(&client);
    for _ in 0..PIECES {
        assert!(read(&mut client, 1 << 20).iter().all(|byte| *byte == 7));
    }
    writer.join().unwrap();
    let grown = bench.proxy.peak_memory() - before;
    assert!(grown < 8 << 10, "{grown} KiB more for {PIECES} MiB");
}
