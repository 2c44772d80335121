//! The crate as another service uses it: layers of its own, destinations of its own, and spans in memory for its tests.

#![expect(clippy::unwrap_used, reason = "a helper of a test may panic")]

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use settings::Settings;
use telemetry::capture::{self, Capture, Memory};
use telemetry::exporter::{CustomDestination, Exporter, Outcome, Record};
use telemetry::ledger::{Reason, RecordKind};
use telemetry::span::{
    AttributeValue, EndingSpan, ExportDecision, OwnedSpan, SpanExt, SpanKind, SpanProcessor, SpanStatus,
};
use telemetry::{Config, NotFlushed};
use tracing::dispatcher;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;
use tracing_subscriber::{Registry, fmt, registry, reload};

const LONG: Duration = Duration::from_secs(60);

fn config(pairs: &[(&str, &str)]) -> Config {
    let mut settings = Settings::from_pairs(pairs);
    let config = Config::read(&mut settings);
    settings.finish(config).unwrap()
}

#[tracing::instrument(err)]
fn save(id: u32) -> Result<(), String> {
    tracing::debug!("not recorded");
    Err(format!("no disk for {id}"))
}

fn work() {
    let span = tracing::info_span!("work", otel.kind = "consumer", job = 7);
    let _entered = span.enter();
    let query = OwnedSpan::within_current("SELECT jobs", |span| span.kind(SpanKind::Client));
    query.set("db.response.returned_rows", 3);
    drop(query);
    drop(save(7));
}

fn assert_work(capture: &Capture) {
    let spans = capture.spans();
    assert_eq!(spans.tree(), "work\n  SELECT jobs\n  save\n");
    let work = spans.one("work");
    work.assert_root().assert_kind(SpanKind::Consumer).assert_attribute("job", 7).assert_not_failed();
    let query = spans.one("SELECT jobs");
    query.assert_child_of(work).assert_kind(SpanKind::Client).assert_attribute("db.response.returned_rows", 3);
    let save = spans.one("save");
    save.assert_child_of(work).assert_failed("no disk for 7").assert_exception("no disk for 7");
    let ledger = capture.ledger();
    let [counts] = ledger.destinations.as_slice() else { panic!("{ledger}") };
    assert_eq!((counts.created, counts.delivered, counts.records), (3, 3, RecordKind::Span), "{ledger}");
}

#[test]
fn a_threads_own_subscriber_is_enough() {
    let capture = capture::start();
    work();
    assert_work(&capture);
}

#[test]
fn guards_of_one_process_keep_their_spans_apart() {
    let threads: Vec<_> = (0..4)
        .map(|_| {
            thread::spawn(|| {
                let (layer, capture) = capture::layer();
                let (layer, _) = reload::Layer::new(layer.boxed());
                let print = fmt::layer().with_writer(std::io::sink);
                let _default = registry().with(print).with(layer).set_default();
                work();
                assert_work(&capture);
            })
        })
        .collect();
    threads.into_iter().for_each(|thread| thread.join().unwrap());
}

#[test]
fn a_span_is_delivered_by_the_subscriber_that_made_it() {
    let ((one, of_one), (other, of_other)) = (capture::layer(), capture::layer());
    let span = dispatcher::with_default(&Registry::default().with(one).into(), || tracing::info_span!("moved"));
    dispatcher::with_default(&Registry::default().with(other).into(), || {
        span.in_scope(|| span.set("seen", true));
        span.end();
        drop(span);
    });
    of_one.spans().one("moved").assert_attribute("seen", true);
    assert!(of_other.spans().is_empty());
}

#[test]
fn a_guard_that_is_dropped_delivers() {
    let memory = Memory::default();
    let (layer, telemetry) = config(&[]).destination(memory.destination()).layer("test").unwrap();
    dispatcher::with_default(&Registry::default().with(layer).into(), || {
        work();
        drop(telemetry);
        drop(tracing::info_span!("late"));
    });
    assert_eq!(memory.spans().len(), 3);
}

/// Fails as its script says, then keeps the names of the spans.
struct Script {
    attempts: Arc<AtomicUsize>,
    names: Arc<Mutex<Vec<String>>>,
}

impl Exporter for Script {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        match self.attempts.fetch_add(1, Ordering::Relaxed) {
            0 => Outcome::dropped(batch.len(), Reason::Unreachable, "away").retry_after(Duration::ZERO),
            1 => {
                // Spans of an exporter's thread are not traced: an export would cause another.
                drop(tracing::info_span!("exporting"));
                let (last, others) = batch.split_last().unwrap();
                assert_eq!(last.relayed_for(), None);
                self.names.lock().unwrap().extend(others.iter().map(|record| record.span().name().to_owned()));
                Outcome::dropped(1, Reason::TooLarge, "one is too large")
            }
            2 => panic!("by this test"),
            _ => Outcome::dropped(batch.len(), Reason::Refused, "go away").closed_for(LONG),
        }
    }
}

#[test]
fn a_destination_of_the_callers_own_has_a_queue_retries_and_a_ledger() {
    let (attempts, names) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
    let (count, kept) = (Arc::clone(&attempts), Arc::clone(&names));
    let own = CustomDestination::new("otlp", move |resource| {
        assert_eq!((resource.service(), resource.get("team")), ("orders", Some("blue")));
        Script { attempts: Arc::clone(&count), names: Arc::clone(&kept) }
    });
    let pairs = [("OTEL_RESOURCE_ATTRIBUTES", "team=blue"), ("OTEL_BSP_SCHEDULE_DELAY", "60000")];
    let (layer, telemetry) = config(&pairs).destination(own.at("nowhere").workers(1)).layer("orders").unwrap();
    let counts = || telemetry.ledger().destinations.first().cloned().unwrap();
    dispatcher::with_default(&Registry::default().with(layer).into(), || {
        work();
        assert_eq!(telemetry.flush(LONG), Err(NotFlushed { queued: 0, dropped: 1 }));
        assert_eq!(*names.lock().unwrap(), ["SELECT jobs", "save"]);
        drop(tracing::info_span!("panics"));
        assert_eq!(telemetry.flush(LONG), Err(NotFlushed { queued: 0, dropped: 1 }));
        for _ in 0..2 {
            drop(tracing::info_span!("refused"));
            assert_eq!(telemetry.flush(LONG), Err(NotFlushed { queued: 0, dropped: 1 }));
        }
    });
    assert_eq!(attempts.load(Ordering::Relaxed), 4, "nothing is sent while the destination is closed");
    let counts = counts();
    assert_eq!((counts.name.as_str(), counts.kind, counts.endpoint.as_str()), ("otlp-2", "custom", "nowhere"));
    assert_eq!((counts.created, counts.delivered, counts.total_dropped()), (6, 2, 4));
    let reasons = [(Reason::Refused, 2), (Reason::TooLarge, 1), (Reason::Panicked, 1)];
    assert_eq!(counts.dropped, reasons.into_iter().collect());
}

#[test]
fn a_destination_of_the_callers_own_follows_the_variables_that_turn_spans_off() {
    for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_TRACES_EXPORTER", "none")] {
        let memory = Memory::default();
        let (layer, telemetry) = config(&[off]).destination(memory.destination()).layer("test").unwrap();
        dispatcher::with_default(&Registry::default().with(layer).into(), work);
        assert!(telemetry.shutdown().destinations.is_empty() && memory.spans().is_empty(), "{off:?}");
    }
}

#[test]
fn a_failed_assertion_shows_the_spans() {
    let capture = capture::start();
    work();
    let spans = capture.spans();
    let message = |check: &dyn Fn()| {
        let panicked = catch_unwind(AssertUnwindSafe(check)).unwrap_err();
        panicked.downcast_ref::<String>().cloned().unwrap()
    };
    let missing = message(&|| drop(spans.one("sleep").clone()));
    let tree = "0 spans are named \"sleep\"; the spans are\n\
                work CONSUMER {job=7}\n  SELECT jobs CLIENT {db.response.returned_rows=3}\n  \
                save INTERNAL failed \"no disk for 7\" {id=7";
    assert!(missing.starts_with(tree), "{missing}");
    let work = spans.one("work");
    let other = message(&|| {
        let _ = work.assert_attribute("job", "7");
    });
    assert_eq!(other, "the span does not have job = \"7\"\nwork CONSUMER {job=7}");
    let edge = message(&|| {
        let _ = work.assert_child_of(work);
    });
    assert!(edge.starts_with("the span is no child of work CONSUMER"), "{edge}");
}

/// Renames queries, redacts what has an `@`, and drops or panics by name.
struct Private;

impl SpanProcessor for Private {
    fn on_end(&self, span: &mut EndingSpan<'_>) -> ExportDecision {
        // Neither is recorded: a processor would see its own spans.
        tracing::info_span!("processing").in_scope(|| tracing::error!("processing"));
        match span.name() {
            "health" => return ExportDecision::Drop,
            "unwinds" => panic!("by this test"),
            name if name.starts_with("SELECT") => span.rename("SELECT"),
            _ => {}
        }
        if span.attribute("secret").is_some() {
            assert!(span.remove("secret") && !span.remove("secret"));
            span.set("seen", span.attributes().count());
        }
        span.set("failed", matches!(span.status(), SpanStatus::Error(_)));
        span.redact(|_, text| text.contains('@').then(|| "REDACTED".to_owned()));
        ExportDecision::Export
    }
}

#[test]
fn a_processor_changes_and_drops_spans_before_export() {
    let (layer, capture) = capture::of(config(&[]).processor(Private).processor(Private));
    let _default = registry().with(layer).set_default();
    let outer = tracing::info_span!("outer", secret = "x", email = "ada@example.com", n = 7, long = "y".repeat(300));
    outer.set("to", ["ada@example.com", "nobody"]);
    outer.in_scope(|| {
        drop(tracing::info_span!("SELECT users"));
        drop(tracing::info_span!("health"));
        drop(tracing::info_span!("unwinds"));
        tracing::error!(to = "bob@example.com", attempts = 3, "cannot reach bob@example.com");
        tracing::info!(kept = true, "it happened");
    });
    drop(outer);
    let ledger = capture.ledger();
    let counts = &ledger.destinations[0];
    assert_eq!((counts.created, counts.dropped.get(&Reason::Processor)), (4, Some(&2)), "{ledger}");
    let spans = capture.spans();
    assert_eq!(spans.tree(), "outer\n  SELECT\n");
    let outer = spans.one("outer");
    outer.assert_no_attribute("secret").assert_attribute("email", "REDACTED").assert_attribute("n", 7);
    outer
        .assert_attribute("long", &*"y".repeat(300))
        .assert_attribute("seen", 4)
        .assert_attribute("to", ["REDACTED", "nobody"])
        .assert_attribute("failed", true);
    outer.assert_failed("REDACTED").assert_exception("REDACTED").assert_event("it happened");
    let exception = outer.view().events().next().unwrap();
    let texts = ["to", "attempts"].map(|key| exception.attribute(key));
    assert_eq!(texts, [Some(AttributeValue::Text("REDACTED")), Some(AttributeValue::Int(3))]);
    assert!(!outer.to_string().contains('@'), "{outer}");
    spans.one("SELECT").assert_child_of(outer).assert_attribute("failed", false);
}

#[test]
fn a_panic_hook_gives_the_spans_that_a_panic_unwinds_its_message() {
    telemetry::record_panics();
    telemetry::record_panics();
    let capture = capture::start();
    let unwind = || {
        let _outer = tracing::info_span!("outer").entered();
        tracing::info_span!("inner").in_scope(|| panic!("no {}", "dice"));
    };
    drop(catch_unwind(unwind));
    // A panic that is caught within a span is the application's to judge.
    tracing::info_span!("caught").in_scope(|| drop(catch_unwind(|| panic!("handled"))));
    drop(tracing::info_span!("later"));
    let resumed = || tracing::info_span!("resumed").in_scope(|| std::panic::resume_unwind(Box::new(7)));
    drop(catch_unwind(resumed));
    let spans = capture.spans();
    for name in ["outer", "inner"] {
        let span = spans.one(name);
        span.assert_failed("no dice").assert_exception("no dice").assert_attribute("error.type", "panic");
        let exceptions = span.view().events().filter(|event| event.name() == "exception").count();
        assert_eq!(exceptions, 1, "{span}");
    }
    spans.one("caught").assert_not_failed();
    spans.one("resumed").assert_exception("the thread panicked");
}

#[test]
fn a_builder_gives_a_configuration_without_the_environment() {
    let config = Config::builder().service("orders").span_levels("debug").without_environment().build().unwrap();
    let (layer, capture) = capture::of(config);
    let _default = registry().with(layer.with_filter(tracing::level_filters::LevelFilter::DEBUG)).set_default();
    drop(tracing::debug_span!("detail"));
    drop(tracing::trace_span!("noise"));
    assert_eq!(capture.spans().tree(), "detail\n");
    assert_eq!(capture.ledger().service, "orders");
}
