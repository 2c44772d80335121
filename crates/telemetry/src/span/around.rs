//! The open spans of OpenTelemetry's API, and which of them is around the calling code. `tracing` does not know them, and their
//! context is that of the thread, so that a `tracing` span or event looks for them here. Until the API makes its first span,
//! that costs one load.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use opentelemetry::Context;
use opentelemetry::trace::{SpanId, TraceContextExt};

use super::open::Open;

/// A span of the API while it exists, even if it has ended: spans may still start within it.
pub(crate) type ApiOpen = Arc<Mutex<Open>>;

const SHARDS: usize = 16;
/// Spans of one shard. Spans within others are children of their context alone, without what it propagates.
const MOST: usize = 4_096;

static IS_USED: AtomicBool = AtomicBool::new(false);
static SPANS: [Mutex<BTreeMap<u64, ApiOpen>>; SHARDS] = [const { Mutex::new(BTreeMap::new()) }; SHARDS];

/// Keeps a span until [`forget`].
pub(crate) fn keep(open: Open) -> ApiOpen {
    let id = open.ids.span;
    let open = Arc::new(Mutex::new(Open { around: Some(id), ..open }));
    let mut spans = shard(id);
    if spans.len() < MOST {
        spans.insert(key(id), Arc::clone(&open));
    }
    IS_USED.store(true, Ordering::Relaxed);
    open
}

pub(crate) fn forget(id: SpanId) {
    shard(id).remove(&key(id));
}

/// The span of the API with this id.
pub(crate) fn find(id: SpanId) -> Option<ApiOpen> {
    shard(id).get(&key(id)).cloned()
}

/// The span that the thread's context names.
pub(crate) fn active() -> Option<SpanId> {
    let id = Context::map_current(|cx| cx.has_active_span().then(|| cx.span().span_context().span_id()));
    id.filter(|id| *id != SpanId::INVALID)
}

/// The span of the API around the calling code, unless the `tracing` span around it is further in: that is `within`.
#[inline]
pub(super) fn innermost(within: Option<&Open>) -> Option<ApiOpen> {
    if is_used() { further_in(within) } else { None }
}

/// Whether the API has made a span.
#[inline]
pub(super) fn is_used() -> bool {
    IS_USED.load(Ordering::Relaxed)
}

#[cold]
fn further_in(within: Option<&Open>) -> Option<ApiOpen> {
    let id = active()?;
    if within.is_some_and(|span| is_within(span, id)) { None } else { find(id) }
}

/// Whether `span` is this span, or started within it.
pub(crate) fn is_within(span: &Open, id: SpanId) -> bool {
    span.around == Some(id) || span.ids.span == id
}

/// A panic while the lock is held leaves the span as it is, so it stays usable.
pub(crate) fn lock(open: &ApiOpen) -> MutexGuard<'_, Open> {
    open.lock().unwrap_or_else(PoisonError::into_inner)
}

fn key(id: SpanId) -> u64 {
    u64::from_be_bytes(id.to_bytes())
}

fn shard(id: SpanId) -> MutexGuard<'static, BTreeMap<u64, ApiOpen>> {
    let [.., last] = id.to_bytes();
    let [first, ..] = &SPANS;
    let shard = SPANS.get(usize::from(last) % SHARDS).unwrap_or(first);
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}
