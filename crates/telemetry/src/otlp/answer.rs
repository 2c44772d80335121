//! What an endpoint says of a batch, in either of OTLP's encodings. An answer that cannot be read says nothing.

use std::collections::HashSet;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceResponse;
use prost::Message;
use secrecy::{ExposeSecret, SecretString};
use ureq::http::HeaderValue;

/// Characters of an answer that are looked at.
const MOST: usize = 4_096;
/// Letters and digits of a secret that must not be told, and how many of them in a row are a part that tells.
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

/// How many records of a batch that was taken were not, and why. Both signals' answers have the same shape; an answer that
/// cannot be read rejects nothing.
pub(super) fn partial(kind: Option<&HeaderValue>, answer: &[u8]) -> (usize, String) {
    let partial = if is(kind, "json") {
        let answer: serde_json::Value = serde_json::from_slice(answer).unwrap_or_default();
        let of = |name| answer.get("partialSuccess")?.get(name);
        let count = ["rejectedSpans", "rejectedLogRecords"].into_iter().find_map(|name| {
            let count = of(name)?;
            // 64-bit numbers are texts in protobuf's JSON.
            count.as_u64().or_else(|| count.as_str()?.parse().ok())
        });
        (count, of("errorMessage").and_then(serde_json::Value::as_str).unwrap_or_default().to_owned())
    } else {
        let partial = ExportTraceServiceResponse::decode(answer).unwrap_or_default().partial_success;
        let partial = partial.unwrap_or_default();
        (u64::try_from(partial.rejected_spans).ok(), partial.error_message)
    };
    (usize::try_from(partial.0.unwrap_or_default()).unwrap_or(usize::MAX), partial.1)
}

fn is(kind: Option<&HeaderValue>, what: &str) -> bool {
    kind.and_then(|kind| kind.to_str().ok()).is_some_and(|kind| kind.contains(what))
}

/// What a refusal says: the error's name, where AWS gives one in a header or in the body, and the body's message.
pub(super) fn said(kind: Option<&HeaderValue>, error: Option<&HeaderValue>, body: &[u8]) -> String {
    if is(kind, "protobuf") {
        let message = Refusal::decode(body).map(|refusal| refusal.message).unwrap_or_default();
        return named(error.and_then(|error| error.to_str().ok()), &message);
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

/// A destination's words, to stand behind ours: on one line, of at most 300 characters, and without the secrets that it was
/// sent, which it may repeat.
pub(crate) fn told<'a>(secrets: impl Iterator<Item = &'a SecretString>, message: &str) -> String {
    let message: Vec<char> = message.trim().chars().filter(|c| !c.is_control()).take(MOST).collect();
    let line: String = masked(secrets, &message).chars().take(300).collect();
    if line.is_empty() { line } else { format!(": {line}") }
}

/// `text` with `***` for whatever repeats so much of a secret that it is no chance: its letters and digits are compared, so that
/// no quotes, breaks or escapes between them hide it.
fn masked<'a>(secrets: impl Iterator<Item = &'a SecretString>, text: &[char]) -> String {
    let letters: Vec<(usize, char)> = text.iter().copied().enumerate().filter(|(_, c)| c.is_alphanumeric()).collect();
    let mut hidden = vec![false; text.len()];
    for secret in secrets.map(ExposeSecret::expose_secret) {
        let secret: Vec<char> = secret.chars().filter(|c| c.is_alphanumeric()).collect();
        // What is shorter is no key, and stands in other words too.
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

    #[test]
    fn a_part_that_is_not_taken_is_counted_in_both_encodings() {
        let json = HeaderValue::from_static("application/json");
        let told = br#"{"partialSuccess":{"rejectedSpans":"2","errorMessage":"no"}}"#;
        assert_eq!(partial(Some(&json), told), (2, "no".to_owned()));
        let told = br#"{"partialSuccess":{"rejectedLogRecords":3}}"#;
        assert_eq!(partial(Some(&json), told), (3, String::new()));
        let mut told = Vec::new();
        bytes(&mut told, 1, &[8, 2, 0x12, 2, b'n', b'o']);
        assert_eq!(partial(None, &told), (2, "no".to_owned()));
        assert_eq!(partial(None, b"garbage"), (0, String::new()));
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
