//! An endpoint's response to a batch, in either of OTLP's encodings. A success that is not an OTLP response confirms nothing.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use ureq::http::HeaderValue;

use super::endpoint::Protocol;

/// The most characters of a response that are examined.
const MOST: usize = 4_096;
/// The fewest letters and digits of a secret that is masked, and how many of them in a row reveal a part of it.
const SHORTEST: usize = 6;
const TELLING: usize = 8;

/// The body of a refusal: `google.rpc.Status`, of which we read the message.
#[derive(Clone, PartialEq, Message)]
struct Refusal {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
}

/// Reads a success: how many records of the batch were rejected all the same, and the endpoint's message. Both signals'
/// responses have the same shape. The specification requires the response in the request's encoding. Protobuf's empty message
/// has no bytes, so no body at all is a response too.
///
/// # Errors
/// The body is not an OTLP response, so nothing confirms the batch. The error names what the body is instead.
pub(super) fn receipt(
    protocols: &[Protocol],
    kind: Option<&HeaderValue>,
    body: &[u8],
) -> Result<(usize, String), String> {
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    let may_be = |protocol| protocols.contains(&protocol);
    let read = match kind.as_str() {
        "" if body.is_empty() && may_be(Protocol::Protobuf) => Some((0, String::new())),
        "application/x-protobuf" | "application/protobuf" if may_be(Protocol::Protobuf) => of_protobuf(body),
        "application/json" if may_be(Protocol::Json) => of_json(body),
        _ => None,
    };
    read.ok_or_else(|| match (kind.as_str(), body) {
        (kind, []) => format!("no body{}", if kind.is_empty() { String::new() } else { format!(" ({kind})") }),
        ("", _) => "a body of no content type".to_owned(),
        ("text/html", _) => "a web page (text/html)".to_owned(),
        (kind, _) => format!("a body of {kind}"),
    })
}

fn of_protobuf(body: &[u8]) -> Option<(usize, String)> {
    let partial = ExportTraceServiceResponse::decode(body).ok()?.partial_success.unwrap_or_default();
    Some((usize::try_from(partial.rejected_spans).unwrap_or_default(), partial.error_message))
}

/// Parses an object that is empty or has only the message's one field, so that another service's response is not accepted.
fn of_json(body: &[u8]) -> Option<(usize, String)> {
    let answer: serde_json::Value = serde_json::from_slice(body).ok()?;
    let fields = answer.as_object()?;
    let Some(partial) = fields.get("partialSuccess").or_else(|| fields.get("partial_success")) else {
        return fields.is_empty().then(|| (0, String::new()));
    };
    let count = ["rejectedSpans", "rejectedLogRecords"].into_iter().find_map(|name| {
        let count = partial.get(name)?;
        // 64-bit numbers are texts in protobuf's JSON.
        count.as_u64().or_else(|| count.as_str()?.parse().ok())
    });
    let message = partial.get("errorMessage").and_then(serde_json::Value::as_str).unwrap_or_default();
    Some((usize::try_from(count.unwrap_or_default()).unwrap_or(usize::MAX), message.to_owned()))
}

fn is(kind: Option<&HeaderValue>, what: &str) -> bool {
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.to_ascii_lowercase().contains(what))
}

/// The words of a refusal: the error's name, if AWS gives one in a header or in the body, and the body's message.
pub(super) fn said(kind: Option<&HeaderValue>, error: Option<&HeaderValue>, body: &[u8]) -> String {
    if is(kind, "protobuf") {
        let message = Refusal::decode(body).map(|refusal| refusal.message).unwrap_or_default();
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

/// A destination's words, to follow ours: on one line, of at most 300 characters, and without the secrets that the destination
/// was sent and may repeat.
pub(crate) fn told<'a>(secrets: impl Iterator<Item = &'a SecretString>, message: &str) -> String {
    let message: Vec<char> = message.trim().chars().filter(|c| !c.is_control()).take(MOST).collect();
    let line: String = masked(secrets, &message).chars().take(300).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

/// `text` with `***` for each part that repeats so much of a secret that it is no coincidence. Letters and digits are compared,
/// so that no quotes, breaks or escapes between them hide a secret.
fn masked<'a>(secrets: impl Iterator<Item = &'a SecretString>, text: &[char]) -> String {
    let letters: Vec<(usize, char)> = text.iter().copied().enumerate().filter(|(_, c)| c.is_alphanumeric()).collect();
    let mut hidden = vec![false; text.len()];
    for secret in secrets.map(ExposeSecret::expose_secret) {
        let secret: Vec<char> = secret.chars().filter(|c| c.is_alphanumeric()).collect();
        // A shorter text is not a key, and occurs in other words too.
        if secret.len() < SHORTEST {
            continue;
        }
        let length = secret.len().min(TELLING);
        let parts: HashSet<&[char]> = secret.windows(length).collect();
        for found in letters.windows(length) {
            let spelt: Vec<char> = found.iter().map(|(_, c)| *c).collect();
            if let (true, Some((first, _)), Some((last, _))) = (parts.contains(&*spelt), found.first(), found.last()) {
                hidden.iter_mut().take(last + 1).skip(*first).for_each(|hidden| *hidden = true);
            }
        }
    }
    let mut masked = String::new();
    let mut before = false;
    for (c, hidden) in text.iter().zip(hidden) {
        match (hidden, before) {
            (true, false) => masked.push_str("***"),
            (true, true) => {}
            (false, _) => masked.push(*c),
        }
        before = hidden;
    }
    masked
}

#[cfg(test)]
mod tests {
    use super::*;
    use otlp::wire::bytes;

    fn received(protocol: Protocol, kind: &'static str, body: &[u8]) -> Result<(usize, String), String> {
        let kind = HeaderValue::from_static(kind);
        receipt(&[protocol], Some(&kind).filter(|kind| !kind.is_empty()), body)
    }

    #[test]
    fn a_part_that_is_not_taken_is_counted_in_both_encodings() {
        let json = |body: &[u8]| received(Protocol::Json, "application/json; charset=utf-8", body).unwrap();
        let told = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#;
        assert_eq!(json(told), (2, "no".to_owned()));
        assert_eq!(json(br#"{"partialSuccess":{"rejectedLogRecords":3}}"#), (3, String::new()));
        assert_eq!(json(br#"{"partialSuccess":{"errorMessage":"slow"}}"#), (0, "slow".to_owned()));
        for empty in [b"{}".as_slice(), br#"{"partialSuccess":null}"#, br#"{"partialSuccess":{"rejectedSpans":-1}}"#] {
            assert_eq!(json(empty), (0, String::new()));
        }
        let mut told = Vec::new();
        bytes(&mut told, 1, &[8, 2, 0x12, 2, b'n', b'o']);
        for kind in ["application/x-protobuf", "Application/Protobuf"] {
            assert_eq!(received(Protocol::Protobuf, kind, &told), Ok((2, "no".to_owned())));
            assert_eq!(received(Protocol::Protobuf, kind, b""), Ok((0, String::new())));
        }
        assert_eq!(received(Protocol::Protobuf, "", b""), Ok((0, String::new())));
    }

    #[test]
    fn a_success_that_is_no_response_of_otlp_confirms_nothing() {
        use Protocol::{Json, Protobuf};
        for (protocol, kind, body, what) in [
            (Protobuf, "text/html; charset=utf-8", b"<!doctype html>".as_slice(), "a web page (text/html)"),
            (Protobuf, "text/html", b"", "no body (text/html)"),
            (Protobuf, "application/json", b"{}", "a body of application/json"),
            (Protobuf, "", b"OK", "a body of no content type"),
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
    fn a_key_that_is_said_back_is_not_repeated() {
        let secrets: [SecretString; 2] = ["Bearer canary-key".into(), "4".into()];
        let told = |message| told(secrets.iter(), message);
        assert_eq!(told("no token canary-key in\r\n401"), ": no token *** in401");
        let long = format!("{}canary-key", "x".repeat(295));
        assert!(!told(&long).contains("can"), "masked before it is cut");
        assert_eq!(told(" \n"), "");
    }

    #[test]
    fn a_key_that_is_taken_apart_is_not_repeated_either() {
        let key = "IQoJb3JpZ2luX2VjEPT/abc+def==4TTT";
        let secrets: [SecretString; 1] = [key.into()];
        let broken: Vec<String> = key.chars().map(|c| format!("{c} \n")).collect();
        let apart = [broken.concat(), key.replace('/', "\\/"), key.replace('/', "\n/\t"), format!("<{}>", &key[5..20])];
        for echo in apart {
            assert_eq!(told(secrets.iter(), &format!("no {echo} here")).matches("***").count(), 1, "{echo}");
        }
        assert_eq!(told(secrets.iter(), "Jb3JpZ is short"), ": Jb3JpZ is short");
    }

    #[test]
    fn a_refusal_is_told_in_its_own_words() {
        let protobuf = HeaderValue::from_static("application/x-protobuf");
        let status = Refusal { code: 16, message: "unknown API key".to_owned() }.encode_to_vec();
        assert_eq!(said(Some(&protobuf), None, &status), "unknown API key");
        let json = HeaderValue::from_static("application/json");
        assert_eq!(said(Some(&json), None, br#"{"code":16,"message":"no key"}"#), "no key");
        for kind in ["application/json; charset=utf-8", "Application/JSON"].map(HeaderValue::from_static) {
            assert_eq!(said(Some(&kind), None, br#"{"message":"no key"}"#), "no key", "{kind:?}");
        }
        let page = HeaderValue::from_static("Text/HTML; charset=UTF-8");
        assert!(said(Some(&page), None, b"<html>").starts_with("a web page"));
        assert_eq!(said(None, None, b"{\"error\":\"slow down\"}"), "{\"error\":\"slow down\"}");
        assert_eq!(said(Some(&protobuf), None, b"\xff\xff"), "");
    }

    #[test]
    fn aws_names_its_errors_in_two_places() {
        let (json, amz) =
            (HeaderValue::from_static("application/json"), HeaderValue::from_static("application/x-amz-json-1.1"));
        let name = HeaderValue::from_static("ThrottlingException:http://internal.amazon.com/coral/");
        assert_eq!(
            said(Some(&json), Some(&name), br#"{"message":"Rate exceeded"}"#),
            "ThrottlingException: Rate exceeded"
        );
        let body = br#"{"__type":"com.amazon.coral.service#ExpiredTokenException","Message":"it is expired"}"#;
        assert_eq!(said(Some(&amz), None, body), "ExpiredTokenException: it is expired");
        assert_eq!(said(Some(&json), Some(&name), b""), "ThrottlingException");
        assert_eq!(said(Some(&json), None, br#"{"message":null,"a":1}"#), r#"{"message":null,"a":1}"#);
    }
}
