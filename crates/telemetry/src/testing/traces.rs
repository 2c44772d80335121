//! The edges between spans.

use opentelemetry_proto::tonic::trace::v1::Span;

/// The spans of one trace in which each has at most one child, from the root on.
pub(crate) fn chain(spans: &[Span]) -> Vec<&Span> {
    let mut chain: Vec<&Span> = Vec::new();
    while let Some(next) = spans.iter().find(|span| match chain.last() {
        None => span.parent_span_id.is_empty(),
        Some(last) => span.parent_span_id == last.span_id,
    }) {
        assert!(chain.iter().all(|span| span.trace_id == next.trace_id));
        chain.push(next);
    }
    assert_eq!(chain.len(), spans.len(), "{spans:?}");
    chain
}
