use std::convert::Infallible;
use std::sync::{Arc, Mutex};

use http::{Request, Response};
use http_body_util::{BodyExt, Empty};
use hyper::body::{Bytes, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt};

use super::*;

fn scanned(bytes: &str) -> Disposition {
    Scanner::default().scan(bytes.as_bytes()).rest
}

#[test]
fn unambiguous_framing_passes() {
    for request in [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET / HTTP/1.0\r\n\r\n",
        "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhelloGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length:\t0 \r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n5;a=\"b\"\r\nhello\r\n0\r\nx: y\r\n\r\nGET / HTTP/1.1\r\n\r\n",
        "GET / HTTP/1.1\r\nx:\r\ny: \u{e4}\ta\r\n\r\n",
    ] {
        assert_eq!(scanned(request), Disposition::None, "{request:?}");
    }
}

#[test]
fn ambiguous_framing_is_refused() {
    for (request, refusal) in [
        ("GET / HTTP/1.1\nHost: a\r\n\r\n", Refusal::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\n\n", Refusal::BareLineFeed),
        ("GET / HTTP/1.1\r\nHost: a\r\n\n", Refusal::BareLineFeed),
        ("\nGET / HTTP/1.1\r\n\r\n", Refusal::BareLineFeed),
        ("\r\n\r\nGET / HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.1\rx: a\r\r", Refusal::Control),
        ("GET / HTTP/1.1\r\nx: a\rb: c\r\n\r\n", Refusal::Control),
        ("GET / HTTP/1.1\r\nx: a\r\r\n\r\n", Refusal::Control),
        ("GET / HTTP/1.1\r\nx: a\0\r\n\r\n", Refusal::Control),
        ("GET / HTTP/1.1\r\nx: a\r\n b\r\n\r\n", Refusal::Folded),
        ("GET / HTTP/1.1\r\n\tx: a\r\n\r\n", Refusal::Folded),
        ("GET / HTTP/1.1\r\nx : a\r\n\r\n", Refusal::Name),
        ("GET / HTTP/1.1\r\n: a\r\n\r\n", Refusal::Name),
        ("GET / HTTP/1.1\r\nx\r\n\r\n", Refusal::Name),
        ("GET / HTTP/1.1\r\ncontent_length: 5\r\n\r\n", Refusal::Underscore),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\nContent-Length: 5\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length: 5, 5\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length: +5\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length: 5 5\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length:\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length: 9999999999999999999\r\n\r\n", Refusal::Length),
        ("POST / HTTP/1.1\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\n", Refusal::Encoding),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\ncontent-length: 5\r\n\r\n", Refusal::Encoding),
        ("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", Refusal::Encoding),
        ("POST / HTTP/1.1\r\ntransfer-encoding: gzip, chunked\r\n\r\n", Refusal::Encoding),
        ("POST / HTTP/1.1\r\ntransfer-encoding: xchunked\r\n\r\n", Refusal::Encoding),
        ("POST / HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n", Refusal::Encoding),
        ("CONNECT a:1 HTTP/1.1\r\n\r\n", Refusal::Connect),
        ("GET /\r\n\r\n", Refusal::RequestLine),
        ("GET  / HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET / a HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET\t/ HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET a/b HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET /a<b> HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET /a#/../b HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET http://a/b#c HTTP/1.1\r\n\r\n", Refusal::RequestLine),
        ("GET / HTTP/1.2\r\n\r\n", Refusal::RequestLine),
        ("PRI * HTTP/2.0\r\n\r\n", Refusal::RequestLine),
        ("\u{16}\u{3}\u{1}", Refusal::RequestLine),
    ] {
        assert_eq!(scanned(request), Disposition::Refuse(refusal), "{request:?}");
        let second = format!("GET / HTTP/1.1\r\nhost: a\r\n\r\n{request}");
        assert!(matches!(scanned(&second), Disposition::Refuse(_)), "{second:?}");
    }
}

#[test]
fn an_ambiguous_chunked_body_is_broken() {
    for body in [
        "5\nhello\r\n0\r\n\r\n",
        "5\r\nhello\n0\r\n\r\n",
        "5 \r\nhello\r\n0\r\n\r\n",
        "+5\r\nhello\r\n0\r\n\r\n",
        "0x5\r\nhello\r\n0\r\n\r\n",
        "\r\nhello\r\n0\r\n\r\n",
        "0000000000000005\r\nhello\r\n0\r\n\r\n",
        "5;\r\nhello\r\n0\r\n\r\n",
        "5;a\nhello\r\n0\r\n\r\n",
        "5;a\0\r\nhello\r\n0\r\n\r\n",
        "5\r\nhello!\r\n0\r\n\r\n",
        "0\r\n folded: x\r\n\r\n",
        "0\r\nx y: z\r\n\r\n",
        "0\r\nx_y: z\r\n\r\n",
        "0\r\nx: y\n\r\n",
        "0\r\n\n",
    ] {
        let request = format!("POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n{body}");
        assert_eq!(scanned(&request), Disposition::Broken, "{request:?}");
    }
}

#[test]
fn a_head_has_bounds_in_bytes_and_in_fields() {
    let with = |fields: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(fields));
    assert_eq!(scanned(&with(FIELDS)), Disposition::None);
    assert_eq!(scanned(&with(FIELDS + 1)), Disposition::Refuse(Refusal::TooMany));
    let long = |length: usize| format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", "b".repeat(length));
    let most = HEAD - long(0).len();
    assert_eq!(scanned(&long(most)), Disposition::None);
    assert_eq!(scanned(&long(most + 1)), Disposition::Refuse(Refusal::TooLarge));
    assert_eq!(in_pieces(&[long(HEAD).as_bytes().to_vec()], 1000).1, Disposition::Refuse(Refusal::TooLarge));
    assert_eq!(scanned(&"a".repeat(HEAD)), Disposition::Hold);
    assert_eq!(scanned(&"a".repeat(HEAD + 1)), Disposition::Refuse(Refusal::TooLarge));
}

#[test]
fn bytes_after_an_upgrade_request_are_held() {
    let request = b"GET / HTTP/1.1\r\nupgrade: websocket\r\n\r\n";
    let mut scanner = Scanner::default();
    assert_eq!(scanner.scan(request), Scanned { pass: request.len(), rest: Disposition::None });
    assert_eq!(scanner.scan(b"\x81\x05hello"), Scanned { pass: 0, rest: Disposition::Hold });
    assert!(scanner.is_upgrading());
    scanner.stay();
    assert_eq!(scanner.scan(b"\x81\x05hello"), Scanned { pass: 0, rest: Disposition::Refuse(Refusal::RequestLine) });
    scanner.tunnel();
    assert_eq!(scanner.scan(b"\x81\x05hello"), Scanned { pass: 7, rest: Disposition::None });
    // A request with a body, or of HTTP/1.0, cannot ask for an upgrade.
    assert_eq!(
        scanned("POST / HTTP/1.1\r\nupgrade: h2c\r\ncontent-length: 1\r\n\r\naGET / HTTP/1.1\r\n\r\n"),
        Disposition::None
    );
    assert_eq!(scanned("GET / HTTP/1.0\r\nupgrade: h2c\r\n\r\nGET / HTTP/1.1\r\n\r\n"), Disposition::None);
}

/// How many bytes pass, and what happens to the others, if the bytes arrive in pieces of at most `most` bytes.
fn in_pieces(pieces: &[Vec<u8>], most: usize) -> (usize, Disposition) {
    let mut scanner = Scanner::default();
    let (mut held, mut passed, mut rest) = (Vec::new(), 0, Disposition::None);
    for piece in pieces.iter().flat_map(|piece| piece.chunks(most)) {
        held.extend_from_slice(piece);
        let scanned = scanner.scan(&held);
        held.drain(..scanned.pass);
        (passed, rest) = (passed + scanned.pass, scanned.rest);
        if let Disposition::Refuse(_) | Disposition::Broken = rest {
            break;
        }
    }
    (passed, rest)
}

/// How hyper reads these bytes: each request's body, or `None` if the body could not be read.
fn read_by_hyper(bytes: &[u8]) -> Vec<Option<Bytes>> {
    let seen = Arc::new(Mutex::new(Vec::new()));
    let service = service_fn(|request: Request<Incoming>| {
        let seen = Arc::clone(&seen);
        async move {
            let body = request.into_body().collect().await;
            seen.lock().unwrap().push(body.ok().map(|body| body.to_bytes()));
            Ok::<_, Infallible>(Response::new(Empty::<Bytes>::new()))
        }
    });
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let (mut client, server) = tokio::io::duplex(1024 * 1024);
        client.write_all(bytes).await.unwrap();
        client.shutdown().await.unwrap();
        let connection =
            hyper::server::conn::http1::Builder::new().half_close(true).serve_connection(TokioIo::new(server), service);
        // hyper reports invalid requests in its responses; this test does not check them.
        let mut answers = Vec::new();
        let (_, read) = tokio::join!(connection, client.read_to_end(&mut answers));
        read.unwrap();
    });
    std::mem::take(&mut *seen.lock().unwrap())
}

/// How many bytes the scanner passes, how many requests they start, and whether the last one is complete.
fn read_by_us(bytes: &[u8]) -> (usize, usize, bool) {
    let mut scanner = Scanner::default();
    let (mut passed, mut requests) = (0, 0);
    while let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
        let in_head = matches!(scanner.0, State::Head { .. });
        let Ok(length @ 1..) = scanner.step(rest) else { break };
        requests += usize::from(in_head && !rest[..length].starts_with(b"\r\n"));
        passed += length;
    }
    (passed, requests, !scanner.is_within())
}

/// Pieces of valid and invalid requests, which the tests combine in ways that no author would think of.
fn pieces() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let known = select(vec![
        "GET / HTTP/1.1\r\n",
        "POST /a?b HTTP/1.1\r\n",
        "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
        "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n",
        "host: a\r\n",
        "content-length: 5\r\n",
        "Content-Length: 0\r\n",
        "content-length: 5, 5\r\n",
        "content-length : 5\r\n",
        "transfer-encoding: chunked\r\n",
        "Transfer-Encoding: gzip, chunked\r\n",
        "upgrade: h2c\r\n",
        "expect: 100-continue\r\n",
        "x: y\n",
        " folded\r\n",
        "\r\n",
        "\r\n\r\n",
        "\n",
        "\r",
        " ",
        "\0",
        "hello",
        "5\r\nhello\r\n",
        "1;a=b\r\n!\r\n",
        "0\r\n\r\n",
        "0\r\nx: y\r\n\r\n",
        "5\n",
    ]);
    let piece = prop_oneof![20 => known.prop_map(|piece| piece.as_bytes().to_vec()), 1 => vec(any::<u8>(), 0..4)];
    vec(piece, 0..12)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn hyper_frames_what_passes_in_the_same_way(pieces in pieces()) {
        let bytes = pieces.concat();
        let (passed, requests, complete) = read_by_us(&bytes);
        let seen = read_by_hyper(&bytes[..passed]);
        prop_assert_eq!(seen.len(), requests, "{:?}", String::from_utf8_lossy(&bytes));
        let whole = seen.iter().filter(|body| body.is_some()).count();
        prop_assert_eq!(whole + usize::from(!complete), requests, "{:?}", String::from_utf8_lossy(&bytes));
    }

    #[test]
    fn the_result_does_not_depend_on_the_pieces(pieces in pieces(), most in 1_usize..8) {
        let whole = Scanner::default().scan(&pieces.concat());
        let (passed, rest) = in_pieces(&pieces, most);
        match whole.rest {
            // If a head arrives in pieces, it is checked only after its end.
            Disposition::Refuse(_) => prop_assert!(matches!(rest, Disposition::Refuse(_) | Disposition::Hold) && passed == whole.pass),
            Disposition::Broken => prop_assert!(rest == Disposition::Broken && passed >= whole.pass),
            _ => prop_assert_eq!((passed, rest), (whole.pass, whole.rest)),
        }
    }

    #[test]
    fn any_bytes_are_passed_held_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let scanned = Scanner::default().scan(&bytes);
        prop_assert!(scanned.pass <= bytes.len());
        prop_assert_eq!(scanned.rest == Disposition::None, scanned.pass == bytes.len());
    }
}
