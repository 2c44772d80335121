//! Why a request is refused before it is parsed, and what its client is told.

use http::StatusCode;

/// Why a request is refused before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Not `METHOD target HTTP/1.1`.
    #[error("the request line is not right")]
    RequestLine,
    /// A tunnel is asked for.
    #[error("no tunnels are made here")]
    Connect,
    /// LF without CR.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// CR without LF, or a control character.
    #[error("the head has a control character")]
    Control,
    /// A line begins with white space.
    #[error("a header is folded")]
    Folded,
    /// A name is empty, has a space, or is no token.
    #[error("a header's name is not right")]
    Name,
    /// Some servers behind read `_` as `-`.
    #[error("a header's name has an underscore")]
    Underscore,
    /// Not digits alone, or more than once.
    #[error("the content length is not right")]
    Length,
    /// Not exactly `chunked`, more than once, in HTTP/1.0, or beside a length.
    #[error("the transfer encoding is not right")]
    Encoding,
    /// The head has more than [`HEAD`](super::HEAD) bytes.
    #[error("the request's head is too large")]
    TooLarge,
    /// The head has more than [`FIELDS`](super::FIELDS) header fields.
    #[error("the request has too many headers")]
    TooMany,
    /// The head did not come in time.
    #[error("the request's head did not come in time")]
    TooSlow,
    /// TLS is spoken here.
    #[error("this port speaks HTTPS alone")]
    NotSecure,
    /// No more connections are served.
    #[error("too many connections are open; try again later")]
    Full,
    /// Its client has as many connections as one may have.
    #[error("too many connections are open from this address; close some, or try again later")]
    Crowd,
}

impl Refusal {
    /// What the client is told, with the refusal's text as the detail.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooMany => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Full | Self::Crowd => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
