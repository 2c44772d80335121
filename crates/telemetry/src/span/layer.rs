//! The layer that turns `tracing`'s spans into exported ones. It decides whether a span is sampled, writes the span's fields
//! directly into its encoding, and pushes the encoding to every queue when the span ends. A span ends when its owner ends it
//! ([`end`]), otherwise when its last clone is dropped, unless only a library's own thread still held it ([`lent`]). A span
//! fails if a panic closes it or unwinds through it. Spans and events on an exporter's own thread are neither traced nor
//! exported, so that no export can cause another.

#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::SystemTime;

use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::around;
use super::begin::{Begun, pass};
use super::entered;
use super::event::{self, EncodedEvent};
use super::fields::FieldRecorder;
use super::lent;
use super::levels::SpanLevels;
use super::next;
use super::open::{Open, RestoreOnDrop, lend};
use super::recording::Recording;
use super::sampler::Sampler;
use crate::clock::{nanoseconds, now};
use crate::console::Console;
use crate::context::{Incoming, PendingRequest};
use crate::limits::Limits;
use crate::pipeline::{Queue, Record};
use crate::suppression::is_suppressed;

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
    /// Which spans are created.
    pub(crate) levels: SpanLevels,
    /// No spans are created; an incoming context is propagated unchanged.
    pub(crate) disabled: bool,
}

/// Ends `span` now. Values recorded later are ignored, and spans within it keep it as their parent.
pub(crate) fn end(span: &tracing::Span) {
    span.with_subscriber(|(id, dispatch)| {
        let layer = dispatch.downcast_ref::<Layer>()?;
        let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
        let (recording, end) = take(&span)?;
        layer.deliver(recording, end);
        Some(())
    });
}

/// Ends the measurement of an open span, and takes its recording and its end.
fn take<'r>(span: &SpanRef<'r, impl LookupSpan<'r>>) -> Option<(Box<Recording>, u64)> {
    let mut extensions = span.extensions_mut();
    let open = extensions.get_mut::<Open>()?;
    open.end_measure();
    let end = open.lent.take().and_then(|lent| lent.end());
    Some((open.recording.take()?, end.unwrap_or_else(now)))
}

impl Layer {
    /// Whether the event belongs to a trace.
    fn is_traced(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && !is_carrier(metadata.target())
    }

    fn makes(&self, span: &Metadata<'_>) -> bool {
        // Without the span of a request, its trace would not be propagated.
        span.target() == REQUESTS || (self.levels.enable(span) && !is_carrier(span.target()))
    }

    fn deliver(&self, recording: Box<Recording>, end: u64) {
        self.deliver_as(recording, end, |record| record);
    }

    /// Delivers a span that `change` marks as another maker's.
    #[inline]
    pub(crate) fn deliver_as(&self, mut recording: Box<Recording>, end: u64, change: impl FnOnce(Record) -> Record) {
        if std::thread::panicking() {
            recording.unwind();
        }
        let record = change(recording.finish(end));
        if let Some((last, others)) = self.queues.split_last() {
            others.iter().for_each(|queue| queue.push(record.clone()));
            last.push(record);
        }
    }

    /// Starts a span. Returns `None` if no spans are created and there is nothing to propagate.
    pub(crate) fn begin(
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
        let begun = match (incoming.filter(|incoming| incoming.parent.is_some()), parent) {
            (None, Some(parent)) => Begun::within(parent),
            _ => Begun::local_root(&self.sampler, incoming, request, now),
        };
        let recording = begun.context.is_sampled().then(|| begun.record(name, incoming, nanoseconds(now), self.limits));
        let Begun { context, propagated, .. } = begun;
        let wants_decision = incoming.is_some_and(|incoming| incoming.wants_decision);
        let around = parent.and_then(|parent| parent.around);
        Some(Open { recording, wants_decision, around, ..Open::of(context, propagated) })
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
            let api = if attributes.is_contextual() { around::innermost(parent) } else { None };
            let api = api.map(|api| around::lock(&api).as_parent());
            let mut open = self.begin(attributes.metadata().name(), None, None, api.as_ref().or(parent))?;
            if let Some(recording) = &mut open.recording {
                attributes.record(&mut FieldRecorder(recording));
            }
            Some(open)
        });
        if let Some(mut open) = open {
            open.in_context = attributes.is_contextual();
            open.is_librarys = lent::on_library_thread();
            span.extensions_mut().insert(open);
        }
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        // Taken out, as in `record_with`: a value's `Debug` is foreign code.
        let taken = span.extensions_mut().get_mut::<Open>().and_then(|open| {
            open.touch();
            open.recording.take()
        });
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
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let extensions = span.as_ref().map(SpanRef::extensions);
        let open = extensions.as_ref().and_then(|extensions| extensions.get::<Open>());
        let api = if event.is_contextual() && Self::is_traced(metadata) { around::innermost(open) } else { None };
        // Copied, so that nothing is locked while the event's values are formatted and written.
        let copied = |open: &Open| (Some(open.context.clone()), open.recording.is_some());
        let (context, recorded) = match &api {
            Some(api) => copied(&around::lock(api)),
            None => open.map(copied).unwrap_or_default(),
        };
        drop(extensions);
        // Where another layer makes `tracing`'s spans through the API, it records their events itself.
        let recorded = recorded && (api.is_none() || span.is_some() || ctx.current_span().id().is_none());
        if Self::is_traced(metadata) && !is_suppressed() {
            if !self.logs.is_empty() {
                let record = event::log_record(event, context.as_ref(), self.limits);
                for queue in &self.logs {
                    queue.push(record.clone());
                }
            }
            if recorded {
                let encoded = EncodedEvent::of_span(event, self.limits);
                if self.logs.is_empty() || encoded.is_failure {
                    if let Some(api) = api {
                        around::lock(&api).record_event(encoded);
                    } else if let Some(span) = span
                        && let Some(open) = span.extensions_mut().get_mut::<Open>()
                    {
                        open.record_event(encoded);
                    }
                }
            }
        }
        if self.console.shows(metadata) {
            self.console.print(event, context.as_ref());
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if lent::on_library_thread()
            && let Some(span) = ctx.span(id)
        {
            lend(&span);
        }
        if entered::is_followed()
            && let Some(span) = ctx.span(id)
        {
            entered::attach(&span);
        }
    }

    fn on_exit(&self, id: &Id, ctx: Context<'_, S>) {
        if entered::is_followed() {
            entered::detach(id);
        }
        if lent::any()
            && let Some(span) = ctx.span(id)
            && let Some(open) = span.extensions_mut().get_mut::<Open>()
        {
            open.touch();
        }
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
        if let Some((recording, end)) = take(&span) {
            self.deliver(recording, end);
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
