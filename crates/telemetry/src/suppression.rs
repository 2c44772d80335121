//! Marks exporters' threads. Their spans and events are neither traced nor exported, so that no export can cause another.

use std::cell::Cell;

thread_local! {
    static IS_SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Stops tracing and exporting anything from the calling thread.
pub(crate) fn suppress() {
    IS_SUPPRESSED.set(true);
}

#[inline]
pub(crate) fn is_suppressed() -> bool {
    IS_SUPPRESSED.get()
}
