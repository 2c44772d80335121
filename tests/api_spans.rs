//! Spans that a library makes through OpenTelemetry's API, in a process that installs telemetry and has no line about that API.

use std::collections::HashMap;
use std::process::Command;

use opentelemetry::global::BoxedTracer;
use opentelemetry::trace::{FutureExt, SpanKind, TraceContextExt, Tracer};
use opentelemetry::{Context, InstrumentationScope, KeyValue, global};
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use tracing::Instrument;

use crate::support::eventually;
use crate::support::honeycomb::Honeycomb;

const KEY: &str = "hcaik_a_key_of_this_test";
/// Set in the process that [`application`] is.
const APPLICATION: &str = "TESTS_API_SPANS_APPLICATION";
const TRACEPARENT: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";

#[test]
fn a_librarys_spans_join_the_trace_the_ledger_and_its_own_scope() {
    let honeycomb = Honeycomb::start(KEY);
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "api_spans::application", "--nocapture"])
        .env(APPLICATION, "yes")
        .envs([("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
    let spans = eventually("the spans", || Some(honeycomb.accepted()).filter(|spans| spans.len() >= 5));
    assert!(printed.contains("5 spans created = 5 delivered + 0 queued + 0 dropped"), "{printed}");
    let parent = |span: &Span| spans.iter().find(|other| other.span_id == span.parent_span_id).map(|span| &*span.name);
    let edges: HashMap<&str, Option<&str>> = spans.iter().map(|span| (&*span.name, parent(span))).collect();
    let expected = [
        ("job", None),
        ("receive", Some("job")),
        ("handle", Some("receive")),
        ("reply", Some("handle")),
        ("count", Some("receive")),
    ];
    assert_eq!(edges, HashMap::from(expected));
    assert!(spans.iter().all(|span| span.trace_id == spans[0].trace_id));
    let job = u128::from_be_bytes(spans[0].trace_id.as_slice().try_into().unwrap());
    assert_ne!(format!("{job:032x}"), TRACEPARENT[3..35], "a library cannot choose the trace");
    let mut scopes: Vec<(String, String, Vec<String>)> = Vec::new();
    for body in honeycomb.bodies() {
        for resource in ExportTraceServiceRequest::decode(body.as_slice()).unwrap().resource_spans {
            for scope in resource.scope_spans {
                let names = scope.spans.iter().map(|span| span.name.clone()).collect();
                let by = scope.scope.unwrap();
                scopes.push((by.name, by.version, names));
            }
        }
    }
    let of_library: Vec<_> = scopes.iter().filter(|(name, ..)| name == "a-library").collect();
    assert!(of_library.iter().all(|(_, version, _)| version == "1.2.3"), "{scopes:?}");
    let mut names: Vec<&str> = of_library.iter().flat_map(|(.., names)| names).map(String::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["receive", "reply"], "{scopes:?}");
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test above sets it for the process that it starts")]
fn application() {
    if std::env::var(APPLICATION).is_err() {
        return;
    }
    let telemetry = telemetry::Config::from_env().unwrap().install("worker").unwrap();
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
    let job = runtime.spawn(library().instrument(tracing::info_span!("job")));
    runtime.block_on(job).unwrap();
    telemetry.shutdown();
}

/// As instrumentation libraries do it: a context from the headers, a span in it, and the headers of the next request.
async fn library() {
    let scope = InstrumentationScope::builder("a-library").with_version("1.2.3").build();
    let tracer = global::tracer_with_scope(scope);
    let received = HashMap::from([("traceparent".to_owned(), TRACEPARENT.to_owned())]);
    let context = global::get_text_map_propagator(|propagator| propagator.extract(&received));
    let builder = tracer.span_builder("receive").with_kind(SpanKind::Consumer);
    let span = tracer.build_with_context(builder, &context);
    handle(&tracer).with_context(Context::current_with_span(span)).await;
}

async fn handle(tracer: &BoxedTracer) {
    let within = async {
        tokio::task::yield_now().await;
        tracer.in_span("reply", |context| {
            context.span().set_attribute(KeyValue::new("messaging.system", "kafka"));
            let mut sent = HashMap::new();
            global::get_text_map_propagator(|propagator| propagator.inject_context(&context, &mut sent));
            assert!(sent["traceparent"].contains(&context.span().span_context().span_id().to_string()), "{sent:?}");
        });
    };
    within.instrument(tracing::info_span!("handle")).await;
    tokio::task::yield_now().await;
    drop(tracing::info_span!("count"));
}
