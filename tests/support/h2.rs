//! HTTP/2 by hand, without TLS: frames with literal headers, so that they may be invalid.

use std::io::{Read, Write};
use std::net::TcpStream;

use super::raw;

pub(crate) const DATA: u8 = 0;
pub(crate) const HEADERS: u8 = 1;
pub(crate) const RST_STREAM: u8 = 3;
pub(crate) const SETTINGS: u8 = 4;
const PING: u8 = 6;
pub(crate) const GOAWAY: u8 = 7;
pub(crate) const WINDOW_UPDATE: u8 = 8;

pub(crate) const END_STREAM: u8 = 1;
/// Of SETTINGS and PING.
pub(crate) const ACK: u8 = 1;
pub(crate) const END_HEADERS: u8 = 4;

pub(crate) struct Frame {
    pub(crate) kind: u8,
    pub(crate) flags: u8,
    pub(crate) stream: u32,
    pub(crate) payload: Vec<u8>,
}

/// The client's first bytes.
pub(crate) const PREFACE: &[u8; 24] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// A connection that has sent its preface.
pub(crate) fn connect(address: &str) -> TcpStream {
    let mut stream = raw::connect(address);
    stream.write_all(PREFACE).unwrap();
    stream.write_all(&frame(SETTINGS, 0, 0, &[])).unwrap();
    stream
}

pub(crate) fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// Headers as literals without indexing, with new names and no Huffman coding.
pub(crate) fn block(headers: &[(String, String)]) -> Vec<u8> {
    let mut block = Vec::new();
    for (name, value) in headers {
        block.push(0);
        for text in [name, value] {
            assert!(text.len() < 127, "its length takes one byte");
            block.push(u8::try_from(text.len()).unwrap());
            block.extend_from_slice(text.as_bytes());
        }
    }
    block
}

/// A valid request.
pub(crate) fn get(path: &str) -> Vec<(String, String)> {
    let headers = [(":method", "GET"), (":scheme", "http"), (":authority", "a"), (":path", path)];
    headers.map(|(name, value)| (name.to_owned(), value.to_owned())).to_vec()
}

/// The next frame; `None` at the end of the connection.
pub(crate) fn next(stream: &mut TcpStream) -> Option<Frame> {
    let mut head = [0; 9];
    stream.read_exact(&mut head).ok()?;
    let [a, b, c, kind, flags, s1, s2, s3, s4] = head;
    let mut payload = vec![0; usize::try_from(u32::from_be_bytes([0, a, b, c])).unwrap()];
    stream.read_exact(&mut payload).ok()?;
    if (kind, flags) == (PING, 0) {
        // The peer waits for the response to a PING.
        drop(stream.write_all(&frame(PING, ACK, 0, &payload)));
    }
    Some(Frame { kind, flags, stream: u32::from_be_bytes([s1, s2, s3, s4]), payload })
}

/// The status of the response to one request; `None` if the stream or the connection is closed.
pub(crate) fn request(address: &str, headers: &[(String, String)], data: &str) -> Option<u16> {
    let mut stream = connect(address);
    let end = if data.is_empty() { END_STREAM } else { 0 };
    let mut bytes = frame(HEADERS, END_HEADERS | end, 1, &block(headers));
    if !data.is_empty() {
        bytes.extend(frame(DATA, END_STREAM, 1, data.as_bytes()));
    }
    drop(stream.write_all(&bytes));
    loop {
        let frame = next(&mut stream)?;
        match (frame.kind, frame.stream) {
            (HEADERS, 1) => return Some(status(&frame.payload)),
            (RST_STREAM, 1) | (GOAWAY, _) => return None,
            _ => {}
        }
    }
}

/// The first header of a response: an entry of HPACK's static table, or a Huffman-coded value for the name of one.
pub(crate) fn status(block: &[u8]) -> u16 {
    match block {
        [0x88, ..] => 200,
        [0x89, ..] => 204,
        [0x8c, ..] => 400,
        [0x8d, ..] => 404,
        [0x8e, ..] => 500,
        [0x48, 0x82, 0x68, 0x41, ..] => 421,
        [0x48, 0x83, 0x69, 0x90, 0xff, ..] => 431,
        [0x48, 0x83, 0x6c, 0x0c, 0xff, ..] => 503,
        other => panic!("a status that is not known here: {:x?}", other.get(..8)),
    }
}
