//! What is sent of a span's context: the headers of a request that is made within it, and of the response to its caller.

use tracing::Span;

use super::propagators::chosen;
use super::{tracecontext, xray};
use crate::ascii::Ascii;
use crate::span;

/// The headers of a request that is made within `span`; none if `span` is not traced.
pub fn outgoing(span: &Span) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(4);
    inject(span, |name, value| headers.push((name, value.to_owned())));
    headers
}

/// Passes to `set` the headers of a request that is made within `span`, one after the other: [`outgoing`] without its copies.
pub fn inject(span: &Span, mut set: impl FnMut(&'static str, &str)) {
    let chosen = chosen();
    span::with_open(span, |open| {
        let (context, carried) = (&open.context, open.carried.as_deref());
        if chosen.tracecontext && context.is_valid() {
            set("traceparent", &tracecontext::traceparent(context));
            if let Some(state) = carried.and_then(|carried| carried.state.header()) {
                set("tracestate", state);
            }
        }
        if let Some(baggage) = carried.and_then(|carried| carried.baggage.as_ref()).filter(|_| chosen.baggage) {
            set("baggage", baggage);
        }
        if chosen.xray && context.is_valid() {
            let header = xray::header(context);
            match carried.and_then(|carried| carried.lineage.as_ref()) {
                None => set(xray::FIELD, &header),
                Some(lineage) => set(xray::FIELD, &[&*header, ";Lineage=", lineage].concat()),
            }
        }
    });
}

/// Passes to `tell` what the caller learns of the span that served it: the value of a `Server-Timing` response header, the
/// [`trace_id`], and the [`answer`] if the caller requested it.
pub fn tell<T>(span: &Span, tell: impl FnOnce(&str, &str, Option<(&'static str, String)>) -> T) -> Option<T> {
    served(span, |open| {
        let trace_id = Ascii([b'0'; 32]).hex(0, &open.context.trace_id().to_bytes());
        let answer = open.asked.then(|| (xray::FIELD, xray::answer(&open.context)));
        tell(&tracecontext::server_timing(&open.context), &trace_id, answer)
    })
}

/// The `traceparent` of `span`, for a page that is served within it.
pub fn traceparent(span: &Span) -> Option<String> {
    served(span, |open| str::to_owned(&tracecontext::traceparent(&open.context)))
}

/// The response header, name and value, that reports whether the trace is recorded to a caller that sent `Sampled=?`; `None` if
/// the caller sent no such request. `span` is the one that [`server_span`](crate::http::server_span) gave.
pub fn answer(span: &Span) -> Option<(&'static str, String)> {
    served(span, |open| open.asked.then(|| (xray::FIELD, xray::answer(&open.context))))?
}

/// The trace id of `span`, 32 hex digits, for an error page or a log.
pub fn trace_id(span: &Span) -> Option<String> {
    served(span, |open| open.context.trace_id().to_string())
}

/// Looks at a real span, not at one that only propagates a context.
fn served<T>(span: &Span, look: impl FnOnce(&span::Open) -> T) -> Option<T> {
    span::with_open(span, |open| (!open.passes).then(|| look(open)))?
}
