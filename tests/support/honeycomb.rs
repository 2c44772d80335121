//! A fake of Honeycomb, which needs an account and the internet. The part of the real contract that it covers
//! (from Honeycomb's documentation and its open ingest library):
//!
//! - `POST /v1/traces`, `/v1/logs` and `/v1/metrics` accept protobuf or JSON, plain or gzipped; other content types get 415, other encodings and
//!   unreadable bodies 400;
//! - the key is in `x-honeycomb-team`: a missing or unknown key, or one of a kind that cannot send, gets 401. A classic key also needs
//!   `x-honeycomb-dataset`. The body of every refusal is a `Status` in the request's encoding;
//! - `GET /1/auth` describes a key.
//!
//! A test can also put it in any [`Trouble`]. It keeps and computes nothing else, and loses everything when it ends.

use std::io::{BufReader, Read, Write};
use std::net::Shutdown;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::read::GzEncoder;
use opentelemetry_proto::tonic::collector::logs::v1::{
    ExportLogsPartialSuccess, ExportLogsServiceRequest, ExportLogsServiceResponse,
};
use opentelemetry_proto::tonic::collector::metrics::v1::{
    ExportMetricsPartialSuccess, ExportMetricsServiceRequest, ExportMetricsServiceResponse,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTracePartialSuccess, ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;

use super::fake::{self, Request};

/// A running fake.
pub(crate) struct Honeycomb {
    pub(crate) url: String,
    state: Arc<CollectorState>,
}

/// What is wrong with it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Trouble {
    None,
    /// Answers this status so many times, with `Retry-After: 1`, then accepts spans again.
    Busy(u16, usize),
    /// Answers this status, always.
    Refuses(u16),
    /// Answers after this time.
    Slow(Duration),
    /// Reads the request and sends no response.
    Hangs,
    /// Closes the connection instead of responding.
    Resets,
    /// Sends a byte of the response each 100 ms.
    Drips,
    /// Redirects every client to this address.
    Redirects(String),
    /// Accepts all but one span, log record or metric point of each request.
    TakesAPart,
    /// Accepts everything, with a message of partial success that rejects nothing.
    Warns,
    /// Compresses the body of every response with gzip.
    Packs,
    /// Answers every request with this content type and body, as a success, and accepts nothing.
    Answers(&'static str, &'static str),
}

#[derive(Default)]
struct CollectorState {
    key: Mutex<String>,
    trouble: Mutex<Option<Trouble>>,
    spans: Mutex<Vec<Span>>,
    logs: Mutex<Vec<LogRecord>>,
    /// The accepted requests for metrics, and their unchanged bodies.
    metrics: Mutex<Vec<(ExportMetricsServiceRequest, Vec<u8>)>>,
    /// Heads of all requests, and the unchanged bodies of those for traces and for logs.
    heads: Mutex<Vec<String>>,
    bodies: Mutex<Vec<Vec<u8>>>,
    log_bodies: Mutex<Vec<Vec<u8>>>,
}

impl Honeycomb {
    /// Accepts spans that come with `key`, and refuses all others.
    pub(crate) fn start(key: &str) -> Self {
        Self::troubled(key, Trouble::None)
    }

    /// A fake in trouble.
    pub(crate) fn troubled(key: &str, trouble: Trouble) -> Self {
        Self::listen(key, trouble, None)
    }

    /// A fake behind TLS.
    pub(crate) fn encrypted(key: &str, tls: ServerConfig) -> Self {
        Self::listen(key, Trouble::None, Some(Arc::new(tls)))
    }

    fn listen(key: &str, trouble: Trouble, tls: Option<Arc<ServerConfig>>) -> Self {
        let scheme = if tls.is_some() { "https" } else { "http" };
        let state = Arc::new(CollectorState { key: Mutex::new(key.to_owned()), ..CollectorState::default() });
        *state.trouble.lock().unwrap() = Some(trouble);
        let address = fake::listen(&state, move |stream, state| match &tls {
            None => serve(&stream, state),
            Some(tls) => {
                let session = ServerConnection::new(Arc::clone(tls)).unwrap();
                let mut stream = StreamOwned::new(session, stream);
                drop(serve(&mut stream, state));
                // Closing before everything is read would cause a reset, which may discard an alert.
                drop(stream.sock.shutdown(Shutdown::Write));
                std::io::copy(&mut stream.sock, &mut std::io::sink()).map(drop)
            }
        });
        let url = format!("{scheme}://{address}");
        Self { url, state }
    }

    /// Puts the fake in this trouble from now on.
    pub(crate) fn get_into(&self, trouble: Trouble) {
        *self.state.trouble.lock().unwrap() = Some(trouble);
    }

    /// The names of this trace's spans accepted so far.
    pub(crate) fn spans(&self, trace_id: &str) -> Vec<String> {
        let id = u128::from_str_radix(trace_id, 16).unwrap().to_be_bytes();
        self.accepted().iter().filter(|span| span.trace_id == id).map(|span| span.name.clone()).collect()
    }

    /// Every span accepted so far.
    pub(crate) fn accepted(&self) -> Vec<Span> {
        self.state.spans.lock().unwrap().clone()
    }

    /// Every log record accepted so far.
    pub(crate) fn logs(&self) -> Vec<LogRecord> {
        self.state.logs.lock().unwrap().clone()
    }

    /// Every message of metrics accepted so far, with its body.
    pub(crate) fn metrics(&self) -> Vec<(ExportMetricsServiceRequest, Vec<u8>)> {
        self.state.metrics.lock().unwrap().clone()
    }

    /// The heads of all requests so far.
    pub(crate) fn heads(&self) -> Vec<String> {
        self.state.heads.lock().unwrap().clone()
    }

    /// The decompressed bodies of the trace requests so far.
    pub(crate) fn bodies(&self) -> Vec<Vec<u8>> {
        self.state.bodies.lock().unwrap().clone()
    }

    /// The decompressed bodies of the log requests so far.
    pub(crate) fn log_bodies(&self) -> Vec<Vec<u8>> {
        self.state.log_bodies.lock().unwrap().clone()
    }
}

impl CollectorState {
    /// The trouble of the next request.
    fn next_trouble(&self) -> Trouble {
        let mut trouble = self.trouble.lock().unwrap();
        let next = trouble.clone().unwrap_or(Trouble::None);
        if let Some(Trouble::Busy(_, times)) = trouble.as_mut() {
            *times = times.saturating_sub(1);
        }
        next
    }
}

/// The end of the status line, the body's content type, and the body.
type CollectorReply = (String, &'static str, Vec<u8>);

fn serve(stream: impl Read + Write, state: &CollectorState) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let request = Request::read(&mut reader)?;
        state.heads.lock().unwrap().push(request.lines.join("\n"));
        let trouble = state.next_trouble();
        match trouble {
            Trouble::Slow(time) => sleep(time),
            // Waits until the client disconnects.
            Trouble::Hangs => return reader.read_exact(&mut [0]),
            Trouble::Resets => return Ok(()),
            _ => {}
        }
        let (status, kind, mut body) = answer(&request, state, &trouble);
        let mut coding = "";
        if trouble == Trouble::Packs {
            coding = "\r\ncontent-encoding: gzip";
            let mut packed = Vec::new();
            GzEncoder::new(&*body, Compression::fast()).read_to_end(&mut packed)?;
            body = packed;
        }
        let length = body.len();
        let head = format!("HTTP/1.1 {status}\r\ncontent-type: {kind}{coding}\r\ncontent-length: {length}\r\n\r\n");
        let whole = [head.as_bytes(), &body].concat();
        if trouble == Trouble::Drips {
            for byte in whole {
                reader.get_mut().write_all(&[byte])?;
                sleep(Duration::from_millis(100));
            }
        } else {
            reader.get_mut().write_all(&whole)?;
            reader.get_mut().flush()?;
        }
    }
}

fn answer(request: &Request, state: &CollectorState, trouble: &Trouble) -> CollectorReply {
    match trouble {
        Trouble::Redirects(to) => {
            return (format!("307 Temporary Redirect\r\nlocation: {to}"), "text/plain", Vec::new());
        }
        Trouble::Answers(kind, body) => return ("200 OK".to_owned(), kind, body.as_bytes().to_vec()),
        Trouble::Refuses(status) => return refusal(request, *status, "", "this is what it says"),
        Trouble::Busy(status, times) if *times > 0 => {
            return refusal(request, *status, "\r\nretry-after: 1", "come back later");
        }
        _ => {}
    }
    let line = request.lines.first().map(String::as_str).unwrap_or_default();
    if let Some(problem) = key_problem(request, &state.key.lock().unwrap()) {
        return match line {
            "GET /1/auth HTTP/1.1" => {
                ("401 Unauthorized".to_owned(), "application/json", format!("{{\"error\":\"{problem}\"}}").into())
            }
            _ => refusal(request, 401, "", problem),
        };
    }
    let good = |body| {
        ("200 OK".to_owned(), if request.is_json() { "application/json" } else { "application/x-protobuf" }, body)
    };
    match line {
        "GET /1/auth HTTP/1.1" => {
            let key = json!({
                "id": "hcaik_01", "type": "ingest",
                "api_key_access": {"events": true, "createDatasets": true},
                "environment": {"name": "test", "slug": "test"}, "team": {"name": "Cruddur", "slug": "cruddur"},
            });
            let date = httpdate::fmt_http_date(SystemTime::now());
            (format!("200 OK\r\ndate: {date}"), "application/json", key.to_string().into())
        }
        "POST /v1/traces HTTP/1.1" | "POST /v1/logs HTTP/1.1" | "POST /v1/metrics HTTP/1.1" => {
            if !["application/x-protobuf", "application/protobuf", "application/json"]
                .contains(&request.header("content-type"))
            {
                return refusal(request, 415, "", "unsupported content type");
            }
            let part = *trouble == Trouble::TakesAPart;
            let taken = match line.contains("metrics") {
                true => take_metrics(request, state, part),
                false => take(request, state, line.contains("traces"), part),
            };
            match taken {
                Some(rejected) if rejected > 0 || *trouble == Trouble::Warns => {
                    let error_message = if rejected > 0 { "one is too old" } else { "the dataset is nearly full" };
                    good(partial_success(request, rejected, error_message))
                }
                Some(_) => good(if request.is_json() { b"{}".to_vec() } else { Vec::new() }),
                None => refusal(request, 400, "", "the body cannot be read"),
            }
        }
        _ => ("404 Not Found".to_owned(), "application/json", b"{\"error\":\"not found\"}".to_vec()),
    }
}

fn partial_success(request: &Request, rejected: i64, error_message: &str) -> Vec<u8> {
    let (line, error_message) = (&request.lines[0], error_message.to_owned());
    let (json, protobuf) = if line.contains("metrics") {
        let partial = ExportMetricsPartialSuccess { rejected_data_points: rejected, error_message };
        let response = ExportMetricsServiceResponse { partial_success: Some(partial) };
        (serde_json::to_vec(&response), response.encode_to_vec())
    } else if line.contains("logs") {
        let partial = ExportLogsPartialSuccess { rejected_log_records: rejected, error_message };
        let response = ExportLogsServiceResponse { partial_success: Some(partial) };
        (serde_json::to_vec(&response), response.encode_to_vec())
    } else {
        let partial = ExportTracePartialSuccess { rejected_spans: rejected, error_message };
        let response = ExportTraceServiceResponse { partial_success: Some(partial) };
        (serde_json::to_vec(&response), response.encode_to_vec())
    };
    if request.is_json() { json.unwrap() } else { protobuf }
}

/// Keeps metrics, and returns how many of their points were rejected.
fn take_metrics(request: &Request, state: &CollectorState, part: bool) -> Option<i64> {
    let body = request.unpacked()?;
    let message: ExportMetricsServiceRequest =
        if request.is_json() { serde_json::from_slice(&body).ok()? } else { Message::decode(body.as_slice()).ok()? };
    state.metrics.lock().unwrap().push((message, body));
    Some(i64::from(part))
}

/// Keeps a body's contents, and returns how many of its spans or log records were rejected.
fn take(request: &Request, state: &CollectorState, traces: bool, part: bool) -> Option<i64> {
    let body = request.unpacked()?;
    if !traces {
        let message: ExportLogsServiceRequest = if request.is_json() {
            serde_json::from_slice(&body).ok()?
        } else {
            Message::decode(body.as_slice()).ok()?
        };
        let scopes = message.resource_logs.into_iter().flat_map(|resource| resource.scope_logs);
        let records: Vec<LogRecord> = scopes.flat_map(|scope| scope.log_records).collect();
        let rejected = usize::from(part).min(records.len());
        state.logs.lock().unwrap().extend(records.into_iter().skip(rejected));
        state.log_bodies.lock().unwrap().push(body);
        return i64::try_from(rejected).ok();
    }
    let message: ExportTraceServiceRequest =
        if request.is_json() { serde_json::from_slice(&body).ok()? } else { Message::decode(body.as_slice()).ok()? };
    let scopes = message.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
    let spans: Vec<Span> = scopes.flat_map(|scope| scope.spans).collect();
    let rejected = usize::from(part).min(spans.len());
    state.spans.lock().unwrap().extend(spans.into_iter().skip(rejected));
    state.bodies.lock().unwrap().push(body);
    i64::try_from(rejected).ok()
}

fn key_problem(request: &Request, own: &str) -> Option<&'static str> {
    let key = request.header("x-honeycomb-team");
    let of_kind = |kind: &str| key.len() > 6 && key.starts_with("hc") && key.get(3..6) == Some(kind);
    let classic = key.len() == 32 && key.bytes().all(|byte| byte.is_ascii_hexdigit() && !byte.is_ascii_uppercase());
    if own.is_empty() {
        // A collector requires no key.
        None
    } else if key.is_empty() {
        Some("missing 'x-honeycomb-team' header")
    } else if of_kind("mk_") || of_kind("lk_") || key != own {
        Some("unknown API key - check your credentials")
    } else if (classic || of_kind("ic_"))
        && request.header("x-honeycomb-dataset").is_empty()
        && !request.lines[0].contains("/1/auth")
    {
        Some("missing 'x-honeycomb-dataset' header")
    } else {
        None
    }
}

/// `google.rpc.Status` in the request's encoding: its second field is the message.
fn refusal(request: &Request, status: u16, headers: &str, message: &str) -> CollectorReply {
    let line = format!("{status} Refused{headers}");
    if request.is_json() {
        return (line, "application/json", json!({"code": 16, "message": message}).to_string().into());
    }
    let length = u8::try_from(message.len()).unwrap();
    (line, "application/x-protobuf", [&[0x12, length], message.as_bytes()].concat())
}
