//! An HTTP/1.1 header field: how to write it, and, by its name, how far it may be forwarded and who may set it.

use http::header::{self, HeaderName};
use telemetry::{forwarded, propagation};

/// Whether a header is for one hop only, [RFC 9110 §7.6.1](https://www.rfc-editor.org/rfc/rfc9110#section-7.6.1).
pub(crate) fn is_hop_by_hop(name: &HeaderName) -> bool {
    matches!(
        *name,
        header::CONNECTION
            | header::PROXY_AUTHENTICATE
            | header::PROXY_AUTHORIZATION
            | header::TE
            | header::TRANSFER_ENCODING
            | header::UPGRADE
    ) || matches!(name.as_str(), "keep-alive" | "proxy-connection" | "http2-settings")
}

/// Whether the proxy writes or drops this header itself, whatever the client sent and whatever `Connection` names.
pub(crate) fn is_ours(name: &HeaderName) -> bool {
    matches!(*name, header::CONTENT_LENGTH | header::HOST | header::COOKIE | header::EXPECT | header::VIA)
        || forwarded::CLAIMS.contains(&name.as_str())
        || propagation::FIELDS.contains(&name.as_str())
}

/// Whether this header is a further claim that services believe from a proxy in front of them, such as `X-Forwarded-User`.
pub(crate) fn is_claim(name: &HeaderName) -> bool {
    name.as_str().starts_with("x-forwarded-")
}

/// Whether a trailer is forwarded. It must not frame, route, describe or authorise the message,
/// [RFC 9110 §6.5.1](https://www.rfc-editor.org/rfc/rfc9110#section-6.5.1), nor be a field that is dropped or replaced in a
/// head.
pub(crate) fn is_trailer(name: &HeaderName) -> bool {
    let described = [
        header::AUTHORIZATION,
        header::CACHE_CONTROL,
        header::CONTENT_ENCODING,
        header::CONTENT_RANGE,
        header::CONTENT_TYPE,
        header::MAX_FORWARDS,
        header::SET_COOKIE,
    ];
    !is_hop_by_hop(name) && !is_ours(name) && !is_claim(name) && !described.contains(name)
}

/// Appends a field to a head, or to trailers.
pub(crate) fn write(out: &mut Vec<u8>, name: &str, value: &[u8]) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    out.extend_from_slice(value);
    out.extend_from_slice(b"\r\n");
}
