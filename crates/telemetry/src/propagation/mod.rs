//! Propagates a trace from one service to the next. [`extract`] reads the context of a request, and [`outgoing`] returns the
//! headers of the next request, with the same trace id in every header. `OTEL_PROPAGATORS` selects from W3C's `tracecontext`
//! and `baggage`, and `xray`; the default is all three. Valid W3C context takes precedence over X-Ray's. If both are valid and
//! disagree, the span is linked to X-Ray's and has the attribute `trace.context.conflict`.
//!
//! An X-Ray header without a `Parent`, as a load balancer sends it, names a trace but no span: the first span here has that
//! trace id and no parent. Without a span there is nothing to link to, either.

mod baggage;
pub(crate) mod headers;
#[cfg(test)]
mod matrix;
mod outgoing;
mod propagators;
#[cfg(test)]
mod tests;
mod tracecontext;
mod trust;
mod xray;

pub(crate) use baggage::{members, with_member};
pub use headers::{FIELDS, Headers};
pub(crate) use outgoing::headers as headers_of;
#[cfg(feature = "xray-lite")]
pub(crate) use outgoing::trace_header;
pub use outgoing::{baggage, decision, inject, outgoing, report, set_baggage, trace_id, traceparent};
pub use propagators::extract;
pub(crate) use propagators::{Propagators, choose};
pub use trust::{NotTrust, Trust};

pub use crate::context::Incoming;
