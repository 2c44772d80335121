//! Receives OTLP over HTTP and gRPC at one address, and X-Ray datagrams, and counts them. It always counts exports and datagrams, but
//! spans only on request, because decoding takes CPU time from the load's core. It responds to each export after a delay, or acts as
//! a faulty collector. When its input ends, it prints the counts.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream, UdpSocket};
use std::str::FromStr;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::thread::{sleep, spawn};
use std::time::Duration;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;

use crate::grpc;

static EXPORTS: AtomicU64 = AtomicU64::new(0);
static BYTES: AtomicU64 = AtomicU64::new(0);
static SPANS: AtomicU64 = AtomicU64::new(0);
static DATAGRAMS: AtomicU64 = AtomicU64::new(0);

/// How the sink treats an export.
#[derive(Clone, Copy)]
pub(crate) enum Behaviour {
    /// Responds 200 after this delay.
    After(Duration),
    /// Refuses connections.
    Refuses,
    /// Resets the connection before it reads the export.
    Resets,
    /// Sends the response slowly, byte by byte.
    Drips,
    /// Rejects one span of the export.
    Partial,
    /// Responds with another status.
    Status(&'static str),
}

impl FromStr for Behaviour {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        Ok(match text {
            "refuses" => Self::Refuses,
            "resets" => Self::Resets,
            "drips" => Self::Drips,
            "partial" => Self::Partial,
            "307" => Self::Status("307 Temporary Redirect\r\nlocation: http://127.0.0.1:9/"),
            "401" => Self::Status("401 Unauthorized"),
            "429" => Self::Status("429 Too Many Requests\r\nretry-after: 1"),
            "503" => Self::Status("503 Service Unavailable"),
            _ => Self::After(Duration::from_millis(text.parse().map_err(|_| format!("no behaviour {text}"))?)),
        })
    }
}

pub(crate) fn run(http: &str, udp: &str, behaviour: Behaviour, decodes: bool) -> std::io::Result<()> {
    let socket = UdpSocket::bind(udp)?;
    spawn(move || {
        let mut buffer = [0; 65_536];
        while socket.recv(&mut buffer).is_ok() {
            DATAGRAMS.fetch_add(1, Relaxed);
        }
    });
    if !matches!(behaviour, Behaviour::Refuses) {
        let listener = TcpListener::bind(http)?;
        spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                spawn(move || {
                    let receive = move |body: &[u8], zipped| receive(body, zipped, behaviour, decodes);
                    if grpc::speaks(&stream) {
                        grpc::serve(stream, receive).ok()
                    } else {
                        take(&stream, behaviour, receive)
                    }
                });
            }
        });
    }
    println!("ready");
    std::io::stdin().read_to_end(&mut Vec::new())?;
    let of = |count: &AtomicU64| count.load(Relaxed);
    println!("exports={} bytes={} spans={} datagrams={}", of(&EXPORTS), of(&BYTES), of(&SPANS), of(&DATAGRAMS));
    Ok(())
}

fn take(mut stream: &TcpStream, behaviour: Behaviour, receive: impl Fn(&[u8], bool) -> Option<()>) -> Option<()> {
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
        if let Behaviour::Resets = behaviour {
            // Unread data turns the close into a reset.
            return None;
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        receive(&body, zipped)?;
        // An `ExportTraceServiceResponse` whose partial success has one rejected span.
        let (status, body) = match behaviour {
            Behaviour::Status(status) => (status, [].as_slice()),
            Behaviour::Partial => ("200 OK", [0x0a, 2, 8, 1].as_slice()),
            _ => ("200 OK", [].as_slice()),
        };
        let length = body.len();
        let head =
            format!("HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n");
        let message = [head.as_bytes(), body].concat();
        if let Behaviour::Drips = behaviour {
            for byte in &message {
                sleep(Duration::from_millis(100));
                stream.write_all(std::slice::from_ref(byte)).ok()?;
            }
        } else {
            stream.write_all(&message).ok()?;
        }
    }
}

/// Counts an export, and returns when the response is due. `None` if it is to be decoded and cannot be.
fn receive(body: &[u8], zipped: bool, behaviour: Behaviour, decodes: bool) -> Option<()> {
    EXPORTS.fetch_add(1, Relaxed);
    BYTES.fetch_add(body.len() as u64, Relaxed);
    if let Behaviour::After(delay) = behaviour {
        sleep(delay);
    }
    if decodes {
        SPANS.fetch_add(count(body, zipped)?, Relaxed);
    }
    Some(())
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
