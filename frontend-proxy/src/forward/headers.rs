//! The request head that an upstream receives: the client's head without hop-by-hop headers, plus the proxy's own headers about
//! the trace and the client. The proxy states each fact about the client once, in agreeing forms, and passes on no conflicting
//! claim. Does no I/O.

use std::io::Write as _;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName};
use http::request::Parts;
use telemetry::forwarded::Client;
use telemetry::propagation;
use tracing::Span;

use crate::upstream::exchange::{Upload, UploadFraming};
use crate::upstream::field::{is_claim, is_hop_by_hop, is_ours, write as field};

/// The proxy's name in `Via`.
const PSEUDONYM: &str = "frontend-proxy";
/// The size of most heads, in bytes.
const USUAL_HEAD: usize = 1_024;

/// Forwarding context beyond the client's own head.
pub(super) struct ForwardContext<'a> {
    pub(super) client: &'a Client<'a>,
    /// The peer may make claims, such as `X-Forwarded-User`.
    pub(super) is_trusted: bool,
    pub(super) path: &'a str,
    pub(super) host: &'a str,
    pub(super) upgrades: bool,
    /// The CLIENT span.
    pub(super) span: &'a Span,
}

fn texts(out: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

/// Appends the head of `request` to `out`.
pub(super) fn write(out: &mut Vec<u8>, request: &Parts, upload: &Upload, context: &ForwardContext<'_>) {
    out.reserve(USUAL_HEAD);
    texts(out, &[request.method.as_str(), " ", context.path, " HTTP/1.1\r\nhost: ", context.host, "\r\n"]);
    let named = named(&request.headers);
    // Whether the request has any headers of the kinds handled below: most requests have none.
    let (mut hop_by_hop, mut ours) = (false, false);
    for (name, value) in &request.headers {
        if is_hop_by_hop(name) {
            hop_by_hop = true;
        } else if is_ours(name) {
            ours |= *name != header::HOST;
        } else if !named.contains(name) && (context.is_trusted || !is_claim(name)) {
            field(out, name.as_str(), value.as_bytes());
        }
    }
    if ours {
        cookies(out, &request.headers);
    }
    if upload.waits() {
        field(out, "expect", b"100-continue");
    }
    match upload.framing() {
        UploadFraming::None | UploadFraming::Ended => {}
        UploadFraming::Length(length) => {
            // Writing to a Vec does not fail.
            let _: std::io::Result<()> = write!(out, "content-length: {length}\r\n");
        }
        UploadFraming::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    let trailers = hop_by_hop && takes_trailers(&request.headers);
    if context.upgrades {
        out.extend_from_slice(b"connection: upgrade\r\n");
        request.headers.get_all(header::UPGRADE).iter().for_each(|value| field(out, "upgrade", value.as_bytes()));
    } else if trailers {
        out.extend_from_slice(b"connection: te\r\n");
    }
    if trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    forwarded(out, context.client);
    via(out, request, ours);
    propagation::inject(context.span, |name, value| field(out, name, value.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// The headers that the client's `Connection` names. Skips options that name no header.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = options(headers, &header::CONNECTION)
        .filter(|option| !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close"));
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    has_option(headers, &header::TE, b"trailers")
}

/// Whether the client requests another protocol as [RFC 9110 §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8)
/// requires. Another version of HTTP does not count: its requests would bypass the routes and the filters for untrusted
/// clients.
pub(super) fn upgrades(headers: &HeaderMap, version: http::Version) -> bool {
    version == http::Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && has_option(headers, &header::CONNECTION, b"upgrade")
        && !options(headers, &header::UPGRADE).any(is_http)
}

/// Whether a protocol, with or without a version, is HTTP, or is TLS, which could carry HTTP.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
    [b"http".as_slice(), b"h2", b"h2c", b"tls"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// Whether the client waits for a 100 (Continue) before it sends its body.
pub(super) fn expects(request: &Parts) -> bool {
    request.version != http::Version::HTTP_10 && has_option(&request.headers, &header::EXPECT, b"100-continue")
}

fn has_option(headers: &HeaderMap, name: &HeaderName, option: &[u8]) -> bool {
    options(headers, name).any(|own| own.eq_ignore_ascii_case(option))
}

fn options<'h>(headers: &'h HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'h [u8]> {
    let values = headers.get_all(name).iter();
    values.flat_map(|value| value.as_bytes().split(|byte| *byte == b',')).map(<[u8]>::trim_ascii)
}

/// The client's address, scheme and host, once in each form.
fn forwarded(out: &mut Vec<u8>, client: &Client<'_>) {
    let Client { address, scheme, host } = client;
    let text = telemetry::http::address(*address);
    texts(out, &["x-forwarded-for: ", &text, "\r\nx-forwarded-proto: ", scheme, "\r\n"]);
    let node = match address {
        IpAddr::V4(_) => ["forwarded: for=", &text, ""],
        IpAddr::V6(_) => ["forwarded: for=\"[", &text, "]\""],
    };
    match host {
        // The host is a name or an address, so no character needs escaping.
        Some(host) => {
            texts(out, &["x-forwarded-host: ", host, "\r\n"]);
            texts(out, &node);
            texts(out, &[";host=\"", host, "\""]);
        }
        None => texts(out, &node),
    }
    texts(out, &[";proto=", scheme, "\r\n"]);
}

/// The proxies that the request came through. Reads the request's own `Via` only if `any` header is present that the proxy
/// writes itself.
fn via(out: &mut Vec<u8>, request: &Parts, any: bool) {
    let version = match request.version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    out.extend_from_slice(b"via: ");
    for value in any.then(|| request.headers.get_all(header::VIA)).into_iter().flatten() {
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b", ");
    }
    texts(out, &[version, " ", PSEUDONYM, "\r\n"]);
}

/// All cookies in one field: HTTP/2 may send them one by one, <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3>.
fn cookies(out: &mut Vec<u8>, headers: &HeaderMap) {
    let mut cookies = headers.get_all(header::COOKIE).iter();
    if let Some(first) = cookies.next() {
        out.extend_from_slice(b"cookie: ");
        out.extend_from_slice(first.as_bytes());
        for cookie in cookies {
            out.extend_from_slice(b"; ");
            out.extend_from_slice(cookie.as_bytes());
        }
        out.extend_from_slice(b"\r\n");
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;
    use proptest::prelude::*;
    use telemetry::propagation::Trust;

    use super::*;

    /// The fields that are written for a client.
    fn written(client: &Client<'_>) -> HeaderMap {
        let mut out = Vec::new();
        forwarded(&mut out, client);
        let lines = String::from_utf8(out).unwrap();
        let fields = lines.lines().map(|line| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.parse::<HeaderName>().unwrap(), value.parse::<HeaderValue>().unwrap())
        });
        fields.collect()
    }

    proptest! {
        #[test]
        fn all_forms_describe_the_same_client(
            address: IpAddr,
            is_secure: bool,
            host in prop::option::of("[a-z;=!$&'()*+~_]{1,8}(\\.example)?(:[1-9][0-9]{0,3})?|\\[2001:db8::[1-9]\\](:8443)?"),
        ) {
            let scheme = if is_secure { "https" } else { "http" };
            let client = Client { address: address.to_canonical(), scheme, host: host.map(Into::into) };
            let headers = written(&client);
            let mut only_forwarded = headers.clone();
            let mut only_x = headers.clone();
            only_x.remove("forwarded");
            for name in ["x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"] {
                only_forwarded.remove(name);
            }
            for headers in [&headers, &only_forwarded, &only_x] {
                let peer = Client { address: IpAddr::from([127, 0, 0, 1]), scheme: "http", host: None };
                prop_assert_eq!(&peer.resolve(headers, &Trust::default()), &client);
            }
        }
    }
}
