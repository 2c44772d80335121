//! What the unit tests share.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use opentelemetry::InstrumentationScope;
use opentelemetry::trace::{SpanContext, SpanId, SpanKind, Status, TraceFlags, TraceId, TraceState};
use opentelemetry_sdk::trace::{SpanData, SpanEvents, SpanLinks};

/// A span without attributes that lasted a quarter of a second, the root of its trace.
pub(crate) fn span() -> SpanData {
    let trace = TraceId::from_bytes(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes());
    let id = SpanId::from_bytes(0x5399_5c3f_42cd_8ad8_u64.to_be_bytes());
    let start = SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000);
    SpanData {
        span_context: SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default()),
        parent_span_id: SpanId::INVALID,
        parent_span_is_remote: false,
        span_kind: SpanKind::Internal,
        name: Cow::Borrowed("test"),
        start_time: start,
        end_time: start + Duration::from_millis(250),
        attributes: Vec::new(),
        dropped_attributes_count: 0,
        events: SpanEvents::default(),
        links: SpanLinks::default(),
        status: Status::Unset,
        instrumentation_scope: InstrumentationScope::default(),
    }
}
