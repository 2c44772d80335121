//! Each failure is an error in the trace without code in the application.

use super::*;

/// The name of an event, and the type and the message of its exception.
type RecordedEvent = (String, Option<String>, Option<String>);

/// Whether a span failed, and its events.
fn failure(run: impl FnOnce()) -> (bool, Vec<RecordedEvent>) {
    let spans = spans(|| tracing::info_span!("work").in_scope(run));
    let span = spans.last().unwrap();
    let of = |event: &Event, key| attribute(&event.attributes, key);
    let events = span
        .events
        .iter()
        .map(|event| (event.name.clone(), of(event, "exception.type"), of(event, "exception.message")));
    (span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error), events.collect())
}

fn exception(kind: Option<&str>, message: &str) -> RecordedEvent {
    ("exception".to_owned(), kind.map(str::to_owned), Some(message.to_owned()))
}

#[test]
fn an_error_event_fails_its_span_and_is_its_exception() {
    let disk = || Store(Disk);
    assert_eq!(failure(|| tracing::error!(error = %disk())), (true, vec![exception(None, "no store")]));
    assert_eq!(failure(|| tracing::error!(error = ?disk())), (true, vec![exception(Some("Store"), "Store(Disk)")]));
    assert_eq!(failure(|| tracing::error!(error = "no disk")), (true, vec![exception(None, "no disk")]));
    let dynamic = || tracing::error!(cause = &disk() as &dyn std::error::Error);
    assert_eq!(failure(dynamic), (true, vec![exception(Some("Store"), "no store")]));
    assert_eq!(failure(|| tracing::error!("no {}", "disk")), (true, vec![exception(None, "no disk")]));
    let conventional = || tracing::error!("exception.type" = "Disk", "exception.message" = "no disk", "it failed");
    assert_eq!(failure(conventional).1, [exception(Some("Disk"), "no disk")]);
    let (failed, events) = failure(|| tracing::error!(code = 7));
    assert!(failed && events[0].2.as_deref().is_some_and(|message| message.starts_with("event ")), "{events:?}");
}

#[test]
fn an_instrumented_function_that_returns_an_error_fails_its_span() {
    #[tracing::instrument(err)]
    fn displayed() -> Result<(), Store> {
        Err(Store(Disk))
    }
    #[tracing::instrument(err(Debug))]
    fn debugged() -> Result<(), Store> {
        Err(Store(Disk))
    }
    #[tracing::instrument(err(level = "warn"))]
    fn expected() -> Result<(), Store> {
        Err(Store(Disk))
    }
    let of = |run: fn() -> Result<(), Store>| {
        let spans = spans(|| drop(run()));
        let [span] = spans.as_slice() else { panic!("{spans:?}") };
        let [event] = span.events.as_slice() else { panic!("{span:?}") };
        let message = attribute(&event.attributes, "exception.message").unwrap();
        (span.status.as_ref().map(|status| (status.code(), status.message.clone())), event.name.clone(), message)
    };
    let failed = |message: &str| Some((StatusCode::Error, message.to_owned()));
    assert_eq!(of(displayed), (failed("no store"), "exception".to_owned(), "no store".to_owned()));
    assert_eq!(of(debugged), (failed("Store(Disk)"), "exception".to_owned(), "Store(Disk)".to_owned()));
    assert_eq!(of(expected), (None, "exception".to_owned(), "no store".to_owned()), "handled");
}

#[test]
fn an_event_below_error_does_not_fail_its_span() {
    let warned = failure(|| tracing::warn!(error = %Store(Disk), "tried again"));
    assert_eq!(warned, (false, vec![("tried again".to_owned(), None, Some("no store".to_owned()))]));
    let (failed, events) = failure(|| tracing::info!(error = &Disk as &dyn std::error::Error));
    assert!(!failed && events[0].0 == "exception", "{events:?}");
    assert_eq!(failure(|| tracing::info!(error = false, "fine")), (false, vec![("fine".to_owned(), None, None)]));
}

#[test]
fn one_failure_is_one_exception() {
    let logged_and_returned = || {
        tracing::error!("cannot save: {}", Store(Disk));
        tracing::error!(error = %Store(Disk));
        tracing::error!(error = %Disk);
    };
    let (failed, events) = failure(logged_and_returned);
    let names: Vec<_> = events.iter().map(|(name, ..)| name.as_str() == "exception").collect();
    assert_eq!((failed, names), (true, vec![true, false, true]), "{events:?}");
    let warned_before = || {
        tracing::warn!(error = %Disk, "tried again");
        tracing::error!(error = %Disk, "given up");
    };
    let (_, events) = failure(warned_before);
    assert_eq!(events[1], exception(None, "no disk"));
}

#[test]
fn an_error_reaches_the_span_in_which_a_function_is_called_and_only_that_one() {
    fn helper() {
        tracing_log::log::error!("from the log crate");
    }
    // The registry's `try_init` does this too. The bridge uses the subscriber that is current when an event happens.
    let _ = tracing_log::LogTracer::init();
    let spans = spans(|| {
        tracing::error!("outside of any span");
        let _outer = tracing::info_span!("outer").entered();
        tracing::info_span!("inner").in_scope(helper);
    });
    let [inner, outer] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!(attribute(&inner.events[0].attributes, "exception.message").as_deref(), Some("from the log crate"));
    assert_eq!(inner.status.as_ref().unwrap().code(), StatusCode::Error);
    assert!(outer.status.is_none() && outer.events.is_empty());
}

#[test]
fn a_status_of_ok_is_final() {
    let spans = spans(|| {
        tracing::info_span!("fine", otel.status_code = "OK").in_scope(|| tracing::error!("dealt with"));
    });
    assert_eq!(spans[0].status.as_ref().unwrap().code(), StatusCode::Ok);
}

/// Whether each span failed by a panic, by the names of spans in the order in which they ended.
fn panicked(run: impl FnOnce()) -> Vec<(String, bool)> {
    let by_panic = |span: &Span| {
        let kinds = span.events.iter().filter_map(|event| attribute(&event.attributes, "exception.type"));
        let failed = span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
        let count = kinds.filter(|kind| kind == "panic").count();
        assert_eq!((count, of(span, "error.type").is_some()), (usize::from(failed), failed), "{span:?}");
        (span.name.clone(), failed)
    };
    spans(run).iter().map(by_panic).collect()
}

fn caught(run: impl FnOnce()) {
    assert!(std::panic::catch_unwind(std::panic::AssertUnwindSafe(run)).is_err());
}

#[test]
fn a_span_that_a_panic_closes_or_leaves_has_failed() {
    let failed = |names: &[&str]| names.iter().map(|name| ((*name).to_owned(), true)).collect::<Vec<_>>();
    let closed = panicked(|| {
        caught(|| {
            let _outer = tracing::info_span!("outer").entered();
            let _inner = tracing::info_span!("inner");
            panic!("by this test");
        });
    });
    assert_eq!(closed, failed(&["inner", "outer"]));
    let left = panicked(|| {
        let span = tracing::info_span!("held");
        caught(|| span.in_scope(|| panic!("by this test")));
        caught(|| span.in_scope(|| panic!("by this test, again")));
    });
    assert_eq!(left, failed(&["held"]), "the span's owner outlives the panic");
}

#[test]
fn a_panic_in_a_thread_fails_the_spans_of_that_thread_alone() {
    let spans = panicked(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let outer = tracing::info_span!("outer").entered();
        let parent = outer.id();
        let worker = std::thread::spawn(move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let _work = tracing::info_span!(parent: parent, "work").entered();
                panic!("by this test");
            });
        });
        assert!(worker.join().is_err());
    });
    assert_eq!(spans, [("work".to_owned(), true), ("outer".to_owned(), false)]);
}

#[test]
fn a_finished_or_dropped_span_has_not_panicked() {
    struct Cleans;
    impl Drop for Cleans {
        fn drop(&mut self) {
            tracing::info_span!("cleans up").in_scope(|| {});
        }
    }
    let spans = panicked(|| {
        let _outer = tracing::info_span!("outer").entered();
        caught(|| {
            let _cleans = Cleans;
            panic!("by this test");
        });
        let future = tracing::Instrument::instrument(std::future::pending::<()>(), tracing::info_span!("given up"));
        drop(future);
    });
    let none: Vec<_> = ["cleans up", "given up", "outer"].map(|name| (name.to_owned(), false)).into();
    assert_eq!(spans, none);
}
