//! The head of a response: parsed strictly, its framing decided by
//! [RFC 9112 §6.3](https://www.rfc-editor.org/rfc/rfc9112#section-6.3), its hop-by-hop headers removed. Does no I/O.

use std::time::Duration;

use bytes::{Bytes, BytesMut};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Method, StatusCode};

use super::chunked::ChunkDecoder;
use super::keep_alive::{decimal, keep_alive, remove_named};
use super::trailers::{FIELDS, Malformed};
use crate::upstream::field::is_hop_by_hop;

/// The largest head, in bytes.
pub(crate) const HEAD: usize = 64 * 1024;

/// The head of a response.
#[derive(Debug)]
pub(crate) struct Head {
    pub(crate) status: StatusCode,
    /// The headers without the hop-by-hop ones. Exceptions are those without which the status is incomplete: `Upgrade` with 101
    /// and 426, `Proxy-Authenticate` with 407.
    pub(crate) headers: HeaderMap,
    pub(crate) rest: BodyRemaining,
    /// How long the connection may wait for another request afterwards; `None` if it may carry no other.
    pub(crate) wait: Option<Duration>,
}

/// The part of a body that is still to come.
#[derive(Debug)]
pub(crate) enum BodyRemaining {
    Length(u64),
    Chunked(ChunkDecoder),
    UntilClose,
}

impl BodyRemaining {
    /// Whether the bytes so far show that the body has ended.
    pub(crate) fn is_ended(&self) -> bool {
        match self {
            Self::Length(left) => *left == 0,
            Self::Chunked(chunked) => chunked.is_ended(),
            Self::UntilClose => false,
        }
    }
}

/// Where a field is in the bytes of its head.
#[derive(Clone, Copy, Default)]
struct FieldRange {
    name: (u16, u16),
    value: (u16, u16),
}

impl Head {
    /// Takes a head from `input` once it is complete; `method` is the request's.
    pub(crate) fn take(input: &mut BytesMut, method: &Method) -> Result<Option<Self>, Malformed> {
        let mut ranges = [FieldRange::default(); FIELDS];
        let (length, status, minor, count) = {
            let mut fields = [const { std::mem::MaybeUninit::uninit() }; FIELDS];
            let mut response = httparse::Response::new(&mut []);
            let parsed = httparse::ParserConfig::default()
                .parse_response_with_uninit_headers(&mut response, input, &mut fields)
                .map_err(|_| Malformed("its headers cannot be parsed"))?;
            let httparse::Status::Complete(length) = parsed else {
                return if input.len() < HEAD { Ok(None) } else { Err(Malformed("its headers are too large")) };
            };
            let place = |bytes: &[u8]| {
                let begin = bytes.as_ptr().addr() - input.as_ptr().addr();
                let place = (u16::try_from(begin), u16::try_from(begin + bytes.len()));
                if let (Ok(begin), Ok(end)) = place {
                    Ok((begin, end))
                } else {
                    Err(Malformed("its headers are too large"))
                }
            };
            for (field, to) in response.headers.iter().zip(&mut ranges) {
                *to = FieldRange { name: place(field.name.as_bytes())?, value: place(field.value)? };
            }
            (length, response.code.unwrap_or_default(), response.version.unwrap_or_default(), response.headers.len())
        };
        if length > HEAD {
            return Err(Malformed("its headers are too large"));
        }
        let status = StatusCode::from_u16(status).map_err(|_| Malformed("its status is invalid"))?;
        let head = input.split_to(length).freeze();
        Self::read(&head, ranges.iter().take(count), status, minor, method).map(Some)
    }

    fn read<'p>(
        head: &Bytes,
        ranges: impl Iterator<Item = &'p FieldRange>,
        status: StatusCode,
        minor: u8,
        method: &Method,
    ) -> Result<Self, Malformed> {
        let mut fields = Fields::new(status, minor, ranges.size_hint().0);
        for range in ranges {
            let (name, value) = field(head, *range)?;
            fields.take(name, value)?;
        }
        let Fields { mut headers, length, chunked, options, wait, .. } = fields;
        let mut closes = remove_named(&mut headers, &options) || minor == 0;
        if chunked && length.is_some() {
            return Err(Malformed("it is chunked, but has a length"));
        }
        let empty = status.is_informational() || status == StatusCode::NO_CONTENT;
        if empty {
            headers.remove(header::CONTENT_LENGTH);
        }
        let rest = match length {
            _ if empty || status == StatusCode::NOT_MODIFIED || *method == Method::HEAD => BodyRemaining::Length(0),
            _ if chunked => BodyRemaining::Chunked(ChunkDecoder::new()),
            Some(length) => BodyRemaining::Length(length),
            None => BodyRemaining::UntilClose,
        };
        closes |= wait.is_zero() || matches!(rest, BodyRemaining::UntilClose);
        Ok(Self { status, headers, rest, wait: (!closes).then_some(wait) })
    }
}

/// The fields of a head, sorted by what they decide.
struct Fields {
    status: StatusCode,
    /// The minor version of HTTP/1.
    minor: u8,
    /// The headers that are forwarded.
    headers: HeaderMap,
    length: Option<u64>,
    chunked: bool,
    /// The values of `Connection`.
    options: Vec<HeaderValue>,
    /// The limit that `Keep-Alive` sets.
    wait: Duration,
}

impl Fields {
    fn new(status: StatusCode, minor: u8, count: usize) -> Self {
        let headers = HeaderMap::with_capacity(count + 4);
        Self { status, minor, headers, length: None, chunked: false, options: Vec::new(), wait: Duration::MAX }
    }

    fn take(&mut self, name: HeaderName, value: HeaderValue) -> Result<(), Malformed> {
        match name {
            header::CONTENT_LENGTH => {
                let stated = decimal(value.as_bytes()).ok_or(Malformed("its Content-Length is not a number"))?;
                if self.length.is_some_and(|other| other != stated) {
                    return Err(Malformed("it has two different lengths"));
                }
                self.length = Some(stated);
                self.headers.insert(name, value);
            }
            header::TRANSFER_ENCODING => {
                if self.chunked || self.minor == 0 || !value.as_bytes().eq_ignore_ascii_case(b"chunked") {
                    return Err(Malformed("its Transfer-Encoding is not chunked"));
                }
                self.chunked = true;
            }
            header::CONNECTION => self.options.push(value),
            name if is_hop_by_hop(&name) && !is_required(&name, self.status) => {
                if name.as_str() == "keep-alive" {
                    self.wait = self.wait.min(keep_alive(value.as_bytes()));
                }
            }
            name => drop(self.headers.append(name, value)),
        }
        Ok(())
    }
}

/// Whether a response with this status is incomplete without this hop-by-hop header.
fn is_required(name: &HeaderName, status: StatusCode) -> bool {
    match *name {
        header::UPGRADE => matches!(status, StatusCode::SWITCHING_PROTOCOLS | StatusCode::UPGRADE_REQUIRED),
        header::PROXY_AUTHENTICATE => status == StatusCode::PROXY_AUTHENTICATION_REQUIRED,
        _ => false,
    }
}

fn field(head: &Bytes, place: FieldRange) -> Result<(HeaderName, HeaderValue), Malformed> {
    let range = |(begin, end)| usize::from(begin)..usize::from(end);
    let name = head.get(range(place.name)).unwrap_or_default();
    let name = HeaderName::from_bytes(name).map_err(|_| Malformed("a header name is invalid"))?;
    let value = HeaderValue::from_maybe_shared(head.slice(range(place.value)));
    Ok((name, value.map_err(|_| Malformed("a header value is invalid"))?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str, method: &Method) -> Result<Option<Head>, Malformed> {
        Head::take(&mut BytesMut::from(text), method)
    }

    fn get(fields: &str) -> Head {
        read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), &Method::GET).unwrap().unwrap()
    }

    #[test]
    fn the_head_decides_where_the_body_ends() {
        assert!(matches!(get("content-length: 5\r\n").rest, BodyRemaining::Length(5)));
        assert!(matches!(get("transfer-encoding: Chunked\r\n").rest, BodyRemaining::Chunked(_)));
        let until_close = get("");
        assert!(matches!(until_close.rest, BodyRemaining::UntilClose) && until_close.wait.is_none());
        let none = |status: &str, method: &Method| {
            let text = format!("HTTP/1.1 {status} x\r\ncontent-length: 5\r\n\r\n");
            matches!(read(&text, method).unwrap().unwrap().rest, BodyRemaining::Length(0))
        };
        assert!(none("200", &Method::HEAD) && none("204", &Method::GET) && none("304", &Method::GET));
        assert!(!none("200", &Method::GET));
    }

    #[test]
    fn ambiguous_framing_is_refused() {
        for fields in [
            "content-length: 5\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: chunked\r\ntransfer-encoding: chunked\r\n",
            "transfer-encoding: gzip, chunked\r\n",
            "transfer-encoding: identity\r\n",
            "content-length: 5\r\ncontent-length: 6\r\n",
            "content-length: 5, 5\r\n",
            "content-length: +5\r\n",
            "content-length: 99999999999999999999\r\n",
            "content-length : 5\r\n",
            "x: a\r\n b\r\n",
        ] {
            assert!(read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n"), &Method::GET).is_err(), "{fields:?}");
        }
        assert!(read("HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n", &Method::GET).is_err());
        for text in ["garbage\r\n\r\n", "HTTP/2 200\r\n\r\n", "HTTP/1.1 20 OK\r\n\r\n", "HTTP/1.1 099 x\r\n\r\n"] {
            assert!(read(text, &Method::GET).is_err(), "{text:?}");
        }
        assert!(read(&format!("HTTP/1.1 200 OK\r\nx: {}", "x".repeat(HEAD)), &Method::GET).is_err());
        assert!(read("HTTP/1.1 200 OK\r\ncontent-le", &Method::GET).unwrap().is_none());
    }

    #[test]
    fn headers_named_by_connection_are_dropped_except_framing() {
        let head = get(
            "connection: x-hop, content-length, close\r\nx-hop: 1\r\nkeep-alive: x\r\ncontent-length: 0\r\nx: y\r\n",
        );
        let mut names: Vec<_> = head.headers.keys().map(HeaderName::as_str).collect();
        names.sort_unstable();
        assert_eq!(names, ["content-length", "x"]);
        assert_eq!(head.wait, None);
    }

    #[test]
    fn a_connection_waits_no_longer_than_its_server_allows() {
        let wait = |fields: &str| get(&format!("content-length: 0\r\n{fields}")).wait;
        let ms = |milliseconds| Some(Duration::from_millis(milliseconds));
        for (fields, expected) in [
            ("", Some(Duration::MAX)),
            ("keep-alive: timeout=5\r\n", ms(4_000)),
            ("connection: keep-alive\r\nKeep-Alive: max=99, Timeout = 5\r\n", ms(4_000)),
            ("keep-alive: timeout=60\r\nkeep-alive: timeout=3\r\n", ms(2_000)),
            ("keep-alive: timeout=1\r\n", ms(500)),
            ("keep-alive: timeout=0\r\n", None),
            ("keep-alive: timeout=5, max=0\r\n", None),
            ("keep-alive: timeout=5\r\nconnection: close\r\n", None),
            ("keep-alive: timeout=18446744073709551615\r\n", Some(Duration::from_secs(u64::MAX - 1))),
            ("keep-alive: timeout, max=, timeout=-1, timeout=\"5\", x=0, =0\r\n", Some(Duration::MAX)),
        ] {
            assert_eq!(wait(fields), expected, "{fields:?}");
        }
    }

    #[test]
    fn a_status_keeps_the_header_that_it_requires() {
        let names = |status: u16| {
            let fields = "upgrade: x/2\r\nconnection: upgrade\r\nproxy-authenticate: Basic\r\nallow: GET\r\n\
                          www-authenticate: Basic\r\ncontent-length: 0\r\n";
            let head = read(&format!("HTTP/1.1 {status} x\r\n{fields}\r\n"), &Method::GET).unwrap().unwrap();
            ["upgrade", "proxy-authenticate", "allow", "www-authenticate"].map(|name| head.headers.contains_key(name))
        };
        assert_eq!(names(200), [false, false, true, true]);
        assert_eq!([names(101), names(426)], [[true, false, true, true]; 2]);
        assert_eq!(names(407), [false, true, true, true]);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_head_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200), fields in "[a-z:\r\n ,0-9-]{0,80}") {
            let _ = Head::take(&mut BytesMut::from(bytes.as_slice()), &Method::GET);
            let _ = read(&format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n"), &Method::GET);
        }
    }
}
