use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::thread;
use std::time::Instant;

use actix_web::dev::ServerHandle;
use actix_web::web::{self, Payload};
use actix_web::{App, HttpResponse, rt};
use futures_util::StreamExt;
use futures_util::stream;

use super::*;

const LONG: Duration = Duration::from_secs(60);
const SHORT: Duration = Duration::from_millis(200);
/// actix-http reads the clock only every half second, so its own deadlines are late by up to that.
const HEAD: Duration = Duration::from_millis(1_500);
const PATIENT: Bounds =
    Bounds { workers: Some(1), connections: 64, head: LONG, body: LONG, write: LONG, idle: LONG, drain_seconds: 1 };
/// More bytes than the buffers of two sockets can hold.
const LARGE: usize = 64 * 1024 * 1024;

#[test]
fn the_documented_limits_are_those_of_the_code() {
    let page = include_str!("../../../docs/src/architecture.md");
    let Bounds { connections, head, body, write, idle, .. } = Bounds::default();
    let (head, body, write, idle) = (head.as_secs(), body.as_secs(), write.as_secs(), idle.as_secs());
    let most = heads::MOST;
    for row in [
        format!("| a request's head | {head} s, {most} headers | {head} s, {most} headers |"),
        format!("| its body | {body} s, "),
        format!("| reading a response | {} KiB, or the remaining bytes, every {write} s | likewise; ", TAKEN / 1024),
        format!("| between requests | {idle} s | {idle} s |"),
        format!("| connections | {},000 for each processor | ", connections / 1_000),
    ] {
        assert!(page.contains(&row), "{row}");
    }
}

/// A server that counts the large responses that are being sent.
struct Running {
    address: SocketAddr,
    handle: ServerHandle,
    sending: Arc<AtomicUsize>,
    thread: thread::JoinHandle<()>,
}

impl Running {
    fn start(bounds: Bounds) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let (started, handle) = mpsc::sync_channel(1);
        let sending = Arc::new(AtomicUsize::new(0));
        let shared = Arc::clone(&sending);
        let thread = thread::spawn(move || {
            rt::System::new().block_on(async {
                let server = serve(listener, bounds, move || {
                    let shared = Arc::clone(&shared);
                    App::new()
                        .route("/length", web::post().to(length))
                        .route("/early", web::to(async || HttpResponse::Ok().body("early")))
                        .route("/large", web::get().to(move || large(Arc::clone(&shared))))
                })
                .unwrap();
                started.send(server.handle()).unwrap();
                server.await.unwrap();
            });
        });
        Self { address, handle: handle.recv().unwrap(), sending, thread }
    }

    fn connect(&self) -> Client {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(LONG)).unwrap();
        stream.set_nodelay(true).unwrap();
        Client(BufReader::new(stream))
    }

    /// Waits until this many large responses are being sent.
    fn sending(&self, count: usize) {
        let deadline = Instant::now() + LONG;
        while self.sending.load(Ordering::SeqCst) != count {
            assert!(Instant::now() < deadline, "{:?} responses are being sent", self.sending);
            thread::sleep(Duration::from_millis(5));
        }
    }
}

async fn length(mut body: Payload) -> HttpResponse {
    let mut length = 0;
    while let Some(chunk) = body.next().await {
        match chunk {
            Ok(chunk) => length += chunk.len(),
            Err(error) if is_late(&error) => return HttpResponse::RequestTimeout().finish(),
            Err(_) => return HttpResponse::BadRequest().finish(),
        }
    }
    HttpResponse::Ok().body(length.to_string())
}

/// Counts a large response while it is being sent.
struct Sending(Arc<AtomicUsize>);

impl Drop for Sending {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

async fn large(count: Arc<AtomicUsize>) -> HttpResponse {
    count.fetch_add(1, Ordering::SeqCst);
    let sending = Sending(count);
    let part = Bytes::from(vec![b'x'; 64 * 1024]);
    let parts = stream::iter(0..LARGE / part.len()).map(move |_| {
        let _sending = &sending;
        Ok::<_, io::Error>(part.clone())
    });
    HttpResponse::Ok().no_chunking(LARGE as u64).streaming(parts)
}

struct Client(BufReader<TcpStream>);

impl Client {
    fn send(&mut self, bytes: &str) {
        self.0.get_mut().write_all(bytes.as_bytes()).unwrap();
    }

    /// The status and body of the next response.
    fn response(&mut self) -> (u16, String) {
        let (status, length) = self.head();
        let mut body = vec![0; length];
        self.0.read_exact(&mut body).unwrap();
        (status, String::from_utf8(body).unwrap())
    }

    fn head(&mut self) -> (u16, usize) {
        let mut lines = (&mut self.0).lines().map(Result::unwrap);
        let status = lines.next().expect("a response").split(' ').nth(1).unwrap().parse().unwrap();
        let fields = lines.take_while(|line| !line.is_empty());
        let lengths = fields.filter_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
        (status, lengths.last().unwrap_or(0))
    }

    /// Waits until the server has closed the connection.
    fn closed(&mut self) {
        match self.0.read_to_end(&mut Vec::new()) {
            Ok(_) => {}
            Err(error) => assert_eq!(error.kind(), io::ErrorKind::ConnectionReset),
        }
    }

    /// Sends a byte now and then until the server has closed the connection.
    fn drip(&self) -> thread::JoinHandle<()> {
        let mut stream = self.0.get_ref().try_clone().unwrap();
        thread::spawn(move || {
            while stream.write_all(b"1").is_ok() {
                thread::sleep(Duration::from_millis(20));
            }
        })
    }
}

#[test]
fn an_endless_head_ends_the_connection_on_first_and_later_requests() {
    let server = Running::start(Bounds { head: HEAD, ..PATIENT });
    for begun in ["", "G", "GET /early HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut first = server.connect();
        first.send(begun);
        let drip = first.drip();
        assert_eq!(first.response().0, 408, "{begun:?}");
        first.closed();
        drip.join().unwrap();
    }
    for begun in ["G", "GET /early HTTP/1.1\r\nhost: a\r\nx: "] {
        let mut later = server.connect();
        later.send("GET /early HTTP/1.1\r\nhost: a\r\n\r\n");
        assert_eq!(later.response(), (200, "early".to_owned()));
        later.send(begun);
        let drip = later.drip();
        later.closed();
        drip.join().unwrap();
    }
}

#[test]
fn an_endless_body_ends_the_connection_in_either_framing() {
    let server = Running::start(Bounds { body: SHORT, ..PATIENT });
    for framing in ["content-length: 1000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\nfffff\r\n"] {
        let mut client = server.connect();
        client.send(&format!("POST /length HTTP/1.1\r\nhost: a\r\n{framing}"));
        let drip = client.drip();
        assert_eq!(client.response().0, 408, "{framing:?}");
        drop(client);
        drip.join().unwrap();
    }
    let mut still = server.connect();
    still.send("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nab");
    assert_eq!(still.response().0, 408);
}

#[test]
fn a_body_that_no_handler_reads_does_not_hold_its_connection() {
    let server = Running::start(PATIENT);
    for framing in ["content-length: 1000000\r\n\r\n", "transfer-encoding: chunked\r\n\r\nfffff\r\n"] {
        let mut client = server.connect();
        client.send(&format!("POST /early HTTP/1.1\r\nhost: a\r\n{framing}"));
        let drip = client.drip();
        assert_eq!(client.response(), (200, "early".to_owned()), "{framing:?}");
        client.closed();
        drip.join().unwrap();
    }
}

#[test]
fn a_response_over_an_unread_body_ends_its_connection() {
    let server = Running::start(PATIENT);
    let long = "x".repeat(4 * 1024 * 1024);
    for framing in [
        format!("content-length: {}\r\n\r\n{long}", long.len()),
        format!("transfer-encoding: chunked\r\n\r\n{:x}\r\n{long}\r\n", long.len()),
        "transfer-encoding: chunked\r\n\r\n1\r\n".to_owned(),
    ] {
        let mut client = server.connect();
        // The server may close the connection before everything is sent.
        drop(write!(client.0.get_mut(), "POST /early HTTP/1.1\r\nhost: a\r\n{framing}"));
        let mut head = String::new();
        while !head.ends_with("\r\n\r\n") {
            assert!(client.0.read_line(&mut head).unwrap() > 0, "{head}");
        }
        assert!(head.contains("connection: close\r\n"), "{head}");
        client.closed();
    }
    let mut read = server.connect();
    for _ in 0..2 {
        read.send("POST /early HTTP/1.1\r\nhost: a\r\ncontent-length: 1\r\n\r\nx");
        assert_eq!(read.response().0, 200, "a body that arrived whole does not end the connection");
    }
}

#[test]
fn a_client_that_does_not_read_is_disconnected() {
    let server = Running::start(Bounds { write: SHORT, ..PATIENT });
    let mut still = server.connect();
    still.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    server.sending(1);
    server.sending(0);
    // Many unread responses count like a single large one.
    let mut pipelined = server.connect();
    let requests = "GET /early HTTP/1.1\r\nhost: a\r\n\r\n".repeat(10_000);
    while pipelined.0.get_mut().write_all(requests.as_bytes()).is_ok() {}
}

#[test]
fn a_client_that_reads_too_slowly_is_disconnected() {
    let server = Running::start(Bounds { write: SHORT, ..PATIENT });
    let mut slow = server.connect();
    slow.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    server.sending(1);
    let mut read = 0;
    while server.sending.load(Ordering::SeqCst) > 0 {
        let mut bytes = [0; 1024];
        read += slow.0.read(&mut bytes).unwrap_or(LARGE);
        assert!(read < LARGE, "the whole response was sent");
        thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn a_connection_is_kept_between_requests_and_then_closed() {
    let server = Running::start(Bounds { head: HEAD, ..PATIENT });
    let mut client = server.connect();
    for _ in 0..2 {
        client.send("POST /length HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc");
        assert_eq!(client.response(), (200, "3".to_owned()));
        // Longer than the time limit of a head, to show that no head is expected yet.
        thread::sleep(HEAD + SHORT);
    }
    client.send(&"GET /early HTTP/1.1\r\nhost: a\r\n\r\n".repeat(30));
    assert!((0..30).all(|_| client.response() == (200, "early".to_owned())));

    let server = Running::start(Bounds { idle: HEAD, ..PATIENT });
    let mut idle = server.connect();
    idle.send("GET /early HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(idle.response().0, 200);
    idle.closed();
}

#[test]
fn a_large_response_arrives_whole_and_a_stop_closes_idle_connections() {
    let server = Running::start(PATIENT);
    let mut client = server.connect();
    client.send("GET /large HTTP/1.1\r\nhost: a\r\n\r\n");
    assert_eq!(client.response().1.len(), LARGE);
    let stopped = server.handle.stop(true);
    rt::System::new().block_on(stopped);
    client.closed();
    server.thread.join().unwrap();
}
