//! The state of an open span in `tracing`'s registry, and access to it.

use std::str::FromStr;
use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::trace::{SpanContext, SpanId, TraceState};
use tracing::Span;
use tracing::span::Id;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::event::EncodedEvent;
use super::lent::Lent;
use super::recorder::Recorder;
use super::recording::Recording;
use crate::clock::now;
use crate::context::{Propagated, SpanIds};
use crate::metrics::measure::Measure;

/// State that the layer keeps of a span while it is open.
pub(crate) struct Open {
    pub(crate) ids: SpanIds,
    /// Propagated to every span within this one, and to every service that is called. `None` for most spans.
    pub(crate) propagated: Option<Arc<Propagated>>,
    /// `None` if the span is not sampled.
    pub(crate) recording: Option<Box<Recording>>,
    /// The measurement of the request, whether or not the span is sampled. Boxed to keep this struct small: it is moved several
    /// times, and few services have metrics.
    pub(crate) measure: Option<Box<Measure>>,
    /// Whether the caller requests the sampling decision.
    pub(crate) wants_decision: bool,
    /// The span around this one, if this one does not keep it open: see [`OwnedSpan`](super::OwnedSpan).
    pub(crate) within: Option<Id>,
    /// The innermost span of OpenTelemetry's API around this one, in this process.
    pub(crate) around: Option<SpanId>,
    /// The context of OpenTelemetry's API inside the span, once it was needed.
    pub(crate) entered: Option<Box<Context>>,
    /// Set once a library's own thread has entered the span.
    pub(crate) lent: Option<Box<Lent>>,
    /// Whether the span around this one is known to have been the current one when this one was created.
    pub(crate) in_context: bool,
    /// Whether a library's own thread created the span, which is then that thread's work.
    pub(crate) is_librarys: bool,
    /// Whether this is not a span but an incoming context, which is propagated but never reported as a response's span.
    pub(crate) passes: bool,
    /// What delivers the span, if it is one of OpenTelemetry's API, or if the subscriber does not show the layer.
    pub(crate) recorder: Option<Arc<Recorder>>,
}

impl Open {
    /// Gives the span an id that other code has chosen. Spans within it that began earlier keep the earlier id as their parent.
    #[cfg(feature = "xray-lite")]
    pub(crate) fn identify(&mut self, id: SpanId) {
        if self.passes {
            return;
        }
        self.ids = SpanIds::local(self.ids.trace, id, self.ids.flags);
        if let Some(recording) = &mut self.recording {
            recording.identify(id);
        }
        // It has the earlier id.
        self.entered = None;
    }

    /// Ends the measurement of the request, and takes the recording and its end. `None` if the span is not sampled or has ended.
    pub(super) fn end(&mut self) -> Option<(Box<Recording>, u64)> {
        if let Some(measure) = self.measure.take() {
            measure.end(Some(self.ids));
        }
        let end = self.lent.take().and_then(|lent| lent.end());
        Some((self.recording.take()?, end.unwrap_or_else(now)))
    }

    /// Without a recording.
    pub(crate) fn of(ids: SpanIds, propagated: Option<Arc<Propagated>>) -> Self {
        Self {
            ids,
            propagated,
            recording: None,
            measure: None,
            wants_decision: false,
            within: None,
            around: None,
            entered: None,
            lent: None,
            in_context: false,
            is_librarys: false,
            passes: false,
            recorder: None,
        }
    }

    /// The context with its tracestate, as OpenTelemetry's API has it.
    pub(crate) fn context_with_state(&self) -> SpanContext {
        let Some(state) = self.propagated.as_deref().and_then(|propagated| propagated.state.header()) else {
            return self.ids.into();
        };
        // The API refuses some valid keys of Level 2; the span still propagates them.
        let state = TraceState::from_str(state).unwrap_or_default();
        self.ids.with_state(state)
    }

    /// The span as a parent: without what it records.
    pub(crate) fn as_parent(&self) -> Self {
        let (around, recorder) = (self.around, self.recorder.clone());
        Self { around, recorder, ..Self::of(self.ids, self.propagated.clone()) }
    }

    /// Adds an event, now.
    pub(super) fn record_event(&mut self, event: EncodedEvent) {
        self.touch();
        if let Some(recording) = &mut self.recording {
            recording.record_event(event);
        }
    }

    /// The calling thread leaves the span, or records on it.
    #[inline]
    pub(super) fn touch(&mut self) {
        if let Some(lent) = &mut self.lent {
            lent.touch();
        }
    }
}

/// A library's thread enters `span`, and may keep it and the spans around it open.
#[cold]
pub(super) fn lend<'r, R: LookupSpan<'r>>(span: &SpanRef<'r, R>) {
    // The library found the span as the current one, so its caller had entered it, and leaves it later or has left it.
    let mut used = Some(now());
    for span in span.scope() {
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else {
            // Only other layers know this span. It need not be within the one around it.
            used = None;
            continue;
        };
        // An owned span ends with its owner, and one that is not recorded has no end.
        let ends_here = open.within.is_none() && open.recording.is_some() && !open.is_librarys;
        if ends_here && open.lent.is_none() {
            open.lent = Some(Box::new(Lent::new(&span.id(), used)));
        }
        used = used.filter(|_| open.in_context);
    }
}

/// Records on `span`, and on its measurement, with one look-up fewer than
/// [`SpanExt::record_with`](super::SpanExt::record_with). `record` must not log.
pub(crate) fn record_on(span: &Span, measure: impl FnOnce(&mut Measure), record: impl FnOnce(&mut Recording)) {
    with_open(span, |open| {
        open.touch();
        open.measure.as_deref_mut().map(measure);
        open.recording.as_deref_mut().map(record);
    });
}

impl Open {
    /// Makes this the state of `span`, unless another layer of ours has one there already.
    pub(super) fn put<S: for<'a> LookupSpan<'a>>(self, span: &SpanRef<'_, S>) {
        let mut extensions = span.extensions_mut();
        if let Some(earlier) = extensions.replace(self) {
            extensions.replace(earlier);
        }
    }
}

/// Makes `open` the state of `span`.
pub(super) fn put(span: &Span, open: Open) {
    span.with_subscriber(|(id, dispatch)| {
        if let Some(span) = dispatch.downcast_ref::<Registry>().and_then(|registry| registry.span(id)) {
            open.put(&span);
        }
    });
}

/// Looks `span` up in the registry beneath our layer.
pub(crate) fn with_open<T>(span: &Span, look: impl FnOnce(&mut Open) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        Some(look(extensions.get_mut::<Open>()?))
    })?
}

/// Looks `span` up, or else the nearest span around it that our layer has made: other layers may see more spans.
pub(crate) fn with_nearest<T>(span: &Span, look: impl FnOnce(&mut Open) -> T) -> Option<T> {
    with_nearest_id(span, |_, open| look(open))
}

/// The same, with the id of the span that was found.
pub(crate) fn with_nearest_id<T>(span: &Span, look: impl FnOnce(&Id, &mut Open) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let mut span = dispatch.downcast_ref::<Registry>()?.span(id);
        while let Some(one) = span {
            if let Some(open) = one.extensions_mut().get_mut::<Open>() {
                return Some(look(&one.id(), open));
            }
            span = one.parent();
        }
        None
    })?
}

/// A recording lent to foreign code; restored to its span even on panic.
pub(super) struct RestoreOnDrop<F: FnMut(Box<Recording>)> {
    pub(super) recording: Option<Box<Recording>>,
    pub(super) back: F,
}

impl<F: FnMut(Box<Recording>)> RestoreOnDrop<F> {
    pub(super) fn record(mut self, record: impl FnOnce(&mut Recording)) {
        self.recording.as_deref_mut().map(record);
    }
}

impl<F: FnMut(Box<Recording>)> Drop for RestoreOnDrop<F> {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            (self.back)(recording);
        }
    }
}
