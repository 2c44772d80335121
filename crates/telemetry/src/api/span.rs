//! A span of OpenTelemetry's API: a recording like any other, which its owner ends.

use std::borrow::Cow;
use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::KeyValue;
use opentelemetry::trace::{Span, SpanContext, Status};

use super::record;
use crate::clock::{nanoseconds, now};
use crate::pipeline::Record;
use crate::scope::LibraryScope;
use crate::span::Recording;
use crate::span::around::{self, ApiOpen};

/// A span that was started through OpenTelemetry's API. It ends by [`Span::end`] or when it is dropped.
pub struct ApiSpan {
    context: SpanContext,
    /// `None` if no span is made.
    started: Option<Started>,
}

/// What an [`ApiSpan`] records on, and the library that made it.
pub(super) struct Started {
    pub(super) open: ApiOpen,
    pub(super) scope: Arc<LibraryScope>,
}

impl ApiSpan {
    pub(super) fn new(context: SpanContext, started: Started) -> Self {
        Self { context, started: Some(started) }
    }

    /// Not a span: it only propagates `context`.
    pub(super) fn passing(context: SpanContext) -> Self {
        Self { context, started: None }
    }

    /// Calls `record` unless the span is not sampled, or has ended.
    pub(super) fn record(&self, record: impl FnOnce(&mut Recording)) {
        if let Some(started) = &self.started {
            around::lock(&started.open).recording.as_deref_mut().map(record);
        }
    }

    fn end_at(&self, end: u64) {
        let Some(Started { open, scope }) = &self.started else { return };
        let (ended, recorder) = {
            let mut open = around::lock(open);
            (open.recording.take(), open.recorder.clone())
        };
        if let (Some(recording), Some(recorder)) = (ended, recorder) {
            recorder.deliver_as(recording, end, |record: Record| record.made_within(scope));
        }
    }
}

impl Span for ApiSpan {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        self.record(|span| record::event(span, &name.into(), timestamp, &attributes));
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.started.as_ref().is_some_and(|started| around::lock(&started.open).recording.is_some())
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.record(|span| record::set(span, &attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.record(|span| record::set_status(span, &status));
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        self.record(|span| span.name(new_name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.record(|span| record::link(span, &span_context, &attributes));
    }

    fn end_with_timestamp(&mut self, timestamp: SystemTime) {
        self.end_at(nanoseconds(timestamp));
    }
}

impl Drop for ApiSpan {
    fn drop(&mut self) {
        if let Some(started) = &self.started {
            self.end_at(now());
            around::forget(around::lock(&started.open).ids.span);
        }
    }
}

impl fmt::Debug for ApiSpan {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ApiSpan").field("context", &self.context).finish_non_exhaustive()
    }
}
