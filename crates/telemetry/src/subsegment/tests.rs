use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use opentelemetry_proto::tonic::trace::v1::Span as Recorded;

use super::*;
use crate::limits::Limits;
use crate::propagation::{self, Trust};
use crate::span::sampler::{Root, Sampler};
use crate::testing::{attribute, recorded};

fn spans(run: impl FnOnce()) -> Vec<Recorded> {
    recorded(Sampler::default(), Limits::default(), false, run).spans
}

fn of(span: &Recorded, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

fn is_failed(span: &Recorded, kind: &str) -> bool {
    span.status.as_ref().is_some_and(|status| status.code == 2) && of(span, "error.type").as_deref() == Some(kind)
}

#[test]
fn a_subsegment_is_a_span_with_annotations_and_metadata() {
    let spans = spans(|| {
        let mut subsegment = begin_subsegment("mock-data");
        subsegment.annotate("rows", 3);
        subsegment.annotate("rows", 4);
        subsegment.metadata("default", "key", &serde_json::json!({"a": [1, "é"]}));
        subsegment.metadata("app", "n", &1.5);
        annotate(&Span::current(), "from elsewhere", true);
        subsegment.close();
        drop(tracing::info_span!("after"));
    });
    let [subsegment, after] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((subsegment.name.as_str(), subsegment.attributes.len()), ("mock-data", 4));
    assert_eq!(of(subsegment, "annotation.rows").as_deref(), Some("4"));
    assert_eq!(of(subsegment, "annotation.from elsewhere").as_deref(), Some("true"));
    assert_eq!(of(subsegment, "metadata.default").as_deref(), Some(r#"{"key":{"a":[1,"é"]}}"#));
    assert_eq!(of(subsegment, "metadata.app").as_deref(), Some(r#"{"n":1.5}"#));
    assert_ne!(after.trace_id, subsegment.trace_id, "closing a segment leaves it");
}

#[test]
fn subsegments_nest_and_leaving_a_block_closes_them() {
    let spans = spans(|| {
        let _segment = begin_segment("job", &Incoming::default());
        {
            let _subsegment = begin_subsegment(format!("part {}", 1));
            in_subsegment("inner", |_| drop(tracing::info_span!("sql")));
        }
        drop(tracing::info_span!("sibling"));
    });
    let found = |name: &str| spans.iter().find(|span| span.name == name).unwrap();
    assert!(found("job").parent_span_id.is_empty());
    for (child, parent) in [("part 1", "job"), ("inner", "part 1"), ("sql", "inner"), ("sibling", "job")] {
        assert_eq!(found(child).parent_span_id, found(parent).span_id, "{child}");
    }
}

#[test]
fn a_segment_continues_the_incoming_trace_not_the_span_around_it() {
    let mut headers = ::http::HeaderMap::new();
    let header = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";
    headers.insert("x-amzn-trace-id", ::http::HeaderValue::from_static(header));
    let spans = spans(|| {
        let _around = tracing::info_span!("around").entered();
        let segment = begin_segment("message", &propagation::extract(&headers, &Trust::ALWAYS, None));
        let trace = propagation::trace_id(segment.span()).unwrap();
        assert_eq!(trace, "5759e988bd862e3fe1be46a994272793");
    });
    assert_eq!(spans[0].parent_span_id, 0x5399_5c3f_42cd_8ad8_u64.to_be_bytes());
    assert!(spans[1].name == "around" && spans[1].trace_id != spans[0].trace_id);
}

#[test]
fn an_exception_or_a_panic_fails_a_subsegment() {
    #[derive(Debug, thiserror::Error)]
    #[error("cannot save")]
    struct SaveError(#[source] std::fmt::Error);
    let spans = spans(|| {
        in_subsegment("fails", |subsegment| subsegment.exception(&SaveError(std::fmt::Error)));
        let panicked = catch_unwind(AssertUnwindSafe(|| {
            in_subsegment("panics", |subsegment| {
                subsegment.metadata("default", "before", &1);
                panic!("on purpose")
            })
        }));
        assert!(panicked.is_err());
        drop(begin_subsegment("after"));
        let mut work = Box::pin(capture("later", async |_subsegment| panic!("on purpose")));
        let mut context = Context::from_waker(Waker::noop());
        assert!(catch_unwind(AssertUnwindSafe(|| work.as_mut().poll(&mut context))).is_err());
    });
    let [failed, panics, after, later] = spans.as_slice() else { panic!("{spans:?}") };
    assert!(is_failed(failed, "SaveError") && is_failed(panics, "panic") && after.status.is_none(), "{spans:?}");
    assert!(is_failed(later, "panic"), "{later:?}");
    let texts = ["exception.type", "exception.message", "exception.stacktrace"]
        .map(|key| attribute(&failed.events[0].attributes, key).unwrap());
    assert_eq!(texts[..2], ["SaveError", "cannot save"]);
    assert!(texts[2].starts_with("caused by: an error occurred"), "{}", texts[2]);
    assert_eq!(of(panics, "metadata.default").as_deref(), Some(r#"{"before":1}"#), "what was recorded before is kept");
}

/// Returns `Pending` once.
async fn pause() {
    let mut first = true;
    std::future::poll_fn(|_| if std::mem::take(&mut first) { Poll::Pending } else { Poll::Ready(()) }).await;
}

#[test]
fn a_subsegment_is_current_only_while_its_work_runs() {
    fn is_send<T: Send>(value: T) -> T {
        value
    }
    let work = |name: &'static str| {
        is_send(capture(name, async move |mut subsegment| {
            pause().await;
            drop(tracing::info_span!("within"));
            subsegment.annotate("done", true);
            pause().await;
        }))
    };
    let spans = spans(|| {
        let (mut first, mut second, mut cancelled) =
            (pin!(work("first")), pin!(work("second")), Box::pin(work("cancelled")));
        let mut context = Context::from_waker(Waker::noop());
        for _ in 0..2 {
            assert!(cancelled.as_mut().poll(&mut context).is_pending());
        }
        drop(cancelled);
        let mut ready = [false; 2];
        while ready != [true; 2] {
            if !ready[0] {
                ready[0] = first.as_mut().poll(&mut context).is_ready();
            }
            if !ready[1] {
                ready[1] = second.as_mut().poll(&mut context).is_ready();
            }
        }
    });
    for name in ["first", "second", "cancelled"] {
        let outer = spans.iter().find(|span| span.name == name).unwrap();
        assert!(outer.parent_span_id.is_empty() && outer.status.is_none());
        assert_eq!(of(outer, "annotation.done").as_deref(), Some("true"));
        let within = spans.iter().filter(|span| span.name == "within" && span.parent_span_id == outer.span_id);
        assert_eq!(within.count(), 1);
    }
}

#[test]
fn metadata_that_does_not_fit_is_counted_and_never_cut() {
    let limits = Limits { value_bytes: 40, ..Limits::default() };
    let spans = recorded(Sampler::default(), limits, false, || {
        let mut subsegment = begin_subsegment("small");
        subsegment.metadata("default", "long", &"x".repeat(40));
        subsegment.metadata("default", "short", &1);
    })
    .spans;
    assert_eq!(of(&spans[0], "metadata.default").as_deref(), Some(r#"{"short":1}"#));
    assert_eq!(of(&spans[0], "xray.metadata.left_out").as_deref(), Some("1"));
}

/// A value that must never be serialised.
struct Unwanted;

impl Serialize for Unwanted {
    fn serialize<S: serde::Serializer>(&self, _: S) -> Result<S::Ok, S::Error> {
        panic!("serialised, although the span is not recorded")
    }
}

#[test]
fn metadata_is_not_serialised_without_sampling() {
    let sampler = Sampler { root: Root::Off, parent_based: true };
    let spans = recorded(sampler, Limits::default(), false, || {
        let mut subsegment = begin_subsegment("none");
        subsegment.metadata("default", "key", &Unwanted);
        subsegment.annotate("rows", 3);
    })
    .spans;
    assert!(spans.is_empty());
}

#[test]
fn a_subsegment_closed_too_early_ends_with_its_children() {
    let spans = spans(|| {
        let outer = begin_subsegment("outer");
        let inner = begin_subsegment("inner");
        outer.close();
        drop(tracing::info_span!("sql"));
        inner.close();
        drop(tracing::info_span!("after"));
    });
    let [sql, inner, outer, after] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&sql.parent_span_id, &inner.parent_span_id), (&inner.span_id, &outer.span_id));
    assert!(after.parent_span_id.is_empty());
}

#[test]
fn each_line_of_the_python_table_is_in_compiled_code() {
    let page = include_str!("../../../../docs/src/xray-recorder.md");
    let code: Vec<_> = page.split("```").filter_map(|block| block.strip_prefix("rust")).collect();
    let code = code.concat();
    let cells: Vec<_> = page.lines().filter_map(|line| line.strip_prefix("| `")?.split("` | `").nth(1)).collect();
    assert!(cells.len() > 8, "{cells:?}");
    for cell in cells {
        // A bar within a table is escaped.
        let line = cell.split('`').next().unwrap().replace("\\|", "|");
        // The table omits the content of blocks.
        for part in line.split('…') {
            assert!(code.contains(part.trim()), "{part:?} of the table is in no block of code");
        }
    }
}
