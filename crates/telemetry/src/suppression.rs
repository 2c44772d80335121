//! Whether the calling thread exports. Its spans and events are neither traced nor exported, so that no export can cause another.

use std::cell::Cell;

thread_local! {
    static IS_SUPPRESSED: Cell<bool> = const { Cell::new(false) };
}

/// Traces and exports nothing from the calling thread any more.
pub(crate) fn suppress() {
    IS_SUPPRESSED.set(true);
}

#[inline]
pub(crate) fn is_suppressed() -> bool {
    IS_SUPPRESSED.get()
}
