//! Spans: made with `tracing`'s macros; [`SpanExt`] records more on them.
//!
//! A span ends when the work it stands for ends. With `tracing` that is when its last clone is dropped, even if a library holds
//! one for longer, as sqlx's thread for SQLite does. Make the spans of such calls with [`OwnedSpan`], or call [`SpanExt::end`].
//!
//! Each failure is an error in the trace, without any code in the application. An ERROR event fails its span and becomes its
//! `exception` event: `#[tracing::instrument(err)]` writes one. A panic that leaves or closes the span does the same.
//!
//! The fields `otel.name`, `otel.kind` (`server`, `client`, `producer`, `consumer`), `otel.status_code` (`OK`, `ERROR`) and
//! `otel.status_description` of a `tracing` span give its name, kind and status; every other field is an attribute. A span that
//! is not sampled costs only its ids: no attributes are built.
//!
//! ```
//! use telemetry::span::SpanExt;
//! let span = tracing::info_span!("home-activities-mock-data", otel.kind = "client");
//! span.set("app.result_length", 3);
//! span.record_with(|span| {
//!     span.name("SELECT activities");
//!     span.set("db.system.name", "sqlite");
//! });
//! ```

mod event;
mod fields;
pub(crate) mod id;
pub(crate) mod layer;
pub(crate) mod levels;
mod owned;
pub(crate) mod reading;
mod recording;
pub(crate) mod rules;
pub(crate) mod sampler;

use std::sync::Arc;

use tracing::Span;
use tracing::span::Id;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::LookupSpan;

use crate::context::Carried;

pub(crate) use event::{causes, kind};
pub use opentelemetry::trace::{SpanContext, SpanKind};
pub use owned::OwnedSpan;
pub(crate) use recording::Parent;
pub use recording::Recording;

pub use crate::value::Value;

/// State that the layer keeps of a span while it is open.
pub(crate) struct Open {
    pub(crate) context: SpanContext,
    /// Propagated to every span within and to every service that is called. `None` for most spans.
    pub(crate) carried: Option<Arc<Carried>>,
    /// `None` if the span is not sampled.
    pub(crate) recording: Option<Box<Recording>>,
    /// The caller wants to know whether the span is recorded.
    pub(crate) asked: bool,
    /// The span around this one, if this one does not keep it open: see [`OwnedSpan`].
    pub(crate) within: Option<Id>,
    /// Not a span, but the context that a request brought: it is propagated, and no response names it as the span that served.
    pub(crate) passes: bool,
}

/// Records on a `tracing` span what its fields cannot. Does nothing to a span that is not recorded.
pub trait SpanExt {
    /// Records several things with one look-up; `tell` is not called unless the span is recorded. Anything that `tell` records
    /// on this span other than through its argument is lost.
    fn record_with(&self, tell: impl FnOnce(&mut Recording));

    /// Sets an attribute, replacing an earlier one with this key.
    fn set<'v>(&self, key: &str, value: impl Into<Value<'v>>) {
        self.record_with(|span| span.set(key, value));
    }

    /// Marks the span as failed; `kind` is a low-cardinality name such as `timeout`, its `error.type`.
    fn fail(&self, kind: &str) {
        self.record_with(|span| span.fail(kind));
    }

    /// Adds an `exception` event with its type, message and stack; empty ones are left out.
    fn exception(&self, kind: &str, message: &str, stacktrace: &str) {
        self.record_with(|span| span.exception(kind, message, stacktrace));
    }

    /// The span's ids, by which others link to it; they exist whether or not the span is recorded. `None` if our layer does not
    /// know the span.
    fn context(&self) -> Option<SpanContext>;

    /// Links to a related span that is not this one's parent: the work of the linked span was done for this one too.
    fn link(&self, to: &SpanContext) {
        self.record_with(|span| span.link(to, None));
    }

    /// Ends the span now, even if there are clones of it. What is recorded on it later is ignored; spans that start within it
    /// later still have it as their parent.
    fn end(&self);

    /// Records the user for whom the request is served: `user.id` on this span, on those around it, and on all that start
    /// within them from now on.
    fn user(&self, id: &str);
}

impl SpanExt for Span {
    fn record_with(&self, tell: impl FnOnce(&mut Recording)) {
        // Taken out, so that the span is not locked while foreign code runs: an event that this code logs belongs to this span.
        let taken = with_open(self, |open| open.recording.take()).flatten();
        let back = |recording| {
            with_open(self, |open| open.recording = Some(recording));
        };
        Lent { recording: taken, back }.tell(tell);
    }

    fn context(&self) -> Option<SpanContext> {
        with_open(self, |open| open.context.clone())
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
                        Arc::make_mut(open.carried.get_or_insert_default()).user = Some(Arc::clone(&user));
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

/// `user.id`: not yet a stable convention, so the crate of conventions has no constant for it without its experimental feature.
pub(crate) const USER_ID: &str = "user.id";

/// The sampling rule by which a local root was sampled.
pub(crate) const SAMPLING_RULE: &str = "aws.xray.sampling_rule_name";

/// Records on `span` without foreign code: [`SpanExt::record_with`] with one look-up less.
pub(crate) fn tell(span: &Span, tell: impl FnOnce(&mut Recording)) {
    with_open(span, |open| open.recording.as_deref_mut().map(tell));
}

/// Looks `span` up in the registry beneath our layer.
pub(crate) fn with_open<T>(span: &Span, look: impl FnOnce(&mut Open) -> T) -> Option<T> {
    span.with_subscriber(|(id, dispatch)| {
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let mut extensions = span.extensions_mut();
        Some(look(extensions.get_mut::<Open>()?))
    })?
}

/// A recording lent to foreign code; restored to its span even on panic.
struct Lent<F: FnMut(Box<Recording>)> {
    recording: Option<Box<Recording>>,
    back: F,
}

impl<F: FnMut(Box<Recording>)> Lent<F> {
    fn tell(mut self, tell: impl FnOnce(&mut Recording)) {
        self.recording.as_deref_mut().map(tell);
    }
}

impl<F: FnMut(Box<Recording>)> Drop for Lent<F> {
    fn drop(&mut self) {
        if let Some(recording) = self.recording.take() {
            (self.back)(recording);
        }
    }
}
