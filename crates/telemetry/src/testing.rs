//! What the unit tests share.

use std::time::{Duration, SystemTime};

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceId, TraceState};

use crate::span::{Limits, Parent, Record, Recording};

/// A span that began at a known time and lasts a quarter of a second.
pub(crate) struct Made(pub(crate) Recording);

/// The root of its trace, without attributes.
pub(crate) fn span(name: &'static str) -> Made {
    below(name, None)
}

/// A span whose parent is span 0707…07, of another process if it is `remote`.
pub(crate) fn child(remote: bool) -> Made {
    below("test", Some(Parent { id: SpanId::from_bytes([7; 8]), remote }))
}

fn below(name: &'static str, parent: Option<Parent>) -> Made {
    let trace = TraceId::from_bytes(0x5759_e988_bd86_2e3f_e1be_46a9_9427_2793_u128.to_be_bytes());
    let id = SpanId::from_bytes(0x5399_5c3f_42cd_8ad8_u64.to_be_bytes());
    let context = SpanContext::new(trace, id, TraceFlags::SAMPLED, false, TraceState::default());
    Made(Recording::start(name, &context, parent, start(), Limits::default()))
}

fn start() -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(1_700_000_000)
}

impl Made {
    pub(crate) fn with(mut self, tell: impl FnOnce(&mut Recording)) -> Self {
        tell(&mut self.0);
        self
    }

    pub(crate) fn record(self) -> Record {
        self.0.finish(start() + Duration::from_millis(250))
    }
}
