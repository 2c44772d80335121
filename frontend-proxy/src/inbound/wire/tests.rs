use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;
use tokio::io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex};
use tokio::runtime::{Builder, Runtime};

use super::*;

const LONG: Deadlines = deadlines(Duration::from_secs(60));
const SHORT: Deadlines = deadlines(Duration::from_millis(20));

const fn deadlines(limit: Duration) -> Deadlines {
    Deadlines { head: limit, write: limit, ended: limit }
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_time().build().unwrap()
}

fn wire(deadlines: Deadlines, first: &[u8]) -> (DuplexStream, Wire<DuplexStream>, Arc<ConnectionState>) {
    let (client, server) = duplex(64);
    let state = Arc::new(ConnectionState::default());
    (client, Wire::new(server, BytesMut::from(first), None, Arc::clone(&state), deadlines, None), state)
}

/// Reads until nothing more arrives, in pieces of at most `most` bytes.
async fn read(wire: &mut Wire<DuplexStream>, most: usize) -> Vec<u8> {
    let mut read = Vec::new();
    let mut piece = vec![0; most];
    loop {
        match wire.read(&mut piece).await {
            Ok(0) | Err(_) => return read,
            Ok(length) => read.extend_from_slice(&piece[..length]),
        }
        if read.ends_with(REFUSED) {
            return read;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn reads_return_exactly_what_the_scanner_passes(
        pieces in vec(select(vec![
            "GET / HTTP/1.1\r\nhost: a\r\n\r\n",
            "POST / HTTP/1.1\r\ncontent-length: 5\r\n\r\nhello",
            "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
            "GET / HTTP/1.1\nhost: a\r\n\r\n",
            "5\n",
            "\r\n",
        ]), 0..6),
        most in 1_usize..100,
        at in 0_usize..40,
    ) {
        let bytes = pieces.concat().into_bytes();
        let (first, rest) = bytes.split_at(at.min(bytes.len()));
        let scanned = Scanner::default().scan(&bytes);
        let mut expected = bytes[..scanned.pass].to_vec();
        if let Disposition::Refuse(_) = scanned.rest {
            expected.extend_from_slice(REFUSED);
        }
        let read = runtime().block_on(async {
            let (mut client, mut wire, _) = wire(LONG, first);
            let send = async move {
                // The other side may have closed already.
                drop(client.write_all(rest).await);
                drop(client);
            };
            tokio::join!(send, async { let read = read(&mut wire, most).await; drop(wire); read }).1
        });
        if scanned.rest == Disposition::Broken {
            prop_assert!(bytes.starts_with(&read) && read.len() >= scanned.pass);
        } else if read.len() != scanned.pass || !matches!(scanned.rest, Disposition::Refuse(_)) {
            // If a head arrives in pieces, it is refused only after its end.
            prop_assert_eq!(String::from_utf8_lossy(&read), String::from_utf8_lossy(&expected));
        }
    }
}

#[test]
fn a_slow_head_is_refused_at_its_deadline() {
    runtime().block_on(async {
        let (mut client, mut wire, state) = wire(SHORT, b"GET / HT");
        client.write_all(b"TP/1.1\r\n").await.unwrap();
        assert_eq!(read(&mut wire, 4096).await, REFUSED);
        assert_eq!(state.refusal(), Some(Refusal::TooSlow));
    });
}

#[test]
fn writing_to_a_client_that_does_not_read_times_out() {
    runtime().block_on(async {
        let (_client, mut wire, _) = wire(SHORT, b"");
        let error = wire.write_all(&[0; 65]).await.unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::TimedOut);
    });
}

#[test]
fn the_clients_end_is_read_after_the_response_or_a_timeout() {
    let request = b"GET / HTTP/1.1\r\nhost: a\r\n\r\n";
    for (deadlines, answered) in [(LONG, true), (SHORT, false)] {
        runtime().block_on(async {
            let (mut client, mut wire, state) = wire(deadlines, request);
            let active = state.begin(None);
            client.shutdown().await.unwrap();
            let mut head = vec![0; request.len()];
            wire.read_exact(&mut head).await.unwrap();
            if answered {
                let mut byte = [0];
                let early = tokio::time::timeout(SHORT.ended, wire.read(&mut byte)).await;
                assert!(early.is_err(), "the end was read before the response");
                wire.write_all(b"response").await.unwrap();
                drop(active);
                wire.flush().await.unwrap();
            }
            assert_eq!(read(&mut wire, 4096).await, b"");
        });
    }
}

#[test]
fn an_end_within_a_message_is_read_immediately() {
    for part in ["GET / HT", "POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 5\r\n\r\nhel"] {
        runtime().block_on(async {
            let (client, mut wire, state) = wire(LONG, part.as_bytes());
            let _active = state.begin(None);
            drop(client);
            let read = read(&mut wire, 4096).await;
            assert!(part.as_bytes().starts_with(&read), "{read:?}");
        });
    }
}

#[test]
fn another_protocol_passes_once_the_upgrade_is_granted() {
    let request = b"GET / HTTP/1.1\r\nhost: a\r\nupgrade: x\r\n\r\n";
    for (granted, expected) in [(true, b"\x81hello".as_slice()), (false, REFUSED)] {
        runtime().block_on(async {
            let (mut client, mut wire, state) = wire(LONG, &[request.as_slice(), b"\x81hel"].concat());
            let mut head = vec![0; request.len()];
            wire.read_exact(&mut head).await.unwrap();
            assert_eq!(head, request);
            client.write_all(b"lo").await.unwrap();
            state.decide_upgrade(granted);
            drop(client);
            assert_eq!(read(&mut wire, 4096).await, expected);
        });
    }
}
