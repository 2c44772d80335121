//! When a span has ended that a library's own thread holds. sqlx's thread for SQLite enters the span of its caller, replies, and
//! only then leaves the span and drops it: on a busy machine milliseconds later. The work ended with the caller's, so such a span
//! ends when any other thread left it or recorded on it for the last time. An application's own thread is no such thread,
//! because its work counts.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use tracing::span::Id;

use crate::clock::now;

/// How the names of such threads begin.
const LIBRARIES: [&str; 1] = ["sqlx-sqlite-worker-"];

/// How many open spans a library's thread has entered, by the last bits of their ids. While a span's count is zero, leaving it costs
/// one load more.
static LENT: [AtomicUsize; 64] = [const { AtomicUsize::new(0) }; 64];

thread_local! {
    static IS_LIBRARY: bool =
        thread::current().name().is_some_and(|name| LIBRARIES.iter().any(|library| name.starts_with(library)));
}

/// An open span that a library's thread has entered.
#[derive(Debug)]
pub(crate) struct Lent {
    count: &'static AtomicUsize,
    /// When another thread last left the span or recorded on it; `None` if no other thread is known to have entered it.
    used: Option<u64>,
}

/// Whether the calling thread is a library's own.
#[inline]
pub(super) fn on_library_thread() -> bool {
    IS_LIBRARY.try_with(|is_library| *is_library).unwrap_or_default()
}

/// Whether the span may be lent. If not, nobody need look.
#[inline]
pub(super) fn may_be_lent(span: &Id) -> bool {
    count(span).load(Ordering::Relaxed) > 0
}

#[inline]
#[expect(clippy::indexing_slicing, clippy::cast_possible_truncation, reason = "the remainder is less than the length")]
fn count(span: &Id) -> &'static AtomicUsize {
    &LENT[span.into_u64() as usize % LENT.len()]
}

impl Lent {
    /// Another thread was in the span until `used` or later.
    pub(super) fn new(span: &Id, used: Option<u64>) -> Self {
        let count = count(span);
        count.fetch_add(1, Ordering::Relaxed);
        Self { count, used }
    }

    /// The calling thread leaves the span, or records on it.
    pub(super) fn touch(&mut self) {
        if !on_library_thread() {
            self.used = Some(now());
        }
    }

    /// The end of the span, which closes on this thread, if only a library's thread kept it open.
    pub(super) fn end(&self) -> Option<u64> {
        self.used.filter(|_| on_library_thread())
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        self.count.fetch_sub(1, Ordering::Relaxed);
    }
}
