//! The fields after a response's body, and why a response cannot be read. Does no I/O.

use bytes::Bytes;
use http::header::{HeaderMap, HeaderName, HeaderValue};

use crate::upstream::field::is_trailer;

/// Most fields of a response's head, and of its trailers.
pub(super) const FIELDS: usize = 100;

/// A response is not HTTP, or its end cannot be determined.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the response is not valid HTTP: {0}")]
pub(crate) struct Malformed(pub(crate) &'static str);

/// Parses the trailers that may follow a body. Drops every field that frames, routes or describes the message.
pub(super) fn trailers(lines: &Bytes) -> Result<HeaderMap, Malformed> {
    let mut parsed = [httparse::EMPTY_HEADER; FIELDS];
    let read = httparse::parse_headers(lines, &mut parsed).map_err(|_| Malformed("its trailers cannot be parsed"))?;
    let httparse::Status::Complete((_, fields)) = read else {
        return Err(Malformed("its trailers cannot be parsed"));
    };
    let mut trailers = HeaderMap::with_capacity(fields.len());
    for field in fields {
        let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed("a trailer name is invalid"))?;
        if is_trailer(&name) {
            let value = HeaderValue::from_maybe_shared(lines.slice_ref(field.value));
            trailers.append(name, value.map_err(|_| Malformed("a trailer value is invalid"))?);
        }
    }
    Ok(trailers)
}
