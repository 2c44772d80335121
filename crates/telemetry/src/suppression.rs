//! Marks exporters' threads, and code that runs while a span ends. Their spans and events are neither traced nor exported, so
//! that no export can cause another.

use std::cell::Cell;

thread_local! {
    static IS_SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Stops tracing and exporting anything from the calling thread.
pub(crate) fn suppress() {
    IS_SUPPRESSED.set(true);
}

/// Runs `work`, during which nothing of the calling thread is traced or exported. `work` must not panic.
pub(crate) fn suppressed<T>(work: impl FnOnce() -> T) -> T {
    let before = IS_SUPPRESSED.replace(true);
    let done = work();
    IS_SUPPRESSED.set(before);
    done
}

#[inline]
pub(crate) fn is_suppressed() -> bool {
    IS_SUPPRESSED.get()
}
