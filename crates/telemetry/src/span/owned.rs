//! A span that ends when its owner ends it. Clones that libraries get with `Span::current()` prolong neither this span nor
//! those around it.

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
    /// use telemetry::span::{OwnedSpan, SpanExt};
    /// # let (queue, messages) = (String::from("mail"), vec![http::HeaderMap::new()]);
    /// // One message: its trace goes on.
    /// let incoming = extract(&messages[0], &Trust::ALWAYS, None);
    /// let span = OwnedSpan::continuing("process mail", &incoming);
    /// std::thread::spawn(move || span.in_scope(|| { /* … */ }));
    ///
    /// // A batch: one span with a link to the sender of each message.
    /// let batch = OwnedSpan::within_current("receive mail", |span| span.set("messaging.destination.name", &queue));
    /// for message in &messages {
    ///     if let Some(sender) = extract(message, &Trust::ALWAYS, None).span_context() {
    ///         batch.link(sender);
    ///     }
    /// }
    /// ```
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::limits::Limits;
    use crate::propagation::{Trust, extract};
    use crate::span::sampler::Sampler;
    use crate::testing::recorded;

    fn message(traceparent: &str) -> Incoming {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("traceparent", traceparent.parse().unwrap());
        extract(&headers, &Trust::ALWAYS, None)
    }

    #[test]
    fn a_message_continues_its_trace_on_another_thread() {
        let recorded = recorded(Sampler::default(), Limits::default(), false, || {
            let incoming = message("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01");
            let span = tracing::info_span!("unrelated").in_scope(|| OwnedSpan::continuing("process mail", &incoming));
            std::thread::spawn(move || drop(span)).join().unwrap();
            drop(OwnedSpan::continuing("own", &message("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-00")));
            drop(OwnedSpan::continuing("new", &Incoming::default()));
        });
        let [_, mail, new] = recorded.spans.as_slice() else { panic!("{:?}", recorded.spans) };
        assert_eq!((&*mail.name, mail.kind), ("process mail", 5));
        assert_eq!(mail.trace_id, 0x0af7_6519_16cd_43dd_8448_eb21_1c80_319c_u128.to_be_bytes());
        assert_eq!(mail.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
        assert!(new.parent_span_id.is_empty() && new.trace_id != mail.trace_id);
    }

    #[test]
    fn a_batch_is_linked_to_the_sender_of_each_message() {
        let recorded = recorded(Sampler::default(), Limits::default(), false, || {
            let batch = OwnedSpan::within_current("receive mail", |_| {});
            for id in ["b7ad6b7169203331", "b7ad6b7169203332"] {
                let incoming = message(&format!("00-0af7651916cd43dd8448eb211c80319c-{id}-01"));
                batch.link(incoming.span_context().unwrap());
            }
            assert_eq!(Incoming::default().span_context(), None);
        });
        let links: Vec<_> = recorded.spans[0].links.iter().map(|link| link.span_id.clone()).collect();
        assert_eq!(links, [0xb7ad_6b71_6920_3331_u64, 0xb7ad_6b71_6920_3332].map(|id| id.to_be_bytes().to_vec()));
    }
}
