mod context;
mod layers;

use std::sync::{Arc, OnceLock};
use std::time::{Duration, UNIX_EPOCH};

use opentelemetry::trace::{
    Link, Span as _, SpanContext, SpanId, SpanKind, Status, TraceContextExt, TraceFlags, TraceId, TraceState, Tracer,
    TracerProvider,
};
use opentelemetry::{Context, KeyValue};
use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::*;
use crate::limits::Limits;
use crate::span::recorder::Recorder;
use crate::span::sampler::{Root, Sampler};
use crate::span::{EndingSpan, ExportDecision, SpanExt, SpanProcessor};
use crate::testing::{attribute, recorded, recorded_by};

fn spans(run: impl FnOnce(&ApiTracer)) -> Vec<Span> {
    recorded(Sampler::default(), Limits::default(), false, || run(&tracer())).spans
}

fn tracer() -> ApiTracer {
    ApiTracerProvider::current().tracer("a-library")
}

/// Each span as `parent>name`, in the order in which they ended.
fn edges(spans: &[Span]) -> Vec<String> {
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id), "one trace: {spans:?}");
    let edge = |span: &Span| {
        let parent = spans.iter().find(|other| other.span_id == span.parent_span_id);
        assert_eq!(parent.is_none(), span.parent_span_id.is_empty(), "every parent is recorded: {span:?}");
        format!("{}>{}", parent.map_or("", |parent| &parent.name), span.name)
    };
    spans.iter().map(edge).collect()
}

fn remote(flags: TraceFlags) -> SpanContext {
    let state = "ot=th:8,a=1".parse::<TraceState>().unwrap();
    SpanContext::new(TraceId::from(0x5759_e988_ff00_0000_00f0_0000_0000_0000), SpanId::from(7), flags, true, state)
}

#[test]
fn a_span_of_the_api_has_everything_that_was_recorded_on_it() {
    let at = |seconds| UNIX_EPOCH + Duration::from_secs(seconds);
    let to = remote(TraceFlags::SAMPLED);
    let spans = spans(|tracer| {
        let link = Link::new(to.clone(), vec![KeyValue::new("of", "link")], 0);
        let builder = tracer.span_builder("charge").with_kind(SpanKind::Client).with_start_time(at(1));
        let builder =
            builder.with_attributes([KeyValue::new("n", 7), KeyValue::new("replaced", 1)]).with_links(vec![link]);
        let mut span = builder.start(tracer);
        assert!(span.is_recording() && span.span_context().is_sampled());
        span.set_attribute(KeyValue::new("replaced", 2.5));
        let texts = opentelemetry::Array::String(vec!["a".into(), "b".into()]);
        span.set_attribute(KeyValue::new("list", opentelemetry::Value::Array(texts)));
        span.add_event_with_timestamp("queried", at(2), vec![KeyValue::new("of", "event")]);
        span.add_link(to.clone(), Vec::new());
        span.add_link(SpanContext::NONE, Vec::new());
        span.set_status(Status::error("declined"));
        span.set_status(Status::Unset);
        span.update_name("charge card");
        span.end_with_timestamp(at(3));
        assert!(!span.is_recording());
        span.set_attribute(KeyValue::new("too", "late"));
        span.end();
    });
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.name.as_str(), span.kind), ("charge card", 3));
    assert_eq!((span.start_time_unix_nano, span.end_time_unix_nano), (1_000_000_000, 3_000_000_000));
    assert_eq!(span.attributes.len(), 3, "{:?}", span.attributes);
    let list = attribute(&span.attributes, "list").unwrap();
    assert!(list.starts_with("ArrayValue") && list.contains("\"b\""), "{list}");
    assert_eq!(attribute(&span.attributes, "replaced").as_deref(), Some("DoubleValue(2.5)"));
    let [event] = span.events.as_slice() else { panic!("{:?}", span.events) };
    assert_eq!((event.name.as_str(), event.time_unix_nano), ("queried", 2_000_000_000));
    assert_eq!(attribute(&event.attributes, "of").as_deref(), Some("event"));
    let [first, second] = span.links.as_slice() else { panic!("{:?}", span.links) };
    assert_eq!(first.trace_state, "ot=th:8,a=1");
    assert_eq!((attribute(&first.attributes, "of").as_deref(), second.attributes.len()), (Some("link"), 0));
    let status = span.status.as_ref().unwrap();
    assert_eq!((status.code(), status.message.as_str()), (StatusCode::Error, "declined"));
}

#[test]
fn spans_of_both_kinds_have_the_innermost_as_parent() {
    let spans = spans(|tracer| {
        tracing::info_span!("t0").in_scope(|| {
            tracer.in_span("a", |_| {
                tracing::info_span!("t1").in_scope(|| {
                    tracer.in_span("b", |_| drop(tracing::info_span!("t2")));
                    drop(tracer.start("c"));
                });
                drop(tracing::info_span!("t3"));
                drop(crate::span::OwnedSpan::within_current("owned", |_| {}));
            });
            drop(tracer.start("d"));
        });
    });
    assert_eq!(edges(&spans), ["b>t2", "t1>b", "t1>c", "a>t1", "a>t3", "a>owned", "t0>a", "t0>d", ">t0"]);
}

#[test]
fn an_event_belongs_to_the_innermost_span() {
    let spans = spans(|tracer| {
        tracing::info_span!("outer").in_scope(|| {
            tracer.in_span("api", |_| {
                tracing::error!("inside the API's");
                tracing::info_span!("inner").in_scope(|| tracing::info!("inside the inner"));
            });
            tracing::info!("after it");
        });
    });
    let events = |name: &str| {
        let span = spans.iter().find(|span| span.name == name).unwrap();
        span.events.iter().map(|event| event.name.clone()).collect::<Vec<_>>()
    };
    assert_eq!((events("outer"), events("api")), (vec!["after it".to_owned()], vec!["exception".to_owned()]));
    assert_eq!(events("inner"), ["inside the inner"]);
    let api = spans.iter().find(|span| span.name == "api").unwrap();
    assert_eq!(api.status.as_ref().unwrap().code(), StatusCode::Error);
}

#[test]
fn a_context_names_the_parent() {
    let mut elsewhere = Vec::new();
    let spans = spans(|tracer| {
        let parent = Context::new().with_span(tracer.start("parent"));
        tracing::info_span!("around").in_scope(|| {
            drop(tracer.start_with_context("child", &parent));
            let within = Context::current_with_span(tracer.start("within"));
            let _attached = within.attach();
            elsewhere.push(tracer.start_with_context("root", &Context::new()).span_context().trace_id());
        });
        parent.span().end();
        drop(tracer.start_with_context("late", &parent));
    });
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    for child in ["child", "late"] {
        assert_eq!(find(child).parent_span_id, find("parent").span_id, "{child}");
    }
    assert_eq!(find("within").parent_span_id, find("around").span_id);
    assert!(find("root").parent_span_id.is_empty());
    assert_eq!(find("root").trace_id, elsewhere[0].to_bytes());
    assert_ne!(find("root").trace_id, find("around").trace_id);
}

#[test]
fn another_processs_context_is_continued_with_its_decision_and_state() {
    for flags in [TraceFlags::SAMPLED, TraceFlags::default()] {
        let mut states = Vec::new();
        let spans = spans(|tracer| {
            let context = Context::new().with_remote_span_context(remote(flags));
            let span = tracer.start_with_context("continued", &context);
            states.push(span.span_context().trace_state().header());
            assert_eq!(span.is_recording(), flags.is_sampled());
        });
        assert_eq!(spans.len(), usize::from(flags.is_sampled()));
        assert!(states[0].ends_with("a=1"), "{states:?}");
        for span in &spans {
            assert_eq!((span.parent_span_id.as_slice(), span.flags & 0x200), (&7_u64.to_be_bytes()[..], 0x200));
            assert!(span.trace_state.ends_with("a=1"), "{}", span.trace_state);
        }
    }
}

#[test]
fn limits_hold_for_the_api_too() {
    let limits = Limits {
        attributes: 2,
        events: 1,
        links: 1,
        value_bytes: 5,
        event_attributes: 1,
        link_attributes: 0,
        ..Limits::default()
    };
    let spans = recorded(Sampler::default(), limits, false, || {
        let mut span = tracer().start("small");
        for index in 0..3 {
            span.set_attribute(KeyValue::new(format!("key{index}"), "longer than five"));
            span.add_event("event", vec![KeyValue::new("a", 1), KeyValue::new("b", 2)]);
            span.add_link(remote(TraceFlags::SAMPLED), vec![KeyValue::new("a", 1), KeyValue::new("b", 2)]);
        }
    })
    .spans;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (2, 1));
    assert_eq!(attribute(&span.attributes, "key0").as_deref(), Some("longe"));
    assert_eq!((span.events.len(), span.dropped_events_count), (1, 2));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
    assert_eq!((span.events[0].dropped_attributes_count, span.links[0].dropped_attributes_count), (1, 2));
}

#[test]
fn an_unsampled_trace_has_no_span_of_the_api() {
    let sampler = Sampler { root: Root::Off, parent_based: true };
    let spans = recorded(sampler, Limits::default(), false, || {
        tracer().in_span("api", |context| {
            assert!(context.span().span_context().is_valid() && !context.span().is_recording());
            drop(tracing::info_span!("within"));
        });
    })
    .spans;
    assert!(spans.is_empty(), "{spans:?}");
}

#[test]
fn nothing_is_made_where_telemetry_is_suppressed_or_disabled() {
    let suppressed = spans(|tracer| {
        let _guard = Context::enter_telemetry_suppressed_scope();
        assert!(!tracer.start("suppressed").span_context().is_valid());
    });
    let disabled = recorded_by(
        |recorder| Recorder { disabled: true, ..recorder },
        false,
        || {
            let context = Context::new().with_remote_span_context(remote(TraceFlags::SAMPLED));
            let span = tracer().start_with_context("passed", &context);
            assert_eq!((span.span_context().span_id(), span.is_recording()), (SpanId::from(7), false));
        },
    );
    assert!(suppressed.is_empty() && disabled.spans.is_empty());
}

#[test]
fn a_dropped_or_panicking_span_ends() {
    let spans = spans(|tracer| {
        drop(tracer.start("dropped"));
        let unwinds = std::panic::AssertUnwindSafe(|| {
            tracer.in_span("panicked", |_| {
                if true {
                    panic!("by this test")
                }
            })
        });
        assert!(std::panic::catch_unwind(unwinds).is_err());
    });
    let [dropped, panicked] = spans.as_slice() else { panic!("{spans:?}") };
    assert!(dropped.status.is_none());
    assert_eq!(panicked.status.as_ref().unwrap().code(), StatusCode::Error);
}

/// Redacts, and makes a span itself.
struct Redacts(Arc<OnceLock<ApiTracer>>);

impl SpanProcessor for Redacts {
    fn on_end(&self, span: &mut EndingSpan<'_>) -> ExportDecision {
        self.0.get().unwrap().in_span("processing", |_| {});
        span.redact(|_, text| text.contains('@').then(|| "REDACTED".to_owned()));
        if span.name() == "health" { ExportDecision::Drop } else { ExportDecision::Export }
    }
}

#[test]
fn a_processor_sees_spans_of_the_api_and_makes_none() {
    let mail = || vec![KeyValue::new("mail", "ada@example.com"), KeyValue::new("n", 7)];
    let own = Arc::new(OnceLock::new());
    let spans = recorded_by(
        |recorder| Recorder { processors: vec![Box::new(Redacts(Arc::clone(&own)))], ..recorder },
        false,
        || {
            drop(own.set(tracer()));
            drop(tracer().start("health"));
            let mut span = tracer().start("charge");
            span.set_attributes(mail());
            span.add_event("sent", mail());
            span.add_link(remote(TraceFlags::SAMPLED), mail());
        },
    )
    .spans;
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    let link = &span.links[0];
    for attributes in [&span.attributes, &span.events[0].attributes, &link.attributes] {
        let values = ["mail", "n"].map(|key| attribute(attributes, key).unwrap());
        assert_eq!(values, ["REDACTED", "7"]);
    }
    assert_eq!((link.trace_state.as_str(), link.span_id.as_slice()), ("ot=th:8,a=1", &7_u64.to_be_bytes()[..]));
    assert_eq!(link.flags, 0x301, "sampled, and of another process");
}
