//! The context of a trace: the context of an incoming request, and the context that a span propagates. Reads and writes no
//! headers.

mod tracestate;

use std::sync::Arc;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

pub(crate) use tracestate::Tracestate;

/// The context of a request: the span to continue from, or the span to link to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Incoming {
    /// The parent; without a span id if the header named only a trace.
    pub(crate) parent: Option<SpanContext>,
    pub(crate) link: Option<SpanContext>,
    /// The tracestate of W3C's header: of the parent, or of the link if there is no parent.
    pub(crate) state: Tracestate,
    pub(crate) baggage: Option<Arc<str>>,
    /// The lineage of X-Ray's header, unchanged.
    pub(crate) lineage: Option<Arc<str>>,
    /// Whether the caller leaves the sampling decision to this process.
    pub(crate) is_undecided: bool,
    /// Whether the caller requests the sampling decision: see [`decision`](crate::propagation::decision).
    pub(crate) wants_decision: bool,
    /// Whether X-Ray's header disagrees with W3C's. If it names a span, the link is to that span.
    pub(crate) has_conflict: bool,
}

/// What identifies a span: its `SpanContext` without the tracestate, which [`Propagated`] has. Half as large, because every span
/// is moved several times.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct SpanIds {
    pub(crate) trace: TraceId,
    pub(crate) span: SpanId,
    pub(crate) flags: TraceFlags,
    pub(crate) is_remote: bool,
}

/// An HTTP request whose span is about to start: the parts by which a sampling rule may decide.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingRequest<'a> {
    pub(crate) method: &'a str,
    pub(crate) host: Option<&'a str>,
    pub(crate) path: &'a str,
}

/// What a span propagates to the spans within it, besides its ids.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Propagated {
    pub(crate) user: Option<Arc<str>>,
    pub(crate) baggage: Option<Arc<str>>,
    /// The lineage of X-Ray's header.
    pub(crate) lineage: Option<Arc<str>>,
    pub(crate) state: Tracestate,
    /// How many requests each sampled one represents, if known and not one.
    pub(crate) sample_rate: Option<i64>,
}

impl SpanIds {
    pub(crate) const NONE: Self =
        Self { trace: TraceId::INVALID, span: SpanId::INVALID, flags: TraceFlags::NOT_SAMPLED, is_remote: false };

    /// A span of this process.
    pub(crate) fn local(trace: TraceId, span: SpanId, flags: TraceFlags) -> Self {
        Self { trace, span, flags, is_remote: false }
    }

    pub(crate) fn is_valid(self) -> bool {
        self.trace != TraceId::INVALID && self.span != SpanId::INVALID
    }

    pub(crate) fn is_sampled(self) -> bool {
        self.flags.is_sampled()
    }

    pub(crate) fn with_state(self, state: TraceState) -> SpanContext {
        SpanContext::new(self.trace, self.span, self.flags, self.is_remote, state)
    }
}

impl From<&SpanContext> for SpanIds {
    fn from(context: &SpanContext) -> Self {
        Self {
            trace: context.trace_id(),
            span: context.span_id(),
            flags: context.trace_flags(),
            is_remote: context.is_remote(),
        }
    }
}

impl From<SpanIds> for SpanContext {
    fn from(ids: SpanIds) -> Self {
        ids.with_state(TraceState::NONE)
    }
}

impl Incoming {
    /// The span that sent the request or the message: the parent, or the span to link to if the sender is not trusted.
    pub fn span_context(&self) -> Option<&SpanContext> {
        self.parent.as_ref().or(self.link.as_ref()).filter(|context| context.is_valid())
    }

    /// Whether the request has no context.
    pub(crate) fn is_empty(&self) -> bool {
        self.parent.is_none() && self.link.is_none() && self.baggage.is_none()
    }
}
