//! Contexts and headers.

use std::collections::HashMap;

use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::TextMapPropagator;

use super::*;
use crate::propagation::{Trust, extract, set_baggage};

fn headers(cx: &Context) -> HashMap<String, String> {
    let mut headers = HashMap::new();
    InjectingPropagator::current().inject_context(cx, &mut headers);
    headers
}

#[test]
fn the_propagator_injects_the_innermost_span() {
    spans(|tracer| {
        let incoming: HashMap<&str, &str> = HashMap::from([
            ("traceparent", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
            ("tracestate", "a@b@c=1"),
            ("baggage", "tier=gold;p=1"),
        ]);
        let mut map = ::http::HeaderMap::new();
        incoming.iter().for_each(|(name, value)| drop(map.insert(*name, value.parse().unwrap())));
        let incoming = extract(&map, &Trust::ALWAYS, None);
        let server = crate::span::start::continuing("server", &incoming, || tracing::info_span!("server"));
        server.in_scope(|| {
            let of_tracing = headers(&Context::current());
            let id = server.span_context().unwrap().span_id().to_string();
            assert!(of_tracing["traceparent"].contains(&id), "{of_tracing:?}");
            tracer.in_span("api", |cx| {
                let sent = headers(&cx.with_baggage([KeyValue::new("user", "a b")]));
                let id = cx.span().span_context().span_id().to_string();
                assert!(sent["traceparent"].contains(&id) && sent["x-amzn-trace-id"].contains(&id), "{sent:?}");
                assert_eq!(
                    sent["tracestate"], "a@b@c=1",
                    "the API refuses this key, and it is propagated all the same"
                );
                assert_eq!(sent["baggage"], "tier=gold;p=1,user=a%20b");
            });
        });
        let context = Context::new().with_remote_span_context(remote(TraceFlags::SAMPLED));
        assert_eq!(headers(&context)["tracestate"], "ot=th:8,a=1", "another's context is passed on");
        assert!(headers(&Context::new()).is_empty());
    });
}

#[test]
fn a_library_extracts_nothing() {
    spans(|_| {
        let headers = HashMap::from([(
            "traceparent".to_owned(),
            "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01".to_owned(),
        )]);
        let propagator = InjectingPropagator::current();
        assert!(!propagator.extract(&headers).has_active_span());
        assert_eq!(propagator.fields().collect::<Vec<_>>(), crate::propagation::FIELDS);
    });
}

#[test]
fn a_context_of_a_span_records_on_it() {
    let spans = spans(|tracer| {
        let span = tracing::info_span!("work");
        assert!(set_baggage(&span, "tier", "gold"));
        let context = context_of(&span);
        assert_eq!(context.baggage().get("tier").unwrap().as_str(), "gold");
        assert!(context.span().is_recording());
        context.span().set_attribute(KeyValue::new("by", "context"));
        drop(tracer.start_with_context("child", &context));
        context.span().end();
        span.set("still", "open");
        drop(span);
        assert!(!context.span().is_recording(), "it does not keep the span open");
        context.span().set_attribute(KeyValue::new("too", "late"));
    });
    assert_eq!(edges(&spans), ["work>child", ">work"]);
    assert_eq!(spans[1].attributes.len(), 2, "{:?}", spans[1].attributes);
}

#[test]
fn a_followed_span_is_the_current_context() {
    follow_spans();
    let current = || Context::map_current(|cx| cx.span().span_context().span_id());
    let spans = spans(|tracer| {
        let outer = tracing::info_span!("outer");
        let id = |span: &tracing::Span| SpanExt::span_context(span).unwrap().span_id();
        outer.in_scope(|| {
            assert_eq!(current(), id(&outer));
            tracer.in_span("api", |cx| {
                let inner = tracing::info_span!("inner");
                inner.in_scope(|| {
                    assert_eq!(current(), id(&inner));
                    Context::map_current(|cx| cx.span().set_attribute(KeyValue::new("by", "context")));
                    drop(tracer.start("within"));
                });
                assert_eq!(current(), cx.span().span_context().span_id());
            });
            assert_eq!(current(), id(&outer));
        });
        assert_eq!(current(), SpanId::INVALID);
        outer.in_scope(|| assert_eq!(current(), id(&outer), "again"));
    });
    assert_eq!(edges(&spans), ["inner>within", "api>inner", "outer>api", ">outer"]);
    assert_eq!(attribute(&spans[1].attributes, "by").as_deref(), Some("context"));
}
