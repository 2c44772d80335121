//! [`xray-lite`](https://docs.rs/xray-lite)'s context and client over our spans, for code written against that crate and for the interceptor
//! of `xray-lite-aws-sdk`. A subsegment is a span below the thread's current span: it has its trace and its sampling decision, goes to every
//! destination, and counts in the ledger. Opens no socket. Sending always succeeds, because a span never waits.
//!
//! ```
//! use telemetry::xray_lite::LiteContext;
//! use xray_lite::{AwsNamespace, Context};
//! # tracing::info_span!("job").in_scope(|| {
//! let session = LiteContext::default().enter_subsegment(AwsNamespace::new("S3", "GetObject"));
//! // The header of the request, below the subsegment; `None` without a current span.
//! let header = session.x_amzn_trace_id();
//! // The subsegment ends when the session is dropped.
//! drop(session);
//! # });
//! ```

mod document;
#[cfg(test)]
mod tests;

use std::sync::{Mutex, PoisonError};

use ::xray_lite::{Client, Context, Header, Namespace, Subsegment, SubsegmentSession, TraceId};
use serde::Serialize;
use tracing::Span;

use self::document::LiteDocument;
use crate::propagation;
use crate::span::{self, OwnedSpan, SpanExt, start};

/// The most bytes of a name: `Subsegment::begin` panics if byte 200 of a longer one is inside a character.
const NAME: usize = 200;

/// Enters subsegments below the thread's current span. Without one, or without telemetry, a session records nothing and has no header.
#[derive(Debug, Clone, Default)]
pub struct LiteContext {
    name_prefix: String,
}

impl LiteContext {
    /// Prepends `prefix` to the names of custom subsegments, as `SubsegmentContext` does.
    #[must_use]
    pub fn with_name_prefix(self, prefix: impl Into<String>) -> Self {
        Self { name_prefix: prefix.into() }
    }
}

impl Context for LiteContext {
    type Client = LiteClient;

    fn enter_subsegment<N: Namespace + Send + Sync>(&self, namespace: N) -> SubsegmentSession<LiteClient, N> {
        if Span::current().span_context().is_none() {
            return SubsegmentSession::Failed;
        }
        let name = namespace.name(&self.name_prefix);
        let name = name.get(..name.floor_char_boundary(NAME)).unwrap_or_default();
        // Its ids are replaced by those of the current span.
        let mut subsegment = Subsegment::begin(TraceId::new(), None, name);
        namespace.update_subsegment(&mut subsegment);
        let client = LiteClient::default();
        client.receive(&subsegment);
        match client.header() {
            Some(header) => SubsegmentSession::Entered { client, header, subsegment, namespace },
            None => SubsegmentSession::Failed,
        }
    }
}

/// Turns the documents that it is given into spans. A document that is in progress starts a span with the document's id, and the complete
/// document ends it. Each clone has a span of its own, since `xray-lite` gives each session a clone.
///
/// With xray-lite's own `SubsegmentContext`, the headers that sessions return have the trace of `_X_AMZN_TRACE_ID`, so the current span
/// must continue that trace: begin it with [`begin_segment`](crate::xray::begin_segment). Without a current span, the subsegment continues
/// the document's trace, and our sampler decides, because documents do not contain the caller's decision.
#[derive(Debug, Default)]
pub struct LiteClient(Mutex<Option<OwnedSpan>>);

impl Clone for LiteClient {
    fn clone(&self) -> Self {
        Self::default()
    }
}

impl Client for LiteClient {
    fn send<S: Serialize>(&self, data: &S) -> ::xray_lite::Result<()> {
        self.receive(data);
        Ok(())
    }
}

impl LiteClient {
    fn receive(&self, data: &impl Serialize) {
        let Some(document) = LiteDocument::of(data) else { return };
        let mut open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let span = open.take().unwrap_or_else(|| begin(&document));
        span.record_with(|span| document.record(span));
        if document.is_in_progress() {
            *open = Some(span);
        }
    }

    /// The header of a request within the open subsegment.
    fn header(&self) -> Option<Header> {
        let open = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        propagation::trace_header(open.as_ref()?)?.parse().ok()
    }
}

/// Starts a document's span.
fn begin(document: &LiteDocument) -> OwnedSpan {
    let span = if Span::current().span_context().is_some() {
        OwnedSpan::within_current(document.name(), |_| {})
    } else {
        let make = || tracing::info_span!(parent: None, "subsegment");
        OwnedSpan::of(start::continuing(document.name(), &document.incoming(), make))
    };
    span::with_open(&span, |open| {
        if let Some(id) = document.id() {
            open.identify(id);
        }
        if let (Some(recording), Some(start)) = (&mut open.recording, document.start()) {
            recording.start_at(start);
        }
    });
    span
}
