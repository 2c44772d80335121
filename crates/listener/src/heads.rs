//! Passes a connection's requests on to actix-http, which accepts at most 96 header fields in a head.
//!
//! Of a larger head, with up to [`MOST`] fields, actix-http receives the first [`PASSED`] and those that it reads itself. The
//! handler receives the others from [`crate::exchange`]. To find the start of each head, bodies are parsed by actix-http's own
//! rules. Bytes that it refuses, and heads over the limits here, pass unchanged, so that actix-http responds and closes the
//! connection. Does no I/O.

mod body;
#[cfg(test)]
mod tests;

use actix_http::header::{HeaderName, HeaderValue};
use bytes::{Buf, BytesMut};
use httparse::{EMPTY_HEADER, Status};
use memchr::memchr;
use tokio::io::ReadBuf;

use self::body::{Body, Framing};

/// The most header fields of a head.
pub(crate) const MOST: usize = 128;
/// The number of fields after which further ones are held: actix-http's 96, less some for those in [`READ_BY_ACTIX`].
const PASSED: usize = 88;
/// The most bytes of a head's fields after the first [`PASSED`].
const LARGEST: usize = 64 * 1024;
/// The most bytes of an incomplete line of a head: as many as actix-http accepts for a whole head.
const LONGEST_LINE: usize = 128 * 1024;
/// The fields that actix-http itself reads: those that frame a request or decide what happens to its connection.
const READ_BY_ACTIX: [&str; 6] = ["connection", "content-length", "expect", "host", "transfer-encoding", "upgrade"];

/// The fields of a head that actix-http did not receive.
pub(crate) type Surplus = Vec<(HeaderName, HeaderValue)>;

/// The requests of one connection.
#[derive(Default)]
pub(crate) struct Heads {
    place: Place,
    head: Head,
    /// The number of complete heads.
    count: u64,
    /// The fields of a large head after the first [`PASSED`], until the head is complete.
    held: Vec<u8>,
    /// Bytes that actix-http receives next.
    output: BytesMut,
    surplus: Surplus,
}

/// The part of a request to which the next byte belongs.
#[derive(Default)]
enum Place {
    #[default]
    Head,
    Body(Body),
    /// Unknown: actix-http reads no further request on this connection.
    Opaque,
}

/// The received part of a head.
#[derive(Default)]
struct Head {
    has_begun: bool,
    fields: usize,
    /// The incomplete line.
    line: Vec<u8>,
    framing: Framing,
}

impl Heads {
    pub(crate) fn count(&self) -> u64 {
        self.count
    }

    /// Receives `bytes`, and returns how many of them pass unchanged, counted from the first. [`Heads::write`] writes those
    /// that follow. `is_next` means that actix-http has read all requests before the one to which the first byte belongs; only
    /// then can surplus fields be assigned to their request.
    pub(crate) fn receive(&mut self, bytes: &[u8], is_next: bool) -> usize {
        let passed = if self.held.is_empty() { self.follow(bytes, is_next) } else { 0 };
        if let Some(rest) = bytes.get(passed..).filter(|rest| !rest.is_empty()) {
            self.held.extend_from_slice(rest);
            self.divide();
        }
        passed
    }

    /// Records that the client sends no more bytes.
    pub(crate) fn end(&mut self) {
        if !self.held.is_empty() {
            self.release();
        }
    }

    /// Writes the bytes that follow those that passed unchanged, as far as they fit. Returns whether there were any.
    pub(crate) fn write(&mut self, buf: &mut ReadBuf<'_>) -> bool {
        let length = self.output.len().min(buf.remaining());
        buf.put_slice(&self.output[..length]);
        self.output.advance(length);
        length > 0
    }

    /// The surplus fields of the last head.
    pub(crate) fn surplus(&mut self) -> Option<Surplus> {
        (!self.surplus.is_empty()).then(|| std::mem::take(&mut self.surplus))
    }

    /// Follows the requests in `bytes`, up to the surplus fields of a head.
    fn follow(&mut self, bytes: &[u8], is_next: bool) -> usize {
        let (mut rest, count) = (bytes, self.count);
        while !rest.is_empty() {
            match &mut self.place {
                Place::Opaque => return bytes.len(),
                Place::Body(body) => match body.skip(rest) {
                    None => self.place = Place::Opaque,
                    Some(length) => {
                        rest = &rest[length..];
                        if body.has_ended() {
                            self.place = Place::Head;
                        }
                    }
                },
                Place::Head if is_next && self.count == count && self.head.is_full() => break,
                Place::Head => rest = self.line(rest),
            }
        }
        bytes.len() - rest.len()
    }

    /// Reads one line of a head, and returns the bytes after it.
    fn line<'b>(&mut self, bytes: &'b [u8]) -> &'b [u8] {
        let Some(end) = memchr(b'\n', bytes) else {
            self.head.line.extend_from_slice(bytes);
            if self.head.line.len() > LONGEST_LINE {
                self.place = Place::Opaque;
            }
            return &[];
        };
        let (line, rest) = (&bytes[..end], &bytes[end + 1..]);
        let is_end = if self.head.line.is_empty() {
            self.head.receive(line)
        } else {
            let mut whole = std::mem::take(&mut self.head.line);
            whole.extend_from_slice(line);
            self.head.receive(&whole)
        };
        if is_end {
            self.end_head();
        }
        rest
    }

    fn end_head(&mut self) {
        self.count += 1;
        self.place = match std::mem::take(&mut self.head).framing.body() {
            Some(body) if body.has_ended() => Place::Head,
            Some(body) => Place::Body(body),
            None => Place::Opaque,
        };
    }

    /// Divides the held fields of a complete head between actix-http and the handler.
    fn divide(&mut self) {
        let mut table = [EMPTY_HEADER; MOST - PASSED];
        let (length, fields) = match httparse::parse_headers(&self.held, &mut table) {
            Ok(Status::Complete(parsed)) => parsed,
            Ok(Status::Partial) if self.held.len() <= LARGEST => return,
            _ => return self.release(),
        };
        let mut surplus = Vec::with_capacity(fields.len());
        for field in fields {
            if READ_BY_ACTIX.iter().any(|name| field.name.eq_ignore_ascii_case(name)) {
                self.head.framing.field(field.name.as_bytes(), field.value);
                for part in [field.name.as_bytes(), b": ", field.value, b"\r\n"] {
                    self.output.extend_from_slice(part);
                }
            } else if let (Ok(name), Ok(value)) =
                (HeaderName::from_bytes(field.name.as_bytes()), HeaderValue::from_bytes(field.value))
            {
                surplus.push((name, value));
            }
        }
        self.output.extend_from_slice(b"\r\n");
        self.surplus = surplus;
        self.end_head();
        let rest = std::mem::take(&mut self.held).split_off(length);
        // The request of these fields precedes all requests in these bytes.
        self.follow(&rest, false);
        self.output.extend_from_slice(&rest);
    }

    /// Passes the held bytes to actix-http, which refuses them.
    fn release(&mut self) {
        self.output.extend_from_slice(&std::mem::take(&mut self.held));
        self.place = Place::Opaque;
    }
}

impl Head {
    /// Whether the next line is a surplus field, unless it ends the head.
    fn is_full(&self) -> bool {
        self.fields == PASSED && self.line.is_empty()
    }

    /// Reads a line. Returns whether it ends the head.
    fn receive(&mut self, line: &[u8]) -> bool {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if !self.has_begun {
            // Empty lines before a request are ignored.
            self.has_begun = !line.is_empty();
            if line.starts_with(b"CONNECT ") {
                self.framing = Framing::Unknown;
            }
            return false;
        }
        if let Some(colon) = memchr(b':', line) {
            self.framing.field(&line[..colon], &line[colon + 1..]);
        }
        self.fields += 1;
        line.is_empty()
    }
}
