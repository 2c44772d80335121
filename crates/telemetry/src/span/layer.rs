//! The layer that makes spans of `tracing`'s: decides first whether a span is sampled, writes its fields straight into its
//! encoding, and hands the encoding to every queue when the span closes. What happens on an exporter's own thread is neither
//! traced nor exported, so that no export can cause another.

use std::cell::{Cell, RefCell};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::Parent;
use super::event::{self, Told};
use super::fields::Fields;
use super::sampler::{Decision, Sampler};
use super::{Carried, Lent, Limits, Open, Recording, SAMPLING_RULE, USER_ID, Value, asked, id, nanoseconds};
use crate::console::Console;
use crate::http::Served;
use crate::pipeline::Queue;
use crate::propagation::Incoming;

/// The libraries that carry spans: a span of theirs would make the exporters trace themselves.
const CARRIERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls", "ureq"];

thread_local! {
    /// This thread exports.
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
    /// What the next span of this thread continues; see [`continuing`].
    static INCOMING: RefCell<Option<Incoming>> = const { RefCell::new(None) };
    /// What the next span of this thread is; see [`told`].
    static BEGUN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// The name of a span of a request, until it is told another.
pub(crate) const HTTP: &str = "HTTP";

/// Spans to queues, events to the console and to the span they happen in.
pub(crate) struct Layer {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    /// Where spans go.
    pub(crate) queues: Vec<Arc<Queue>>,
    /// Where events go as log records.
    pub(crate) logs: Vec<Arc<Queue>>,
    pub(crate) console: Console,
    /// No spans are made; what requests bring goes on as it came.
    pub(crate) disabled: bool,
}

/// Declares that the calling thread exports.
pub(crate) fn exports() {
    EXPORTS.set(true);
}

/// Makes a span that continues what a request brought. The parent is known before the span begins: one that is set later
/// comes too late for the sampler, and splits the trace where a child exists already.
pub(crate) fn continuing(incoming: &Incoming, make: impl FnOnce() -> tracing::Span) -> tracing::Span {
    if incoming.is_empty() {
        return make();
    }
    INCOMING.replace(Some(incoming.clone()));
    let span = make();
    // Where nobody took it, the span is not traced.
    drop(INCOMING.take());
    span
}

/// The span of a request, by which a sampler may decide, and which continues what the request brought.
pub(crate) fn serving(
    request: &Served<'_>,
    incoming: &Incoming,
    tell: impl Fn(&mut Recording),
    make: impl FnOnce() -> tracing::Span,
) -> tracing::Span {
    asked::tell(request);
    let incoming = Some(incoming).filter(|incoming| !incoming.is_empty());
    let span = told(|layer| layer.begin(HTTP, incoming, None), tell, make);
    // Where nobody took it, the caller has decided.
    drop(asked::take());
    span
}

/// The span of a request that is made within `parent`.
pub(crate) fn calling(
    parent: &tracing::Span,
    tell: impl Fn(&mut Recording),
    make: impl FnOnce() -> tracing::Span,
) -> tracing::Span {
    let begin = |layer: &Layer| {
        let begun = super::with_open(parent, |parent| layer.begin(HTTP, None, Some(parent)));
        begun.unwrap_or_else(|| layer.begin(HTTP, None, None))
    };
    told(begin, tell, make)
}

/// Begins a span and tells it before `make` makes it: once it is made, each thing that it is told takes a look-up.
fn told(
    begin: impl Fn(&Layer) -> Option<Open>,
    tell: impl Fn(&mut Recording),
    make: impl FnOnce() -> tracing::Span,
) -> tracing::Span {
    let begun = tracing::dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<Layer>().filter(|_| !EXPORTS.get());
        layer.and_then(|layer| {
            let mut open = begin(layer)?;
            if let Some(recording) = &mut open.recording {
                tell(recording);
            }
            Some(open)
        })
    });
    // A thread that ends may make a span after what it kept for others.
    let keep = |begun| BEGUN.try_with(|next| *next.borrow_mut() = begun).unwrap_or_default();
    keep(begun);
    let span = make();
    // Where nobody took it, the span is not traced.
    keep(None);
    span
}

impl Layer {
    fn is_traced(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && !is_carrier(metadata.target())
    }

    /// None where spans are not made and there is nothing to pass on.
    fn begin(&self, name: &str, incoming: Option<&Incoming>, parent: Option<&Open>) -> Option<Open> {
        if self.disabled {
            return pass(incoming, parent);
        }
        let now = SystemTime::now();
        let id = id::span();
        let start = nanoseconds(now);
        let remote = incoming.and_then(|incoming| incoming.parent.as_ref());
        let (context, parent, carried, sampled_by) = match (remote, parent) {
            (None, Some(parent)) => {
                let above = &parent.context;
                let context = SpanContext::new(above.trace_id(), id, above.trace_flags(), false, TraceState::default());
                (context, Some(Parent { id: above.span_id(), remote: false }), parent.carried.clone(), None)
            }
            (remote, _) => {
                let trace = remote.map_or_else(|| id::trace(start), SpanContext::trace_id);
                let decided = remote.filter(|_| incoming.is_some_and(|incoming| !incoming.undecided));
                let state = decided.and(incoming).map(|incoming| incoming.state.clone()).unwrap_or_default();
                let Decision { sampled, state, rate, rule } = self.sampler.decide(trace, decided, state, now);
                let baggage = incoming.and_then(|incoming| incoming.baggage.clone());
                let lineage = incoming.and_then(|incoming| incoming.lineage.clone());
                let carries = Carried { user: None, baggage, lineage, state, sample_rate: rate };
                let carried = Some(carries).filter(|carries| *carries != Carried::default()).map(Arc::new);
                let random = remote.map_or(id::RANDOM, |remote| remote.trace_flags() & id::RANDOM);
                let flags = if sampled { TraceFlags::SAMPLED | random } else { random };
                let above = remote.map(SpanContext::span_id).filter(|id| *id != SpanId::INVALID);
                let parent = above.map(|id| Parent { id, remote: true });
                (SpanContext::new(trace, id, flags, false, TraceState::default()), parent, carried, rule)
            }
        };
        let recording = context.is_sampled().then(|| {
            let carried = carried.as_deref();
            let state = carried.and_then(|carried| carried.state.header());
            let mut recording = Recording::start(name, &context, state, parent, start, self.limits);
            if let Some(rate) = carried.and_then(|carried| carried.sample_rate) {
                recording.add("SampleRate", Value::Int(rate));
            }
            if let Some(rule) = &sampled_by {
                recording.add(SAMPLING_RULE, &**rule);
            }
            if let Some(user) = carried.and_then(|carried| carried.user.as_ref()) {
                recording.add(USER_ID, &**user);
            }
            if let Some(incoming) = incoming {
                incoming.tell(&mut recording);
            }
            recording
        });
        let asked = incoming.is_some_and(|incoming| incoming.asked);
        Some(Open { context, carried, recording, asked, passes: false })
    }
}

/// What stands for a span where none are made, as OpenTelemetry's
/// [API without an SDK](https://opentelemetry.io/docs/specs/otel/trace/api/#behavior-of-the-api-in-the-absence-of-an-installed-sdk) has it:
/// the context that a request brought, unchanged, and its baggage. One that leaves the decision to us is not: nobody here decides.
fn pass(incoming: Option<&Incoming>, parent: Option<&Open>) -> Option<Open> {
    let of = |context, carried| Some(Open { context, carried, recording: None, asked: false, passes: true });
    let Some(incoming) = incoming else {
        return parent.and_then(|parent| of(parent.context.clone(), parent.carried.clone()));
    };
    let named = incoming.parent.clone().filter(|context| context.is_valid() && !incoming.undecided);
    let Incoming { baggage, lineage, state, .. } = incoming.clone();
    let carries = Carried { user: None, baggage, lineage, state, sample_rate: None };
    let carried = Some(carries).filter(|carries| *carries != Carried::default()).map(Arc::new);
    of(named.unwrap_or(SpanContext::NONE), carried)
}

fn is_carrier(target: &str) -> bool {
    let library = target.split_once("::").map_or(target, |(library, _)| library);
    CARRIERS.contains(&library)
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if self.enabled_at_all(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        self.enabled_at_all(metadata)
    }

    fn max_level_hint(&self) -> Option<tracing::level_filters::LevelFilter> {
        Some(self.console.max_level().max(tracing::level_filters::LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if EXPORTS.get() {
            return;
        }
        // A thread that ends may make a span after what it kept for others.
        let open = BEGUN.try_with(RefCell::take).ok().flatten().or_else(|| {
            let incoming = INCOMING.try_with(RefCell::take).ok().flatten();
            let parent = span.parent();
            let extensions = parent.as_ref().map(SpanRef::extensions);
            let parent = extensions.as_ref().and_then(|extensions| extensions.get());
            let mut open = self.begin(attributes.metadata().name(), incoming.as_ref(), parent)?;
            if let Some(recording) = &mut open.recording {
                attributes.record(&mut Fields(recording));
            }
            Some(open)
        });
        if let Some(open) = open {
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        // Taken out, as in `record_with`: a value's `Debug` is others' code.
        let taken = span.extensions_mut().get_mut::<Open>().and_then(|open| open.recording.take());
        let back = |recording| {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                open.recording = Some(recording);
            }
        };
        Lent { recording: taken, back }.tell(|recording| values.record(&mut Fields(recording)));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let (Some(span), Some(follows)) = (ctx.span(id), ctx.span(follows)) else { return };
        let to = follows.extensions().get().map(|open: &Open| (open.context.clone(), open.carried.clone()));
        if let (Some((to, carried)), Some(Open { recording: Some(recording), .. })) =
            (to, span.extensions_mut().get_mut())
        {
            recording.link(&to, carried.as_deref().and_then(|carried| carried.state.header()));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let span = ctx.event_span(event);
        // Copied: nothing is locked while the event's values are formatted and written.
        let (context, recorded) = span
            .as_ref()
            .and_then(|span| {
                let extensions = span.extensions();
                let open = extensions.get::<Open>()?;
                Some((Some(open.context.clone()), open.recording.is_some()))
            })
            .unwrap_or_default();
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        if Self::is_traced(metadata) && !EXPORTS.get() {
            if !self.logs.is_empty() {
                let record = event::log_record(event, context.as_ref(), self.limits);
                for queue in &self.logs {
                    queue.push(record.clone());
                }
            }
            if let Some(span) = span.filter(|_| recorded) {
                let told = Told::of_span(event, self.limits);
                if (self.logs.is_empty() || told.is_exception)
                    && let Some(Open { recording: Some(recording), .. }) = span.extensions_mut().get_mut()
                {
                    recording.happened(told);
                }
            }
        }
        if self.console.shows(metadata) {
            self.console.print(event, context.as_ref());
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        // The rest is dropped with the registry's span.
        let recording = span.extensions_mut().get_mut::<Open>().and_then(|open| open.recording.take());
        if let Some(recording) = recording {
            let record = recording.finish(super::now());
            if let Some((last, others)) = self.queues.split_last() {
                others.iter().for_each(|queue| queue.push(record.clone()));
                last.push(record);
            }
        }
    }
}

impl Layer {
    fn enabled_at_all(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_traced(metadata) || (metadata.is_event() && self.console.shows(metadata))
    }
}

#[cfg(test)]
mod tests {
    use std::fmt;

    use opentelemetry_proto::tonic::trace::v1::Span;
    use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

    use super::*;
    use crate::http;
    use crate::propagation::{self, Trust};
    use crate::span::SpanExt;
    use crate::span::sampler::Root;
    use crate::testing::{Recorded, attribute, recorded};

    fn spans(run: impl FnOnce()) -> Vec<Span> {
        recorded(Sampler::default(), Limits::default(), false, run).spans
    }

    fn of(span: &Span, key: &str) -> Option<String> {
        attribute(&span.attributes, key)
    }

    #[test]
    fn a_span_is_told_by_its_fields_and_by_what_is_said_later() {
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
        let told = ["n", "text", "flag"].map(|key| of(span, key).unwrap());
        assert_eq!(told, ["8", "again", "true"], "a later value takes the place of an earlier one");
        assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.status.is_none());
    }

    #[test]
    fn children_share_their_parents_trace_and_carry_its_user() {
        let spans = spans(|| {
            let root = tracing::info_span!("root");
            root.in_scope(|| {
                let handler = tracing::info_span!("handler");
                handler.user("andrew");
                handler.in_scope(|| drop(tracing::info_span!("sql")));
            });
        });
        let [sql, handler, root] = spans.as_slice() else { panic!("{spans:?}") };
        assert!(root.parent_span_id.is_empty());
        assert_eq!((&handler.parent_span_id, &sql.parent_span_id), (&root.span_id, &handler.span_id));
        for span in [sql, handler, root] {
            assert_eq!(span.trace_id, root.trace_id);
            assert_eq!(of(span, "user.id").as_deref(), Some("andrew"), "on every span of the request");
        }
    }

    #[test]
    fn a_request_continues_what_it_brought_and_says_it_to_the_next() {
        let mut headers = ::http::HeaderMap::new();
        let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
        headers.insert("traceparent", ::http::HeaderValue::from_static(traceparent));
        headers.insert("tracestate", ::http::HeaderValue::from_static("vendor=1"));
        headers.insert("baggage", ::http::HeaderValue::from_static("a=b"));
        let mut outgoing = Vec::new();
        let spans = spans(|| {
            let incoming = propagation::extract(&headers, &Trust::ALWAYS, None);
            let served = http::Served {
                method: "GET",
                route: Some("/x/{id}"),
                path: "/x/1",
                query: None,
                scheme: "http",
                host: Some("localhost:80"),
                peer: None,
                client: None,
                user_agent: None,
                version: None,
            };
            let server = http::server_span(&served, &incoming);
            let client = http::client_span(&server, "GET", "http", "next:81", "/y");
            http::record_status(&client, http::Side::Client, 404);
            outgoing = propagation::outgoing(&client);
        });
        let [client, server] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((server.name.as_str(), server.kind, client.kind), ("GET /x/{id}", 2, 3));
        assert_eq!(server.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
        assert_eq!((server.flags, client.flags), (0x301, 0x101), "the parent of the first is remote");
        assert_eq!(client.status.as_ref().unwrap().code(), StatusCode::Error);
        assert_eq!(of(client, "error.type").as_deref(), Some("404"));
        let sent = |name: &str| outgoing.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
        assert!(sent("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
        assert_eq!((sent("tracestate"), sent("baggage")), (Some("vendor=1"), Some("a=b")));
        assert!(sent("x-amzn-trace-id").unwrap().starts_with("Root=1-0af76519-16cd43dd8448eb211c80319c;"));
    }

    #[test]
    fn what_is_not_sampled_is_not_built_and_still_propagated() {
        let sampler = Sampler { root: Root::Off, parent_based: true };
        let Recorded { spans, .. } = recorded(sampler, Limits::default(), false, || {
            let span = tracing::info_span!("root");
            span.record_with(|_| panic!("told, although nobody records"));
            let headers = propagation::outgoing(&span);
            assert!(headers[0].1.ends_with("-02"), "{headers:?}");
        });
        assert!(spans.is_empty());
    }

    #[test]
    fn a_sampled_span_says_how_many_it_stands_for_and_so_does_its_child() {
        let sampler = Sampler { root: Root::ratio(0.25), parent_based: true };
        let Recorded { spans, .. } = recorded(sampler, Limits::default(), false, || {
            for _ in 0..400 {
                let root = tracing::info_span!("root");
                root.in_scope(|| drop(tracing::info_span!("child")));
            }
        });
        assert!(spans.len() > 80 && spans.len() < 400, "{} of 800", spans.len());
        assert!(
            spans.iter().all(|span| of(span, "SampleRate").as_deref() == Some("4") && span.trace_state == "ot=th:c")
        );
    }

    #[test]
    fn limits_hold_and_what_they_drop_is_counted() {
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
            tracing::info_span!("told").in_scope(|| tracing::info!(a = 1, b = 2, c = 3, "it happened"));
        });
        let told = spans.iter().find(|span| span.name == "told").unwrap();
        assert_eq!(
            (told.events[0].attributes.len(), told.events[0].dropped_attributes_count),
            (3, 2),
            "level, target, a"
        );
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

    #[derive(Debug, thiserror::Error)]
    #[error("no store")]
    struct Store(#[source] Disk);

    #[test]
    fn an_event_is_its_spans_and_one_with_an_error_an_exception() {
        let happen = || {
            let _span = tracing::info_span!("work").entered();
            tracing::info!(n = 3, "it happened");
            let error = Store(Disk);
            tracing::error!(error = &error as &dyn std::error::Error, "it failed");
            tracing::debug!("too small");
        };
        let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), false, happen);
        let [event, exception] = spans[0].events.as_slice() else { panic!("{:?}", spans[0].events) };
        assert_eq!((event.name.as_str(), attribute(&event.attributes, "n").as_deref()), ("it happened", Some("3")));
        assert_eq!(exception.name, "exception");
        let keys = ["exception.type", "exception.message", "exception.stacktrace", "message"];
        let told = keys.map(|key| attribute(&exception.attributes, key).unwrap());
        assert_eq!(told, ["Store", "no store", "caused by: no disk\n", "it failed"]);
        assert!(logs.is_empty());
        let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), true, happen);
        assert_eq!(spans[0].events.len(), 1, "the exception alone, where events are log records");
        assert_eq!(logs.len(), 2);
        assert_eq!((logs[0].severity_number, logs[1].severity_number), (9, 17));
        assert!(logs.iter().all(|record| record.trace_id == spans[0].trace_id && record.span_id == spans[0].span_id));
    }

    #[test]
    fn a_log_record_without_a_span_is_of_the_trace_that_it_names() {
        let trace = "5759e988bd862e3fe1be46a994272793";
        let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), true, || {
            let _span = tracing::info_span!("work").entered();
            tracing::info!(parent: None, trace_id = trace, "elsewhere");
            tracing::info!(parent: None, trace_id = "none", "nowhere");
            tracing::info!(trace_id = trace, "here");
            tracing::info!(parent: None, trace_id = "0".repeat(32), "nowhere");
        });
        assert_eq!(logs[0].trace_id, opentelemetry::trace::TraceId::from_hex(trace).unwrap().to_bytes());
        assert_eq!(attribute(&logs[0].attributes, "trace_id"), None);
        assert_eq!((logs[1].trace_id.len(), attribute(&logs[1].attributes, "trace_id").as_deref()), (0, Some("none")));
        assert_eq!(logs[2].trace_id, spans[0].trace_id, "its own span counts");
        assert_eq!(attribute(&logs[2].attributes, "trace_id").as_deref(), Some(trace));
        assert!(logs[3].trace_id.is_empty(), "no trace has this id");
        assert!(spans[0].events.is_empty());
    }

    #[test]
    fn a_span_outlives_a_panic_in_what_it_is_told() {
        struct Bad;
        impl fmt::Debug for Bad {
            fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
                panic!("shown by this test");
            }
        }
        let spans = spans(|| {
            let span = tracing::info_span!("told", value = tracing::field::Empty);
            let told = std::panic::AssertUnwindSafe(|| span.record_with(|_| panic!("told by this test")));
            assert!(std::panic::catch_unwind(told).is_err());
            let shown = std::panic::AssertUnwindSafe(|| {
                span.record("value", tracing::field::debug(Bad));
            });
            assert!(std::panic::catch_unwind(shown).is_err());
            span.set("after", 1);
        });
        assert_eq!(of(&spans[0], "after").as_deref(), Some("1"));
    }

    #[test]
    fn where_spans_are_not_made_what_a_request_brought_goes_on() {
        let brought = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
        let disable = |layer| Layer { disabled: true, ..layer };
        let Recorded { spans, .. } = crate::testing::recorded_by(disable, false, || {
            let mut headers = ::http::HeaderMap::new();
            headers.insert("traceparent", ::http::HeaderValue::from_static(brought));
            headers.insert("tracestate", ::http::HeaderValue::from_static("a=b"));
            let incoming = propagation::extract(&headers, &propagation::Trust::ALWAYS, None);
            let span = continuing(&incoming, || tracing::info_span!("serves"));
            let within = span.in_scope(|| tracing::info_span!("within"));
            for span in [&span, &within] {
                let headers = propagation::outgoing(span);
                assert_eq!(headers[0], ("traceparent", brought.to_owned()));
                assert!(headers.contains(&("tracestate", "a=b".to_owned())), "{headers:?}");
            }
            assert!(propagation::outgoing(&tracing::info_span!("begins")).is_empty());
            assert!(propagation::trace_id(&span).is_none(), "nobody served it");
            // Whoever leaves the decision to us, or names no span, is passed on without a trace.
            for said in [
                "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?",
                "Root=1-5759e988-bd862e3fe1be46a994272793",
            ] {
                let mut headers = ::http::HeaderMap::new();
                headers.insert("x-amzn-trace-id", ::http::HeaderValue::from_static(said));
                headers.insert("baggage", ::http::HeaderValue::from_static("a=b"));
                let incoming = propagation::extract(&headers, &propagation::Trust::ALWAYS, None);
                let span = continuing(&incoming, || tracing::info_span!("serves"));
                assert_eq!(propagation::outgoing(&span), [("baggage", "a=b".to_owned())]);
            }
        });
        assert!(spans.is_empty());
    }

    #[test]
    fn what_an_exporter_does_is_not_traced() {
        let spans = spans(|| {
            let here = tracing::dispatcher::get_default(Clone::clone);
            let exporter = std::thread::spawn(move || {
                exports();
                tracing::dispatcher::with_default(&here, || drop(tracing::info_span!("export")));
            });
            exporter.join().unwrap();
            drop(tracing::info_span!(target: "hyper::client", "carrier"));
            drop(tracing::info_span!("own"));
        });
        assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["own"]);
    }

    /// A value whose `Debug` logs, and makes a span.
    struct Chatty;

    impl fmt::Debug for Chatty {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            tracing::info!("I am shown");
            drop(tracing::info_span!("within"));
            f.write_str("chatty")
        }
    }

    /// Under a scoped dispatcher `tracing` lets nothing nest; under a process's own it does, so this asks the layer itself.
    #[test]
    fn a_value_that_logs_while_it_is_shown_stops_nothing() {
        let status = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "span::layer::tests::in_a_process_of_its_own", "--nocapture"])
            .env("IN_A_PROCESS_OF_ITS_OWN", "1")
            .status()
            .unwrap();
        assert!(status.success());
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "the test above sets it for the process that it starts")]
    fn in_a_process_of_its_own() {
        if std::env::var_os("IN_A_PROCESS_OF_ITS_OWN").is_none() {
            return;
        }
        let config = crate::Config::read(&mut settings::Settings::from_pairs(&[("RUST_LOG", "info")]));
        let telemetry = config.install("test").unwrap();
        let span = tracing::info_span!("outer", value = tracing::field::Empty);
        span.in_scope(|| {
            tracing::info!(value = ?Chatty, "shown");
            span.record("value", tracing::field::debug(Chatty));
            span.record_with(|_| tracing::info!("told"));
        });
        drop(span);
        drop(telemetry.shutdown());
    }

    #[test]
    fn a_status_is_what_was_said_of_it() {
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
}
