use actix_http::h1::{Codec, Message};
use actix_http::{HttpMessage as _, Request};
use actix_web::rt;
use proptest::prelude::*;
use tokio_util::codec::Decoder as _;

use super::*;

/// The result of actix-http for `parts`: each request's head and body, and why it stopped. With `heads`, the bytes pass through
/// it first.
fn requests(parts: &[&[u8]], heads: Option<Heads>) -> Vec<String> {
    // The codec needs a runtime for its clock.
    rt::System::new().block_on(async { decode(parts, heads) })
}

fn decode(parts: &[&[u8]], mut heads: Option<Heads>) -> Vec<String> {
    let mut codec = Codec::default();
    let (mut input, mut read, mut begun) = (BytesMut::new(), Vec::new(), 0);
    for part in parts {
        match &mut heads {
            Some(heads) => {
                let passed = heads.receive(part, begun == heads.count());
                input.extend_from_slice(&part[..passed]);
                let mut room = [0; 1_000];
                let mut buf = ReadBuf::new(&mut room);
                while heads.write(&mut buf) {
                    input.extend_from_slice(buf.filled());
                    buf.clear();
                }
            }
            None => input.extend_from_slice(part),
        }
        loop {
            match codec.decode(&mut input) {
                Ok(None) => {
                    let found = heads.as_ref().filter(|heads| !matches!(heads.place, Place::Opaque));
                    assert!(found.is_none_or(|heads| heads.count() == begun), "the number of heads differs");
                    break;
                }
                Ok(Some(Message::Item(request))) => {
                    begun += 1;
                    read.push(head(request, heads.as_mut().and_then(Heads::surplus)));
                }
                Ok(Some(Message::Chunk(bytes))) => {
                    read.last_mut()
                        .unwrap()
                        .push_str(&bytes.map_or("|".into(), |bytes| bytes.escape_ascii().to_string()));
                }
                Err(error) => {
                    read.push(error.to_string());
                    return read;
                }
            }
        }
    }
    read
}

fn head(mut request: Request, surplus: Option<Surplus>) -> String {
    for (name, value) in surplus.into_iter().flatten() {
        request.headers_mut().append(name, value);
    }
    let mut fields: Vec<_> = request.headers().iter().map(|(name, value)| format!("{name}: {value:?}")).collect();
    // actix-http does not keep the order of fields with different names.
    fields.sort();
    format!("{} {} {fields:?} ", request.method(), request.path())
}

fn fields(count: usize) -> String {
    (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect()
}

#[test]
fn a_head_has_at_most_128_fields() {
    for (count, has_all) in [(87, true), (88, true), (96, true), (97, true), (127, true), (128, false)] {
        let request = format!("GET / HTTP/1.1\r\n{}host: a\r\n\r\n", fields(count));
        for size in [1, 7, 1_000, 10_000] {
            let parts: Vec<&[u8]> = request.as_bytes().chunks(size).collect();
            let read = requests(&parts, Some(Heads::default()));
            assert_eq!(read.len(), 1, "{count} {size}");
            assert_eq!(read[0].contains(&format!("x-{}", count - 1)), has_all, "{count} {size}: {read:?}");
            assert_eq!(read[0].contains("host"), has_all, "{count} {size}");
        }
    }
}

#[test]
fn the_fields_of_a_large_head_frame_its_body() {
    let large = fields(100);
    for (framing, body) in
        [("content-length: 5", "hello"), ("Transfer-Encoding:chunked", "5;a=b\r\nhello\r\n0\r\nx: 1\r\n\r\n")]
    {
        let text =
            format!("POST /1 HTTP/1.1\r\n{large}host: a\r\n{framing}\r\n\r\n{body}GET /2 HTTP/1.1\r\nhost: a\r\n\r\n");
        for size in 1..text.len() {
            let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
            let read = requests(&parts, Some(Heads::default()));
            assert_eq!(read.len(), 2, "{size}: {read:?}");
            assert!(read[0].contains("x-99") && !read[1].contains("x-99"), "{size}: {read:?}");
            assert!(read[1].starts_with("GET /2 "), "{size}: {read:?}");
        }
    }
}

#[test]
fn no_request_receives_the_fields_of_another() {
    let second = format!("GET /2 HTTP/1.1\r\nhost: a\r\n{}\r\n", fields(100));
    let text = format!("GET /1 HTTP/1.1\r\nhost: a\r\n\r\n{second}");
    // A request that is received together with the previous one is not next; one that is received later is.
    for (size, has_all) in [(text.len(), false), (text.len() - 20, false), (text.len() - second.len(), true)] {
        let (first, second) = text.as_bytes().split_at(size);
        let read = requests(&[first, second], Some(Heads::default()));
        assert!(!read[0].contains("x-"), "{size}: {read:?}");
        assert_eq!(read[1].contains("x-99"), has_all, "{size}: {read:?}");
    }
}

#[test]
fn an_invalid_field_is_refused_after_many_valid_ones() {
    for line in ["x y: 1", " folded", ": 1", "x: \u{1}", "x"] {
        let text = format!("GET / HTTP/1.1\r\n{}{line}\r\nhost: a\r\n\r\n", fields(90));
        let read = requests(&[text.as_bytes()], Some(Heads::default()));
        assert_eq!(read, requests(&[format!("GET / HTTP/1.1\r\n{line}\r\n\r\n").as_bytes()], None), "{line}");
    }
}

/// Parts of requests, some of them valid.
fn piece() -> impl Strategy<Value = String> {
    prop_oneof![
        4 => "(GET|POST|CONNECT) /[a-z]{0,3} HTTP/1[.][01]\r?\n".boxed(),
        4 => "(host: a|x: [a-z]{0,9}|connection: (close|upgrade)|expect: 100-continue|upgrade: websocket)\r?\n",
        2 => "[Cc]ontent-[Ll]ength: ?([0-9]|1[0-9]|[+]1|x|) ?\r?\n",
        2 => "[Tt]ransfer-[Ee]ncoding: ?(chunked|Chunked|identity|gzip, chunked)\r?\n",
        4 => "\r?\n",
        3 => "(0|1|a|F|10|00)[ \t]?(;[a-z]{0,3})?\r?\n",
        2 => "[a-z]{1,16}\r?\n?",
        1 => "[ \\x00-\\xff]{1,4}",
        1 => (80_usize..90).prop_map(fields),
    ]
}

/// Requests that are valid except for the line ends of trailers.
fn request() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("GET / HTTP/1.1\r\nhost: a\r\n\r\n".to_owned()),
        Just("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 3\r\n\r\nabc".to_owned()),
        "(3\r\nabc\r\n){0,2}0(;x=\"y\")?\r\n(x: 1\r?\n){0,2}\r\n"
            .prop_map(|body| format!("POST / HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n{body}")),
    ]
}

proptest! {
    #[test]
    fn a_request_that_actix_accepts_is_read_unchanged(
        pieces in prop::collection::vec(prop_oneof![request().boxed(), piece().boxed()], 0..12),
        size in 1_usize..2_000,
    ) {
        let text = pieces.concat();
        let parts: Vec<&[u8]> = text.as_bytes().chunks(size).collect();
        let expected = requests(&parts, None);
        let read = requests(&parts, Some(Heads::default()));
        if expected.last().is_some_and(|last| last.contains("too large")) {
            // With more fields than actix-http accepts.
            prop_assert_eq!(&read[..expected.len() - 1], &expected[..expected.len() - 1]);
        } else {
            prop_assert_eq!(read, expected);
        }
    }
}
