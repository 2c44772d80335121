//! Measures searches over 10,000 traces of seven spans while 10,000 spans a second arrive, and how many spans a second arrive if nothing limits them.
//!
//! Run it with `cargo bench -p trace-viewer --bench search`, or with `-- ingest` for the second alone; with `taskset -c 0` in front, on one core. The client is a
//! part of this process: its share is in the figures.

use std::io::{self, Read, Write, stdout};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue, any_value};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::SpanKind;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;
use settings::Settings;
use trace_viewer::{Config, Server};

type Failure = Box<dyn std::error::Error + Send + Sync>;

const TRACES: u64 = 10_000;
const SPANS: u64 = 7;
/// The traces of a request.
const BATCH: u64 = 73;
/// The spans that arrive in a second during searches.
const RATE: u64 = 10_000;
const REQUESTS: usize = 100;
/// The memory that holds about [`TRACES`].
const MEMORY: &str = "50MiB";

const SEARCHES: [&str; 16] = [
    "traces?q=service=backend",
    "traces?q=sort:dur",
    "traces?q=dur%3E90ms%20sort:dur",
    "traces?q=user.id=user-4321",
    "traces?q=user.id=nobody",
    "traces?q=nowhere",
    "traces?q=4321",
    "traces?q=http.status%3E=500",
    "traces?q=http.status=404%20service=backend",
    "traces?q=db.query.text:%22from%20likes%22",
    "traces?q=db.query.text:%22from%20activities%22%20sort:spans",
    "traces?q=-service=backend",
    "traces?q=service(%22backend%22)%20AND%20responsetime%20%3E%200.09",
    "suggest?q=http.",
    "routes",
    "map",
];

fn main() -> Result<(), Failure> {
    let is_ingest = std::env::args().any(|argument| argument == "ingest");
    let address = start(if is_ingest { "256MiB" } else { MEMORY })?;
    if !is_ingest {
        search(address)?;
    }
    ingest(address)
}

fn search(address: SocketAddr) -> Result<(), Failure> {
    for first in (0..TRACES).step_by(usize::try_from(BATCH)?) {
        post(address, &batch(first, BATCH.min(TRACES - first)))?;
    }
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let writer = scope.spawn(|| write(address, &done));
        // The background needs a moment for the first 70,000 spans, as it would have had while they arrived.
        thread::sleep(Duration::from_secs(6));
        let measured = SEARCHES.iter().try_for_each(|path| measure(address, path));
        done.store(true, Relaxed);
        writer.join().map_err(|_| "the writer failed")??;
        writeln!(stdout(), "{}", get(address, "status")?.1)?;
        measured
    })
}

/// Sends spans at [`RATE`] until all is measured.
fn write(address: SocketAddr, done: &AtomicBool) -> Result<(), Failure> {
    let start = Instant::now();
    let mut sent = 0;
    while !done.load(Relaxed) {
        post(address, &batch(TRACES + sent, BATCH))?;
        sent += BATCH;
        let due = Duration::from_micros(sent * SPANS * 1_000_000 / RATE);
        thread::sleep(due.saturating_sub(start.elapsed()));
    }
    let rate = u128::from(sent * SPANS) * 1_000 / start.elapsed().as_millis();
    writeln!(stdout(), "meanwhile {rate} spans a second arrived")?;
    Ok(())
}

fn measure(address: SocketAddr, path: &str) -> Result<(), Failure> {
    let mut times = Vec::new();
    let mut last = (String::new(), String::new());
    for _ in 0..REQUESTS {
        let start = Instant::now();
        last = get(address, path)?;
        times.push(start.elapsed());
        // Other moments of the writer.
        thread::sleep(Duration::from_millis(7));
    }
    times.sort_unstable();
    let ms = |percentage: usize| {
        let time = times.get(times.len() * percentage / 100).copied().unwrap_or_default();
        format!("{:.1}", time.as_secs_f64() * 1_000.0)
    };
    let headers: Vec<&str> = last.0.lines().filter(|line| line.starts_with("search-")).collect();
    writeln!(stdout(), "p50 {:>6} ms  p95 {:>6} ms  {path}  {}", ms(50), ms(95), headers.join(", "))?;
    Ok(())
}

/// Sends spans as fast as they are accepted.
fn ingest(address: SocketAddr) -> Result<(), Failure> {
    for round in 1..=5_u64 {
        let bodies: Vec<Vec<u8>> = (0..400).map(|body| batch(round * 1_000_000 + body * BATCH, BATCH)).collect();
        let start = Instant::now();
        let mut stream = TcpStream::connect(address)?;
        for body in &bodies {
            send(&mut stream, body, "keep-alive")?;
            read_head(&mut stream)?;
        }
        let spans = 400 * BATCH * SPANS;
        let rate = u128::from(spans) * 1_000_000 / start.elapsed().as_micros();
        writeln!(stdout(), "ingest: {rate} spans a second")?;
    }
    Ok(())
}

fn start(memory: &str) -> Result<SocketAddr, Failure> {
    let mut settings = Settings::from_pairs(&[
        ("CRUDDUR_VIEWER_LISTEN", "127.0.0.1:0"),
        ("CRUDDUR_XRAY_LISTEN", "127.0.0.1:0"),
        ("CRUDDUR_VIEWER_MEMORY", memory),
    ]);
    let config = Config::read(&mut settings);
    let (sender, receiver) = std::sync::mpsc::sync_channel(1);
    thread::spawn(move || -> Result<(), Failure> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
        runtime.block_on(async {
            let server = Server::bind(&config).await?;
            sender.send(server.addr())?;
            Ok(server.run_until(std::future::pending()).await?)
        })
    });
    Ok(receiver.recv()?)
}

fn send(stream: &mut TcpStream, body: &[u8], connection: &str) -> io::Result<()> {
    let head = format!(
        "POST /v1/traces HTTP/1.1\r\nhost: localhost\r\nconnection: {connection}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {}\r\n\r\n",
        body.len()
    );
    stream.write_all(head.as_bytes())?;
    stream.write_all(body)
}

/// Reads the head of a response without a body that matters.
fn read_head(stream: &mut TcpStream) -> Result<(), Failure> {
    let (mut head, mut buffer) = (Vec::new(), [0; 1_024]);
    while !head.windows(4).any(|window| window == b"\r\n\r\n") {
        let length = stream.read(&mut buffer)?;
        head.extend_from_slice(buffer.get(..length).filter(|part| !part.is_empty()).ok_or("no response")?);
    }
    if head.starts_with(b"HTTP/1.1 200") { Ok(()) } else { Err(String::from_utf8_lossy(&head).into()) }
}

fn post(address: SocketAddr, body: &[u8]) -> Result<(), Failure> {
    let mut stream = TcpStream::connect(address)?;
    send(&mut stream, body, "close")?;
    read_head(&mut stream)
}

/// The head and the body of a response.
fn get(address: SocketAddr, path: &str) -> Result<(String, String), Failure> {
    let mut stream = TcpStream::connect(address)?;
    write!(stream, "GET /api/{path} HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n")?;
    let mut response = String::new();
    stream.read_to_string(&mut response)?;
    let (head, body) = response.split_once("\r\n\r\n").ok_or("no response")?;
    if head.starts_with("HTTP/1.1 200") { Ok((head.to_owned(), body.to_owned())) } else { Err(response.into()) }
}

/// The spans of `count` traces, as an exporter would send them.
fn batch(first: u64, count: u64) -> Vec<u8> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    let now = u64::try_from(now.as_nanos()).unwrap_or_default();
    let traces = || first..first + count;
    let proxy = traces().map(|trace| proxy_span(trace, now)).collect();
    let backend = traces().flat_map(|trace| backend_spans(trace, now)).collect();
    ExportTraceServiceRequest {
        resource_spans: vec![of_service("frontend-proxy", proxy), of_service("backend", backend)],
    }
    .encode_to_vec()
}

fn of_service(name: &str, spans: Vec<Span>) -> ResourceSpans {
    ResourceSpans {
        resource: Some(Resource { attributes: vec![text("service.name", name)], ..Resource::default() }),
        scope_spans: vec![ScopeSpans { spans, ..ScopeSpans::default() }],
        ..ResourceSpans::default()
    }
}

/// Some numbers that differ from trace to trace.
fn scrambled(trace: u64) -> u64 {
    trace.wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 20
}

fn span(trace: u64, id: u64, name: &str, kind: SpanKind, now: u64, attributes: Vec<KeyValue>) -> Span {
    let parent = if id == 1 { Vec::new() } else { (trace * SPANS + (id - 1).min(2)).to_be_bytes().to_vec() };
    let length = 1_000_000 + scrambled(trace) % 99_000_000;
    Span {
        trace_id: (u128::from(scrambled(trace)) << 64 | u128::from(trace + 1)).to_be_bytes().to_vec(),
        span_id: (trace * SPANS + id).to_be_bytes().to_vec(),
        parent_span_id: parent,
        name: name.to_owned(),
        kind: kind.into(),
        start_time_unix_nano: now + id * 1_000,
        end_time_unix_nano: now + length / id,
        attributes,
        status: Some(Status::default()),
        ..Span::default()
    }
}

const ROUTES: [&str; 6] = [
    "/api/activities/home",
    "/api/activities/{uuid}",
    "/api/users/{handle}",
    "/api/message_groups",
    "/api/trends",
    "/api/activities/search",
];

fn proxy_span(trace: u64, now: u64) -> Span {
    span(trace, 1, "GET /api/*", SpanKind::Server, now, http(trace))
}

fn http(trace: u64) -> Vec<KeyValue> {
    let chance = scrambled(trace);
    let status = if chance.is_multiple_of(997) {
        500
    } else if chance.is_multiple_of(101) {
        404
    } else {
        200
    };
    let route = ROUTES.get(usize::try_from(chance % 6).unwrap_or_default()).copied().unwrap_or_default();
    vec![
        text("http.request.method", "GET"),
        number("http.response.status_code", status),
        text("http.route", route),
        text("url.path", &format!("/api/activities/{chance:x}-4a8f-{trace}")),
        text("url.scheme", "http"),
        text("server.address", "localhost"),
        number("server.port", 4567),
        text("client.address", &format!("10.0.{}.{}", chance % 256, trace % 256)),
        text("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"),
        text("network.protocol.version", "1.1"),
        text("user.id", &format!("user-{}", trace % 20_000)),
    ]
}

fn backend_spans(trace: u64, now: u64) -> impl Iterator<Item = Span> {
    let statements = [
        "SELECT uuid, display_name, handle, message FROM activities WHERE expires_at > ? ORDER BY created_at DESC LIMIT 20",
        "SELECT count(*) FROM likes WHERE activity = ? AND person = ?",
        "SELECT handle, display_name FROM users WHERE uuid = ?",
        "SELECT uuid, message FROM activities WHERE reply_to = ? ORDER BY created_at",
    ];
    let server = span(trace, 2, "GET /api/activities", SpanKind::Server, now, http(trace));
    let queries = statements.into_iter().zip(3..).map(move |(statement, id)| {
        let attributes = vec![
            text("db.system.name", "sqlite"),
            text("db.query.text", statement),
            text("db.operation.name", "SELECT"),
            text("db.namespace", "cruddur"),
            number("db.response.returned_rows", i64::try_from(scrambled(trace) % 20).unwrap_or_default()),
            text("code.function.name", "backend::store::activities::list"),
        ];
        span(trace, id, "SELECT activities", SpanKind::Client, now, attributes)
    });
    let render = span(
        trace,
        7,
        "render",
        SpanKind::Internal,
        now,
        vec![number("app.result_length", 20), text("app.view", "home")],
    );
    [server].into_iter().chain(queries).chain([render])
}

fn text(key: &str, value: &str) -> KeyValue {
    attribute(key, any_value::Value::StringValue(value.to_owned()))
}

fn number(key: &str, value: i64) -> KeyValue {
    attribute(key, any_value::Value::IntValue(value))
}

fn attribute(key: &str, value: any_value::Value) -> KeyValue {
    KeyValue { key: key.to_owned(), value: Some(AnyValue { value: Some(value) }), ..KeyValue::default() }
}
