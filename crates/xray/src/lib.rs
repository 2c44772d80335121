//! Wire formats of AWS X-Ray.
//!
//! [`TraceId`] and [`SegmentId`] are the ids in their two spellings, [`TraceHeader`] is `X-Amzn-Trace-Id`, [`Document`] is
//! a segment or subsegment as JSON, [`datagram`] is how a document travels to the daemon, and [`Rules`] say which requests are
//! recorded. Every parser is total: bytes from the network give a value or an [`Error`], never a panic. Does no I/O and knows no
//! OpenTelemetry.
//!
//! Source: the [AWS X-Ray developer guide](https://docs.aws.amazon.com/xray/latest/devguide/xray-api-segmentdocuments.html).

#![warn(clippy::indexing_slicing, missing_docs)]

pub mod datagram;
mod document;
mod header;
mod id;
pub mod lenient;
pub mod rules;

pub use document::{Cause, Document, Exception, Http, HttpRequest, HttpResponse, Kind, Service, Sql, name};
pub use header::{Sampled, TraceHeader};
pub use id::{SegmentId, TraceId};
pub use rules::{Request, Rule, Rules};

/// Why bytes are not what they should be.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An id is not of its form.
    #[error("{0:?} is not a trace id (1-<8 hex>-<24 hex>) or segment id (16 hex)")]
    Id(String),
    /// A trace header has no `Root` that can be read, or says something twice.
    #[error("the trace header has not one valid Root=1-<8 hex>-<24 hex>, or has Parent or Sampled twice")]
    Header,
    /// A datagram does not begin with the daemon's header line.
    #[error("the datagram does not begin with {{\"format\":\"json\",\"version\":1}} and a newline")]
    Framing,
    /// A document is not JSON of the expected shape.
    #[error("the document is not a segment: {0}")]
    Json(#[from] serde_json::Error),
    /// A document misses what every one must have.
    #[error("the document has no {0}")]
    Missing(&'static str),
    /// A file of sampling rules is none.
    #[error("the sampling rules {0}")]
    Rules(String),
    /// A sampling rule is wrong.
    #[error("sampling rule {rule}: {problem}")]
    Rule {
        /// Its name, or its place in the file.
        rule: String,
        /// What is wrong, with the mend.
        problem: String,
    },
}
