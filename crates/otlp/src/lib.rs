//! The wire format of [OTLP](https://opentelemetry.io/docs/specs/otlp/), in protobuf and in JSON.
//!
//! [`spans`] reads an `ExportTraceServiceRequest` in either [`Encoding`] into the same borrowed [`Span`]s. A message whose structure is not OTLP is
//! [`Malformed`] and refused whole. Below that, a fault affects only the smallest part that has it: an invalid value is dropped alone, and a
//! span without ids is dropped alone. Each [`Fault`] names the field and the reason. [`Bounds`] limit a span's contents; the excess is counted.
//!
//! [`wire`] writes and reads protobuf's fields, [`response`] writes and reads a receiver's response. Every reader is total: any bytes give a value or
//! an error, never a panic. Does no I/O, and knows neither a message's sender nor its use.

#![warn(clippy::indexing_slicing, missing_docs)]

pub mod wire;

mod encoding;
mod fault;

mod attribute;
mod model;

mod json;
mod protobuf;

pub mod response;

#[cfg(test)]
mod tests;

pub use attribute::{Attribute, Attributes, Value};
pub use encoding::Encoding;
pub use fault::{Fault, Malformed};
pub use model::{Bounds, Event, Kind, Link, Parent, Resource, Scope, Span, Status, StatusCode};

/// The page of the package, whose code is compiled.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// Calls `each` with each span of an `ExportTraceServiceRequest`, or with the fault for which the span was dropped. Keeps nothing between spans: a
/// message takes the memory of its bytes and of one span within `bounds`.
///
/// # Errors
/// The message is not OTLP. Spans before the fault have been passed to `each`; the caller drops them.
pub fn spans<'a>(
    encoding: Encoding,
    message: &'a [u8],
    bounds: &Bounds,
    each: impl FnMut(&Resource<'a>, &Scope<'a>, Result<Span<'a>, Fault>),
) -> Result<(), Malformed> {
    match encoding {
        Encoding::Json => json::spans(message, bounds, each),
        Encoding::Protobuf => protobuf::spans(message, bounds, each),
    }
}
