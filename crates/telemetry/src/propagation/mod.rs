//! How a trace goes from one service to the next: [`extract`] reads what a request brought, [`outgoing`] gives what the next
//! request must carry, in W3C's headers and in X-Ray's, with one trace id. Valid W3C context wins over X-Ray's.
//!
//! Baggage is not propagated: no key of it is on an allow list yet. An X-Ray header without a `Parent` names no span to
//! continue from and begins a new trace.

mod tracecontext;

use std::net::IpAddr;

use opentelemetry::trace::{SpanContext, SpanId, TraceContextExt, TraceFlags, TraceId, TraceState};
use tracing::Span;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use wire::{Sampled, SegmentId, TraceHeader};

/// The headers that carry a trace. A proxy removes them all from what it forwards before it sets its own.
pub const FIELDS: [&str; 4] = ["traceparent", "tracestate", "baggage", "x-amzn-trace-id"];

/// Where header values are looked up; implemented for the header maps of `http` 1 and of actix-web.
pub trait Headers {
    /// Each value of the header `name` (lower case) that is visible ASCII, in order.
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str>;
}

/// What a request brought: the span to continue from, or the one to be linked to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Incoming {
    pub(crate) parent: Option<SpanContext>,
    pub(crate) link: Option<SpanContext>,
}

/// Whose trace context is continued. What is not trusted begins a new trace, linked to the caller's.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Trust {
    /// Everyone's: for a service that only other services of ours reach.
    Always,
    /// That of callers on this machine: for the edge.
    Loopback,
}

impl Trust {
    fn covers(self, peer: Option<IpAddr>) -> bool {
        match self {
            Self::Always => true,
            Self::Loopback => peer.is_some_and(|peer| peer.to_canonical().is_loopback()),
        }
    }
}

/// Reads the trace context of a request that came from `peer`. Bad headers count as none.
pub fn extract(headers: &impl Headers, trust: Trust, peer: Option<IpAddr>) -> Incoming {
    let found = tracecontext::extract(headers).or_else(|| xray(headers));
    if trust.covers(peer) { Incoming { parent: found, link: None } } else { Incoming { parent: None, link: found } }
}

fn xray(headers: &impl Headers) -> Option<SpanContext> {
    let header: TraceHeader = headers.values("x-amzn-trace-id").next()?.parse().ok()?;
    let span = SpanId::from_bytes(header.parent?.to_bytes());
    let trace = TraceId::from_bytes(header.root.to_bytes());
    // Where nothing is said, the decision is ours, and we record.
    let flags = if header.sampled == Sampled::No { TraceFlags::default() } else { TraceFlags::SAMPLED };
    let context = SpanContext::new(trace, span, flags, true, TraceState::default());
    context.is_valid().then_some(context)
}

/// The headers of a request that is made within `span`; none where `span` is not traced.
pub fn outgoing(span: &Span) -> Vec<(&'static str, String)> {
    let Some(context) = context(span) else {
        return Vec::new();
    };
    let mut headers = vec![("traceparent", tracecontext::traceparent(&context))];
    let state = context.trace_state().header();
    if !state.is_empty() {
        headers.push(("tracestate", state));
    }
    let xray = TraceHeader {
        root: wire::TraceId::from_bytes(context.trace_id().to_bytes()),
        parent: Some(SegmentId::from_bytes(context.span_id().to_bytes())),
        sampled: if context.is_sampled() { Sampled::Yes } else { Sampled::No },
        lineage: None,
    };
    headers.push(("x-amzn-trace-id", xray.to_string()));
    headers
}

/// The value of a `Server-Timing` response header that tells the caller which span served it.
pub fn server_timing(span: &Span) -> Option<String> {
    context(span).map(|context| format!("traceparent;desc=\"{}\"", tracecontext::traceparent(&context)))
}

/// The trace id of `span`, 32 hex digits, for an error page or a log.
pub fn trace_id(span: &Span) -> Option<String> {
    context(span).map(|context| context.trace_id().to_string())
}

fn context(span: &Span) -> Option<SpanContext> {
    let context = span.context().span().span_context().clone();
    context.is_valid().then_some(context)
}

impl Headers for ::http::HeaderMap {
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.get_all(name).iter().filter_map(|value| value.to_str().ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const W3C: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

    fn headers(pairs: &[(&'static str, &'static str)]) -> ::http::HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| (::http::HeaderName::from_static(name), ::http::HeaderValue::from_static(value)))
            .collect()
    }

    fn ids(context: Option<SpanContext>) -> Option<(String, String, bool)> {
        context.map(|c| (c.trace_id().to_string(), c.span_id().to_string(), c.is_sampled()))
    }

    #[test]
    fn w3c_wins_over_x_ray() {
        let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY)]);
        let found = ids(extract(&both, Trust::Always, None).parent).unwrap();
        assert_eq!(found.0, "0af7651916cd43dd8448eb211c80319c");
        let found = ids(extract(&headers(&[("x-amzn-trace-id", XRAY)]), Trust::Always, None).parent);
        assert_eq!(found, Some(("5759e988bd862e3fe1be46a994272793".into(), "53995c3f42cd8ad8".into(), false)));
    }

    #[test]
    fn what_is_not_trusted_is_linked() {
        let headers = headers(&[("traceparent", W3C)]);
        let peer = |text: &str| Some(text.parse().unwrap());
        assert!(extract(&headers, Trust::Loopback, peer("127.0.0.1")).parent.is_some());
        assert!(extract(&headers, Trust::Loopback, peer("::ffff:127.0.0.1")).parent.is_some());
        for stranger in [peer("192.0.2.1"), None] {
            let incoming = extract(&headers, Trust::Loopback, stranger);
            assert!(incoming.parent.is_none() && incoming.link.is_some());
        }
    }

    #[test]
    fn bad_headers_count_as_none() {
        let bad = headers(&[("traceparent", "00-zz"), ("x-amzn-trace-id", "Root=1-2-3")]);
        assert_eq!(extract(&bad, Trust::Always, None), Incoming::default());
    }
}
