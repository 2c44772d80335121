//! The formats in which a trace is propagated. Reads the context of a request in all of them.

use std::net::IpAddr;
use std::str::FromStr;
use std::sync::atomic::{AtomicU8, Ordering};

use super::headers::{FIELDS, Headers};
use super::trust::{Trust, Verdict};
use super::{baggage, tracecontext, xray};
use crate::context::{Incoming, Tracestate};

/// The selected formats.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Propagators {
    pub(super) tracecontext: bool,
    pub(super) baggage: bool,
    pub(super) xray: bool,
}

/// The chosen formats, a bit for each; [`UNCHOSEN`] before telemetry starts.
static CHOSEN: AtomicU8 = AtomicU8::new(UNCHOSEN);
const UNCHOSEN: u8 = u8::MAX;

/// Makes `propagators` those of this process.
pub(crate) fn choose(propagators: Propagators) {
    let Propagators { tracecontext, baggage, xray } = propagators;
    let bits = u8::from(tracecontext) | u8::from(baggage) << 1 | u8::from(xray) << 2;
    CHOSEN.store(bits, Ordering::Relaxed);
}

pub(super) fn chosen() -> Propagators {
    match CHOSEN.load(Ordering::Relaxed) {
        UNCHOSEN => Propagators::default(),
        bits => Propagators { tracecontext: bits & 1 != 0, baggage: bits & 2 != 0, xray: bits & 4 != 0 },
    }
}

/// Reads the trace context of a request that came from `peer`. Invalid headers count as missing.
pub fn extract(headers: &impl Headers, trust: &Trust, peer: Option<IpAddr>) -> Incoming {
    chosen().extract(headers, trust, peer)
}

impl Propagators {
    /// The names of these formats in `OTEL_PROPAGATORS`.
    pub(crate) fn names(self) -> Vec<&'static str> {
        let names = [("tracecontext", self.tracecontext), ("baggage", self.baggage), ("xray", self.xray)];
        names.into_iter().filter(|(_, is_used)| *is_used).map(|(name, _)| name).collect()
    }

    pub(super) fn extract(self, headers: &impl Headers, trust: &Trust, peer: Option<IpAddr>) -> Incoming {
        if !headers.may_have(&FIELDS) {
            return Incoming::default();
        }
        let verdict = trust.verdict(peer);
        let baggage = || self.baggage.then(|| baggage::extract(headers, |key| trust.keeps(key))).flatten();
        let w3c = self.tracecontext.then(|| tracecontext::extract(headers)).flatten();
        let (w3c, state) = w3c.map_or((None, Tracestate::default()), |(context, state)| (Some(context), state));
        let xray = self.xray.then(|| xray::extract(headers)).flatten();
        match (verdict, w3c, xray) {
            (Verdict::Drop, ..) => Incoming::default(),
            (Verdict::Link, w3c, xray) => {
                let link = w3c.or_else(|| xray?.span());
                Incoming { link, state, baggage: baggage(), ..Incoming::default() }
            }
            (Verdict::Continue, Some(parent), None) => {
                Incoming { parent: Some(parent), state, baggage: baggage(), ..Incoming::default() }
            }
            (Verdict::Continue, Some(parent), Some(other)) => {
                // X-Ray's header of another trace does not apply to this one.
                let same = other.context.trace_id() == parent.trace_id();
                let wants_decision = same && other.wants_decision();
                let lineage = other.lineage.clone().filter(|_| same);
                let other = (!other.agrees_with(&parent)).then_some(other);
                Incoming {
                    has_conflict: other.is_some(),
                    link: other.and_then(xray::ParsedHeader::span),
                    parent: Some(parent),
                    state,
                    baggage: baggage(),
                    lineage,
                    wants_decision,
                    is_undecided: false,
                }
            }
            (Verdict::Continue, None, Some(header)) => Incoming {
                baggage: baggage(),
                is_undecided: header.is_undecided(),
                wants_decision: header.wants_decision(),
                lineage: header.lineage,
                parent: Some(header.context),
                ..Incoming::default()
            },
            (Verdict::Continue, None, None) => Incoming { baggage: baggage(), ..Incoming::default() },
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
#[error("there is no propagator {0:?}")]
pub(crate) struct NotAPropagator(String);
