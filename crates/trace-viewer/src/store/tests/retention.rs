use proptest::prelude::*;

use super::*;
use crate::store::retention::Evictions;

/// The root span of a trace of `service`, with a name that makes it a KiB or two.
fn root(trace: u32, service: &str) -> Span {
    Span {
        service: Some(service.into()),
        name: format!("GET {}", "x".repeat(1_000)).into(),
        ..span(trace, 1, 0, Source::Otlp)
    }
}

fn lasting(span: Span, nanos: u64) -> Span {
    Span { end: Some(Nanos(span.start.0 + nanos)), ..span }
}

fn has(store: &Store, trace: u32) -> bool {
    store.summary(trace_id(trace)).is_some()
}

/// Traces of a service that is called all the time.
fn flood(store: &Store, first: u32, change: impl Fn(Span) -> Span) {
    for trace in first..first + 2_000 {
        store.add(vec![change(root(trace, "busy"))]);
        assert!(store.counts().bytes <= store.memory());
    }
}

#[test]
fn a_busy_service_evicts_only_its_own_traces() {
    let store = Store::new(MIB);
    for trace in 1..=50 {
        store.add(vec![root(trace, "quiet")]);
    }
    flood(&store, 1_000, |span| span);
    assert!((1..=50).all(|trace| has(&store, trace)));
    let counts = store.counts();
    assert!(counts.evicted_traces > 1_000, "{counts:?}");
    assert_eq!(counts.evicted, Evictions { common: counts.evicted_traces, ..Evictions::default() });
    assert!(has(&store, 2_999) && !has(&store, 1_100), "the newest are here, the oldest are not");
}

#[test]
fn a_busy_route_evicts_no_other_route_of_its_service() {
    let store = Store::new(MIB);
    for trace in 1..=50 {
        store.add(vec![Span { name: "GET /rare".into(), ..root(trace, "busy") }]);
    }
    flood(&store, 1_000, |span| span);
    assert!((1..=50).all(|trace| has(&store, trace)));
}

#[test]
fn errors_browsers_and_opened_traces_outlive_common_ones() {
    let store = Store::new(MIB);
    store.add(vec![failed(root(1, "busy"))]);
    store.add(vec![Span { is_browser: true, ..root(2, "busy") }]);
    store.add(vec![root(3, "busy")]);
    assert!(store.open(trace_id(3)).is_some());
    flood(&store, 1_000, |span| span);
    assert!([1, 2, 3].into_iter().all(|trace| has(&store, trace)));
    // A trace that is opened while it waits for its eviction.
    assert!(store.open(trace_id(2_700)).is_some());
    flood(&store, 3_000, |span| span);
    assert!(has(&store, 2_700));
}

#[test]
fn the_slowest_traces_of_a_route_outlive_the_others() {
    let store = Store::new(MIB);
    flood(&store, 1_000, |span| {
        let slowness = if span.trace_id < trace_id(1_015) { 1_000_000_000 + span.start.0 } else { 0 };
        lasting(span, 1_000 + slowness)
    });
    let kept: Vec<u32> = (1_000..1_050).filter(|trace| has(&store, *trace)).collect();
    assert_eq!(kept, (1_005..1_015).collect::<Vec<_>>());
}

#[test]
fn a_service_that_always_fails_evicts_no_errors_of_others() {
    let store = Store::new(MIB);
    for trace in 1..=20 {
        store.add(vec![failed(root(trace, "quiet"))]);
        store.add(vec![lasting(root(100 + trace, "quiet"), u64::from(trace))]);
    }
    flood(&store, 1_000, failed);
    assert!((1..=20).all(|trace| has(&store, trace) && has(&store, 100 + trace)));
    assert!(store.counts().evicted.error > 0);
}

#[test]
fn opened_traces_are_bounded_too() {
    let store = Store::new(MIB);
    for trace in 1..=2_000 {
        store.add(vec![root(trace, "busy")]);
        store.open(trace_id(trace));
    }
    let counts = store.counts();
    assert!(counts.bytes <= MIB && has(&store, 2_000) && !has(&store, 1));
    assert_eq!(counts.evicted, Evictions { opened: counts.evicted_traces, ..Evictions::default() });
}

#[test]
fn a_trace_that_changes_is_fresh_again() {
    let store = Store::new(MIB);
    store.add(vec![root(1, "busy")]);
    for first in [1_000, 3_000] {
        flood(&store, first, |span| span);
        // It fails while it waits for its eviction.
        store.add(vec![failed(span(first + 1_700, 2, 1, Source::Otlp))]);
    }
    flood(&store, 5_000, |span| span);
    assert!(has(&store, 2_700) && has(&store, 4_700));
}

#[test]
fn many_services_and_routes_share_an_entry() {
    let store = Store::new(MIB);
    for trace in 1..=2_000 {
        let own = root(trace, &format!("service {}", trace % 200));
        store.add(vec![Span { name: format!("GET /{trace}").into(), ..own }]);
    }
    assert!(store.counts().bytes <= MIB && has(&store, 2_000));
}

#[derive(Debug, Clone)]
enum Step {
    Add { trace: u32, id: u64, service: u8, fails: bool, is_browser: bool, length: usize },
    Open(u32),
}

fn step() -> impl Strategy<Value = Step> {
    let add = (1_u32..40, 1_u64..6, 0_u8..3, prop::bool::weighted(0.1), prop::bool::weighted(0.1), 0_usize..3_000);
    prop_oneof![
        9 => add.prop_map(|(trace, id, service, fails, is_browser, length)| Step::Add { trace, id, service, fails, is_browser, length }),
        1 => (1_u32..40).prop_map(Step::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]
    #[test]
    fn any_steps_keep_the_bounds_and_the_counts(steps in prop::collection::vec(step(), 0..300)) {
        const MEMORY: usize = 20_000;
        let store = Store::new(MEMORY);
        for step in steps {
            match step {
                Step::Open(trace) => drop(store.open(trace_id(trace))),
                Step::Add { trace, id, service, fails, is_browser, length } => {
                    let span = span(trace, id, id - 1, Source::Otlp);
                    let outcome = if fails { Code::Error } else { Code::Unset };
                    let service = Some(format!("{service}").into());
                    store.add(vec![Span { outcome, is_browser, service, name: "x".repeat(length).into(), ..span }]);
                }
            }
            let counts = store.counts();
            prop_assert!(counts.bytes <= MEMORY);
            let kept = store.newest(100);
            let spans: usize = kept.iter().map(|id| store.summary(*id).unwrap().sources.otlp).sum();
            let evicted = counts.evicted;
            let evicted = evicted.common + evicted.slow + evicted.error + evicted.browser + evicted.opened;
            prop_assert_eq!((kept.len(), spans, evicted), (counts.traces, counts.spans, counts.evicted_traces));
        }
    }
}
