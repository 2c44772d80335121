//! Why a request is refused before it is parsed, and the response that its client gets.

use http::StatusCode;

/// Why a request is refused before it is parsed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// The first line is not `METHOD target HTTP/1.1`.
    #[error("the request line is invalid")]
    RequestLine,
    /// The request asks for a tunnel (`CONNECT`).
    #[error("CONNECT is not supported")]
    Connect,
    /// A line ends with LF without CR.
    #[error("a line ends without a carriage return")]
    BareLineFeed,
    /// CR without LF, or a control character.
    #[error("the headers contain a control character")]
    Control,
    /// A line starts with white space.
    #[error("a header is folded")]
    Folded,
    /// A header name is empty, has a space, or is not a token.
    #[error("a header name is invalid")]
    Name,
    /// Some servers behind the proxy read `_` as `-`.
    #[error("a header name contains an underscore")]
    Underscore,
    /// The length has characters other than digits, or appears more than once.
    #[error("the content length is invalid")]
    Length,
    /// The coding is not exactly `chunked`, appears more than once, in HTTP/1.0, or together with a length.
    #[error("the transfer encoding is invalid")]
    Encoding,
    /// The head has more than [`HEAD`](super::HEAD) bytes.
    #[error("the request headers are too large")]
    TooLarge,
    /// The head has more than [`FIELDS`](super::FIELDS) header fields.
    #[error("the request has too many headers")]
    TooMany,
    /// The head did not arrive in time.
    #[error("the request headers did not arrive in time")]
    TooSlow,
    /// The port uses TLS.
    #[error("this port accepts only HTTPS")]
    NotSecure,
    /// The server has as many connections as it may have.
    #[error("too many connections are open; try again later")]
    Full,
    /// The client has as many connections as one client may have.
    #[error("too many connections are open from this address; close some, or try again later")]
    Crowd,
}

impl Refusal {
    /// The status that the client gets, with the refusal's text as the detail.
    pub fn status(self) -> StatusCode {
        match self {
            Self::TooLarge | Self::TooMany => StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Full | Self::Crowd => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        }
    }
}
