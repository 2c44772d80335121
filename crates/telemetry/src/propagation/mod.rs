//! How a trace goes from one service to the next. [`extract`] reads the context of a request, and [`outgoing`] gives the
//! headers of the next request, with one trace id in every header. `OTEL_PROPAGATORS` chooses among W3C's `tracecontext` and
//! `baggage`, and `xray`; all three are on by default. Valid W3C context wins over X-Ray's. If both are valid and disagree, the
//! span is linked to the other and has the attribute `trace.context.conflict`.
//!
//! An X-Ray header without a `Parent`, as a load balancer sends it, names a trace and no span: the first span here has no
//! parent, but that trace id. Without the name of a span there is nothing to link to, either.

mod baggage;
#[cfg(test)]
mod matrix;
mod tracecontext;
mod trust;
mod xray;

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::OnceLock;

use opentelemetry::trace::SpanContext;
use tracing::Span;

use crate::ascii::Ascii;
use crate::context::State;
use crate::span;

pub use crate::context::Incoming;
pub use trust::{NotTrust, Trust};

/// The headers that carry a trace. A proxy removes them all from what it forwards before it sets its own.
pub const FIELDS: [&str; 4] = ["traceparent", "tracestate", "baggage", "x-amzn-trace-id"];

/// Stands for a value that is not visible ASCII: no parser accepts it, so that it invalidates what it comes with.
pub(crate) const UNREADABLE: &str = "\u{0}";

/// Looks up header values; implemented for the header maps of `http` 1 and of actix-web.
pub trait Headers {
    /// Each value of the header `name` (lower case), in order. A value that is not visible ASCII must not be left out, but
    /// given as a text that is not visible ASCII either.
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str>;
}

/// The formats in which a trace is read and written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagators {
    tracecontext: bool,
    baggage: bool,
    xray: bool,
}

static CHOSEN: OnceLock<Propagators> = OnceLock::new();

/// Makes `propagators` those of this process. A process installs telemetry once.
pub(crate) fn choose(propagators: Propagators) {
    // There cannot be a second choice: the subscriber was installed first.
    let _ = CHOSEN.set(propagators);
}

fn chosen() -> Propagators {
    CHOSEN.get().copied().unwrap_or_default()
}

/// Reads the trace context of a request that came from `peer`. Invalid headers count as missing.
pub fn extract(headers: &impl Headers, trust: &Trust, peer: Option<IpAddr>) -> Incoming {
    chosen().extract(headers, trust, peer)
}

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

impl Propagators {
    fn extract(self, headers: &impl Headers, trust: &Trust, peer: Option<IpAddr>) -> Incoming {
        let verdict = trust.verdict(peer);
        let baggage = || self.baggage.then(|| baggage::extract(headers, |key| trust.keeps(key))).flatten();
        let w3c = self.tracecontext.then(|| tracecontext::extract(headers)).flatten();
        let (w3c, state) = w3c.map_or((None, State::default()), |(context, state)| (Some(context), state));
        let xray = self.xray.then(|| xray::extract(headers)).flatten();
        match (verdict, w3c, xray) {
            (trust::Verdict::Drop, ..) => Incoming::default(),
            (trust::Verdict::Link, w3c, xray) => {
                let link = w3c.or_else(|| xray?.span());
                Incoming { link, state, baggage: baggage(), ..Incoming::default() }
            }
            (trust::Verdict::Continue, Some(parent), None) => {
                Incoming { parent: Some(parent), state, baggage: baggage(), ..Incoming::default() }
            }
            (trust::Verdict::Continue, Some(parent), Some(other)) => {
                // What is known of another trace does not apply to this one.
                let same = other.context.trace_id() == parent.trace_id();
                let asked = same && other.asks();
                let lineage = other.lineage.clone().filter(|_| same);
                let other = (!other.agrees_with(&parent)).then_some(other);
                Incoming {
                    conflict: other.is_some(),
                    link: other.and_then(xray::Told::span),
                    parent: Some(parent),
                    state,
                    baggage: baggage(),
                    lineage,
                    asked,
                    undecided: false,
                }
            }
            (trust::Verdict::Continue, None, Some(told)) => Incoming {
                baggage: baggage(),
                undecided: told.is_undecided(),
                asked: told.asks(),
                lineage: told.lineage,
                parent: Some(told.context),
                ..Incoming::default()
            },
            (trust::Verdict::Continue, None, None) => Incoming { baggage: baggage(), ..Incoming::default() },
        }
    }
}

impl Default for Propagators {
    fn default() -> Self {
        Self { tracecontext: true, baggage: true, xray: true }
    }
}

impl FromStr for Propagators {
    type Err = NotAPropagator;

    fn from_str(text: &str) -> Result<Self, NotAPropagator> {
        let mut chosen = Self { tracecontext: false, baggage: false, xray: false };
        for name in text.split(',').map(str::trim) {
            match name {
                "tracecontext" => chosen.tracecontext = true,
                "baggage" => chosen.baggage = true,
                "xray" => chosen.xray = true,
                "none" if text.trim() == "none" => {}
                other => return Err(NotAPropagator(other.to_owned())),
            }
        }
        Ok(chosen)
    }
}

#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not among them")]
pub(crate) struct NotAPropagator(String);

impl Headers for ::http::HeaderMap {
    fn values<'a>(&'a self, name: &'static str) -> impl Iterator<Item = &'a str> {
        self.get_all(name).iter().map(|value| value.to_str().unwrap_or(UNREADABLE))
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
        let found = ids(extract(&both, &Trust::ALWAYS, None).parent).unwrap();
        assert_eq!(found.0, "0af7651916cd43dd8448eb211c80319c");
        let found = ids(extract(&headers(&[("x-amzn-trace-id", XRAY)]), &Trust::ALWAYS, None).parent);
        assert_eq!(found, Some(("5759e988bd862e3fe1be46a994272793".into(), "53995c3f42cd8ad8".into(), false)));
    }

    #[test]
    fn what_is_not_trusted_is_linked() {
        let headers = headers(&[("traceparent", W3C)]);
        let peer = |text: &str| Some(text.parse().unwrap());
        assert!(extract(&headers, &Trust::loopback(), peer("127.0.0.1")).parent.is_some());
        assert!(extract(&headers, &Trust::loopback(), peer("::ffff:127.0.0.1")).parent.is_some());
        for stranger in [peer("192.0.2.1"), None] {
            let incoming = extract(&headers, &Trust::loopback(), stranger);
            assert!(incoming.parent.is_none() && incoming.link.is_some());
        }
    }

    #[test]
    fn bad_headers_count_as_none() {
        let bad = headers(&[("traceparent", "00-zz"), ("x-amzn-trace-id", "Root=1-2-3")]);
        assert_eq!(extract(&bad, &Trust::ALWAYS, None), Incoming::default());
    }

    #[test]
    fn a_disagreement_is_linked_and_said() {
        let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY)]);
        let incoming = extract(&both, &Trust::ALWAYS, None);
        assert_eq!(ids(incoming.link).unwrap().0, "5759e988bd862e3fe1be46a994272793");
        assert!(incoming.conflict);
        let same = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
        let agreed = extract(&headers(&[("traceparent", W3C), ("x-amzn-trace-id", same)]), &Trust::ALWAYS, None);
        assert!(agreed.link.is_none() && !agreed.conflict);
    }

    #[test]
    fn a_strangers_baggage_is_dropped_but_for_the_keys_that_are_allowed() {
        let given = headers(&[("traceparent", W3C), ("baggage", "user=1,role=admin")]);
        let trust = |text: &str| text.parse::<Trust>().unwrap().with_baggage(vec!["user".to_owned()]);
        let baggage = |trust: &Trust| extract(&given, trust, None).baggage;
        assert_eq!(baggage(&trust("always")).as_deref(), Some("user=1,role=admin"));
        assert_eq!(baggage(&trust("link")).as_deref(), Some("user=1"));
        assert_eq!(baggage(&Trust::loopback()), None);
        assert_eq!(baggage(&trust("never")), None);
        assert_eq!(extract(&given, &trust("never"), None), Incoming::default());
    }

    #[test]
    fn propagators_are_chosen_by_name() {
        let chosen = |text: &str| text.parse::<Propagators>().map_err(|error| error.to_string());
        assert_eq!(chosen("tracecontext, baggage,xray"), Ok(Propagators::default()));
        assert_eq!(chosen("b3"), Err("\"b3\" is not among them".to_owned()));
        assert!(chosen("none,xray").is_err());
        let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY), ("baggage", "a=b")]);
        let of = |text: &str| chosen(text).unwrap().extract(&both, &Trust::ALWAYS, None);
        assert_eq!(ids(of("xray").parent).unwrap().0, "5759e988bd862e3fe1be46a994272793");
        assert_eq!(of("xray").baggage, None);
        assert_eq!(of("none"), Incoming::default());
        assert_eq!(of("baggage").baggage.as_deref(), Some("a=b"));
    }
}
