//! A span that ends when its owner ends it. Clones that libraries get with `Span::current()` prolong neither this span nor
//! those around it.

use std::ops::Deref;

use tracing::Span;

use super::ext::SpanExt;
use super::recording::Recording;
use super::start;

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

    /// Takes over the end of a span that other code has created.
    #[cfg(feature = "actix")]
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
