//! Records on a `tracing` span what its fields cannot express.

use std::sync::Arc;

use opentelemetry::trace::SpanContext;
use tracing::Span;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use super::layer;
use super::open::{Open, RestoreOnDrop, with_nearest, with_open};
use super::recording::Recording;
use crate::attribute::USER_ID;
use crate::value::IntoValue;

/// Records on a `tracing` span what its fields cannot express. Has no effect on a span that is not recorded. No method has
/// the name of one of `tracing_opentelemetry::OpenTelemetrySpanExt`, so both traits can be in scope.
pub trait SpanExt {
    /// Records several values with one look-up. `record` is called only if the span is recorded. Values that it records on this
    /// span other than through its argument are lost.
    fn record_with(&self, record: impl FnOnce(&mut Recording));

    /// Sets an attribute, replacing an earlier one with this key.
    fn set(&self, key: &str, value: impl IntoValue) {
        self.record_with(|span| span.set(key, value));
    }

    /// Marks the span as failed; `kind` is a low-cardinality name such as `timeout`, its `error.type`.
    fn fail(&self, kind: &str) {
        self.record_with(|span| span.fail(kind));
    }

    /// Adds an `exception` event with its type, message and stack; empty texts are omitted.
    fn exception(&self, kind: &str, message: &str, stacktrace: &str) {
        self.record_with(|span| span.exception(kind, message, stacktrace));
    }

    /// The span's ids, to which other spans can link. They exist whether or not the span is recorded. They are those of the span
    /// around it if only other layers know this one (`TRACE_LEVEL`). `None` if our layer knows neither.
    fn span_context(&self) -> Option<SpanContext>;

    /// Links to a related span that is not this one's parent, such as one whose work was also done for this span.
    fn link(&self, to: &SpanContext) {
        self.record_with(|span| span.link(to.into(), None));
    }

    /// Ends the span now, even if clones of it exist. Values recorded later are ignored. Spans that start within it later still
    /// have it as their parent.
    fn end(&self);

    /// Records the user for whom the request is served, as `user.id`: on this span, on those around it, and on all spans that
    /// start within them from now on.
    fn user(&self, id: &str);
}

impl SpanExt for Span {
    fn record_with(&self, record: impl FnOnce(&mut Recording)) {
        // Taken out, so that the span is not locked while foreign code runs, which may log an event on this span.
        let taken = with_open(self, |open| {
            open.touch();
            open.recording.take()
        });
        let taken = taken.flatten();
        let back = |recording| {
            with_open(self, |open| open.recording = Some(recording));
        };
        RestoreOnDrop { recording: taken, back }.record(record);
    }

    fn fail(&self, kind: &str) {
        with_open(self, |open| open.measure.as_mut().map(|measure| measure.fail(kind)));
        self.record_with(|span| span.fail(kind));
    }

    fn span_context(&self) -> Option<SpanContext> {
        with_nearest(self, |open| open.ids.into())
    }

    fn end(&self) {
        layer::end(self);
    }

    fn user(&self, id: &str) {
        let user: Arc<str> = id.into();
        self.with_subscriber(|(own, dispatch)| {
            let Some(registry) = dispatch.downcast_ref::<Registry>() else { return };
            let mut next = Some(own.clone());
            while let Some(innermost) = next.take() {
                for span in registry.span(&innermost).iter().flat_map(|span| span.scope()) {
                    if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                        Arc::make_mut(open.propagated.get_or_insert_default()).user = Some(Arc::clone(&user));
                        if let Some(recording) = &mut open.recording {
                            recording.set(USER_ID, id);
                        }
                        next.clone_from(&open.within);
                    }
                }
            }
        });
    }
}
