//! A span whose end is its owner's. Its clones, which libraries take by `Span::current()`, neither prolong it nor the spans around it.

use std::ops::Deref;

use tracing::Span;

use super::layer;
use super::{Recording, SpanExt};

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
    /// Begins a span within the current one, which does not stay open because of it. `record` is called once, before the span begins,
    /// unless the span is not sampled. Its target, for `TRACE_LEVEL`, is `telemetry::span`.
    pub fn within_current(name: &str, record: impl Fn(&mut Recording)) -> Self {
        Self(layer::within_current(name, record))
    }

    /// Owns the end of a span that others have made.
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
