//! Measures the cost of a span: not sampled; sampled, ended and enqueued on three queues; encoded for each kind of destination;
//! and delivered to three destinations.
//!
//! Run it with `cargo bench -p cruddur-telemetry --bench spans`. The destinations are threads of this process, so the cost of a
//! delivered span includes that of its receivers. `create` runs while the exporters work, as in a service. The bench fails if a
//! span was dropped, because less work would then have been measured.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use criterion::{Criterion, SamplingMode, Throughput};
use http::{HeaderMap, HeaderValue};
use settings::Settings;
use telemetry::http::{ServerRequest, server_span};
use telemetry::measure::{Batch, Encoder};
use telemetry::propagation::{Trust, extract};
use telemetry::span::SpanExt;
use telemetry::{Config, Telemetry};
use tracing::Span;

/// The number of spans that are created before waiting until every queue is empty: a quarter of a queue's bound.
const BURST: u64 = 8_192;
/// How long to wait for a burst to be delivered.
const PATIENCE: Duration = Duration::from_secs(30);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let telemetry = install()?;
    let mut criterion = Criterion::default().configure_from_args();
    let mut group = criterion.benchmark_group("spans");
    for (name, flags) in [("create, not sampled", "00"), ("create, end and enqueue on three queues", "01")] {
        let root = root(flags)?;
        group.bench_function(name, |bencher| {
            bencher.iter_custom(|spans| root.in_scope(|| create(&telemetry, spans)));
        });
    }
    let (batch, unlike) = (Batch::alike(512), Batch::unlike(512));
    group.throughput(Throughput::Elements(512));
    for (name, gzip) in [("encode 512 as OTLP", false), ("encode 512 as OTLP with gzip", true)] {
        let mut encoder = Encoder::new(gzip);
        group.bench_function(name, |bencher| bencher.iter(|| encoder.encode(&batch)));
    }
    for (name, batch) in [
        ("write 512 similar spans as X-Ray documents", &batch),
        ("write 512 dissimilar spans as X-Ray documents", &unlike),
    ] {
        group.bench_function(name, |bencher| bencher.iter(|| batch.documents()));
    }
    let root = root("01")?;
    group.throughput(Throughput::Elements(BURST)).sampling_mode(SamplingMode::Flat).sample_size(50);
    group.bench_function("a burst, from its first span to its last delivery", |bencher| {
        bencher.iter(|| {
            root.in_scope(|| (0..BURST).for_each(|_| span()));
            settle(&telemetry);
        });
    });
    group.finish();
    drop(root);
    criterion.final_summary();
    let ledger = telemetry.shutdown();
    let whole = ledger.destinations.iter().all(|account| account.created == account.delivered);
    if whole && ledger.destinations.len() == 3 {
        Ok(())
    } else {
        Err("spans were dropped, so the figures are void".into())
    }
}

/// The span that is measured: three fields and two attributes.
fn span() {
    let span =
        tracing::info_span!("activities", otel.kind = "client", app.route = "/api/activities", app.cached = false);
    span.record_with(|span| {
        span.set("db.system.name", "sqlite");
        span.set("app.result_length", 3);
    });
}

/// The time that it takes to create `spans`, in bursts, without the time that the exporters need after each burst.
fn create(telemetry: &Telemetry, spans: u64) -> Duration {
    let (mut left, mut took) = (spans, Duration::ZERO);
    while left > 0 {
        let burst = left.min(BURST);
        let start = Instant::now();
        (0..burst).for_each(|_| span());
        took += start.elapsed();
        left -= burst;
        settle(telemetry);
    }
    took
}

/// Waits until every queue is empty.
fn settle(telemetry: &Telemetry) {
    let start = Instant::now();
    while telemetry.ledger().destinations.iter().any(|account| account.queued > 0) && start.elapsed() < PATIENCE {
        thread::sleep(Duration::from_micros(200));
    }
}

/// A request's span, sampled if its caller's flags say so.
fn root(flags: &'static str) -> Result<Span, Box<dyn std::error::Error>> {
    let traceparent = format!("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-{flags}");
    let headers = HeaderMap::from_iter([(
        http::header::HeaderName::from_static("traceparent"),
        HeaderValue::from_str(&traceparent)?,
    )]);
    let request = ServerRequest {
        method: "GET",
        route: None,
        path: "/",
        query: None,
        scheme: "http",
        host: None,
        peer: None,
        peer_port: None,
        client: None,
        user_agent: None,
        version: None,
    };
    Ok(server_span(&request, &extract(&headers, &Trust::ALWAYS, None)))
}

fn install() -> Result<Telemetry, Box<dyn std::error::Error>> {
    let [honeycomb, collector] = [collector()?, collector()?];
    let daemon = daemon()?;
    let mut settings = Settings::from_pairs(&[
        ("HONEYCOMB_API_KEY", "none"),
        ("HONEYCOMB_API_ENDPOINT", &honeycomb),
        ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector),
        ("AWS_XRAY_DAEMON_ADDRESS", &daemon),
        // The last spans of a burst must not wait for more.
        ("OTEL_BSP_SCHEDULE_DELAY", "1"),
    ]);
    let config = Config::read(&mut settings);
    Ok(settings.finish(config)?.install("bench")?)
}

/// Starts a collector that accepts every export, and returns its URL.
fn collector() -> io::Result<String> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("http://{}", listener.local_addr()?);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || respond(&stream));
        }
    });
    Ok(url)
}

/// Responds 200 to each request of a connection, until the connection ends.
fn respond(mut stream: &TcpStream) -> Option<()> {
    let mut reader = BufReader::new(stream);
    loop {
        let (mut length, mut line) = (0, String::new());
        while line != "\r\n" {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            if let Some(text) = line.to_ascii_lowercase().strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
        }
        io::copy(&mut reader.by_ref().take(length), &mut io::sink()).ok()?;
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").ok()?;
    }
}

/// Starts a daemon that receives every datagram, and returns its address.
fn daemon() -> io::Result<String> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?.to_string();
    thread::spawn(move || {
        let mut buffer = vec![0; 65_536];
        while socket.recv(&mut buffer).is_ok() {}
    });
    Ok(address)
}
