//! The layer beside others: each composition records the same spans with the same edges, and hides nothing from its neighbours.

use std::cell::RefCell;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex};

use tracing::Dispatch;
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer as _, SubscriberExt};
use tracing_subscriber::{fmt, reload};

use super::*;
use crate::http::{ServerRequest, server_span};
use crate::propagation::{Incoming, outgoing};
use crate::testing::{attribute, recorded_in};

/// Keeps the names of the spans and the levels of the events that it sees.
#[derive(Clone, Default)]
struct Neighbour(Arc<Mutex<Vec<String>>>);

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Neighbour {
    fn on_new_span(&self, attributes: &Attributes<'_>, _: &Id, _: Context<'_, S>) {
        self.0.lock().unwrap().push(attributes.metadata().name().to_owned());
    }

    fn on_event(&self, event: &tracing::Event<'_>, _: Context<'_, S>) {
        self.0.lock().unwrap().push(event.metadata().level().to_string());
    }
}

type Composition = fn(Layer) -> Dispatch;

fn printer<S: Subscriber + for<'a> LookupSpan<'a>>() -> impl tracing_subscriber::Layer<S> + Send + Sync {
    fmt::layer().with_writer(io::sink)
}

fn compositions() -> Vec<(&'static str, Composition)> {
    vec![
        ("above fmt", |layer| Registry::default().with(printer()).with(layer).into()),
        ("below fmt", |layer| Registry::default().with(layer).with(printer()).into()),
        ("on fmt's subscriber", |layer| {
            fmt().with_max_level(LevelFilter::TRACE).with_writer(io::sink).finish().with(layer).into()
        }),
        ("boxed", |layer| Registry::default().with(printer().boxed()).with(layer.boxed()).into()),
        ("optional", |layer| Registry::default().with(Some(layer)).with(None::<Neighbour>).into()),
        ("in a list", |layer| Registry::default().with(vec![printer().boxed(), layer.boxed()]).into()),
        ("filtered", |layer| Registry::default().with(printer()).with(layer.with_filter(LevelFilter::INFO)).into()),
        ("boxed and filtered", |layer| {
            let target = Targets::new().with_default(LevelFilter::INFO);
            Registry::default().with(layer.boxed().with_filter(target).boxed()).with(printer()).into()
        }),
        ("beside a filtered one", |layer| {
            Registry::default().with(printer().with_filter(LevelFilter::ERROR)).with(layer).into()
        }),
        ("in a pair", |layer| Registry::default().with(printer().and_then(layer)).into()),
        ("reloadable", |layer| {
            let (layer, _) = reload::Layer::new(layer);
            Registry::default().with(printer()).with(layer).into()
        }),
        ("filtered, reloadable and boxed", |layer| {
            let (layer, _) = reload::Layer::new(layer.with_filter(LevelFilter::INFO).boxed());
            Registry::default().with(layer.boxed()).with(printer()).into()
        }),
    ]
}

#[tracing::instrument(err, ret)]
fn fails(code: i32) -> Result<i32, Store> {
    Err(Store(Disk))
}

/// A request with a span of each kind, and a span between them that only other layers see.
fn request() {
    let request = ServerRequest {
        method: "GET",
        route: Some("/rolls/{sides}"),
        path: "/rolls/6",
        query: None,
        scheme: "http",
        host: Some("dice.example"),
        peer: None,
        peer_port: None,
        client: None,
        user_agent: None,
        version: None,
    };
    let server = server_span(&request, &Incoming::default());
    let entered = server.clone().entered();
    let between = tracing::debug_span!("between").entered();
    tracing::info_span!("child", n = 7).in_scope(|| tracing::info!("it happened"));
    let headers = outgoing(&tracing::Span::current());
    let context = server.span_context();
    let context =
        context.unwrap_or_else(|| panic!("{server:?} is not recorded; {} is enabled", LevelFilter::current()));
    let id = context.span_id().to_string();
    assert!(headers.iter().any(|(name, value)| *name == "traceparent" && value.contains(&id)), "{headers:?}");
    let owned = OwnedSpan::within_current("owned", |span| span.kind(SpanKind::Client));
    owned.set("rows", 3);
    drop(owned);
    drop(fails(7));
    let unwinds = || tracing::info_span!("unwinds").in_scope(|| panic!("by this test"));
    drop(catch_unwind(AssertUnwindSafe(unwinds)));
    tracing::error!("within a span that only others see");
    server.user("bayko");
    drop((between, entered));
    server.end();
    server.set("late", true);
}

/// Each span with its parent's name, its kind and whether it failed, in the order in which they ended.
fn shape(spans: &[Span]) -> Vec<(String, String, i32, bool)> {
    let name = |id: &[u8]| spans.iter().find(|span| span.span_id == id).map(|span| span.name.clone());
    let failed = |span: &Span| span.status.as_ref().is_some_and(|status| status.code() == StatusCode::Error);
    let one =
        |span: &Span| (span.name.clone(), name(&span.parent_span_id).unwrap_or_default(), span.kind, failed(span));
    spans.iter().map(one).collect()
}

#[test]
fn every_composition_records_the_same_spans() {
    const SERVER: &str = "GET /rolls/{sides}";
    for (composition, compose) in compositions() {
        let spans = recorded_in(compose, request);
        let below = |name: &str, kind, failed| (name.to_owned(), SERVER.to_owned(), kind, failed);
        let expected = [
            below("child", 1, false),
            below("owned", 3, false),
            below("fails", 1, true),
            below("unwinds", 1, true),
            (SERVER.to_owned(), String::new(), 2, true),
        ];
        assert_eq!(shape(&spans), expected, "{composition}");
        let [child, owned, fails, unwinds, server] = spans.as_slice() else { unreachable!() };
        assert_eq!(of(child, "n").as_deref(), Some("7"), "{composition}");
        assert_eq!(child.events[0].name, "it happened", "{composition}");
        assert_eq!(of(owned, "rows").as_deref(), Some("3"), "{composition}");
        let exception = |span: &Span| attribute(&span.events[0].attributes, "exception.message");
        assert_eq!(exception(fails).as_deref(), Some("no store"), "{composition}");
        assert_eq!(of(unwinds, "error.type").as_deref(), Some("panic"), "{composition}");
        assert_eq!(exception(server).as_deref(), Some("within a span that only others see"), "{composition}");
        let texts = ["http.route", "user.id", "late"].map(|key| of(server, key));
        let texts = texts.each_ref().map(Option::as_deref);
        assert_eq!(texts, [Some("/rolls/{sides}"), Some("bayko"), None], "{composition}");
    }
}

#[test]
fn neighbours_see_what_this_layer_does_not_make() {
    let neighbour = Neighbour::default();
    let spans = recorded_in(
        |layer| Registry::default().with(layer).with(neighbour.clone()).into(),
        || {
            let _span = tracing::trace_span!("detail").entered();
            tracing::debug!("detail");
            tracing::info!("news");
        },
    );
    assert!(spans.is_empty(), "{:?}", shape(&spans));
    assert_eq!(*neighbour.0.lock().unwrap(), ["detail", "DEBUG", "INFO"]);
}

#[test]
fn a_filter_of_this_layer_alone_leaves_spans_to_the_others() {
    let neighbour = Neighbour::default();
    let spans = recorded_in(
        |layer| {
            let filter = Targets::new().with_target("wanted", LevelFilter::INFO);
            Registry::default().with(layer.with_filter(filter)).with(neighbour.clone()).into()
        },
        || {
            let _outer = tracing::info_span!(target: "wanted", "outer").entered();
            let _other = tracing::info_span!(target: "other", "other").entered();
            tracing::info_span!(target: "wanted", "inner").in_scope(|| {});
        },
    );
    let edges = [("inner", "outer"), ("outer", "")];
    assert_eq!(shape(&spans), edges.map(|(name, above)| (name.to_owned(), above.to_owned(), 1, false)));
    assert_eq!(*neighbour.0.lock().unwrap(), ["outer", "other", "inner"]);
}

#[test]
fn of_two_layers_on_one_registry_the_outermost_records() {
    for hide in [false, true] {
        let mut inner_spans = Vec::new();
        let spans = recorded_in(
            |outer| {
                let mut dispatch = None;
                inner_spans = recorded_in(
                    |inner| {
                        let both: Dispatch = match hide {
                            false => Registry::default().with(inner).with(outer).into(),
                            true => Registry::default().with(reload::Layer::new(inner).0).with(outer).into(),
                        };
                        dispatch = Some(both.clone());
                        both
                    },
                    || drop(tracing::info_span!("first")),
                );
                dispatch.unwrap()
            },
            || {
                tracing::info_span!("second").in_scope(|| tracing::info!("once"));
            },
        );
        assert!(inner_spans.is_empty(), "{hide}: {:?}", shape(&inner_spans));
        let names: Vec<_> = spans.iter().map(|span| (span.name.as_str(), span.events.len())).collect();
        assert_eq!(names, [("first", 0), ("second", 1)], "{hide}");
    }
}

#[test]
fn a_layer_that_is_reloaded_into_a_running_subscriber_records() {
    let reload = RefCell::new(None);
    let spans = recorded_in(
        |layer| {
            let (slot, handle) = reload::Layer::new(None::<Layer>);
            reload.replace(Some((handle, layer)));
            Registry::default().with(slot).with(printer()).into()
        },
        || {
            let (handle, layer) = reload.take().unwrap();
            // Only here: if there is one subscriber, `tracing` computes from the thread's own what is enabled.
            handle.reload(Some(layer)).unwrap();
            request();
        },
    );
    assert_eq!(spans.len(), 5, "{:?}", shape(&spans));
}
