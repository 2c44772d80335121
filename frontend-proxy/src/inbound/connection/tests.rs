use settings::Settings;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::open::PREFACE;
use super::*;
use crate::config::{CommandLine, Config};
use crate::inbound::framing::FIELDS;

const GET: &[u8] = b"GET /health/live HTTP/1.1\r\nhost: a\r\n\r\n";

const QUICK: ClientLimits = ClientLimits {
    idle: Duration::from_millis(20),
    deadlines: Deadlines {
        head: Duration::from_secs(10),
        write: Duration::from_secs(30),
        ended: Duration::from_secs(10),
    },
    handshake: Duration::from_secs(10),
};

#[test]
fn the_documented_limits_are_those_of_the_code() {
    let page = include_str!("../../../../docs/src/frontend-proxy.md");
    let ClientLimits { deadlines, handshake, idle } = ClientLimits::default();
    let (head, write, ended) = (deadlines.head.as_secs(), deadlines.write.as_secs(), deadlines.ended.as_secs());
    let (handshake, idle, bytes) = (handshake.as_secs(), idle.as_secs(), HEAD / 1024);
    for row in [
        format!("| a TLS handshake | {handshake} s |"),
        format!("| a request's head | {bytes} KiB and {FIELDS} headers;"),
        format!("| | {head} s from its first byte | 408 |"),
        format!("| a client that reads its response | some of it every {write} s;"),
        format!("while its requests are answered | {ended} s between two writes to it |"),
        format!("| an idle connection | {idle} to {} s |", 2 * idle),
        format!("| HTTP/2: requests on a connection at the same time | {} |", http2::STREAMS),
    ] {
        assert!(page.contains(&row), "{row}");
    }
}

/// Starts a server that closes each connection soon after it becomes idle, and returns its address.
async fn start(upstream: &str) -> SocketAddr {
    start_with(upstream, QUICK).await
}

async fn start_with(upstream: &str, limits: ClientLimits) -> SocketAddr {
    let upstream = upstream.to_owned();
    let mut settings = Settings::from_pairs(&[("CRUDDUR_UPSTREAM", upstream.as_str())]);
    let config = Config::read(&mut settings, CommandLine::default());
    let server = Arc::new(ConnectionServer {
        service: Arc::new(Service::new(&config)),
        tls: None,
        permits: Permits::new(10, 10, config.trust.clone()),
        streams: Streams::default(),
        limits,
    });
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    tokio::spawn(async move {
        let (_drain, draining) = watch::channel(false);
        while let Ok((stream, peer)) = listener.accept().await {
            let share = server.permits.share(peer.ip());
            let permit = share.take().unwrap();
            tokio::spawn(Arc::clone(&server).serve(stream, peer, (share, permit), draining.clone()));
        }
    });
    addr
}

/// Everything that arrives on a connection until it is closed.
async fn read(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).await.unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[tokio::test]
async fn an_idle_connection_is_closed() {
    let addr = start("127.0.0.1:1").await;
    for (sent, answer) in [(b"".as_slice(), ""), (GET, "HTTP/1.1 204 ")] {
        let mut stream = TcpStream::connect(addr).await.unwrap();
        stream.write_all(sent).await.unwrap();
        let read = read(&mut stream).await;
        assert!(read.starts_with(answer) && (!sent.is_empty() || read.is_empty()), "{read}");
    }
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&[PREFACE, &[0, 0, 0, 4, 0, 0, 0, 0, 0]].concat()).await.unwrap();
    // The server sends its settings and a GOAWAY frame, then waits for a response to its ping.
    let mut bytes = Vec::new();
    while !bytes.windows(5).any(|frame| frame == [0, 0, 8, 7, 0]) {
        assert!(stream.read_buf(&mut bytes).await.unwrap() > 0, "{bytes:?}");
    }
}

#[tokio::test]
async fn a_connection_with_a_slow_response_is_not_idle() {
    let upstream = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = start(&upstream.local_addr().unwrap().to_string()).await;
    let mut busy = TcpStream::connect(addr).await.unwrap();
    busy.write_all(b"GET /api/x HTTP/1.1\r\nhost: a\r\n\r\n").await.unwrap();
    let (mut server, _) = upstream.accept().await.unwrap();
    // Meanwhile, three other connections are found idle.
    for _ in 0..3 {
        let mut other = TcpStream::connect(addr).await.unwrap();
        other.write_all(GET).await.unwrap();
        assert!(read(&mut other).await.starts_with("HTTP/1.1 204 "));
    }
    server.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello").await.unwrap();
    let answer = read(&mut busy).await;
    assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("hello"), "{answer}");
}

#[tokio::test]
async fn a_connection_with_a_partial_head_is_not_idle() {
    let addr = start("127.0.0.1:1").await;
    let mut slow = TcpStream::connect(addr).await.unwrap();
    let (start, remainder) = GET.split_at(7);
    slow.write_all(&[GET, start].concat()).await.unwrap();
    for _ in 0..3 {
        let mut other = TcpStream::connect(addr).await.unwrap();
        other.write_all(GET).await.unwrap();
        read(&mut other).await;
    }
    slow.write_all(remainder).await.unwrap();
    let responses = read(&mut slow).await;
    assert_eq!(responses.matches("HTTP/1.1 204 ").count(), 2, "{responses}");
}

#[tokio::test]
async fn a_partial_http_2_preface_has_the_deadline_of_a_head() {
    let head = Duration::from_millis(50);
    let limits =
        ClientLimits { deadlines: Deadlines { head, ..QUICK.deadlines }, idle: Duration::from_secs(10), ..QUICK };
    let addr = start_with("127.0.0.1:1", limits).await;
    let mut stream = TcpStream::connect(addr).await.unwrap();
    stream.write_all(&PREFACE[..1]).await.unwrap();
    let answer = read(&mut stream).await;
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}
