//! The layer that makes spans of `tracing`'s: decides first whether a span is sampled, writes its fields straight into its
//! encoding, and hands the encoding to every queue when the span closes. What happens on an exporter's own thread is neither
//! traced nor exported, so that no export can cause another.

use std::cell::{Cell, RefCell};
use std::fmt::{self, Write as _};
use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanKind, TraceFlags};
use tracing::field::{Field, Visit};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::Parent;
use super::event::{self, Told};
use super::sampler::{Decision, Sampler};
use super::{Carried, Limits, Open, Recording, USER_ID, Value, id};
use crate::console::Console;
use crate::pipeline::Queue;
use crate::propagation::Incoming;

/// The libraries that carry spans: a span of theirs would make the exporters trace themselves.
const CARRIERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls", "ureq"];

thread_local! {
    /// This thread exports.
    static EXPORTS: Cell<bool> = const { Cell::new(false) };
    /// What the next span of this thread continues; see [`continuing`].
    static INCOMING: RefCell<Option<Incoming>> = const { RefCell::new(None) };
}

/// Spans to queues, events to the console and to the span they happen in.
pub(crate) struct Layer {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    /// Where spans go.
    pub(crate) queues: Vec<Arc<Queue>>,
    /// Where events go as log records.
    pub(crate) logs: Vec<Arc<Queue>>,
    pub(crate) console: Console,
}

/// Declares that the calling thread exports.
pub(crate) fn exports() {
    EXPORTS.set(true);
}

/// Makes a span that continues what a request brought. The parent is known before the span begins: one that is set later
/// comes too late for the sampler, and splits the trace where a child exists already.
pub(crate) fn continuing(incoming: &Incoming, make: impl FnOnce() -> tracing::Span) -> tracing::Span {
    INCOMING.replace(Some(incoming.clone()));
    let span = make();
    // Where nobody took it, the span is not traced.
    INCOMING.take();
    span
}

impl Layer {
    fn is_traced(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && !is_carrier(metadata.target())
    }

    fn begin(&self, name: &'static str, parent: Option<&Open>) -> Open {
        let incoming = INCOMING.take();
        let now = SystemTime::now();
        let id = id::span();
        let mut carried = Carried::default();
        let remote = incoming.as_ref().and_then(|incoming| incoming.parent.as_ref());
        let (context, parent) = match (remote, parent) {
            (None, Some(parent)) => {
                carried = parent.carried.clone();
                let above = &parent.context;
                let context =
                    SpanContext::new(above.trace_id(), id, above.trace_flags(), false, above.trace_state().clone());
                (context, Some(Parent { id: above.span_id(), remote: false }))
            }
            (remote, _) => {
                let trace = remote.map_or_else(|| id::trace(now), SpanContext::trace_id);
                let Decision { sampled, state, rate } = self.sampler.decide(trace, remote);
                carried.sample_rate = rate;
                carried.baggage = incoming.as_ref().and_then(|incoming| incoming.baggage.clone());
                let random = remote.map_or(id::RANDOM, |remote| remote.trace_flags() & id::RANDOM);
                let flags = if sampled { TraceFlags::SAMPLED | random } else { random };
                let parent = remote.map(|remote| Parent { id: remote.span_id(), remote: true });
                (SpanContext::new(trace, id, flags, false, state), parent)
            }
        };
        let recording = context.is_sampled().then(|| {
            let mut recording = Recording::start(name, &context, parent, now, self.limits);
            if let Some(rate) = carried.sample_rate {
                recording.add("SampleRate", Value::Int(rate));
            }
            if let Some(user) = &carried.user {
                recording.add(USER_ID, &**user);
            }
            if let Some(incoming) = &incoming {
                incoming.tell(&mut recording);
            }
            recording
        });
        Open { context, carried, recording }
    }
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
        let parent = span.parent();
        let mut open = {
            let extensions = parent.as_ref().map(SpanRef::extensions);
            self.begin(attributes.metadata().name(), extensions.as_ref().and_then(|extensions| extensions.get()))
        };
        if let Some(recording) = &mut open.recording {
            attributes.record(&mut Fields { recording, new: true });
        }
        span.extensions_mut().insert(open);
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if let Some(Open { recording: Some(recording), .. }) = span.extensions_mut().get_mut() {
            values.record(&mut Fields { recording, new: false });
        }
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let (Some(span), Some(follows)) = (ctx.span(id), ctx.span(follows)) else { return };
        let to = follows.extensions().get().map(|open: &Open| open.context.clone());
        if let (Some(to), Some(Open { recording: Some(recording), .. })) = (to, span.extensions_mut().get_mut()) {
            recording.link(&to);
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let span = ctx.event_span(event);
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        if Self::is_traced(metadata) && !EXPORTS.get() {
            self.export(event, span.as_ref());
        }
        if self.console.shows(metadata) {
            let extensions = span.as_ref().map(SpanRef::extensions);
            let context = extensions.as_ref().and_then(|extensions| extensions.get()).map(|open: &Open| &open.context);
            self.console.print(event, context);
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        let open = span.extensions_mut().remove::<Open>();
        if let Some(recording) = open.and_then(|open| open.recording) {
            let record = recording.finish(SystemTime::now());
            for queue in &self.queues {
                queue.push(Arc::clone(&record));
            }
        }
    }
}

impl Layer {
    /// Sends an event as a log record where something takes those, else with its span.
    fn export<'a, S: LookupSpan<'a>>(&self, event: &Event<'_>, span: Option<&SpanRef<'a, S>>) {
        if !self.logs.is_empty() {
            let extensions = span.map(SpanRef::extensions);
            let context = extensions.as_ref().and_then(|extensions| extensions.get()).map(|open: &Open| &open.context);
            let record = event::log_record(event, context, self.limits);
            for queue in &self.logs {
                queue.push(Arc::clone(&record));
            }
        }
        let Some(span) = span else { return };
        if let Some(Open { recording: Some(recording), .. }) = span.extensions_mut().get_mut() {
            let told = Told::of_span(event, self.limits);
            if self.logs.is_empty() || told.is_exception {
                recording.happened(told);
            }
        }
    }

    fn enabled_at_all(&self, metadata: &Metadata<'_>) -> bool {
        Self::is_traced(metadata) || (metadata.is_event() && self.console.shows(metadata))
    }
}

/// Writes a `tracing` span's fields into its encoding.
struct Fields<'r> {
    recording: &'r mut Recording,
    /// The fields of a new span have different keys: no need to look.
    new: bool,
}

impl Fields<'_> {
    fn put(&mut self, key: &str, value: Value<'_>) {
        if self.new { self.recording.add(key, value) } else { self.recording.set(key, value) }
    }
}

impl Visit for Fields<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            "otel.name" => self.recording.name(value.to_owned()),
            "otel.kind" => self.recording.kind(kind(value)),
            "otel.status_code" => self.recording.status(value.eq_ignore_ascii_case("error"), ""),
            "otel.status_description" => self.recording.describe(value.to_owned()),
            key => self.put(key, Value::Text(value)),
        }
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.put(field.name(), Value::Int(value));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        match i64::try_from(value) {
            Ok(value) => self.put(field.name(), Value::Int(value)),
            Err(_) => self.put(field.name(), Value::Text(&value.to_string())),
        }
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.put(field.name(), Value::Float(value));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.put(field.name(), Value::Bool(value));
    }

    fn record_error(&mut self, _: &Field, value: &(dyn std::error::Error + 'static)) {
        self.recording.exception("", &value.to_string(), &causes(value));
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// The causes of an error, a line each: what Rust has for a stack trace.
pub(crate) fn causes(error: &dyn std::error::Error) -> String {
    let mut text = String::new();
    let mut cause = error.source();
    while let Some(error) = cause {
        // Writing to a String does not fail.
        let _ = writeln!(text, "caused by: {error}");
        cause = error.source();
    }
    text
}

fn kind(text: &str) -> SpanKind {
    for (name, kind) in [
        ("server", SpanKind::Server),
        ("client", SpanKind::Client),
        ("producer", SpanKind::Producer),
        ("consumer", SpanKind::Consumer),
    ] {
        if text.eq_ignore_ascii_case(name) {
            return kind;
        }
    }
    SpanKind::Internal
}
