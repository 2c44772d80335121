//! Decisions, and the ratios that are propagated with them.

use std::time::UNIX_EPOCH;

use opentelemetry::trace::{SpanId, TraceFlags, TraceState};
use proptest::prelude::*;

use super::*;

fn trace(random: u64) -> TraceId {
    TraceId::from_bytes((u128::MAX << 64 | u128::from(random)).to_be_bytes())
}

#[test]
fn a_ratio_decides_by_the_random_bits() {
    let quarter = Sampler { root: Root::ratio(0.25), parent_based: true };
    assert!(!quarter.decide(trace(0xbf_ffff_ffff_ffff), None, Tracestate::default(), None, UNIX_EPOCH).sampled);
    let taken = quarter.decide(trace(0xc0_0000_0000_0000), None, Tracestate::default(), None, UNIX_EPOCH);
    assert_eq!((taken.sampled, taken.rate, taken.state.header()), (true, Some(4), Some("ot=th:c")));
    assert_eq!(quarter.to_string(), "parentbased_traceidratio, 1 of 4");
    assert!(
        !Sampler { root: Root::ratio(0.0), ..quarter.clone() }
            .decide(trace(u64::MAX), None, Tracestate::default(), None, UNIX_EPOCH)
            .sampled
    );
    let all = Sampler { root: Root::ratio(1.0), ..quarter.clone() }.decide(
        trace(0),
        None,
        Tracestate::default(),
        None,
        UNIX_EPOCH,
    );
    assert_eq!((all.sampled, all.rate, all.state.header()), (true, None, Some("ot=th:0")));
}

#[test]
fn an_incoming_decision_is_kept_with_its_rate() {
    let state = Tracestate::default().with("x", "1").with("ot", "rv:e0000000000000;th:e");
    let flags = [TraceFlags::SAMPLED, TraceFlags::default()];
    let [sampled, not] =
        flags.map(|flags| SpanContext::new(trace(1), SpanId::from_bytes([1; 8]), flags, true, TraceState::default()));
    let off = Sampler { root: Root::Off, parent_based: true };
    let decision = off.decide(trace(1), Some(&sampled), state.clone(), None, UNIX_EPOCH);
    assert_eq!((decision.sampled, decision.rate, decision.state), (true, Some(8), state.clone()));
    let decision = Sampler::default().decide(trace(1), Some(&not), state.clone(), None, UNIX_EPOCH);
    assert_eq!((decision.sampled, decision.rate), (false, None));
    let own = Sampler { root: Root::On, parent_based: false };
    let decision = own.decide(trace(1), Some(&not), state, None, UNIX_EPOCH);
    assert_eq!((decision.sampled, decision.state.header()), (true, Some("ot=rv:e0000000000000,x=1")));
}

#[test]
fn a_threshold_that_contradicts_the_decision_is_erased() {
    let parent = |flags| SpanContext::new(trace(1), SpanId::from_bytes([1; 8]), flags, true, TraceState::default());
    let [sampled, not] = [TraceFlags::SAMPLED, TraceFlags::default()].map(parent);
    for (entry, sent, rate) in [
        ("th:e", None, None),
        ("th:8;rv:7fffffffffffff", Some("ot=rv:7fffffffffffff"), None),
        ("p:8;th:8;rv:80000000000000;q:1", Some("ot=p:8;th:8;rv:80000000000000;q:1"), Some(2)),
        ("TH:8;th:x", Some("ot=TH:8"), None),
        ("th:", None, None),
        ("th:0", Some("ot=th:0"), None),
        ("th:C;rv:FFFFFFFFFFFFFF", Some("ot=th:C;rv:FFFFFFFFFFFFFF"), Some(4)),
        ("rv:7fffffffffffff", Some("ot=rv:7fffffffffffff"), None),
        (";a; ;b", Some("ot=;a; ;b"), None),
        (";a; ;th:x;b:1;c: ", Some("ot=b:1"), None),
    ] {
        let state = Tracestate::default().with("ot", entry);
        let decision = Sampler::default().decide(trace(1), Some(&sampled), state.clone(), None, UNIX_EPOCH);
        assert_eq!((decision.state.header(), decision.rate), (sent, rate), "{entry}");
        let decision = Sampler::default().decide(trace(1), Some(&not), state.clone(), None, UNIX_EPOCH);
        assert_eq!((decision.state, decision.rate), (state, None), "{entry}");
    }
}

#[test]
fn an_own_decision_keeps_unknown_values_of_the_entry() {
    let sampler = Sampler { root: Root::ratio(0.5), parent_based: false };
    let long = format!("a:{}", "b".repeat(240));
    for (entry, sent) in [
        ("p:8;th:c;r:62", "ot=th:8;p:8;r:62"),
        ("rv:1;x:1", "ot=th:8;x:1"),
        (&long, &format!("ot=th:8;{long}")),
        (&format!("{long};c:1;defg:1"), &format!("ot=th:8;{long};c:1")),
    ] {
        let state = Tracestate::default().with("ot", entry);
        let decision = sampler.decide(trace(u64::MAX), None, state, None, UNIX_EPOCH);
        assert_eq!(decision.state.header(), Some(sent), "{entry}");
    }
}

#[test]
fn incoming_random_bits_decide_and_are_propagated() {
    let flags = TraceFlags::default();
    for (rv, ratio, sampled, rate, sent) in [
        ("c0000000000000", 0.25, true, Some(4), "ot=th:c;rv:c0000000000000,x=1"),
        ("bfffffffffffff", 0.25, false, None, "ot=rv:bfffffffffffff,x=1"),
        ("00000000000000", 1.0, true, None, "ot=th:0;rv:00000000000000,x=1"),
    ] {
        let sampler = Sampler { root: Root::ratio(ratio), parent_based: false };
        let state = Tracestate::default().with("x", "1").with("ot", &format!("rv:{rv};th:8"));
        // The trace's own bits would decide the opposite.
        let trace = trace(if sampled { 0 } else { u64::MAX });
        let parent = SpanContext::new(trace, SpanId::from_bytes([1; 8]), flags, true, TraceState::default());
        let decision = sampler.decide(trace, Some(&parent), state, None, UNIX_EPOCH);
        let found = (decision.sampled, decision.rate, decision.state.header());
        assert_eq!(found, (sampled, rate, Some(sent)), "{rv}");
    }
}

/// The sum of the rates of the sampled ones among 100,000 requests. Their random bits are evenly spread, so the result is
/// deterministic.
fn counted(decide: impl Fn(TraceId) -> Decision) -> f64 {
    let step = 0x9e_3779_b97f_4a7c | 1;
    let traces = (1..=100_000_u64).map(|index| trace(index.wrapping_mul(step)));
    let rates = traces.map(decide).filter(|decision| decision.sampled).map(|decision| decision.rate.unwrap_or(1));
    f64::from(i32::try_from(rates.sum::<i64>()).unwrap())
}

#[test]
fn sampled_requests_add_up_to_all_requests_at_every_ratio() {
    for ratio in [0.9, 0.75, 0.6, 0.51, 0.5, 0.45, 0.3, 0.25, 0.15, 0.1, 0.07, 0.03, 0.01] {
        let sampler = Sampler { root: Root::ratio(ratio), parent_based: true };
        let count = counted(|trace| sampler.decide(trace, None, Tracestate::default(), None, UNIX_EPOCH));
        assert!((count / 100_000.0 - 1.0).abs() < 0.02, "{count} at {ratio}");
        // The next service gets the same rate, also with incoming random bits.
        let count = counted(|trace| {
            let Decision { sampled, state, rate, .. } =
                sampler.decide(trace, None, Tracestate::default(), None, UNIX_EPOCH);
            let flags = if sampled { TraceFlags::SAMPLED } else { TraceFlags::default() };
            let parent = SpanContext::new(trace, SpanId::from_bytes([1; 8]), flags, true, TraceState::default());
            let next = Sampler::default().decide(trace, Some(&parent), state, None, UNIX_EPOCH);
            assert_eq!((next.sampled, next.rate), (sampled, rate));
            next
        });
        assert!((count / 100_000.0 - 1.0).abs() < 0.02, "{count} at {ratio}, at the next service");
    }
}

#[test]
fn random_bits_of_an_entry_decide_its_rate() {
    // At 2/3, half of the traces count for two.
    let th = "th:55555555555555";
    assert_eq!(Rate::of_entry(&format!("{th};rv:55555555555555"), trace(u64::MAX)).count(), Some(2));
    assert_eq!(Rate::of_entry(&format!("rv:ffffffffffffff;{th}"), trace(0x55_5555_5555_5555)).count(), None);
    assert_eq!(Rate::of_entry(&format!("{th};rv:5555"), trace(u64::MAX)).count(), None, "invalid bits are not used");
}

#[test]
fn a_sampler_is_displayed_with_its_ratio() {
    for (ratio, shown) in [(0.6, "1 of 1.67"), (0.25, "1 of 4"), (1.0, "all"), (0.0, "none"), (0.01, "1 of 100")] {
        let sampler = Sampler { root: Root::ratio(ratio), parent_based: false };
        assert_eq!(sampler.to_string(), format!("traceidratio, {shown}"));
    }
}

proptest! {
    #[test]
    fn a_ratio_and_its_entry_agree(ratio in 0.0001f64..1.0, low: u64) {
        let sampler = Sampler { root: Root::ratio(ratio), parent_based: false };
        let trace = trace(low);
        let decision = sampler.decide(trace, None, Tracestate::default(), None, UNIX_EPOCH);
        if decision.sampled {
            let entry = decision.state.get(ENTRY).unwrap();
            prop_assert_eq!(Rate::of_entry(entry, trace).count(), decision.rate);
            let rate = i32::try_from(decision.rate.unwrap_or(1)).map(f64::from).unwrap();
            prop_assert!((rate - 1.0 / ratio).abs() <= 1.0);
        }
    }

    #[test]
    fn any_entry_is_a_rate_or_none(entry in ".{0,40}|th:[0-9a-f]{0,16}(;rv:[0-9a-f]{0,16})?", low: u64) {
        prop_assert!(Rate::of_entry(&entry, trace(low)).count().is_none_or(|rate| rate > 1));
    }
}
