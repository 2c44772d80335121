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
mod error;
mod header;
mod id;
pub mod lenient;
mod name;
pub mod rules;

pub use document::{Cause, Document, Exception, Http, HttpRequest, HttpResponse, Kind, Service, Sql};
pub use error::Error;
pub use header::{Sampled, TraceHeader};
pub use id::{SegmentId, TraceId};
pub use name::name;
pub use rules::{Request, Rule, Rules};

/// The page of the package, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
