//! The headers that propagate a span's context: in a request that is sent within it, and in the response to its caller.

use std::sync::Arc;

use tracing::Span;

use super::baggage::{members, with_member};
use super::propagators::chosen;
use super::{tracecontext, xray};
use crate::ascii::Ascii;
use crate::context::{Propagated, SpanIds};
use crate::span;

/// The headers of a request that is sent within `span`; none if `span` is not traced.
pub fn outgoing(span: &Span) -> Vec<(&'static str, String)> {
    let mut headers = Vec::with_capacity(4);
    inject(span, |name, value| headers.push((name, value.to_owned())));
    headers
}

/// Passes each header of a request that is sent within `span` to `set`. Like [`outgoing`], without copying.
pub fn inject(span: &Span, set: impl FnMut(&'static str, &str)) {
    span::with_nearest(span, |open| headers(open.ids, open.propagated.as_deref(), set));
}

/// Passes each header of a request that is sent within this span to `set`.
pub(crate) fn headers(ids: SpanIds, propagated: Option<&Propagated>, mut set: impl FnMut(&'static str, &str)) {
    let chosen = chosen();
    if chosen.tracecontext && ids.is_valid() {
        set("traceparent", &tracecontext::traceparent(ids));
        if let Some(state) = propagated.and_then(|propagated| propagated.state.header()) {
            set("tracestate", state);
        }
    }
    if let Some(baggage) = propagated.and_then(|propagated| propagated.baggage.as_ref()).filter(|_| chosen.baggage) {
        set("baggage", baggage);
    }
    if chosen.xray && ids.is_valid() {
        let header = xray::header(ids);
        match propagated.and_then(|propagated| propagated.lineage.as_ref()) {
            None => set(xray::FIELD, &header),
            Some(lineage) => set(xray::FIELD, &[&*header, ";Lineage=", lineage].concat()),
        }
    }
}

/// The value of a member of the baggage that `span` propagates, decoded. A span that only other layers know propagates the
/// baggage of the span around it.
pub fn baggage(span: &Span, key: &str) -> Option<String> {
    span::with_nearest(span, |open| {
        let text = open.propagated.as_deref()?.baggage.as_deref()?;
        members(text).find(|member| member.key == key).map(|member| member.value.into_owned())
    })?
}

/// Sets a member of the baggage that `span` propagates: to the requests made in it, and to spans that start within it from now
/// on. If only other layers know `span`, the member is set on the span around it. Returns whether it was set: `key` must be a
/// token as HTTP defines it, and the list must stay within 64 members and 8,192 bytes.
///
/// ```
/// use telemetry::propagation::{baggage, set_baggage};
/// let span = tracing::info_span!("checkout");
/// if set_baggage(&span, "app.tier", "gold") {
///     assert_eq!(baggage(&span, "app.tier").as_deref(), Some("gold"));
/// }
/// ```
pub fn set_baggage(span: &Span, key: &str, value: &str) -> bool {
    let set = span::with_nearest(span, |open| {
        let before = open.propagated.as_deref().and_then(|propagated| propagated.baggage.as_deref());
        let Some(list) = with_member(before.unwrap_or_default(), key, value, "") else { return false };
        Arc::make_mut(open.propagated.get_or_insert_default()).baggage = Some(list);
        // Its context has the old list.
        open.entered = None;
        true
    });
    set.unwrap_or_default()
}

/// X-Ray's header of a request that is made within `span`, whichever propagators are configured.
#[cfg(feature = "xray-lite")]
pub(crate) fn trace_header(span: &Span) -> Option<String> {
    span::with_nearest(span, |open| {
        let lineage = open.propagated.as_deref().and_then(|propagated| propagated.lineage.as_deref());
        let header = xray::header(open.ids);
        open.ids.is_valid().then(|| match lineage {
            None => str::to_owned(&header),
            Some(lineage) => [&*header, ";Lineage=", lineage].concat(),
        })
    })?
}

/// Passes to `report` what a response may reveal about its span: the value of a `Server-Timing` header, the [`trace_id`], and
/// the [`decision`] if the caller requested it.
pub fn report<T>(span: &Span, report: impl FnOnce(&str, &str, Option<(&'static str, String)>) -> T) -> Option<T> {
    served(span, |open| {
        let trace_id = Ascii([b'0'; 32]).hex(0, &open.ids.trace.to_bytes());
        let decision = open.wants_decision.then(|| (xray::FIELD, xray::decision(open.ids)));
        report(&tracecontext::server_timing(open.ids), &trace_id, decision)
    })
}

/// The `traceparent` of `span`, for a page that is sent as its response.
pub fn traceparent(span: &Span) -> Option<String> {
    served(span, |open| str::to_owned(&tracecontext::traceparent(open.ids)))
}

/// The name and value of the response header with the sampling decision; `None` unless the caller sent `Sampled=?`. `span` must
/// come from [`server_span`](crate::http::server_span).
pub fn decision(span: &Span) -> Option<(&'static str, String)> {
    served(span, |open| open.wants_decision.then(|| (xray::FIELD, xray::decision(open.ids))))?
}

/// The trace id of `span` as 32 hex digits, for an error page or a log.
pub fn trace_id(span: &Span) -> Option<String> {
    served(span, |open| open.ids.trace.to_string())
}

/// Reads a span, unless it only propagates a context.
fn served<T>(span: &Span, look: impl FnOnce(&span::Open) -> T) -> Option<T> {
    span::with_nearest(span, |open| (!open.passes).then(|| look(open)))?
}
