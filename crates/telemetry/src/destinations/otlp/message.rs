//! Writes the message of an export in either of OTLP's encodings, compressed if the endpoint requires it. Its buffers are
//! reused.

#[cfg(test)]
mod tests;

use std::io;

use flate2::{Compress, Compression, FlushCompress, Status};
use opentelemetry_semantic_conventions::SCHEMA_URL;
use otlp::wire::{bytes, field_len, head};

use super::endpoint::{Endpoint, Protocol, Signal};
use super::json;
use crate::pipeline::Record;

/// The size of gzip's window, the largest: 32 KiB.
const WINDOW: u8 = 15;

/// Writes the messages of one signal to one endpoint.
pub(crate) struct MessageWriter {
    signal: Signal,
    protocol: Protocol,
    /// The resource, encoded as field 1 of `ResourceSpans` and `ResourceLogs`.
    resource: Vec<u8>,
    /// The scope, encoded as field 1 of `ScopeSpans` and `ScopeLogs`.
    scope: Vec<u8>,
    /// The version of the conventions that our spans follow, encoded as field 3 of both.
    schema: Vec<u8>,
    /// The compressor, if the endpoint requires compression.
    gzip: Option<Compress>,
    /// The last message, and the same compressed.
    message: Vec<u8>,
    packed: Vec<u8>,
}

impl MessageWriter {
    /// A writer for `signal` of the process that `resource`, an encoded message, describes.
    pub(crate) fn new(endpoint: &Endpoint, signal: Signal, resource: &[u8]) -> Self {
        let mut scope = Vec::new();
        bytes(&mut scope, 1, env!("CARGO_PKG_NAME").as_bytes());
        bytes(&mut scope, 2, env!("CARGO_PKG_VERSION").as_bytes());
        let mut schema = Vec::new();
        bytes(&mut schema, 3, SCHEMA_URL.as_bytes());
        Self {
            signal,
            protocol: endpoint.protocol,
            resource: as_field(resource),
            scope: as_field(&scope),
            schema,
            gzip: endpoint.gzip.then(|| Compress::new_gzip(Compression::fast(), WINDOW)),
            message: Vec::new(),
            packed: Vec::new(),
        }
    }

    /// The last message, as it is sent.
    pub(super) fn body(&self) -> &[u8] {
        if self.gzip.is_some() { &self.packed } else { &self.message }
    }

    /// Writes the message of an export, compressed if the endpoint requires it. The records of each maker, and of each library
    /// of this process, are in one scope within one resource.
    pub(crate) fn write(&mut self, batch: &[Record]) -> io::Result<&[u8]> {
        self.message.clear();
        if self.signal == Signal::Metrics {
            // Whole messages, which are one if they follow each other.
            batch.iter().for_each(|record| self.message.extend_from_slice(record));
            return self.pack();
        }
        let (message, scope) = (&mut self.message, &self.scope);
        let makers = Record::makers(batch);
        let libraries = Record::libraries(batch);
        let is_own = |record: &&Record| record.is_within(None);
        if (makers.is_empty() && libraries.is_empty()) || batch.iter().any(|record| is_own(&record)) {
            part(message, &self.resource, scope, &self.schema, batch.iter().filter(is_own));
        }
        for library in &libraries {
            let mut schema = Vec::new();
            if !library.schema().is_empty() {
                bytes(&mut schema, 3, library.schema().as_bytes());
            }
            let of_library = batch.iter().filter(|record| record.is_within(Some(library)));
            part(message, &self.resource, &as_field(library.encoding()), &schema, of_library);
        }
        for maker in &makers {
            let of_maker = batch.iter().filter(|record| record.is_of(Some(maker)));
            // Another maker may follow other conventions.
            part(message, &as_field(maker.encoding()), scope, &[], of_maker);
        }
        self.pack()
    }

    /// Packs the message as the endpoint wants it.
    fn pack(&mut self) -> io::Result<&[u8]> {
        if self.protocol == Protocol::Json {
            self.message = json::of(self.signal, &self.message);
        }
        let Some(gzip) = &mut self.gzip else { return Ok(&self.message) };
        gzip.reset();
        self.packed.clear();
        // Incompressible data grows by five bytes per 16 KiB, and by gzip's header and trailer.
        self.packed.reserve(self.message.len() + self.message.len() / 1_000 + 64);
        match gzip.compress_vec(&self.message, &mut self.packed, FlushCompress::Finish)? {
            Status::StreamEnd => Ok(&self.packed),
            Status::Ok | Status::BufError => Err(io::Error::other("gzip did not finish the message")),
        }
    }
}

/// Appends `records` within one scope within one resource, both with the same `schema`.
fn part<'a>(
    message: &mut Vec<u8>,
    resource: &[u8],
    scope: &[u8],
    schema: &[u8],
    records: impl Iterator<Item = &'a Record> + Clone,
) {
    let records_length: usize = records.clone().map(|record| field_len(record.len())).sum();
    let length = scope.len() + records_length + schema.len();
    head(message, 1, resource.len() + field_len(length) + schema.len());
    message.extend_from_slice(resource);
    head(message, 2, length);
    message.extend_from_slice(scope);
    for record in records {
        bytes(message, 2, record);
    }
    message.extend_from_slice(schema);
    message.extend_from_slice(schema);
}

/// `payload` as field 1, which is the field of a resource and of a scope in the message around them.
fn as_field(payload: &[u8]) -> Vec<u8> {
    let mut field = Vec::new();
    bytes(&mut field, 1, payload);
    field
}
