//! OpenTelemetry's samplers. They decide which traces are recorded, before any part of a span is built.
//!
//! A ratio applies to the trace id's 56 random bits, which are the same in every service. It is propagated in the `ot` entry of
//! tracestate as its [threshold](https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/), so that
//! every service knows how many requests a sampled trace represents. If the caller's entry has other random bits (`rv`), these
//! decide instead. They are propagated unchanged, like values that this crate does not know. A threshold that contradicts the
//! caller's decision is erased.
//!
//! Honeycomb reads the number of requests from `SampleRate`, which is a whole number. If the real number is not whole, the
//! trace id selects the next lower or the next higher one, so that sums are right on average.

#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, TraceId};

use super::rules::RuleSampler;
use super::threshold::{ENTRY, RANGE, Rate, Threshold, has_threshold, incoming_random, random, with_threshold};
use crate::context::{PendingRequest, Tracestate};

/// Decides for each trace whether it is recorded.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    /// Decides for a trace that starts here.
    pub(crate) root: Root,
    /// Whether an incoming decision is kept.
    pub(crate) parent_based: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Root {
    On,
    Off,
    Ratio(Threshold),
    /// By X-Ray's rules and the trace's first request.
    Rules(Arc<RuleSampler>),
}

/// The decision for a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    /// The tracestate for the next service.
    pub(crate) state: Tracestate,
    /// How many requests a sampled one represents; `None` if one, or unknown.
    pub(crate) rate: Option<i64>,
    /// The sampling rule that decided, if this process decided by rules.
    pub(crate) rule: Option<Arc<str>>,
}

impl Default for Sampler {
    fn default() -> Self {
        Self { root: Root::On, parent_based: true }
    }
}

impl Root {
    /// `ratio` from 0 to 1.
    pub(crate) fn ratio(ratio: f64) -> Self {
        Self::Ratio(Threshold::of(ratio))
    }
}

impl Sampler {
    /// The decision for a span in `trace` that starts `now` in this process, with `request` if it serves one. `parent` is its
    /// remote parent, if there is one, and `state` the parent's.
    pub(crate) fn decide(
        &self,
        trace: TraceId,
        parent: Option<&SpanContext>,
        state: Tracestate,
        request: Option<&PendingRequest<'_>>,
        now: SystemTime,
    ) -> Decision {
        match parent {
            Some(parent) if self.parent_based => {
                let sampled = parent.is_sampled();
                let Some(entry) = state.get(ENTRY).filter(|_| sampled) else {
                    return Decision { sampled, rate: None, state, rule: None };
                };
                let rate = Rate::of_entry(entry, trace);
                let is_wrong = rate == Rate::Unknown && has_threshold(entry);
                let state = if is_wrong { with_threshold(&state, None) } else { state };
                Decision { sampled, rate: rate.count(), state, rule: None }
            }
            _ => {
                let random = state.get(ENTRY).and_then(incoming_random).unwrap_or_else(|| random(trace));
                let (sampled, by_ratio, rule) = match &self.root {
                    Root::On => (true, None, None),
                    Root::Off => (false, None, None),
                    Root::Ratio(threshold) => (threshold.samples(random), Some(*threshold), None),
                    Root::Rules(rules) => {
                        let decision = rules.decide(now, random, request);
                        (decision.sampled, decision.by_rate, decision.rule)
                    }
                };
                // This process's own decision ignores another service's ratio, but uses its random bits.
                let threshold = by_ratio.map(|Threshold(threshold)| threshold).filter(|_| sampled);
                let rate = threshold.map_or(Rate::Unknown, |at| Rate::of(at, random));
                Decision { sampled, state: with_threshold(&state, threshold), rate: rate.count(), rule }
            }
        }
    }
}

/// The name in `OTEL_TRACES_SAMPLER`, and the ratio if there is one.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parent_based && !matches!(self.root, Root::Rules(_)) {
            f.write_str("parentbased_")?;
        }
        match &self.root {
            Root::On => f.write_str("always_on"),
            Root::Off => f.write_str("always_off"),
            Root::Rules(rules) => write!(f, "{rules}"),
            Root::Ratio(Threshold(0)) => f.write_str("traceidratio, all"),
            Root::Ratio(Threshold(RANGE..)) => f.write_str("traceidratio, none"),
            #[expect(clippy::cast_precision_loss, reason = "it is rounded for display")]
            Root::Ratio(Threshold(threshold)) => {
                let rate = RANGE as f64 / (RANGE - threshold) as f64;
                write!(f, "traceidratio, 1 of {}", (rate * 100.0).round() / 100.0)
            }
        }
    }
}
