//! Takes OTLP/HTTP and X-Ray datagrams, and counts: exports and datagrams always, spans where it is asked to, because decoding
//! takes time of the load's core. Answers each export after a delay. At the end of its input it says what it has taken.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

static EXPORTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static SPANS: AtomicU64 = AtomicU64::new(0);
static DATAGRAMS: AtomicU64 = AtomicU64::new(0);

pub(crate) fn run(http: &str, udp: &str, delay: u64, decodes: bool) -> std::io::Result<()> {
    let socket = UdpSocket::bind(udp)?;
    spawn(move || {
        let mut buffer = [0; 65_536];
        while socket.recv(&mut buffer).is_ok() {
            DATAGRAMS.fetch_add(1, Relaxed);
        }
    });
    let listener = TcpListener::bind(http)?;
    spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            spawn(move || take(&stream, Duration::from_millis(delay), decodes));
        }
    });
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let of = |count: &AtomicU64| count.load(Relaxed);
    println!("exports={} bytes={} spans={} datagrams={}", of(&EXPORTS), of(&BYTES), of(&SPANS), of(&DATAGRAMS));
    Ok(())
}

fn take(mut stream: &TcpStream, delay: Duration, decodes: bool) -> Option<()> {
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    loop {
        let (mut length, mut zipped) = (0, false);
        loop {
            line.clear();
            if reader.read_line(&mut line).ok()? == 0 {
                return None;
            }
            let header = line.trim().to_ascii_lowercase();
            if header.is_empty() {
                break;
            }
            if let Some(text) = header.strip_prefix("content-length:") {
                length = text.trim().parse().ok()?;
            }
            zipped |= header == "content-encoding: gzip";
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        EXPORTS.fetch_add(1, Relaxed);
        BYTES.fetch_add(length as u64, Relaxed);
        sleep(delay);
        if decodes {
            SPANS.fetch_add(count(&body, zipped)?, Relaxed);
        }
        stream
            .write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\n\r\n")
            .ok()?;
    }
}

fn count(body: &[u8], zipped: bool) -> Option<u64> {
    let mut unpacked = Vec::new();
    let message = if zipped {
        GzDecoder::new(body).read_to_end(&mut unpacked).ok()?;
        unpacked.as_slice()
    } else {
        body
    };
    let request = ExportTraceServiceRequest::decode(message).ok()?;
    let scopes = request.resource_spans.iter().flat_map(|resource| &resource.scope_spans);
    Some(scopes.map(|scope| scope.spans.len() as u64).sum())
}
