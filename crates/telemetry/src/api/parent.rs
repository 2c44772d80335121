//! Where a span of OpenTelemetry's API stands in its trace.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, TraceContextExt};
use tracing::Dispatch;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::context::{Incoming, Propagated, Tracestate};
use crate::span::recorder::Recorder;
use crate::span::{Open, around};

/// What a span starts within.
pub(super) enum ApiParent {
    /// It starts a trace.
    Nothing,
    /// A span of this process.
    Local(Open),
    /// A span of another process, which the caller has put into its context.
    Remote(Incoming),
}

impl ApiParent {
    /// The parent of a span that starts in `cx`. In the thread's own context that is the innermost span, whether `tracing` or the
    /// API made it; another context names its parent itself.
    pub(super) fn of(cx: &Context, subscriber: &Dispatch) -> Self {
        let named = cx.has_active_span().then(|| cx.span().span_context().clone()).filter(SpanContext::is_valid);
        let is_threads = named.as_ref().map(SpanContext::span_id) == around::active();
        match named {
            None if is_threads => current(subscriber).map_or(Self::Nothing, Self::Local),
            // The caller has left the span around it.
            None => Self::Nothing,
            Some(named) => {
                let inner = if is_threads { current(subscriber) } else { None };
                match inner.filter(|inner| around::is_within(inner, named.span_id())) {
                    Some(inner) => Self::Local(inner),
                    None => Self::named(&named),
                }
            }
        }
    }

    /// What delivers the parent, if that is a span of this process and the subscriber does not show the layer.
    pub(super) fn recorder(&self) -> Option<&Arc<Recorder>> {
        match self {
            Self::Local(open) => open.recorder.as_ref(),
            Self::Nothing | Self::Remote(_) => None,
        }
    }

    fn named(named: &SpanContext) -> Self {
        let state = state_of(named);
        match around::find(named.span_id()) {
            Some(open) => Self::Local(around::lock(&open).as_parent()),
            None if named.is_remote() => {
                Self::Remote(Incoming { parent: Some(named.clone()), state, ..Incoming::default() })
            }
            None => Self::Local(Open::of(named.into(), propagating(state))),
        }
    }
}

/// The `tracing` span around the calling code, if our layer knows it or one around it.
pub(super) fn current(subscriber: &Dispatch) -> Option<Open> {
    let registry = subscriber.downcast_ref::<Registry>()?;
    let innermost = registry.span(subscriber.current_span().id()?)?;
    innermost.scope().find_map(|span| span.extensions().get::<Open>().map(Open::as_parent))
}

/// The tracestate of a context of the API.
pub(super) fn state_of(context: &SpanContext) -> Tracestate {
    Tracestate::parse(std::iter::once(context.trace_state().header().as_str())).unwrap_or_default()
}

pub(super) fn propagating(state: Tracestate) -> Option<Arc<Propagated>> {
    let propagated = Propagated { state, ..Propagated::default() };
    Some(propagated).filter(|propagated| *propagated != Propagated::default()).map(Arc::new)
}
