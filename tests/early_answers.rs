//! Responses that precede the end of their request's body. They reach the client, and close any connection on which the remaining
//! body could be mistaken for something else: at the proxy on both sides, and at the backend.

use std::io::{BufRead, BufReader, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;

use crate::forwarding::Bench;
use crate::proxy::{read, read_head};
use crate::support::cruddur::Cruddur;
use crate::support::upstream::values;
use crate::support::{Folder, raw};

/// The first line of the response on `client`; the response must announce the connection's end, and the connection must end.
fn last_answer(client: &TcpStream, what: &str) -> String {
    client.set_read_timeout(Some(crate::support::DEADLINE)).unwrap();
    let head = read_head(client);
    assert_eq!(values(&head, "connection"), ["close"], "{what}: {head:?}");
    // A reset would be an error.
    (&mut &*client).read_to_end(&mut Vec::new()).unwrap_or_else(|error| panic!("{what}: {error}"));
    head.into_iter().next().unwrap()
}

/// Incomplete bodies.
const CUT: [&str; 3] = [
    "content-length: 5\r\n\r\nhel",
    "content-length: 100000\r\n\r\n",
    "transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n",
];

#[test]
fn the_proxys_own_early_response_announces_the_close() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", "127.0.0.1:1")]);
    for (line, status) in [
        ("POST /nowhere HTTP/1.1", 404),
        ("POST / HTTP/1.1", 405),
        ("POST /api/../x HTTP/1.1", 400),
        ("POST /v1/traces HTTP/1.1", 403),
        ("POST /api/x HTTP/1.1", 502),
        ("GET /health/live HTTP/1.1", 204),
        ("POST /nowhere HTTP/1.0\r\nconnection: keep-alive", 404),
    ] {
        for body in CUT.iter().filter(|body| !line.contains("1.0") || !body.contains("chunked")) {
            let mut client = raw::connect(&proxy.page);
            let request = format!("{line}\r\nhost: a\r\n{body}");
            client.write_all(request.as_bytes()).unwrap();
            let first = last_answer(&client, &request);
            assert!(first.starts_with(&format!("HTTP/1.{} {status} ", u8::from(!line.contains("1.0")))), "{first}");
        }
    }
    let mut client = raw::connect(&proxy.page);
    client.write_all(b"POST /api/x HTTP/1.1\r\nhost: a\r\ncontent-length: 9999999\r\n\r\n").unwrap();
    assert_eq!(last_answer(&client, "too large"), "HTTP/1.1 413 Payload Too Large");
}

#[test]
fn an_upstreams_early_response_closes_both_connections() {
    let bench = Bench::new(&[]);
    for (body, status) in CUT.iter().flat_map(|body| [200, 401, 500].map(|status| (body, status))) {
        let (client, mut server, _) = bench.forwarded(&format!("POST /api/x HTTP/1.1\r\nhost: x\r\n{body}"));
        write!(server, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").unwrap();
        assert!(last_answer(&client, body).starts_with(&format!("HTTP/1.1 {status} ")));
        let (next, mut server, head) =
            bench.forwarded("GET /api/next HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n");
        assert_eq!(head[0], "GET /api/next HTTP/1.1", "on a new connection, after {body:?}");
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(read_head(&next)[0], "HTTP/1.1 200 OK");
    }
}

#[test]
fn after_an_early_response_a_connection_is_not_reused_even_if_the_body_followed() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, _) =
        bench.forwarded("POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 10\r\n\r\nhello");
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n").unwrap();
    assert_eq!(values(&read_head(&client), "connection"), ["close"]);
    client.write_all(b"world").unwrap();
    assert_eq!(read(&mut server, 10), b"helloworld");
    server.write_all(b"ok").unwrap();
    assert_eq!(read(&mut client, 2), b"ok");
    let (_, _, head) = bench.forwarded("GET /api/next HTTP/1.1\r\nhost: x\r\n\r\n");
    assert_eq!(head[0], "GET /api/next HTTP/1.1");
}

#[test]
fn after_a_refused_body_a_connection_is_not_reused() {
    let bench = Bench::new(&[]);
    for status in [408, 413, 415, 417] {
        let (client, mut server, _) =
            bench.forwarded("POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 5\r\n\r\nhello");
        // The upstream has received it, but not read it.
        assert_eq!(read(&mut server, 5), b"hello");
        write!(server, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let head = read_head(&client);
        assert_eq!(values(&head, "connection"), [""; 0], "the client's connection stays open: {head:?}");
        let (next, mut server, _) = bench.forwarded("GET /api/next HTTP/1.1\r\nhost: x\r\n\r\n");
        server.write_all(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n").unwrap();
        assert_eq!(read_head(&next)[0], "HTTP/1.1 204 No Content");
    }
}

#[test]
fn a_complete_body_closes_no_connection() {
    let bench = Bench::new(&[]);
    let whole = [
        ("content-length: 5\r\n\r\nhello", "hello"),
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx: y\r\n\r\n", "5\r\nhello\r\n0\r\nx: y\r\n\r\n"),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", "0\r\n\r\n"),
    ];
    let client = bench.client("");
    let mut server = None;
    for (body, arrives) in whole.iter().cycle().take(6) {
        write!(&client, "POST /api/x HTTP/1.1\r\nhost: x\r\n{body}").unwrap();
        let server = server.get_or_insert_with(|| bench.accept());
        assert_eq!(read_head(server)[0], "POST /api/x HTTP/1.1");
        assert_eq!(read(server, arrives.len()), arrives.as_bytes());
        server.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 0\r\n\r\n").unwrap();
        let head = read_head(&client);
        assert_eq!((head[0].as_str(), values(&head, "connection")), ("HTTP/1.1 403 Forbidden", vec![]), "{body:?}");
    }
}

/// A client that has sent a head and waits for `100 Continue`.
const EXPECTS: &str = "PUT /api/x HTTP/1.1\r\nhost: x\r\nexpect: 100-continue\r\ncontent-length: 4\r\n\r\n";

#[test]
fn an_upstream_that_responds_before_reading_an_expected_body_still_gets_it() {
    let bench = Bench::new(&[]);
    for answer in ["200 OK\r\ncontent-length: 2\r\n\r\n", "201 Created\r\ncontent-length: 2\r\n\r\nok"] {
        let (mut client, mut server, _) = bench.forwarded(EXPECTS);
        write!(server, "HTTP/1.1 {answer}").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 100 Continue", "{answer:?}");
        client.write_all(b"body").unwrap();
        assert_eq!(read(&mut server, 4), b"body", "{answer:?}");
        if !answer.ends_with("ok") {
            server.write_all(b"ok").unwrap();
        }
        assert!(read_head(&client)[0].starts_with(&format!("HTTP/1.1 {}", &answer[..3])));
        assert_eq!(read(&mut client, 2), b"ok");
    }
}

#[test]
fn a_client_that_withholds_an_expected_body_gets_the_response() {
    let bench = Bench::new(&[]);
    for answer in ["200 OK\r\ncontent-length: 0\r\n\r\n", "200 OK\r\ncontent-length: 2\r\n\r\nok"] {
        let (client, mut server, _) = bench.forwarded(EXPECTS);
        write!(server, "HTTP/1.1 {answer}").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 100 Continue");
        assert_eq!(last_answer(&client, answer), "HTTP/1.1 200 OK");
    }
    for status in [301, 403, 417, 500] {
        let (client, mut server, _) = bench.forwarded(EXPECTS);
        write!(server, "HTTP/1.1 {status} x\r\ncontent-length: 0\r\n\r\n").unwrap();
        let first = last_answer(&client, "a refusal");
        assert!(
            first.starts_with(&format!("HTTP/1.1 {status} ")),
            "immediately, and the body is not requested: {first}"
        );
    }
}

#[test]
fn a_body_sent_despite_a_refusal_reaches_the_upstream() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, _) = bench.forwarded(EXPECTS);
    server.write_all(b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n").unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 403 Forbidden");
    client.write_all(b"body").unwrap();
    assert_eq!(read(&mut server, 4), b"body");
    server.write_all(b"no").unwrap();
    assert_eq!(read(&mut client, 2), b"no");
}

#[test]
fn the_backend_closes_a_connection_with_an_unread_body() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let large = "x".repeat(0x10000);
    let json = "content-type: application/json";
    let gzip = "content-type: application/json\r\ncontent-encoding: gzip";
    for (line, headers) in [
        ("POST /api/auth/signin", json),
        ("POST /api/auth/signin", gzip),
        ("POST /api/auth/signin", "content-type: text/plain"),
        ("POST /api/activities", json),
        ("POST /nowhere", json),
        ("PATCH /api/activities", json),
        ("OPTIONS /api/activities", "origin: http://a.example\r\naccess-control-request-method: POST"),
        ("GET /api/health-check", json),
    ] {
        for framing in ["transfer-encoding: chunked", "content-length: 1000000"] {
            let mut client = raw::connect(&backend.backend);
            write!(client, "{line} HTTP/1.1\r\nhost: localhost\r\n{headers}\r\n{framing}\r\n\r\n").unwrap();
            // The response and the close may come before all of this is sent.
            for _ in 0..3 {
                let chunk = if framing.contains("chunked") { format!("10000\r\n{large}\r\n") } else { large.clone() };
                drop(client.write_all(chunk.as_bytes()));
            }
            let first = last_answer(&client, &format!("{line}, {framing}"));
            let status: u16 = first.split(' ').nth(1).unwrap().parse().unwrap();
            assert!(status == 200 || (400..500).contains(&status), "{line}: {first}");
        }
    }
}

/// A body that takes longer to decompress than to arrive: the backend responds while its buffers are full.
fn bomb() -> Vec<u8> {
    let mut noise = vec![0; 500_000];
    let mut state = 1_u32;
    for byte in &mut noise {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        *byte = state.to_be_bytes()[0];
    }
    let mut packed = GzEncoder::new(Vec::new(), Compression::fast());
    packed.write_all(&vec![b' '; 60_000_000]).unwrap();
    packed.write_all(&noise).unwrap();
    packed.finish().unwrap()
}

#[test]
fn bodies_that_the_backend_refuses_delay_no_other_request() {
    let data = Folder::new();
    let backend = Cruddur::service("backend", &[("CRUDDUR_DATA", data.path().to_str().unwrap())]);
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_UPSTREAM", &backend.backend)]);
    let mut request = b"POST /api/auth/signin HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\n\
                        content-encoding: gzip\r\ntransfer-encoding: chunked\r\n\r\n"
        .to_vec();
    for chunk in bomb().chunks(8192) {
        request.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        request.extend_from_slice(&[chunk, b"\r\n"].concat());
    }
    request.extend_from_slice(b"0\r\n\r\n");
    for address in [&proxy.page, &backend.backend] {
        let client = raw::connect(address);
        // The response and the close may come before all of this is sent.
        drop((&client).write_all(&request));
        drop((&client).write_all(b"GET /api/health-check HTTP/1.1\r\nhost: localhost\r\n\r\n"));
        let mut answers = BufReader::new(&client);
        let (status, _) = raw::answer(&mut answers).unwrap();
        assert!((400..500).contains(&status), "{status}");
        // The next request is answered, or the connection has ended.
        client.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
        let answered = answers.fill_buf().map(<[u8]>::len);
        assert!(
            !answered.as_ref().is_err_and(|error| error.kind() == ErrorKind::WouldBlock),
            "no response and no close from {address}"
        );
        assert_eq!(proxy.get("/api/health-check").status, 200);
    }
}
