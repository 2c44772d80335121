//! The wire format of [OTLP](https://opentelemetry.io/docs/specs/otlp/), in protobuf and in JSON.
//!
//! [`spans`] reads an `ExportTraceServiceRequest` in either [`Encoding`] into the same borrowed [`Span`]s. A message whose structure is not OTLP is
//! [`Malformed`] and refused whole. Below that, a fault costs only what has it: a bad value costs that value, a span without ids costs that
//! span, and each [`Fault`] names the field and the reason. What a span may hold is limited by [`Bounds`]; what exceeds them is counted.
//!
//! [`wire`] writes and reads protobuf's fields, [`response`] writes what a receiver answers. Every reader is total: any bytes give a value or an error,
//! never a panic. Does no I/O, and does not know who sent a message or what becomes of it.

#![warn(clippy::indexing_slicing, missing_docs)]

pub mod wire;

mod model;

mod json;
mod protobuf;

pub mod response;

#[cfg(test)]
mod tests;

pub use model::{
    Attribute, Attributes, Bounds, Encoding, Event, Fault, Kind, Link, Malformed, Parent, Resource, Scope, Span,
    Status, StatusCode, Value,
};

/// Calls `each` for each span of an `ExportTraceServiceRequest`, or for the fault that cost it. Nothing is kept between spans: a message takes
/// the memory of its bytes and of one span within `bounds`.
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
