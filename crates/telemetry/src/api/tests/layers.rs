//! tracing-opentelemetry's layer over our tracer.

use tracing::Dispatch;
use tracing_opentelemetry::OpenTelemetrySpanExt;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::{Layer as _, Registry, reload};

use super::*;
use crate::propagation::{baggage, set_baggage};
use crate::testing::recorded_in;

#[test]
fn its_spans_are_ours() {
    let provider = ApiTracerProvider::unbound();
    let compose = |layer: crate::Layer| {
        // Our layer leaves `tracing`'s spans to the other one, which makes them through our tracer.
        let ours = Registry::default().with(layer.with_filter(filter_fn(|metadata| !metadata.is_span())));
        ours.with(tracing_opentelemetry::layer().with_tracer(provider.tracer("spans"))).into()
    };
    let spans = recorded_in(compose, || {
        drop(tracing::info_span!("not bound yet"));
        provider.bind();
        let span = tracing::info_span!("work", n = 1);
        span.set_parent(Context::new().with_remote_span_context(remote(TraceFlags::SAMPLED))).unwrap();
        OpenTelemetrySpanExt::set_attribute(&span, "by", "extension");
        span.in_scope(|| {
            tracing::info!("it happened");
            drop(tracing::info_span!("inner"));
            drop(super::tracer().start("api"));
        });
        assert!(OpenTelemetrySpanExt::context(&span).span().span_context().is_sampled());
    });
    let find = |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("{name}: {spans:?}"));
    assert_eq!(spans.len(), 3, "{spans:?}");
    let work = find("work");
    assert_eq!(work.parent_span_id, 7_u64.to_be_bytes());
    assert_eq!(attribute(&work.attributes, "by").as_deref(), Some("extension"));
    assert_eq!(attribute(&work.attributes, "n").as_deref(), Some("1"));
    assert_eq!(work.events.len(), 1, "{:?}", work.events);
    for child in ["inner", "api"] {
        assert_eq!((&find(child).parent_span_id, &find(child).trace_id), (&work.span_id, &work.trace_id), "{child}");
    }
}

#[test]
fn our_layer_beside_others_is_found() {
    let compositions: [fn(crate::Layer) -> Dispatch; 3] = [
        |layer| Registry::default().with(layer).into(),
        |layer| Registry::default().with(Some(layer.boxed())).into(),
        |layer| Registry::default().with(reload::Layer::new(layer).0).into(),
    ];
    for compose in compositions {
        let spans = recorded_in(compose, || {
            let outer = tracing::info_span!("outer").entered();
            // Only other layers see this one.
            tracing::debug_span!("between").in_scope(|| {
                super::tracer().in_span("api", |_| {
                    tracing::debug_span!("between").in_scope(|| tracing::info!("it happened"));
                    drop(tracing::info_span!("inner"));
                    super::tracer().in_span("within", |_| {});
                });
                let context = context_of(&tracing::Span::current());
                assert_eq!(context.span().span_context().span_id(), outer.span_context().unwrap().span_id());
                assert!(set_baggage(&tracing::Span::current(), "tier", "gold"));
            });
            assert_eq!(baggage(&outer, "tier").as_deref(), Some("gold"));
        });
        assert_eq!(edges(&spans), ["api>inner", "api>within", "outer>api", ">outer"]);
        assert_eq!(spans[2].events.len(), 1, "{:?}", spans[2].events);
    }
}
