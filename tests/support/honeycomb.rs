//! A fake of Honeycomb's OTLP endpoint, which cannot be had without an account and the internet. What it does of the real
//! one's contract: `POST /v1/traces` takes gzipped protobuf with a key in `x-honeycomb-team` and answers 200 with an empty
//! `ExportTraceServiceResponse`; without a key it answers 401 with a `Status` that says why; and it can be busy at first, which
//! is 503 with `Retry-After`. It does nothing else.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering::Relaxed;
use std::sync::{Arc, Mutex};
use std::thread;

use flate2::read::GzDecoder;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;

/// A running fake.
pub(crate) struct Honeycomb {
    pub(crate) url: String,
    taken: Arc<Mutex<Vec<Span>>>,
}

impl Honeycomb {
    /// Takes spans that come with `key`, and refuses all others.
    pub(crate) fn start(key: &'static str) -> Self {
        Self::busy(key, 0)
    }

    /// The same, after it has answered 503 this many times.
    pub(crate) fn busy(key: &'static str, times: usize) -> Self {
        let busy = Arc::new(AtomicUsize::new(times));
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let taken = Arc::new(Mutex::new(Vec::new()));
        let spans = Arc::clone(&taken);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (spans, busy) = (Arc::clone(&spans), Arc::clone(&busy));
                thread::spawn(move || serve(&stream, key, &spans, &busy));
            }
        });
        Self { url, taken }
    }

    /// The names of the spans taken so far that belong to this trace.
    pub(crate) fn spans(&self, trace_id: &str) -> Vec<String> {
        let taken = self.taken.lock().unwrap();
        let of_trace = |span: &&Span| span.trace_id == u128::from_str_radix(trace_id, 16).unwrap().to_be_bytes();
        taken.iter().filter(of_trace).map(|span| span.name.clone()).collect()
    }
}

fn serve(mut stream: &TcpStream, key: &str, spans: &Mutex<Vec<Span>>, busy: &AtomicUsize) {
    let mut reader = BufReader::new(stream);
    loop {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line).unwrap_or(0) == 0 {
                return;
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let header = |name: &str| {
            let of_name = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
            lines.iter().find(of_name).and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
        };
        let mut body = vec![0; header("content-length").parse().unwrap()];
        reader.read_exact(&mut body).unwrap();
        let (status, answer) = if lines[0] != "POST /v1/traces HTTP/1.1" {
            ("404 Not Found", Vec::new())
        } else if header("content-type") != "application/x-protobuf" || header("content-encoding") != "gzip" {
            ("415 Unsupported Media Type", Vec::new())
        } else if header("x-honeycomb-team") != key {
            // google.rpc.Status: field 2 is the message.
            let message = b"unknown API key - check your credentials";
            ("401 Unauthorized", [&[0x12, u8::try_from(message.len()).unwrap()], message.as_slice()].concat())
        } else if busy.fetch_update(Relaxed, Relaxed, |times| times.checked_sub(1)).is_ok() {
            ("503 Service Unavailable\r\nretry-after: 1", Vec::new())
        } else {
            let mut unpacked = Vec::new();
            GzDecoder::new(body.as_slice()).read_to_end(&mut unpacked).unwrap();
            let request = ExportTraceServiceRequest::decode(unpacked.as_slice()).unwrap();
            let scopes = request.resource_spans.into_iter().flat_map(|resource| resource.scope_spans);
            spans.lock().unwrap().extend(scopes.flat_map(|scope| scope.spans));
            ("200 OK", Vec::new())
        };
        let length = answer.len();
        write!(stream, "HTTP/1.1 {status}\r\ncontent-type: application/x-protobuf\r\ncontent-length: {length}\r\n\r\n")
            .and_then(|()| stream.write_all(&answer))
            .unwrap();
    }
}
