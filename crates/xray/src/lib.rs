//! Wire formats of AWS X-Ray.
//!
//! [`TraceId`] and [`SegmentId`] are the ids in their two spellings, [`TraceHeader`] is `X-Amzn-Trace-Id`, and [`Document`] is a
//! segment or subsegment as JSON. [`datagram`] is the form in which a document travels to the daemon, and [`Rules`] specify which
//! requests are recorded. Every parser is total: bytes from the network give a value or an [`Error`], never a panic. Does no I/O
//! and knows no OpenTelemetry.
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

/// Why bytes are invalid.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// An id does not have the required form.
    #[error("{0:?} is not a trace id (1-<8 hex>-<24 hex>) or segment id (16 hex)")]
    Id(String),
    /// A trace header has no valid `Root`, or has `Root`, `Parent` or `Sampled` twice.
    #[error("the trace header has not one valid Root=1-<8 hex>-<24 hex>, or has Parent or Sampled twice")]
    Header,
    /// A datagram does not begin with the daemon's header line.
    #[error("the datagram does not begin with {{\"format\":\"json\",\"version\":1}} and a newline")]
    Framing,
    /// A document is not JSON of the expected shape.
    #[error("the document is not a segment: {0}")]
    Json(#[from] serde_json::Error),
    /// A document lacks a required field.
    #[error("the document has no {0}")]
    Missing(&'static str),
    /// A file of sampling rules is invalid.
    #[error("the sampling rules {0}")]
    Rules(String),
    /// A sampling rule is wrong.
    #[error("sampling rule {rule}: {problem}")]
    Rule {
        /// Its name, or its place in the file.
        rule: String,
        /// What is wrong, with the fix.
        problem: String,
    },
}
