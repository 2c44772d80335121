//! For this crate's bench, which otherwise uses only the public interface: the cost of a batch between its queue and the wire.
//! Not part of the crate's interface; it may change at any time.

use opentelemetry::trace::TraceFlags;

use crate::address::Url;
use crate::clock;
use crate::context::SpanIds;
use crate::destinations::otlp::endpoint::{Endpoint, Protocol, Signal};
use crate::destinations::otlp::message::MessageWriter;
use crate::destinations::xray::exporter::documents;
use crate::limits::Limits;
use crate::pipeline::Record;
use crate::span::{Recording, SpanKind, id};

/// Ended spans as they wait in a queue.
pub struct Batch(Vec<Record>);

/// Writes an exporter's messages.
pub struct Encoder(MessageWriter);

impl Batch {
    /// This many SERVER spans of nine attributes, which differ only in their ids and times.
    pub fn alike(count: usize) -> Self {
        Self((0..count).map(|_| span("/api/activities/home")).collect())
    }

    /// This many SERVER spans of requests, each for a different path.
    pub fn unlike(count: usize) -> Self {
        Self((0..count).map(|number| span(&format!("/api/activities/{number}"))).collect())
    }

    /// Writes X-Ray's documents of the spans, and returns their number and their bytes.
    pub fn documents(&self) -> (usize, usize) {
        documents(&self.0)
    }
}

impl Encoder {
    /// OTLP in protobuf, compressed or not.
    pub fn new(gzip: bool) -> Self {
        let url = Url::of("http://127.0.0.1:4318/v1/traces");
        let endpoint = Endpoint::plain(url, gzip, Protocol::Protobuf);
        Self(MessageWriter::new(&endpoint, Signal::Traces, &[]))
    }

    /// Writes the request's body and returns its length in bytes; 0 if it cannot be written.
    pub fn encode(&mut self, batch: &Batch) -> usize {
        self.0.write(&batch.0).map_or(0, <[u8]>::len)
    }
}

fn span(path: &str) -> Record {
    let now = clock::now();
    let ids = SpanIds::local(id::trace(now), id::span(), TraceFlags::SAMPLED);
    let mut span = Recording::start("HTTP", ids, None, None, now, Limits::default());
    span.kind(SpanKind::Server);
    span.name("GET /api/activities/home");
    for (key, text) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/activities/home"),
        ("url.path", path),
        ("url.scheme", "http"),
        ("server.address", "127.0.0.1"),
        ("client.address", "127.0.0.1"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0"),
    ] {
        span.set(key, text);
    }
    span.set("server.port", 4567);
    span.set("http.response.status_code", 200);
    span.finish(now)
}
