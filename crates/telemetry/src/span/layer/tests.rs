mod compositions;
mod context;
mod events;
mod failures;
mod lent;

use std::fmt;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::*;
use crate::limits::Limits;
use crate::span::levels::SpanLevels;
use crate::span::sampler::Sampler;
use crate::span::{OwnedSpan, SpanExt, SpanKind};
use crate::testing::{Recorded, attribute, recorded};

fn spans(run: impl FnOnce()) -> Vec<Span> {
    recorded(Sampler::default(), Limits::default(), false, run).spans
}

fn of(span: &Span, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

#[test]
fn a_span_records_its_fields_and_later_values() {
    let spans = spans(|| {
        let span = tracing::info_span!(
            "work",
            otel.kind = "client",
            n = 7,
            text = "é",
            flag = true,
            late = tracing::field::Empty
        );
        span.record("late", 1.5);
        span.record("n", 8);
        span.set("text", "again");
        span.record_with(|span| span.name("SELECT activities"));
    });
    let span = &spans[0];
    assert_eq!((span.name.as_str(), span.kind), ("SELECT activities", 3));
    assert_eq!(span.attributes.len(), 4, "{:?}", span.attributes);
    let values = ["n", "text", "flag"].map(|key| of(span, key).unwrap());
    assert_eq!(values, ["8", "again", "true"], "a later value replaces an earlier one");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.status.is_none());
}

#[test]
fn values_over_a_limit_are_dropped_and_counted() {
    let limits =
        Limits { attributes: 2, events: 1, links: 1, value_bytes: 5, event_attributes: 3, ..Limits::default() };
    let Recorded { spans, .. } = recorded(Sampler::default(), limits, false, || {
        let span = tracing::info_span!("small", a = "ééé", b = 1, c = 2);
        span.set("d", 4);
        span.set("a", "x");
        for _ in 0..3 {
            span.exception("E", "a long message", "");
            span.follows_from(tracing::info_span!("other").id());
        }
        tracing::info_span!("work").in_scope(|| tracing::info!(a = 1, b = 2, c = 3, "it happened"));
    });
    let span = spans.iter().find(|span| span.name == "work").unwrap();
    assert_eq!((span.events[0].attributes.len(), span.events[0].dropped_attributes_count), (3, 2), "level, target, a");
    let span = spans.iter().find(|span| span.name == "small").unwrap();
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (2, 2));
    assert_eq!((span.events.len(), span.dropped_events_count), (1, 2));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
    assert_eq!(attribute(&span.events[0].attributes, "exception.message").as_deref(), Some("a lon"));
    assert_eq!(of(span, "a").as_deref(), Some("x"));
}

#[derive(Debug, thiserror::Error)]
#[error("no disk")]
struct Disk;

#[test]
fn a_user_set_in_an_owned_span_reaches_the_spans_around_it() {
    let spans = spans(|| {
        let _root = tracing::info_span!("root").entered();
        let _handler = tracing::info_span!("handler").entered();
        let owned = OwnedSpan::within_current("owned", |_| {});
        owned.in_scope(|| tracing::info_span!("within").in_scope(|| tracing::Span::current().user("andrew")));
    });
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| of(span, "user.id").as_deref() == Some("andrew")), "{spans:?}");
}

#[test]
fn a_span_ends_once_when_its_owner_ends_it() {
    let mut clone = tracing::Span::none();
    let spans = spans(|| {
        let parent = tracing::info_span!("parent");
        parent.in_scope(|| {
            let owned = OwnedSpan::within_current("owned", |span| span.kind(SpanKind::Client));
            clone = (*owned).clone();
        });
        drop(parent);
        clone.in_scope(|| {
            tracing::error!("too late");
            drop(tracing::info_span!("late child"));
        });
        clone.set("late", 1);
        clone.end();
        drop(std::mem::replace(&mut clone, tracing::Span::none()));
    });
    let [owned, parent, child] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!([&owned.name, &parent.name, &child.name], ["owned", "parent", "late child"]);
    assert_eq!((&owned.parent_span_id, &child.parent_span_id), (&parent.span_id, &owned.span_id));
    assert_eq!((owned.kind, owned.trace_id == parent.trace_id), (3, true));
    assert!(owned.attributes.is_empty() && owned.events.is_empty() && owned.status.is_none(), "{owned:?}");
    assert!(owned.end_time_unix_nano <= parent.end_time_unix_nano);
}

#[test]
fn children_of_a_span_below_the_level_belong_to_its_parent() {
    let levels = |text: &str| {
        let level = SpanLevels::read(&mut settings::Settings::from_pairs(&[("TRACE_LEVEL", text)]));
        move |recorder| Recorder { levels: level, ..recorder }
    };
    let run = || {
        let _outer = tracing::info_span!("outer").entered();
        let _between = tracing::debug_span!(target: "tower_http::trace", "between").entered();
        tracing::info_span!(target: "noisy", "noise").in_scope(|| drop(tracing::info_span!("inner")));
        drop(tracing::trace_span!(target: "hyper::proto", "carrier"));
    };
    let made = |text: &str| {
        let spans = crate::testing::recorded_by(levels(text), false, run).spans;
        let parent = |span: &Span| {
            let parent = spans.iter().find(|other| other.span_id == span.parent_span_id);
            parent.map_or(String::new(), |parent| format!("{}>", parent.name))
        };
        spans.iter().map(|span| parent(span) + &span.name).collect::<Vec<_>>()
    };
    assert_eq!(made("info"), ["noise>inner", "outer>noise", "outer"]);
    let all = ["noise>inner", "between>noise", "outer>between", "outer"];
    assert_eq!([made("tower_http=debug"), made("trace")], [all, all], "other targets stay at info");
    assert_eq!(made("info,noisy=off"), ["outer>inner", "outer"]);
    assert!(made("off").is_empty());
}

#[derive(Debug, thiserror::Error)]
#[error("no store")]
struct Store(#[source] Disk);

#[test]
fn a_span_survives_a_panic_while_recording() {
    struct Bad;
    impl fmt::Debug for Bad {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("shown by this test");
        }
    }
    let spans = spans(|| {
        let span = tracing::info_span!("work", value = tracing::field::Empty);
        let record = std::panic::AssertUnwindSafe(|| span.record_with(|_| panic!("by this test")));
        assert!(std::panic::catch_unwind(record).is_err());
        let shown = std::panic::AssertUnwindSafe(|| {
            span.record("value", tracing::field::debug(Bad));
        });
        assert!(std::panic::catch_unwind(shown).is_err());
        span.set("after", 1);
    });
    assert_eq!(of(&spans[0], "after").as_deref(), Some("1"));
}

#[test]
fn an_exporters_own_work_is_not_traced() {
    let spans = spans(|| {
        let here = tracing::dispatcher::get_default(Clone::clone);
        let exporter = std::thread::spawn(move || {
            crate::suppression::suppress();
            tracing::dispatcher::with_default(&here, || drop(tracing::info_span!("export")));
        });
        exporter.join().unwrap();
        drop(tracing::info_span!(target: "hyper::client", "carrier"));
        drop(tracing::info_span!("own"));
    });
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["own"]);
}

#[test]
fn a_status_is_recorded_as_set() {
    let spans = spans(|| {
        drop(tracing::info_span!("ok", otel.status_code = "OK"));
        drop(tracing::info_span!("bad", otel.status_description = "boom", otel.status_code = "ERROR"));
        let root = tracing::info_span!("root");
        root.user("a");
        root.in_scope(|| drop(tracing::info_span!("own", user.id = "b")));
    });
    let status = |index: usize| spans[index].status.clone().unwrap();
    assert_eq!((status(0).code(), status(1).code()), (StatusCode::Ok, StatusCode::Error));
    assert_eq!(status(1).message, "boom");
    assert_eq!((spans[2].attributes.len(), of(&spans[2], "user.id").as_deref()), (1, Some("b")));
}
