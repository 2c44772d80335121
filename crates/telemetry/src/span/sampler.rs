//! Which traces are recorded: OpenTelemetry's samplers, decided before anything of a span is built. A ratio is decided by the
//! trace id's 56 random bits, the same in every service, and carried in the `ot` entry of tracestate as its
//! [threshold](https://opentelemetry.io/docs/specs/otel/trace/tracestate-probability-sampling/), so that every span knows how
//! many requests it stands for, which Honeycomb reads from `SampleRate`.

use std::fmt;
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, TraceId};

use super::asked;
use super::rules::ByRules;
use crate::propagation::State;

/// The number of thresholds: 2^56.
const RANGE: u64 = 1 << 56;
/// Our entry of tracestate.
const ENTRY: &str = "ot";

/// A decision for each trace.
#[derive(Debug, Clone)]
pub(crate) struct Sampler {
    /// For a trace that begins here.
    pub(crate) root: Root,
    /// A trace that comes with a decision keeps it.
    pub(crate) parent_based: bool,
}

#[derive(Debug, Clone)]
pub(crate) enum Root {
    On,
    Off,
    Ratio(Threshold),
    /// Traces whose request is taken by X-Ray's rules.
    Rules(Arc<ByRules>),
}

/// The part of [`RANGE`] that a ratio does not sample: traces whose random bits are at least this are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Threshold(u64);

/// What was decided for a span.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Decision {
    pub(crate) sampled: bool,
    /// What goes on to the next service.
    pub(crate) state: State,
    /// How many requests a sampled one stands for; `None` where that is one, or unknown.
    pub(crate) rate: Option<i64>,
    /// The sampling rule that decided, here.
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

impl Threshold {
    /// `ratio` from 0 to 1.
    pub(crate) fn of(ratio: f64) -> Self {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 2^56, rounded")]
        Self(((1.0 - ratio) * 2f64.powi(56)).round() as u64)
    }

    pub(crate) fn takes(self, trace: TraceId) -> bool {
        let random = u128::from_be_bytes(trace.to_bytes()) & u128::from(RANGE - 1);
        random >= u128::from(self.0)
    }
}

impl Sampler {
    /// The decision for a span in `trace` that begins `now` in this process, below the remote span `parent`, which came with
    /// `state`, if there is one.
    pub(crate) fn decide(
        &self,
        trace: TraceId,
        parent: Option<&SpanContext>,
        state: State,
        now: SystemTime,
    ) -> Decision {
        match parent {
            Some(parent) if self.parent_based => {
                let rate = state.get(ENTRY).and_then(rate_of_entry);
                let sampled = parent.is_sampled();
                Decision { sampled, rate: rate.filter(|_| sampled), state, rule: None }
            }
            _ => {
                let (sampled, by_ratio, rule) = match &self.root {
                    Root::On => (true, None, None),
                    Root::Off => (false, None, None),
                    Root::Ratio(threshold) => (threshold.takes(trace), Some(*threshold), None),
                    Root::Rules(rules) => {
                        let verdict = rules.decide(now, trace, asked::take().as_ref());
                        (verdict.sampled, verdict.by_rate, verdict.rule)
                    }
                };
                match by_ratio {
                    Some(Threshold(threshold)) if sampled && threshold > 0 => {
                        let entry = format!("th:{}", hex(threshold));
                        Decision { sampled, state: state.with(ENTRY, &entry), rate: rate(threshold), rule }
                    }
                    // What another's ratio said does not hold for a decision of our own.
                    _ => Decision { sampled, state: state.without(ENTRY), rate: None, rule },
                }
            }
        }
    }
}

/// 14 hex digits without the zeros at their end.
fn hex(threshold: u64) -> String {
    let digits = format!("{threshold:014x}");
    let significant = digits.trim_end_matches('0');
    if significant.is_empty() { "0".to_owned() } else { significant.to_owned() }
}

fn rate_of_entry(entry: &str) -> Option<i64> {
    let digits = entry.split(';').find_map(|part| part.strip_prefix("th:"))?;
    let valid =
        (1..=14).contains(&digits.len()) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    rate(u64::from_str_radix(&format!("{:0<14}", valid.then_some(digits)?), 16).ok()?)
}

/// The whole number of requests nearest to what a threshold means.
fn rate(threshold: u64) -> Option<i64> {
    let taken = RANGE.checked_sub(threshold).filter(|taken| *taken > 0)?;
    i64::try_from((RANGE + taken / 2) / taken).ok().filter(|rate| *rate > 1)
}

/// As the variable `OTEL_TRACES_SAMPLER` calls it.
impl fmt::Display for Sampler {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.parent_based && !matches!(self.root, Root::Rules(_)) {
            f.write_str("parentbased_")?;
        }
        match &self.root {
            Root::On => f.write_str("always_on"),
            Root::Off => f.write_str("always_off"),
            Root::Rules(rules) => write!(f, "{rules}"),
            Root::Ratio(Threshold(threshold)) => match rate(*threshold) {
                Some(rate) => write!(f, "traceidratio, 1 of {rate}"),
                None if *threshold == RANGE => f.write_str("traceidratio, none"),
                None => f.write_str("traceidratio, all"),
            },
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::UNIX_EPOCH;

    use opentelemetry::trace::{SpanId, TraceFlags, TraceState};
    use proptest::prelude::*;

    use super::*;

    fn trace(random: u64) -> TraceId {
        TraceId::from_bytes((u128::MAX << 64 | u128::from(random)).to_be_bytes())
    }

    #[test]
    fn a_ratio_takes_its_part_by_the_random_bits() {
        let quarter = Sampler { root: Root::ratio(0.25), parent_based: true };
        assert!(!quarter.decide(trace(0xbf_ffff_ffff_ffff), None, State::default(), UNIX_EPOCH).sampled);
        let taken = quarter.decide(trace(0xc0_0000_0000_0000), None, State::default(), UNIX_EPOCH);
        assert_eq!((taken.sampled, taken.rate, taken.state.header()), (true, Some(4), Some("ot=th:c")));
        assert_eq!(quarter.to_string(), "parentbased_traceidratio, 1 of 4");
        assert!(
            !Sampler { root: Root::ratio(0.0), ..quarter.clone() }
                .decide(trace(u64::MAX), None, State::default(), UNIX_EPOCH)
                .sampled
        );
        let all =
            Sampler { root: Root::ratio(1.0), ..quarter.clone() }.decide(trace(0), None, State::default(), UNIX_EPOCH);
        assert_eq!((all.sampled, all.rate), (true, None));
    }

    #[test]
    fn a_decision_that_comes_is_kept_with_what_it_stands_for() {
        let state = State::default().with("x", "1").with("ot", "rv:1;th:e");
        let flags = [TraceFlags::SAMPLED, TraceFlags::default()];
        let [sampled, not] = flags
            .map(|flags| SpanContext::new(trace(1), SpanId::from_bytes([1; 8]), flags, true, TraceState::default()));
        let off = Sampler { root: Root::Off, parent_based: true };
        let decision = off.decide(trace(1), Some(&sampled), state.clone(), UNIX_EPOCH);
        assert_eq!((decision.sampled, decision.rate, decision.state), (true, Some(8), state.clone()));
        let decision = Sampler::default().decide(trace(1), Some(&not), state.clone(), UNIX_EPOCH);
        assert_eq!((decision.sampled, decision.rate), (false, None));
        let own = Sampler { root: Root::On, parent_based: false };
        let decision = own.decide(trace(1), Some(&not), state, UNIX_EPOCH);
        assert_eq!((decision.sampled, decision.state.header()), (true, Some("x=1")));
    }

    proptest! {
        #[test]
        fn a_ratio_and_its_threshold_say_the_same(ratio in 0.0001f64..1.0) {
            let sampler = Sampler { root: Root::ratio(ratio), parent_based: false };
            let decision = sampler.decide(trace(u64::MAX), None, State::default(), UNIX_EPOCH);
            let told = decision.state.get(ENTRY).and_then(rate_of_entry);
            prop_assert_eq!(told, decision.rate);
            let expected = (1.0 / ratio).round();
            let rate = decision.rate.unwrap_or(1);
            prop_assert!((i32::try_from(rate).map(f64::from).unwrap() - expected).abs() <= 1.0);
        }

        #[test]
        fn any_entry_is_a_rate_or_none(entry in ".{0,40}|th:[0-9a-f]{0,16}") {
            prop_assert!(rate_of_entry(&entry).is_none_or(|rate| rate > 1));
        }
    }
}
