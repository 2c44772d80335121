//! Reads an endpoint's response to a batch, in either of OTLP's encodings. A success that is not an OTLP response confirms
//! nothing.

use std::io::Read;
use std::time::{Duration, SystemTime};

use flate2::read::MultiGzDecoder;
use otlp::Encoding;
use otlp::response::{Receipt, read_failure, read_success};
use ureq::http::{HeaderMap, HeaderValue, StatusCode};

use super::endpoint::Protocol;

/// The most bytes that are read of a response; further bytes are not needed to understand it.
pub(super) const LONGEST: u64 = 64 * 1024;

/// The parts of an endpoint's response that are read.
pub(super) struct OtlpResponse {
    pub(super) status: StatusCode,
    pub(super) kind: Option<HeaderValue>,
    /// AWS's name of the error, from a separate header.
    pub(super) error: Option<HeaderValue>,
    pub(super) retry_after: Option<Duration>,
    pub(super) body: Vec<u8>,
}

/// Reads a success: how many records of the batch were rejected nevertheless, and the endpoint's message. The specification
/// requires the response in the request's encoding. Protobuf's empty message has no bytes, so an empty body without a type is a
/// response too.
///
/// # Errors
/// The body is not an OTLP response, so it does not confirm the batch. The error describes the body.
pub(super) fn receipt<'b>(
    protocols: &[Protocol],
    kind: Option<&HeaderValue>,
    body: &'b [u8],
) -> Result<Receipt<'b>, String> {
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let encoding = match kind.as_str() {
        "" if body.is_empty() => Some(Encoding::Protobuf),
        kind => Encoding::of_content_type(kind),
    };
    let encoding = encoding.filter(|encoding| protocols.iter().any(|protocol| protocol.encoding() == *encoding));
    let receipt = encoding.and_then(|encoding| read_success(encoding, body).ok());
    receipt.ok_or_else(|| match (kind.as_str(), body) {
        (kind, []) => format!("no body{}", if kind.is_empty() { String::new() } else { format!(" ({kind})") }),
        ("", _) => "a body without a content type".to_owned(),
        ("text/html", _) => "a web page (text/html)".to_owned(),
        (kind, _) => format!("a body of {kind}"),
    })
}

fn is(kind: Option<&HeaderValue>, what: &str) -> bool {
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.to_ascii_lowercase().contains(what))
}

/// Decompresses the body of a response if its headers name gzip. The body is unchanged if they do not, or if it is not valid
/// gzip.
pub(crate) fn unpacked(headers: &HeaderMap, body: Vec<u8>) -> Vec<u8> {
    let coding = headers.get("content-encoding").and_then(|coding| coding.to_str().ok()).unwrap_or_default();
    if !["gzip", "x-gzip"].iter().any(|gzip| coding.eq_ignore_ascii_case(gzip)) {
        return body;
    }
    let mut plain = Vec::new();
    match MultiGzDecoder::new(body.as_slice()).take(LONGEST).read_to_end(&mut plain) {
        Ok(_) => plain,
        Err(_) => body,
    }
}

/// `Retry-After`: seconds or a date, [RFC 9110 §10.2.3](https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3).
pub(super) fn retry_after(after: &str) -> Option<Duration> {
    let until = |date| httpdate::parse_http_date(date).ok().map(|until| until.duration_since(SystemTime::now()));
    after.parse().map(Duration::from_secs).ok().or_else(|| until(after).map(Result::unwrap_or_default))
}

/// The text of a refusal: the error's name, if AWS gives one in a header or in the body, and the body's message.
pub(super) fn refusal(kind: Option<&HeaderValue>, error: Option<&HeaderValue>, body: &[u8]) -> String {
    if is(kind, "protobuf") {
        let message = read_failure(body).unwrap_or_default();
        return named(error.and_then(|error| error.to_str().ok()), &message);
    }
    if is(kind, "text/html") {
        return "a web page (text/html); is it the address of an OTLP/HTTP endpoint?".to_owned();
    }
    let json: serde_json::Value =
        if is(kind, "json") { serde_json::from_slice(body).unwrap_or_default() } else { serde_json::Value::Null };
    let of = |name| json.get(name).and_then(serde_json::Value::as_str).filter(|text| !text.is_empty());
    let whole = String::from_utf8_lossy(body);
    let message = of("message").or_else(|| of("Message")).unwrap_or(&whole);
    named(error.and_then(|error| error.to_str().ok()).or_else(|| of("__type")), message)
}

/// AWS writes a name as `Name:http://internal/…` in the header and as `namespace#Name` in the body.
fn named(error: Option<&str>, message: &str) -> String {
    let name = error.unwrap_or_default().split(':').next().unwrap_or_default();
    let name = name.rsplit('#').next().unwrap_or_default();
    [name, message].into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(": ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use otlp::wire::bytes;

    fn received(protocol: Protocol, kind: &'static str, body: &[u8]) -> Result<(u64, String), String> {
        let kind = HeaderValue::from_static(kind);
        let receipt = receipt(&[protocol], Some(&kind).filter(|kind| !kind.is_empty()), body)?;
        Ok((receipt.rejected, receipt.message.into_owned()))
    }

    #[test]
    fn a_rejected_part_is_counted_in_both_encodings() {
        let json = |body: &[u8]| received(Protocol::Json, "application/json; charset=utf-8", body).unwrap();
        let partial = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#;
        assert_eq!(json(partial), (2, "no".to_owned()));
        assert_eq!(json(br#"{"partialSuccess":{"rejectedLogRecords":3}}"#), (3, String::new()));
        assert_eq!(json(br#"{"partialSuccess":{"errorMessage":"slow"}}"#), (0, "slow".to_owned()));
        for empty in [b"{}".as_slice(), br#"{"partialSuccess":null}"#, br#"{"partialSuccess":{"rejectedSpans":-1}}"#] {
            assert_eq!(json(empty), (0, String::new()));
        }
        let mut partial = Vec::new();
        bytes(&mut partial, 1, &[8, 2, 0x12, 2, b'n', b'o']);
        for kind in ["application/x-protobuf", "Application/Protobuf"] {
            assert_eq!(received(Protocol::Protobuf, kind, &partial), Ok((2, "no".to_owned())));
            assert_eq!(received(Protocol::Protobuf, kind, b""), Ok((0, String::new())));
        }
        assert_eq!(received(Protocol::Protobuf, "", b""), Ok((0, String::new())));
    }

    #[test]
    fn a_success_that_is_not_an_otlp_response_confirms_nothing() {
        use Protocol::{Json, Protobuf};
        for (protocol, kind, body, what) in [
            (Protobuf, "text/html; charset=utf-8", b"<!doctype html>".as_slice(), "a web page (text/html)"),
            (Protobuf, "text/html", b"", "no body (text/html)"),
            (Protobuf, "application/json", b"{}", "a body of application/json"),
            (Protobuf, "", b"OK", "a body without a content type"),
            (Protobuf, "application/x-protobuf", b"OK", "a body of application/x-protobuf"),
            (Json, "", b"", "no body"),
            (Json, "application/json", b"", "no body (application/json)"),
            (Json, "application/json", b"[]", "a body of application/json"),
            (Json, "application/json", br#"{"status":"ok"}"#, "a body of application/json"),
            (Json, "text/plain", b"{}", "a body of text/plain"),
            (Json, "application/x-protobuf", b"", "no body (application/x-protobuf)"),
        ] {
            assert_eq!(received(protocol, kind, body), Err(what.to_owned()), "{kind}");
        }
    }

    #[test]
    fn a_refusal_is_quoted() {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let status = otlp::response::failure(Encoding::Protobuf, 16, "unknown API key");
        assert_eq!(refusal(Some(&protobuf), None, &status), "unknown API key");
        let json = HeaderValue::from_static("application/json");
        assert_eq!(refusal(Some(&json), None, br#"{"code":16,"message":"no key"}"#), "no key");
        for kind in ["application/json; charset=utf-8", "Application/JSON"].map(HeaderValue::from_static) {
            assert_eq!(refusal(Some(&kind), None, br#"{"message":"no key"}"#), "no key", "{kind:?}");
        }
        let page = HeaderValue::from_static("Text/HTML; charset=UTF-8");
        assert!(refusal(Some(&page), None, b"<html>").starts_with("a web page"));
        assert_eq!(refusal(None, None, b"{\"error\":\"slow down\"}"), "{\"error\":\"slow down\"}");
        assert_eq!(refusal(Some(&protobuf), None, b"\xff\xff"), "");
    }

    #[test]
    fn aws_names_its_errors_in_two_places() {
        let (json, amz) =
            (HeaderValue::from_static("application/json"), HeaderValue::from_static("application/x-amz-json-1.1"));
        let name = HeaderValue::from_static("ThrottlingException:http://internal.amazon.com/coral/");
        assert_eq!(
            refusal(Some(&json), Some(&name), br#"{"message":"Rate exceeded"}"#),
            "ThrottlingException: Rate exceeded"
        );
        let body = br#"{"__type":"com.amazon.coral.service#ExpiredTokenException","Message":"it is expired"}"#;
        assert_eq!(refusal(Some(&amz), None, body), "ExpiredTokenException: it is expired");
        assert_eq!(refusal(Some(&json), Some(&name), b""), "ThrottlingException");
        assert_eq!(refusal(Some(&json), None, br#"{"message":null,"a":1}"#), r#"{"message":null,"a":1}"#);
    }

    #[test]
    fn a_pause_is_requested_in_seconds_or_by_a_date() {
        assert_eq!(retry_after("120"), Some(Duration::from_secs(120)));
        let soon = retry_after(&httpdate::fmt_http_date(SystemTime::now() + Duration::from_secs(60))).unwrap();
        assert!((30..=60).contains(&soon.as_secs()), "{soon:?}");
        assert_eq!(retry_after("Thu, 01 Jan 1970 00:00:00 GMT"), Some(Duration::ZERO), "it is over");
        assert_eq!(retry_after("soon"), None);
    }
}
