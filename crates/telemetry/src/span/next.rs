//! The next span of a thread: how it came to be, between the code that starts it and the layer's `on_new_span`.

use std::cell::RefCell;
use std::sync::Arc;

use super::open::Open;
use super::recorder::Recorder;

/// How the next span of a thread starts.
pub(super) enum Next {
    /// As the layer starts any span.
    None,
    /// It has been started, and waits here for the layer.
    Started(Open),
    /// The code that makes it will start it, and could not find the layer.
    Unstarted,
    /// The layer's reply to [`Next::Unstarted`].
    HandedOver(Arc<Recorder>),
}

thread_local! {
    static NEXT: RefCell<Next> = const { RefCell::new(Next::None) };
}

/// Keeps `next` for the span that `tracing` makes next on this thread.
#[inline]
pub(super) fn keep(next: Next) {
    // An ending thread may make a span after its thread-local values are gone.
    NEXT.try_with(|own| *own.borrow_mut() = next).unwrap_or_default();
}

/// How the span starts that `tracing` makes now.
#[inline]
pub(super) fn take() -> Next {
    NEXT.try_with(|own| own.replace(Next::None)).unwrap_or(Next::None)
}
