//! A fake of AWS's endpoints, which need an account and the internet. The part of the real contract that it covers
//! (from AWS's documentation of Signature Version 4 and of instance and container metadata):
//!
//! - `POST /v1/traces` accepts OTLP, plain or gzipped. The fake computes the signature itself, by hand with HMAC, from the request as
//!   it arrived: over all headers that are declared signed, which must include `host` and every `x-amz-` header. An unknown key,
//!   another signature, another region or service, or a time five minutes off get a 403 in AWS's words;
//! - more than 5 MB or 10,000 spans get a 413;
//! - `GET /container` gives credentials to a client with the token, and an instance's role does by version 2 of its protocol.
//!
//! A test can also make it refuse requests. It keeps and computes nothing else, and loses everything when it ends.

use std::io::{BufReader, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use chrono::{DateTime, NaiveDateTime, Utc};
use hmac::{Hmac, KeyInit, Mac};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::fake::{self, Request};
use super::hex;

pub(crate) const REGION: &str = "eu-west-1";
pub(crate) const ID: &str = "ASIAIOSFODNN7EXAMPLE";
pub(crate) const SECRET: &str = "wJalrXUtnFEMI/K7MDENG+bPxRfiCYcanarykey";
pub(crate) const TOKEN: &str = "IQoJb3JpZ2luX2VjEJcanarytoken//////////wEaCXVzLWVhc3QtMSJHMEUCIQ==";
/// The token of a request for credentials, by a container or an instance.
pub(crate) const METADATA_TOKEN: &str = "a-canary-of-metadata";

/// A running fake.
pub(crate) struct Aws {
    pub(crate) url: String,
    state: Arc<AwsState>,
}

/// A response that replaces its own, for a number of requests.
#[derive(Debug, Clone)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) error: &'static str,
    pub(crate) message: String,
    pub(crate) times: usize,
}

#[derive(Default)]
struct AwsState {
    refusal: Mutex<Option<Refusal>>,
    /// How far its clock is ahead of this machine's.
    ahead: Mutex<Duration>,
    accepted: Mutex<Vec<Accepted>>,
}

/// An accepted request.
#[derive(Clone)]
struct Accepted {
    spans: Vec<Span>,
    date: String,
    gzip: bool,
}

impl Aws {
    pub(crate) fn start() -> Self {
        let state = Arc::new(AwsState::default());
        let url = format!("http://{}", fake::listen(&state, |stream, state| serve(&stream, state)));
        Self { url, state }
    }

    /// Sets the response to the next `times` requests.
    pub(crate) fn respond_with(&self, status: u16, error: &'static str, message: impl Into<String>, times: usize) {
        *self.state.refusal.lock().unwrap() = Some(Refusal { status, error, message: message.into(), times });
    }

    /// Sets how far its clock is ahead of this machine's.
    pub(crate) fn ahead(&self, time: Duration) {
        *self.state.ahead.lock().unwrap() = time;
    }

    /// Every span accepted so far.
    pub(crate) fn spans(&self) -> Vec<Span> {
        self.state.accepted.lock().unwrap().iter().flat_map(|accepted| accepted.spans.clone()).collect()
    }

    /// Asserts that every accepted request was compressed, and signed at the time that it was sent.
    pub(crate) fn assert_fresh(&self) {
        let accepted = self.state.accepted.lock().unwrap();
        assert!(!accepted.is_empty());
        for Accepted { date, gzip, .. } in accepted.iter() {
            assert!(*gzip && age(date, Utc::now()) < Duration::from_secs(120), "{date}");
        }
    }
}

fn serve(mut stream: &TcpStream, state: &AwsState) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = Request::read(&mut reader)?;
        let (status, error, body) = answer(&request, state);
        let named = if error.is_empty() { String::new() } else { format!("x-amzn-errortype: {error}:\r\n") };
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {status} Fake\r\ncontent-type: application/json\r\n{named}content-length: {length}\r\n\r\n"
        );
        stream.write_all(&[head.as_bytes(), body.as_bytes()].concat())?;
    }
}

/// A status, the error's name, and a body.
type AwsReply = (u16, &'static str, String);

fn refused(status: u16, error: &'static str, message: &str) -> AwsReply {
    (status, error, json!({ "message": message }).to_string())
}

fn answer(request: &Request, state: &AwsState) -> AwsReply {
    let line = request.lines[0].as_str();
    let keys = || {
        json!({"Code": "Success", "AccessKeyId": ID, "SecretAccessKey": SECRET, "Token": TOKEN,
        "Expiration": (Utc::now() + Duration::from_secs(3_600)).to_rfc3339_opts(chrono::SecondsFormat::Secs, true)})
    };
    const ROLES: &str = "/latest/meta-data/iam/security-credentials/";
    let knows = |name, token| request.header(name) == token;
    match line.rsplit_once(' ').unwrap().0 {
        "GET /container" if knows("authorization", METADATA_TOKEN) => (200, "", keys().to_string()),
        "PUT /latest/api/token" if knows("x-aws-ec2-metadata-token-ttl-seconds", "60") => {
            (200, "", METADATA_TOKEN.to_owned())
        }
        path if knows("x-aws-ec2-metadata-token", METADATA_TOKEN) && path == format!("GET {ROLES}") => {
            (200, "", "cruddur-role".to_owned())
        }
        path if knows("x-aws-ec2-metadata-token", METADATA_TOKEN) && path == format!("GET {ROLES}cruddur-role") => {
            (200, "", keys().to_string())
        }
        "POST /v1/traces" => take(request, state),
        _ => refused(403, "AccessDeniedException", "no"),
    }
}

fn take(request: &Request, state: &AwsState) -> AwsReply {
    if let Some(refusal) = state.refusal.lock().unwrap().as_mut().filter(|refusal| refusal.times > 0) {
        refusal.times -= 1;
        return refused(refusal.status, refusal.error, &refusal.message);
    }
    if let Err((error, message)) = verify(request, *state.ahead.lock().unwrap()) {
        return refused(403, error, &message);
    }
    let body = request.unpacked().unwrap();
    let Ok(message) = ExportTraceServiceRequest::decode(body.as_slice()) else {
        return refused(400, "ValidationException", "the body cannot be read");
    };
    let scopes = message.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
    if body.len() > 5_000_000 || spans.len() > 10_000 {
        return refused(413, "", "Request body too large");
    }
    let (date, gzip) = (request.header("x-amz-date").to_owned(), request.header("content-encoding") == "gzip");
    state.accepted.lock().unwrap().push(Accepted { spans, date, gzip });
    (200, "", "{}".to_owned())
}

/// The signature, computed step by step as in AWS's documentation.
fn verify(request: &Request, ahead: Duration) -> Result<(), (&'static str, String)> {
    let wrong = |message: &str| ("IncompleteSignatureException", message.to_owned());
    let header = request.header("authorization");
    let parts = header.strip_prefix("AWS4-HMAC-SHA256 ").ok_or_else(|| wrong("Missing Authentication Token"))?;
    let part = |name: &str| parts.split(", ").find_map(|part| part.strip_prefix(name)).unwrap_or_default();
    let (scope, signed, signature) = (part("Credential="), part("SignedHeaders="), part("Signature="));
    let date = request.header("x-amz-date");
    let day = date.get(..8).unwrap_or_default();
    let (id, scope) = scope.split_once('/').unwrap_or_default();
    if id != ID || request.header("x-amz-security-token") != TOKEN {
        return Err((
            "UnrecognizedClientException",
            "The security token included in the request is invalid.".to_owned(),
        ));
    }
    if scope != format!("{day}/{REGION}/xray/aws4_request") {
        return Err(wrong("Credential should be scoped to a valid region and service"));
    }
    let now = Utc::now() + ahead;
    if age(date, now) > Duration::from_secs(300) {
        let message = format!("Signature expired: {date} is now earlier than {}", now.format("%Y%m%dT%H%M%SZ"));
        return Err(("InvalidSignatureException", message));
    }
    let names: Vec<&str> = signed.split(';').collect();
    for line in &request.lines[1..] {
        let name = line.split(':').next().unwrap().to_ascii_lowercase();
        if (name == "host" || name.starts_with("x-amz-")) && !names.contains(&name.as_str()) {
            return Err(wrong(&format!("{name} is not signed")));
        }
    }
    assert!(names.is_sorted() && names.contains(&"host"));
    let headers: String = names.iter().map(|name| format!("{name}:{}\n", request.header(name))).collect();
    let canonical = format!("POST\n/v1/traces\n\n{headers}\n{signed}\n{}", hex(&Sha256::digest(&request.body)));
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(&canonical)));
    let key = [day, REGION, "xray", "aws4_request"]
        .iter()
        .fold(format!("AWS4{SECRET}").into_bytes(), |key, part| hmac(&key, part.as_bytes()));
    if hex(&hmac(&key, to_sign.as_bytes())) == signature {
        return Ok(());
    }
    // The real one also repeats the canonical request, with the session's token.
    let message = "The request signature we calculated does not match the signature you provided.";
    Err(("InvalidSignatureException", format!("{message} The Canonical String should have been '{canonical}'")))
}

fn hmac(key: &[u8], message: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(message);
    mac.finalize().into_bytes().to_vec()
}

/// The distance between a signature's time and `now`.
fn age(date: &str, now: DateTime<Utc>) -> Duration {
    let Ok(date) = NaiveDateTime::parse_from_str(date, "%Y%m%dT%H%M%SZ") else { return Duration::MAX };
    let (date, now) = (SystemTime::from(date.and_utc()), SystemTime::from(now));
    now.duration_since(date).unwrap_or_else(|error| error.duration())
}
