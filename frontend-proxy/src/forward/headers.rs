//! The head of a request as an upstream gets it: written from the client's, without what was for its hop only, and with our
//! own word on the trace, on who asks and by which way. Does no I/O.

use std::io::Write as _;
use std::net::IpAddr;

use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::request::Parts;
use telemetry::propagation;
use tracing::Span;

use crate::field::{
    X_FORWARDED_FOR, X_FORWARDED_HOST, X_FORWARDED_PROTO, is_claim, is_hop_by_hop, is_ours, write as field,
};
use crate::received::Connection;
use crate::upstream::exchange::{Framing, Upload};

/// As `Via` names us.
const PSEUDONYM: &str = "frontend-proxy";
/// Bytes of most heads.
const ROOM: usize = 1_024;

/// What is written for the client besides what it sent.
pub(super) struct Told<'a> {
    pub(super) connection: Connection,
    /// What it says of others is believed.
    pub(super) trusted: bool,
    pub(super) path: &'a str,
    pub(super) authority: &'a str,
    pub(super) upgrades: bool,
    /// The CLIENT span.
    pub(super) span: &'a Span,
}

fn texts(out: &mut Vec<u8>, texts: &[&str]) {
    texts.iter().for_each(|text| out.extend_from_slice(text.as_bytes()));
}

/// Appends the head of `request` to `out`.
pub(super) fn write(out: &mut Vec<u8>, request: &Parts, upload: &Upload, told: &Told<'_>) {
    out.reserve(ROOM);
    texts(out, &[request.method.as_str(), " ", told.path, " HTTP/1.1\r\nhost: ", told.authority, "\r\n"]);
    let named = named(&request.headers);
    // Whether any has come of those that are looked for below: in most requests none has.
    let (mut hop_by_hop, mut ours) = (false, false);
    for (name, value) in &request.headers {
        if is_hop_by_hop(name) {
            hop_by_hop = true;
        } else if is_ours(name) {
            ours |= *name != header::HOST;
        } else if !named.contains(name) && (told.trusted || !is_claim(name)) {
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
        Framing::None | Framing::Over => {}
        Framing::Length(length) => {
            // Writing to a Vec does not fail.
            let _: std::io::Result<()> = write!(out, "content-length: {length}\r\n");
        }
        Framing::Chunked => out.extend_from_slice(b"transfer-encoding: chunked\r\n"),
    }
    let trailers = hop_by_hop && takes_trailers(&request.headers);
    if told.upgrades {
        out.extend_from_slice(b"connection: upgrade\r\n");
        request.headers.get_all(header::UPGRADE).iter().for_each(|value| field(out, "upgrade", value.as_bytes()));
    } else if trailers {
        out.extend_from_slice(b"connection: te\r\n");
    }
    if trailers {
        out.extend_from_slice(b"te: trailers\r\n");
    }
    forwarded(out, request, told, ours);
    propagation::inject(told.span, |name, value| field(out, name, value.as_bytes()));
    out.extend_from_slice(b"\r\n");
}

/// What the client's `Connection` names, but for what says nothing of a header.
fn named(headers: &HeaderMap) -> Vec<HeaderName> {
    let names = options(headers, &header::CONNECTION)
        .filter(|option| !option.eq_ignore_ascii_case(b"keep-alive") && !option.eq_ignore_ascii_case(b"close"));
    names.filter_map(|name| HeaderName::from_bytes(name).ok()).collect()
}

fn takes_trailers(headers: &HeaderMap) -> bool {
    has_option(headers, &header::TE, b"trailers")
}

/// The client wants another protocol, and says so as [RFC 9110 §7.8](https://www.rfc-editor.org/rfc/rfc9110#section-7.8) asks.
/// Another HTTP is none: its requests would pass by the routes, and by all that is held back of strangers.
pub(super) fn upgrades(headers: &HeaderMap, version: http::Version) -> bool {
    version == http::Version::HTTP_11
        && headers.contains_key(header::UPGRADE)
        && has_option(headers, &header::CONNECTION, b"upgrade")
        && !options(headers, &header::UPGRADE).any(is_http)
}

/// Whether a protocol, with a version or without, is HTTP, or is TLS in which HTTP would go on.
fn is_http(protocol: &[u8]) -> bool {
    let name = protocol.split(|byte| *byte == b'/').next().unwrap_or_default().trim_ascii();
    [b"http".as_slice(), b"h2", b"h2c", b"tls"].iter().any(|own| name.eq_ignore_ascii_case(own))
}

/// The client waits to be asked for its body.
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

/// Who asked, for what host and how. What a stranger says of that is replaced, what one says who is trusted is kept, if `any` was said.
fn forwarded(out: &mut Vec<u8>, request: &Parts, told: &Told<'_>, any: bool) {
    let came = |name: &HeaderName| any.then(|| request.headers.get_all(name)).into_iter().flatten();
    let theirs = |name: &HeaderName| came(name).filter(|_| told.trusted);
    let peer = told.connection.peer.ip().to_canonical();
    let proto = if told.connection.secure { "https" } else { "http" };
    let host = request.headers.get(header::HOST).map(HeaderValue::as_bytes);

    list(out, "x-forwarded-for", theirs(&X_FORWARDED_FOR));
    let text = telemetry::http::address(peer);
    texts(out, &[&text, "\r\n"]);
    for (name, own) in [(X_FORWARDED_HOST, host), (X_FORWARDED_PROTO, Some(proto.as_bytes()))] {
        if let Some(value) = theirs(&name).next().map(HeaderValue::as_bytes).or(own) {
            field(out, name.as_str(), value);
        }
    }
    list(out, "forwarded", theirs(&header::FORWARDED));
    match peer {
        IpAddr::V4(_) => texts(out, &["for=", &text]),
        IpAddr::V6(_) => texts(out, &["for=\"[", &text, "]\""]),
    }
    // Only a name or an address has come so far, in which nothing has to be escaped.
    if let Some(host) = host {
        out.extend_from_slice(b";host=\"");
        out.extend_from_slice(host);
        out.push(b'"');
    }
    let version = match request.version {
        http::Version::HTTP_10 => "1.0",
        http::Version::HTTP_2 => "2.0",
        _ => "1.1",
    };
    texts(out, &[";proto=", proto, "\r\n"]);
    list(out, "via", came(&header::VIA));
    texts(out, &[version, " ", PSEUDONYM, "\r\n"]);
}

/// Begins a field with these values, to which our own is still to be added.
fn list<'v>(out: &mut Vec<u8>, name: &str, values: impl Iterator<Item = &'v HeaderValue>) {
    out.extend_from_slice(name.as_bytes());
    out.extend_from_slice(b": ");
    for value in values {
        out.extend_from_slice(value.as_bytes());
        out.extend_from_slice(b", ");
    }
}

/// All cookies in one field: HTTP/2 may bring them one by one, <https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3>.
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
