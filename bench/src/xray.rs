//! Makes traces of two spans, a served request and the call that it makes, as fast as one core can: through `telemetry`, and
//! through OpenTelemetry's SDK with `opentelemetry-aws` and its simple processor. Includes the sink, which counts the datagrams
//! that arrive and the segments and subsegments in them. All emitters record the same data for an exchange, except
//! `ours-unlike`: each of its requests has a different path. Text that spans share is written once, and there none is shared.

use std::error::Error;
use std::io::Read;
use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

use opentelemetry::trace::{Span, SpanKind, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, KeyValue};
use opentelemetry_aws::trace::XrayIdGenerator;
use opentelemetry_aws::xray_exporter::XrayExporter;
use opentelemetry_aws::xray_exporter::daemon_client::XrayDaemonClient;
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SdkTracerProvider;
use telemetry::http::{ServerRequest, Side, client_span, record_status, server_span};
use telemetry::propagation::Incoming;

const DAEMON: &str = "AWS_XRAY_DAEMON_ADDRESS";
const AGENT: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0";
const PATH: &str = "/api/activities/home";
/// The most spans that may wait: two of the largest batches. A queue holds eight times as many, so that none is dropped because it is full.
const WAITING: u64 = 4_096;
/// Traces between two checks of the queue.
const LOOK: u64 = 512;

static DATAGRAMS: AtomicU64 = AtomicU64::new(0);
static SPANS: AtomicU64 = AtomicU64::new(0);

/// Makes the traces, and prints how many spans were made and dropped, and the time until their last delivery.
pub(crate) fn run(emitter: &str, traces: u64) -> std::io::Result<()> {
    let emitted = match emitter {
        "ours" => ours(traces, |_| PATH.to_owned()),
        "ours-unlike" => ours(traces, |trace| format!("/api/activities/{trace}")),
        "opentelemetry-aws" => opentelemetry_aws(traces),
        _ => panic!("no emitter {emitter}"),
    };
    let (seconds, dropped) = emitted.map_err(|error| std::io::Error::other(error.to_string()))?;
    println!("made={} dropped={dropped} seconds={seconds} cpu={}", 2 * traces, cpu()?);
    Ok(())
}

/// Makes traces of requests, each for the path that `path` returns.
fn ours(traces: u64, path: impl Fn(u64) -> String) -> Result<(f64, u64), Box<dyn Error>> {
    let telemetry = telemetry::Config::from_env()?.install("bench")?;
    let waiting = || telemetry.ledger().destinations.iter().map(|account| account.queued).max().unwrap_or(0);
    let start = Instant::now();
    for trace in 0..traces {
        if trace.is_multiple_of(LOOK) {
            while waiting() > WAITING {
                sleep(Duration::from_micros(200));
            }
        }
        let path = path(trace);
        let request = ServerRequest {
            method: "GET",
            route: Some(PATH),
            path: &path,
            query: None,
            scheme: "http",
            host: Some("127.0.0.1:3000"),
            peer: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            peer_port: None,
            client: None,
            user_agent: Some(AGENT),
            version: Some("1.1"),
        };
        let server = server_span(&request, &Incoming::default());
        let client = client_span(&server, "GET", "http", "127.0.0.1:4567", &path);
        record_status(&client, Side::Client, 200);
        drop(client);
        record_status(&server, Side::Server, 200);
    }
    // Sends the remaining spans immediately; otherwise the last batch, which is not full, would wait half a second for others.
    let ledger = telemetry.shutdown();
    let seconds = start.elapsed().as_secs_f64();
    let dropped = ledger.destinations.iter().map(|account| account.created - account.delivered).sum();
    Ok((seconds, dropped))
}

#[expect(clippy::disallowed_methods, reason = "its exporter reads no variable, and the setting is not the product's")]
fn opentelemetry_aws(traces: u64) -> Result<(f64, u64), Box<dyn Error>> {
    let address = std::env::var(DAEMON)?.parse()?;
    let provider = SdkTracerProvider::builder()
        .with_id_generator(XrayIdGenerator::default())
        .with_resource(Resource::builder_empty().with_service_name("bench").build())
        .with_simple_exporter(XrayExporter::new(XrayDaemonClient::new(address)?))
        .build();
    let tracer = provider.tracer("bench");
    let start = Instant::now();
    for _ in 0..traces {
        let server = tracer
            .span_builder("GET /api/activities/home")
            .with_kind(SpanKind::Server)
            .with_attributes([
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("http.route", PATH),
                KeyValue::new("url.path", PATH),
                KeyValue::new("url.scheme", "http"),
                KeyValue::new("server.address", "127.0.0.1"),
                KeyValue::new("server.port", 3000),
                KeyValue::new("client.address", "127.0.0.1"),
                KeyValue::new("network.peer.address", "127.0.0.1"),
                KeyValue::new("user_agent.original", AGENT),
                KeyValue::new("network.protocol.version", "1.1"),
            ])
            .start_with_context(&tracer, &Context::new());
        let within = Context::new().with_span(server);
        let mut client = tracer
            .span_builder("GET")
            .with_kind(SpanKind::Client)
            .with_attributes([
                KeyValue::new("http.request.method", "GET"),
                KeyValue::new("url.full", "http://127.0.0.1:4567/api/activities/home"),
                KeyValue::new("server.address", "127.0.0.1"),
                KeyValue::new("server.port", 4567),
            ])
            .start_with_context(&tracer, &within);
        client.set_attribute(KeyValue::new("http.response.status_code", 200));
        client.end();
        within.span().set_attribute(KeyValue::new("http.response.status_code", 200));
        within.span().end();
    }
    let seconds = start.elapsed().as_secs_f64();
    provider.shutdown()?;
    // It does not count what it drops; the sink's count shows that.
    Ok((seconds, 0))
}

/// Seconds of CPU time that this process has used, by the kernel's ticks of 10 ms.
fn cpu() -> std::io::Result<f64> {
    let stat = std::fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
    let ticks: f64 = fields.split(' ').skip(11).take(2).filter_map(|field| field.parse::<f64>().ok()).sum();
    Ok(ticks / 100.0)
}

/// Prints its address, and counts what arrives there until its input ends. Its buffer has the kernel's default size, as the daemon's has.
pub(crate) fn sink() -> std::io::Result<()> {
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0))?;
    let address = socket.local_addr()?;
    spawn(move || {
        let mut buffer = [0; 65_536];
        while let Ok(length) = socket.recv(&mut buffer) {
            DATAGRAMS.fetch_add(1, Relaxed);
            SPANS.fetch_add(spans(&buffer[..length]), Relaxed);
        }
    });
    println!("ready {address}");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    println!("arrived={} datagrams={}", SPANS.load(Relaxed), DATAGRAMS.load(Relaxed));
    Ok(())
}

/// Each segment and subsegment has one start, and no other field of these documents has that name.
fn spans(datagram: &[u8]) -> u64 {
    str::from_utf8(datagram).map_or(0, |text| text.matches("\"start_time\"").count() as u64)
}
