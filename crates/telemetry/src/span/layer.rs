//! The layer that turns `tracing`'s spans into exported ones. It decides whether a span is sampled, writes the span's fields
//! directly into its encoding, and pushes the encoding to every queue when the span ends. A span ends when its owner ends
//! it ([`end`]), otherwise when its last clone is dropped. A span that a panic leaves or closes has failed. Spans and events on
//! an exporter's own thread are neither traced nor exported, so that no export can cause another.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags, TraceState};
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::event::{self, EncodedEvent};
use super::fields::FieldRecorder;
use super::levels::SpanLevels;
use super::open::{Open, RestoreOnDrop};
use super::recording::{Parent, Recording};
use super::sampler::{Decision, Sampler};
use super::{id, next};
use crate::attribute::{SAMPLING_RULE, USER_ID};
use crate::clock::{nanoseconds, now};
use crate::console::Console;
use crate::context::{Incoming, PendingRequest, Propagated};
use crate::limits::Limits;
use crate::pipeline::Queue;
use crate::suppression::is_suppressed;
use crate::value::Value;

/// The libraries that exporters use: if their spans were recorded, the exporters would trace themselves.
const CARRIERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls", "ureq"];

/// The target of the spans of requests.
const REQUESTS: &str = "telemetry::http";

/// Sends spans to queues, and events to the console and to the span in which they happen.
pub(crate) struct Layer {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    /// The queues for spans.
    pub(crate) queues: Vec<Arc<Queue>>,
    /// The queues for events as log records.
    pub(crate) logs: Vec<Arc<Queue>>,
    pub(crate) console: Console,
    /// Which spans are made.
    pub(crate) levels: SpanLevels,
    /// No spans are made; an incoming context is propagated unchanged.
    pub(crate) disabled: bool,
}

/// Ends `span` now. What is recorded on it later is ignored, and spans within it keep it as their parent.
pub(crate) fn end(span: &tracing::Span) {
    span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<Layer>()?;
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let recording = span.extensions_mut().get_mut::<Open>()?.recording.take();
        layer.deliver(recording?);
        Some(())
    });
}

impl Layer {
    /// Whether the event belongs to a trace.
    fn is_traced(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && !is_carrier(metadata.target())
    }

    fn makes(&self, span: &Metadata<'_>) -> bool {
        // Without the span of a request, the trace would end.
        span.target() == REQUESTS || (self.levels.enable(span) && !is_carrier(span.target()))
    }

    fn deliver(&self, mut recording: Box<Recording>) {
        if std::thread::panicking() {
            recording.unwind();
        }
        let record = recording.finish(now());
        if let Some((last, others)) = self.queues.split_last() {
            others.iter().for_each(|queue| queue.push(record.clone()));
            last.push(record);
        }
    }

    /// Begins a span. Returns `None` if no spans are made and there is nothing to propagate.
    pub(super) fn begin(
        &self,
        name: &str,
        incoming: Option<&Incoming>,
        request: Option<&PendingRequest<'_>>,
        parent: Option<&Open>,
    ) -> Option<Open> {
        if self.disabled {
            return pass(incoming, parent);
        }
        let now = SystemTime::now();
        let id = id::span();
        let start = nanoseconds(now);
        let remote = incoming.and_then(|incoming| incoming.parent.as_ref());
        let (context, parent, propagated, sampled_by) = match (remote, parent) {
            (None, Some(parent)) => {
                let above = &parent.context;
                let context = SpanContext::new(above.trace_id(), id, above.trace_flags(), false, TraceState::default());
                (context, Some(Parent { id: above.span_id(), remote: false }), parent.propagated.clone(), None)
            }
            (remote, _) => {
                let trace = remote.map_or_else(|| id::trace(start), SpanContext::trace_id);
                let decided = remote.filter(|_| incoming.is_some_and(|incoming| !incoming.is_undecided));
                let state = decided.and(incoming).map(|incoming| incoming.state.clone()).unwrap_or_default();
                let Decision { sampled, state, rate, rule } = self.sampler.decide(trace, decided, state, request, now);
                let baggage = incoming.and_then(|incoming| incoming.baggage.clone());
                let lineage = incoming.and_then(|incoming| incoming.lineage.clone());
                let propagated = Propagated { user: None, baggage, lineage, state, sample_rate: rate };
                let propagated =
                    Some(propagated).filter(|propagated| *propagated != Propagated::default()).map(Arc::new);
                let random = remote.map_or(id::RANDOM, |remote| remote.trace_flags() & id::RANDOM);
                let flags = if sampled { TraceFlags::SAMPLED | random } else { random };
                let above = remote.map(SpanContext::span_id).filter(|id| *id != SpanId::INVALID);
                let parent = above.map(|id| Parent { id, remote: true });
                (SpanContext::new(trace, id, flags, false, TraceState::default()), parent, propagated, rule)
            }
        };
        let recording = context.is_sampled().then(|| {
            let propagated = propagated.as_deref();
            let state = propagated.and_then(|propagated| propagated.state.header());
            let mut recording = Recording::start(name, &context, state, parent, start, self.limits);
            if let Some(rate) = propagated.and_then(|propagated| propagated.sample_rate) {
                recording.add("SampleRate", Value::Int(rate));
            }
            if let Some(rule) = &sampled_by {
                recording.add(SAMPLING_RULE, &**rule);
            }
            if let Some(user) = propagated.and_then(|propagated| propagated.user.as_ref()) {
                recording.add(USER_ID, &**user);
            }
            if let Some(incoming) = incoming {
                record_incoming(incoming, &mut recording);
            }
            recording
        });
        let wants_decision = incoming.is_some_and(|incoming| incoming.wants_decision);
        Some(Open { context, propagated, recording, wants_decision, within: None, passes: false })
    }
}

/// Replaces a span if no spans are made, as OpenTelemetry's
/// [API without an SDK](https://opentelemetry.io/docs/specs/otel/trace/api/#behavior-of-the-api-in-the-absence-of-an-installed-sdk) specifies:
/// the incoming context, unchanged, and its baggage. A context that leaves the decision to us is not propagated,
/// because no sampler decides here.
fn pass(incoming: Option<&Incoming>, parent: Option<&Open>) -> Option<Open> {
    let of = |context, propagated| {
        Some(Open { context, propagated, recording: None, wants_decision: false, within: None, passes: true })
    };
    let Some(incoming) = incoming else {
        return parent.and_then(|parent| of(parent.context.clone(), parent.propagated.clone()));
    };
    let named = incoming.parent.clone().filter(|context| context.is_valid() && !incoming.is_undecided);
    let Incoming { baggage, lineage, state, .. } = incoming.clone();
    let propagated = Propagated { user: None, baggage, lineage, state, sample_rate: None };
    let propagated = Some(propagated).filter(|propagated| *propagated != Propagated::default()).map(Arc::new);
    of(named.unwrap_or(SpanContext::NONE), propagated)
}

/// Records an incoming context on the span that continues it.
fn record_incoming(incoming: &Incoming, span: &mut Recording) {
    if let Some(link) = &incoming.link {
        let state = if incoming.parent.is_none() { incoming.state.header() } else { None };
        span.link(link, state);
    }
    if incoming.has_conflict {
        span.set("trace.context.conflict", true);
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
        Some(self.console.max_level().max(self.levels.max()).max(tracing::level_filters::LevelFilter::INFO))
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if is_suppressed() {
            return;
        }
        let open = next::take().or_else(|| {
            let parent = span.parent();
            let extensions = parent.as_ref().map(SpanRef::extensions);
            let parent = extensions.as_ref().and_then(|extensions| extensions.get());
            let mut open = self.begin(attributes.metadata().name(), None, None, parent)?;
            if let Some(recording) = &mut open.recording {
                attributes.record(&mut FieldRecorder(recording));
            }
            Some(open)
        });
        if let Some(open) = open {
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        // Taken out, as in `record_with`: a value's `Debug` is foreign code.
        let taken = span.extensions_mut().get_mut::<Open>().and_then(|open| open.recording.take());
        let back = |recording| {
            if let Some(open) = span.extensions_mut().get_mut::<Open>() {
                open.recording = Some(recording);
            }
        };
        RestoreOnDrop { recording: taken, back }.record(|recording| values.record(&mut FieldRecorder(recording)));
    }

    fn on_follows_from(&self, id: &Id, follows: &Id, ctx: Context<'_, S>) {
        let (Some(span), Some(follows)) = (ctx.span(id), ctx.span(follows)) else { return };
        let to = follows.extensions().get().map(|open: &Open| (open.context.clone(), open.propagated.clone()));
        if let (Some((to, propagated)), Some(Open { recording: Some(recording), .. })) =
            (to, span.extensions_mut().get_mut())
        {
            recording.link(&to, propagated.as_deref().and_then(|propagated| propagated.state.header()));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        let span = ctx.event_span(event);
        // Copied, so that nothing is locked while the event's values are formatted and written.
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
        if Self::is_traced(metadata) && !is_suppressed() {
            if !self.logs.is_empty() {
                let record = event::log_record(event, context.as_ref(), self.limits);
                for queue in &self.logs {
                    queue.push(record.clone());
                }
            }
            if let Some(span) = span.filter(|_| recorded) {
                let encoded = EncodedEvent::of_span(event, self.limits);
                if (self.logs.is_empty() || encoded.is_failure)
                    && let Some(Open { recording: Some(recording), .. }) = span.extensions_mut().get_mut()
                {
                    recording.happened(encoded);
                }
            }
        }
        if self.console.shows(metadata) {
            self.console.print(event, context.as_ref());
        }
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        // Checked here too, because the panic may be caught inside the code that holds the span.
        if std::thread::panicking()
            && let Some(span) = ctx.span(id)
            && let Some(Open { recording: Some(recording), .. }) = span.extensions_mut().get_mut()
        {
            recording.unwind();
        }
    }

    fn on_close(&self, id: Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(&id) else { return };
        // The remaining state is dropped with the registry's span.
        let recording = span.extensions_mut().get_mut::<Open>().and_then(|open| open.recording.take());
        if let Some(recording) = recording {
            self.deliver(recording);
        }
    }
}

impl Layer {
    fn enabled_at_all(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return self.makes(metadata);
        }
        Self::is_traced(metadata) || self.console.shows(metadata)
    }
}
