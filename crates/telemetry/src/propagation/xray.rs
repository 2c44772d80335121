//! Converts X-Ray's `X-Amzn-Trace-Id` from and to W3C's ids. As with traceparent, a second header invalidates the first, even
//! if both are the same. The header has no field for tracestate.

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};
use xray::{Sampled, TraceHeader};

use super::headers::Headers;
use crate::ascii::Ascii;
use crate::clock;
use crate::context::SpanIds;
use crate::span::id;

pub(super) const FIELD: &str = "x-amzn-trace-id";

/// The parsed header.
pub(super) struct ParsedHeader {
    /// Without a span id if no parent is named.
    pub(super) context: SpanContext,
    /// Whether the header names no trace and only declares that it is not recorded. The context then has a new trace id.
    nameless: bool,
    sampled: Sampled,
    pub(super) lineage: Option<Arc<str>>,
}

pub(super) fn extract(headers: &impl Headers) -> Option<ParsedHeader> {
    let mut values = headers.values(FIELD);
    let header: TraceHeader = values.next()?.parse().ok()?;
    if values.next().is_some() {
        return None;
    }
    let trace = TraceId::from_bytes(header.root.to_bytes());
    let span = header.parent.map_or(SpanId::INVALID, |parent| SpanId::from_bytes(parent.to_bytes()));
    // X-Ray's SDKs write ids of zeros for a trace that is not recorded.
    let nameless = trace == TraceId::INVALID && header.sampled == Sampled::No;
    let (trace, span, flags) = match header.sampled {
        Sampled::No if nameless => (id::trace(clock::now()), SpanId::INVALID, id::RANDOM),
        Sampled::No => (trace, span, TraceFlags::default()),
        _ => (trace, span, TraceFlags::SAMPLED),
    };
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    let header = ParsedHeader { context, nameless, sampled: header.sampled, lineage: header.lineage.map(Into::into) };
    (trace != TraceId::INVALID).then_some(header)
}

/// The header of a request that is sent within this span, without a lineage.
pub(super) fn header(ids: SpanIds) -> Ascii<74> {
    let empty = *b"Root=1-00000000-000000000000000000000000;Parent=0000000000000000;Sampled=0";
    let [a, b, c, d, rest @ ..] = ids.trace.to_bytes();
    let text = Ascii(empty).hex(7, &[a, b, c, d]).hex(16, &rest).hex(48, &ids.span.to_bytes());
    if ids.is_sampled() { text.byte(73, b'1') } else { text }
}

/// The header of the response to a caller that requested the decision.
pub(super) fn decision(ids: SpanIds) -> String {
    decided(ids).to_string()
}

fn decided(ids: SpanIds) -> TraceHeader {
    TraceHeader {
        root: xray::TraceId::from_bytes(ids.trace.to_bytes()),
        parent: None,
        sampled: if ids.is_sampled() { Sampled::Yes } else { Sampled::No },
        lineage: None,
    }
}

impl ParsedHeader {
    /// Whether the caller leaves the sampling decision to this process.
    pub(super) fn is_undecided(&self) -> bool {
        !matches!(self.sampled, Sampled::Yes | Sampled::No)
    }

    /// Whether the caller requests the sampling decision.
    pub(super) fn wants_decision(&self) -> bool {
        self.sampled == Sampled::Ask
    }

    /// The span that the header names, if it names one.
    pub(super) fn span(self) -> Option<SpanContext> {
        self.context.is_valid().then_some(self.context)
    }

    /// Whether the header names the trace of `other` and no other span of it, or names no trace.
    pub(super) fn agrees_with(&self, other: &SpanContext) -> bool {
        let same_span = self.context.span_id() == other.span_id() || self.context.span_id() == SpanId::INVALID;
        self.nameless || (self.context.trace_id() == other.trace_id() && same_span)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn a_written_header_is_read_back(trace in 1u128.., span in 1u64.., sampled in any::<bool>()) {
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let trace = TraceId::from_bytes(trace.to_be_bytes());
            let ids = SpanIds::local(trace, SpanId::from_bytes(span.to_be_bytes()), flags);
            let parent = Some(xray::SegmentId::from_bytes(ids.span.to_bytes()));
            prop_assert_eq!(&*header(ids), TraceHeader { parent, ..decided(ids) }.to_string());
        }
    }
}
