//! Sends OTLP/HTTP to the viewer, as protobuf: requests of 511 spans, 73 traces of seven, as a service with a database makes them. The bodies are encoded once;
//! each request gets its own trace ids and times, so that the sender costs little.

use std::io::{Error, Read, Result, Write};
use std::net::TcpStream;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue, any_value::Value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

const TRACES: u64 = 73;
const SPANS: u64 = 7;
/// The first half of each trace id, and of each time, before it is replaced.
const TRACE: [u8; 8] = [0xee; 8];
const TIME: u32 = 0x7ead_beef;

static NEXT: AtomicU64 = AtomicU64::new(1);

/// Sends for some seconds on several connections, and prints the rate. Every request must be answered with success.
pub(crate) fn send(address: &str, connections: usize, seconds: u64) -> Result<()> {
    NEXT.store(u64::try_from(now().as_nanos()).unwrap_or(1), Relaxed);
    let started = Instant::now();
    let end = started + Duration::from_secs(seconds);
    let sent: u64 = std::thread::scope(|scope| {
        let threads: Vec<_> = (0..connections).map(|_| scope.spawn(move || connection(address, end))).collect();
        threads.into_iter().map(|thread| thread.join().expect("a connection panicked")).sum::<Result<u64>>()
    })?;
    let spans = sent * TRACES * SPANS;
    let rate = spans as f64 / started.elapsed().as_secs_f64();
    println!("spans={spans} rate={rate:.0} bytes_per_span={}", Template::new().body.len() as u64 / (TRACES * SPANS));
    Ok(())
}

fn connection(address: &str, end: Instant) -> Result<u64> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let mut template = Template::new();
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: {address}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        template.body.len()
    );
    let (mut sent, mut answer) = (0, [0; 4096]);
    while Instant::now() < end {
        template.renew();
        stream.write_all(head.as_bytes())?;
        stream.write_all(&template.body)?;
        // An answer without losses has no body, and comes in one piece.
        let length = stream.read(&mut answer)?;
        if !answer[..length].starts_with(b"HTTP/1.1 200 ") {
            return Err(Error::other(String::from_utf8_lossy(&answer[..length]).into_owned()));
        }
        sent += 1;
    }
    Ok(sent)
}

/// An encoded request, and where its trace ids and times are.
pub(crate) struct Template {
    pub(crate) body: Vec<u8>,
    traces: Vec<usize>,
    times: Vec<(usize, u32)>,
}

impl Template {
    pub(crate) fn new() -> Self {
        let body = request().encode_to_vec();
        let traces = (0..body.len() - 8).filter(|at| body[*at..].starts_with(&TRACE)).collect();
        let times = (0..body.len() - 8).filter(|at| body[at + 4..].starts_with(&TIME.to_le_bytes()));
        let offset = |at: usize| u32::from_le_bytes(body[at..at + 4].try_into().expect("four bytes"));
        let times = times.map(|at| (at, offset(at))).collect();
        Self { traces, times, body }
    }

    /// Other traces, which start now.
    pub(crate) fn renew(&mut self) {
        let request = NEXT.fetch_add(1, Relaxed);
        for at in &self.traces {
            let trace = u64::from_be_bytes(self.body[at + 8..at + 16].try_into().expect("eight bytes"));
            // As random as an SDK's ids, and the same for the spans of a trace.
            let id = (request.wrapping_mul(TRACES) + trace).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            self.body[*at..at + 8].copy_from_slice(&(id ^ (id >> 29)).to_be_bytes());
        }
        let now = u64::try_from(now().as_nanos()).unwrap_or(0);
        for (at, offset) in &self.times {
            self.body[*at..at + 8].copy_from_slice(&(now + u64::from(*offset)).to_le_bytes());
        }
    }
}

fn now() -> Duration {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

fn request() -> ExportTraceServiceRequest {
    let resource = attributes(&[
        ("service.name", "backend"),
        ("service.version", "0.1.0"),
        ("deployment.environment.name", "development"),
        ("host.name", "cruddur-7d9c5b4f6d-x2x9k"),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", "opentelemetry"),
        ("telemetry.sdk.version", "0.33.1"),
    ]);
    let scope = InstrumentationScope { name: "backend".to_owned(), version: "0.1.0".to_owned(), ..Default::default() };
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource { attributes: resource, ..Default::default() }),
            scope_spans: vec![ScopeSpans {
                scope: Some(scope),
                spans: (0..TRACES).flat_map(trace).collect(),
                ..Default::default()
            }],
            ..Default::default()
        }],
    }
}

/// A request, a function that it calls, and five statements. One trace of each request has failed.
fn trace(number: u64) -> Vec<Span> {
    let mut spans = vec![
        span(
            number,
            1,
            0,
            "GET /api/activities/{uuid}",
            2,
            &[
                ("http.request.method", "GET"),
                ("http.route", "/api/activities/{uuid}"),
                ("url.path", "/api/activities/68f126b0-1ceb-4a33-88be-d90fa7109eee"),
                ("url.scheme", "http"),
                ("server.address", "localhost"),
                ("client.address", "127.0.0.1"),
                ("network.protocol.version", "1.1"),
                ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
                ("user.id", "andrewbrown"),
            ],
        ),
        span(
            number,
            2,
            1,
            "activities.show",
            1,
            &[
                ("code.function.name", "backend::http::activities::show"),
                ("app.now", "2026-11-20T10:00:00.000000Z"),
                ("app.result.length", "3"),
            ],
        ),
    ];
    for statement in 3..=SPANS {
        spans.push(span(number, statement, 2, "SELECT activities", 3, &[
            ("db.system.name", "sqlite"),
            ("db.operation.name", "SELECT"),
            ("db.collection.name", "activities"),
            ("db.query.text", "SELECT uuid, handle, message, created_at, expires_at FROM activities WHERE uuid = ? AND expires_at > ?"),
            ("db.response.returned_rows", "1"),
        ]));
    }
    if number == 7 {
        spans[0].status = Some(Status { code: 2, message: "the database is locked".to_owned() });
        spans[1].events = vec![Event {
            time_unix_nano: time(3_000_000),
            name: "exception".to_owned(),
            attributes: attributes(&[("exception.type", "sqlx::Error"), ("exception.message", "database is locked")]),
            ..Default::default()
        }];
    }
    spans
}

fn span(trace: u64, id: u64, parent: u64, name: &str, kind: i32, own: &[(&str, &str)]) -> Span {
    let start = u32::try_from(trace * 100_000 + id * 300_000).expect("a small number");
    Span {
        trace_id: [TRACE, trace.to_be_bytes()].concat(),
        span_id: (trace << 8 | id).to_be_bytes().to_vec(),
        parent_span_id: if parent == 0 { Vec::new() } else { (trace << 8 | parent).to_be_bytes().to_vec() },
        name: name.to_owned(),
        kind,
        start_time_unix_nano: time(start),
        end_time_unix_nano: time(start + 5_000_000 / u32::try_from(id).expect("a small number")),
        attributes: attributes(own),
        ..Default::default()
    }
}

fn time(offset: u32) -> u64 {
    u64::from(TIME) << 32 | u64::from(offset)
}

fn attributes(pairs: &[(&str, &str)]) -> Vec<KeyValue> {
    let value = |text: &str| Some(AnyValue { value: Some(Value::StringValue(text.to_owned())) });
    pairs
        .iter()
        .map(|(key, text)| KeyValue { key: (*key).to_owned(), value: value(text), ..Default::default() })
        .collect()
}
