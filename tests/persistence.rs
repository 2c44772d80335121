//! How long the proxy's connections last: those of its clients, including HTTP/1.0 clients and clients that have finished sending, and those to an
//! upstream, which may specify how long it keeps them.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::time::Duration;

use crate::forwarding::{Bench, read_all};
use crate::proxy::{read, read_head};
use crate::support::cruddur::Cruddur;
use crate::support::upstream::values;
use crate::support::{Folder, eventually};

const OLD: &str = "GET /api/x HTTP/1.0\r\nhost: x\r\nconnection: keep-alive\r\n\r\n";
const GET: &str = "GET /api/x HTTP/1.1\r\nhost: x\r\n\r\n";

#[test]
fn http_1_0_gets_connection_close_for_a_body_of_unknown_length() {
    let bench = Bench::new(&[]);
    for (answer, body) in [
        ("transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n", "hello"),
        ("transfer-encoding: chunked\r\n\r\n0\r\n\r\n", ""),
        ("connection: close\r\n\r\nhello", "hello"),
    ] {
        let (mut client, mut server, _) = bench.forwarded(OLD);
        write!(server, "HTTP/1.1 200 OK\r\n{answer}").unwrap();
        server.shutdown(Shutdown::Write).unwrap();
        let head = read_head(&client);
        assert_eq!((head[0].as_str(), values(&head, "connection")), ("HTTP/1.0 200 OK", vec!["close"]), "{answer:?}");
        assert_eq!(read_all(&mut client), body.as_bytes(), "{answer:?}");
    }
}

#[test]
fn http_1_0_keeps_its_connection_after_a_body_of_known_length() {
    let bench = Bench::new(&[]);
    let (mut client, mut server, _) = bench.forwarded(OLD);
    for answer in [
        "200 OK\r\ncontent-length: 5\r\n\r\nhello",
        "200 OK\r\ncontent-length: 0\r\n\r\n",
        "204 No Content\r\n\r\n",
        "304 Not Modified\r\n\r\n",
    ] {
        write!(server, "HTTP/1.1 {answer}").unwrap();
        let head = read_head(&client);
        assert_eq!(values(&head, "connection"), ["keep-alive"], "{answer:?}: {head:?}");
        read(&mut client, if answer.ends_with("hello") { 5 } else { 0 });
        client.write_all(OLD.as_bytes()).unwrap();
        assert_eq!(read_head(&server)[0], "GET /api/x HTTP/1.1");
    }
    let (client, mut server, _) = bench.forwarded(&OLD.replace("GET", "HEAD"));
    server.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").unwrap();
    assert_eq!(
        values(&read_head(&client), "connection"),
        ["keep-alive"],
        "a response without a body has a known length"
    );
}

#[test]
fn http_1_0_gets_only_connection_close_with_a_closing_error() {
    let bench = Bench::new(&[]);
    let mut client = bench.client("GET / HTTP/1.0\r\nhost: a b\r\nconnection: keep-alive\r\n\r\n");
    let head = read_head(&client);
    assert_eq!((head[0].as_str(), values(&head, "connection")), ("HTTP/1.0 400 Bad Request", vec!["close"]));
    read_all(&mut client);
}

#[test]
fn a_half_closed_client_gets_its_response() {
    let bench = Bench::new(&[]);
    for request in [GET, OLD, "POST /api/x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\nhi"] {
        let client = bench.client(request);
        client.shutdown(Shutdown::Write).unwrap();
        let mut server = bench.accept();
        read_head(&server);
        // A request that takes longer than a check of the connection.
        assert_eq!(bench.proxy.get("/health/live").status, 204);
        // Closed after this response, so that no later request is sent on it just before its end is noticed.
        let head = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n2\r\nok\r\n";
        server.write_all(head).unwrap();
        let mut client = client;
        assert!(read_head(&client)[0].ends_with(" 200 OK"), "{request:?}");
        server.write_all(b"4\r\nmore\r\n0\r\n\r\n").unwrap();
        let body = String::from_utf8(read_all(&mut client)).unwrap();
        assert!(body.contains("ok") && body.contains("more"), "{request:?}: {body:?}");
        drop(server);
    }
}

#[test]
fn a_half_closed_client_gets_the_responses_to_all_its_requests() {
    let bench = Bench::new(&[]);
    let mut client = bench.client(&format!("{GET}GET /health/live HTTP/1.1\r\nhost: x\r\n\r\n{GET}"));
    client.shutdown(Shutdown::Write).unwrap();
    let mut server = bench.accept();
    for _ in 0..2 {
        read_head(&server);
        server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
    }
    let answers = String::from_utf8(read_all(&mut client)).unwrap();
    assert_eq!(answers.matches("HTTP/1.1 2").count(), 3, "{answers}");
}

/// Sends a request, and returns the connection on which it arrived: `kept` if given, else one newly accepted.
fn next(bench: &Bench, kept: Option<TcpStream>, answer: &str) -> TcpStream {
    let client = bench.client(GET);
    let mut server = kept.unwrap_or_else(|| bench.accept());
    assert_eq!(read_head(&server)[0], "GET /api/x HTTP/1.1");
    server.write_all(answer.as_bytes()).unwrap();
    assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
    server
}

#[test]
fn a_connection_is_reused_only_while_its_upstream_keeps_it() {
    let bench = Bench::new(&[]);
    let answer = |fields: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: 0\r\n{fields}\r\n");
    let server = next(&bench, None, &answer(""));
    let server = next(&bench, Some(server), &answer("keep-alive: timeout=60, max=1\r\nconnection: keep-alive\r\n"));
    let mut server = next(&bench, Some(server), &answer("keep-alive: timeout=60, max=0\r\n"));
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    let mut server = next(&bench, None, &answer("keep-alive: timeout=0\r\n"));
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    let mut server = next(&bench, None, &answer("connection: close\r\n"));
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
    // The proxy closes it after a second, not when its own idle timeout would.
    let mut server = next(&bench, None, &answer("keep-alive: timeout=1\r\n"));
    server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    assert_eq!(server.read(&mut [0]).unwrap(), 0);
}

#[test]
fn an_old_connection_is_replaced_under_traffic() {
    let upstream = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = format!("localhost:{}", upstream.local_addr().unwrap().port());
    let folder = Folder::new();
    let routes = folder.path().join("routes.toml");
    let route = format!("[[route]]\nprefix = \"/api/\"\nupstreams = [\"{address}\"]\nconnection_age = \"1s\"\n");
    std::fs::write(&routes, route).unwrap();
    let proxy = Cruddur::service("frontend-proxy", &[("CRUDDUR_PROXY_CONFIG", routes.to_str().unwrap())]);
    upstream.set_nonblocking(true).unwrap();
    let mut client = TcpStream::connect(proxy.page.trim_start_matches("http://")).unwrap();
    let (mut server, mut connections, mut requests) = (None, 0, 0);
    eventually("a third connection", || {
        client.write_all(GET.as_bytes()).unwrap();
        // The request arrives on the existing connection, unless that has been closed.
        let arrived = server.take().filter(|server: &TcpStream| server.peek(&mut [0]).unwrap() > 0);
        let mut at = arrived.unwrap_or_else(|| {
            connections += 1;
            let (server, _) = eventually("a connection to the upstream", || upstream.accept().ok());
            server.set_nonblocking(false).unwrap();
            server
        });
        read_head(&at);
        at.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok").unwrap();
        assert_eq!(read_head(&client)[0], "HTTP/1.1 200 OK");
        assert_eq!(read(&mut client, 2), b"ok");
        server = Some(at);
        requests += 1;
        (connections == 3).then_some(())
    });
    assert!(requests > 10, "each connection carried several of {requests} requests");
}
