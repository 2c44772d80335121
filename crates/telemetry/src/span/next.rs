//! The next span of a thread, which has already started. It is kept here until the layer's `on_new_span` takes it.

use std::cell::RefCell;

use super::open::Open;

thread_local! {
    static NEXT: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// Keeps `open` for the next span that `tracing` creates on this thread.
#[inline]
pub(super) fn keep(open: Option<Open>) {
    // An ending thread may create a span after its thread-local values are gone.
    NEXT.try_with(|next| *next.borrow_mut() = open).unwrap_or_default();
}

/// The state of the span that `tracing` is creating, if it has already started.
#[inline]
pub(super) fn take() -> Option<Open> {
    NEXT.try_with(RefCell::take).ok().flatten()
}
