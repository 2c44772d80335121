//! A span that ends when its owner ends it. Clones that libraries get with `Span::current()` prolong neither this span nor
//! those around it.

#[cfg(test)]
mod tests;

use std::ops::Deref;

use opentelemetry::trace::SpanKind;
use tracing::{Level, Span};

use super::ext::SpanExt;
use super::recording::Recording;
use super::start;
use crate::context::Incoming;

/// Ends its span when it is dropped.
///
/// ```
/// use telemetry::span::{OwnedSpan, SpanKind};
/// use tracing::Instrument;
/// # async fn query() {}
/// # async fn example() {
/// let span = OwnedSpan::within_current("SELECT activities", |span| span.kind(SpanKind::Client));
/// query().instrument((*span).clone()).await;
/// # }
/// ```
#[derive(Debug)]
#[must_use = "the span ends when this is dropped"]
pub struct OwnedSpan(Span);

impl OwnedSpan {
    /// Starts a span within the current one, and does not keep the current one open. `record` is called once, before the span
    /// starts, unless the span is not sampled. The new span's target, for `TRACE_LEVEL`, is `telemetry::span`.
    pub fn within_current(name: &str, record: impl Fn(&mut Recording)) -> Self {
        Self(start::within_current(name, record))
    }

    /// Starts a span that continues the context of a message or a job: in its trace, below its sender. Without a context, or from a sender
    /// that is not trusted, it starts a trace. It can move to another thread. Sets its kind to CONSUMER.
    ///
    /// ```
    /// use telemetry::propagation::{Trust, extract};
    /// use telemetry::span::{OwnedSpan, SpanExt, SpanKind};
    /// # let (queue, messages) = (String::from("mail"), vec![http::HeaderMap::new()]);
    /// // One message: its trace goes on.
    /// let incoming = extract(&messages[0], &Trust::ALWAYS, None);
    /// let span = OwnedSpan::continuing("process mail", &incoming);
    /// std::thread::spawn(move || span.in_scope(|| { /* … */ }));
    ///
    /// // A batch: one span with a link to the sender of each message.
    /// let batch = OwnedSpan::within_current("process mail", |span| {
    ///     span.kind(SpanKind::Consumer);
    ///     span.set("messaging.destination.name", &queue);
    /// });
    /// for message in &messages {
    ///     if let Some(sender) = extract(message, &Trust::ALWAYS, None).span_context() {
    ///         batch.link(sender);
    ///     }
    /// }
    /// ```
    ///
    /// The example `queue` sends messages too.
    pub fn continuing(name: &str, incoming: &Incoming) -> Self {
        let make = || tracing::info_span!(target: "telemetry::span", parent: None, "span");
        // The sampler counts each span that starts, so a span starts only if it will be made.
        let span = match tracing::span_enabled!(target: "telemetry::span", Level::INFO) {
            true => start::continuing(name, incoming, make),
            false => Span::none(),
        };
        span.record_with(|span| span.kind(SpanKind::Consumer));
        Self(span)
    }

    /// Takes over the end of a span that other code has created.
    #[cfg(any(feature = "actix", feature = "awc", feature = "tower", feature = "xray-lite"))]
    pub(crate) fn of(span: Span) -> Self {
        Self(span)
    }
}

impl Deref for OwnedSpan {
    type Target = Span;

    fn deref(&self) -> &Span {
        &self.0
    }
}

impl Drop for OwnedSpan {
    fn drop(&mut self) {
        self.0.end();
    }
}
