//! Creates the ids of traces and spans. A trace id begins with the seconds since 1970, as X-Ray requires. Its other 96 bits are
//! random; W3C's Level 2 requires only 56 random bits.

use opentelemetry::trace::{SpanId, TraceFlags, TraceId};
use rand::RngExt;

/// W3C's flag for a trace id whose last 56 bits are random.
pub(crate) const RANDOM: TraceFlags = TraceFlags::new(0x02);

/// A trace id for a trace that starts at `now`, in nanoseconds since 1970.
pub(crate) fn trace(now: u64) -> TraceId {
    let second = (now / 1_000_000_000) & u64::from(u32::MAX);
    let random: u128 = rand::rng().random();
    TraceId::from_bytes((u128::from(second) << 96 | random >> 32).to_be_bytes())
}

/// A span id, never the invalid one.
pub(crate) fn span() -> SpanId {
    let random: u64 = rand::rng().random();
    SpanId::from_bytes(random.max(1).to_be_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_id_begins_with_its_second() {
        let id = trace(0x5759_e988 * 1_000_000_000).to_string();
        assert!(id.starts_with("5759e988"), "{id}");
        assert_ne!(trace(0), trace(0));
        assert_ne!(span(), span());
    }
}
