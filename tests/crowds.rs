//! More connections than the limit, of all clients or of one: the surplus is refused with a reason, whatever other connections do.

use std::io::{BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};

use crate::proxy::read_head;
use crate::support::certificate::Certificate;
use crate::support::cruddur::Cruddur;
use crate::support::h2::{self, END_HEADERS, END_STREAM, HEADERS};
use crate::support::upstream::values;
use crate::support::{DEADLINE, eventually, raw};

const REQUEST: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";

/// Connections that have received a response and are kept open.
fn hold(count: usize, connect: impl Fn() -> TcpStream) -> Vec<TcpStream> {
    let held = (0..count).map(|_| {
        let stream = connect();
        (&stream).write_all(REQUEST).unwrap();
        assert_eq!(raw::answer(&mut BufReader::new(&stream)).unwrap().0, 204);
        stream
    });
    held.collect()
}

/// The whole response to a refused connection.
fn refused(stream: &TcpStream) -> Vec<String> {
    let head = read_head(stream);
    assert_eq!(head.first().map(String::as_str), Some("HTTP/1.1 503 Service Unavailable"), "{head:?}");
    assert_eq!((values(&head, "retry-after"), values(&head, "connection")), (vec!["1"], vec!["close"]), "{head:?}");
    assert_eq!(values(&head, "content-type"), ["application/problem+json"]);
    let mut body = String::new();
    (&mut &*stream).read_to_string(&mut body).unwrap();
    assert!(body.contains("too many connections"), "{body}");
    head
}

/// A connection from another address of this machine.
fn from(address: &str, proxy: &Cruddur) -> TcpStream {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build().unwrap();
    let to: SocketAddr = proxy.page.trim_start_matches("http://").parse().unwrap();
    let stream = runtime.block_on(async {
        let socket = tokio::net::TcpSocket::new_v4().unwrap();
        socket.bind(SocketAddr::new(address.parse().unwrap(), 0)).unwrap();
        socket.connect(to).await.unwrap().into_std().unwrap()
    });
    stream.set_nonblocking(false).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream
}

#[test]
fn a_refused_client_gets_a_reason_despite_idle_connections() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONNECTIONS", "20")]);
    let _held = hold(20, || raw::connect(&proxy.page));
    // More than the proxy refuses at the same time.
    let idle: Vec<_> = (0..400).map(|_| raw::connect(&proxy.page)).collect();
    for _ in 0..50 {
        let client = raw::connect(&proxy.page);
        (&client).write_all(REQUEST).unwrap();
        refused(&client);
    }
    // The newest ones are not old enough to be evicted.
    for stream in idle.iter().rev().take(20) {
        let mut answer = String::new();
        (&mut &*stream).read_to_string(&mut answer).unwrap();
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 503 "), "{answer}");
    }
}

#[test]
fn a_surplus_connection_is_refused_without_a_request() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONNECTIONS", "1")]);
    let _held = hold(1, || raw::connect(&proxy.page));
    for partial in ["", "P", "GET / HT", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel"] {
        let client = raw::connect(&proxy.page);
        (&client).write_all(partial.as_bytes()).unwrap();
        refused(&client);
    }
}

#[test]
fn a_surplus_connection_is_refused_over_http_2_and_tls() {
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONNECTIONS", "1")]);
    let _held = hold(1, || raw::connect(&proxy.page));
    assert_eq!(h2::request(&proxy.page, &h2::get("/health/live"), ""), Some(503));

    let Some(certificate) = Certificate::make() else { return };
    let [file, key] = certificate.variables();
    let variables = [(file.0, file.1.as_str()), (key.0, key.1.as_str()), ("CRUDDUR_PROXY_CONNECTIONS", "1")];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let idle = TcpStream::connect(proxy.page.trim_start_matches("https://")).unwrap();
    for version in ["--http1.1", "--http2"] {
        let url = format!("{}/health/live", proxy.page);
        let arguments = [version, "-s", "-o", "/dev/null", "-w", "%{http_code}", "--cacert", file.1.as_str(), &url];
        let output = std::process::Command::new("curl").args(arguments).output().unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), "503", "{version}");
    }
    drop(idle);
}

#[test]
fn one_client_has_a_share_of_connections_and_a_trusted_one_no_limit() {
    let variables = [
        ("CRUDDUR_PROXY_CONNECTIONS", "40"),
        ("CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT", "5"),
        ("TRACE_TRUST", "127.0.0.3/32"),
    ];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let mut held = hold(5, || from("127.0.0.2", &proxy));
    for _ in 0..2 {
        let client = from("127.0.0.2", &proxy);
        (&client).write_all(REQUEST).unwrap();
        refused(&client);
    }
    let _others = [hold(5, || from("127.0.0.1", &proxy)), hold(12, || from("127.0.0.3", &proxy))];
    drop(held.pop());
    eventually("a free connection", || {
        let client = from("127.0.0.2", &proxy);
        (&client).write_all(REQUEST).unwrap();
        (raw::answer(&mut BufReader::new(&client)).unwrap().0 == 204).then_some(())
    });
    let errors = proxy.stop().errors;
    assert!(errors.contains("at most 40 connections, 5 from one client; "), "{errors}");
    let warning =
        "refusing connections from 127.0.0.2, which has 5 already; raise CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT";
    assert_eq!(errors.matches(warning).count(), 1, "{errors}");
}

#[test]
fn http_2_requests_count_for_their_client() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = upstream.local_addr().unwrap().to_string();
    let variables = [
        ("CRUDDUR_UPSTREAM", address.as_str()),
        ("CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT", "2"),
        ("TRACE_TRUST", "never"),
    ];
    let proxy = Cruddur::service("frontend-proxy", &variables);
    let mut stream = h2::connect(&proxy.page);
    let request = |id, path| h2::frame(HEADERS, END_HEADERS | END_STREAM, id, &h2::block(&h2::get(path)));
    stream.write_all(&request(1, "/api/x")).unwrap();
    let (mut server, _) = upstream.accept().unwrap();
    read_head(&server);
    stream.write_all(&request(3, "/api/x")).unwrap();
    let mut answer = |id| {
        let mut frames = std::iter::from_fn(|| h2::next(&mut stream));
        let head = frames.find(|frame| frame.kind == HEADERS).unwrap();
        assert_eq!(head.stream, id);
        h2::status(&head.payload)
    };
    assert_eq!(answer(3), 503);
    server.write_all(b"HTTP/1.1 204 No Content\r\n\r\n").unwrap();
    assert_eq!(answer(1), 204);
}
