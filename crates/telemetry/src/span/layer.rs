//! The layer that turns `tracing`'s spans into exported ones. It writes a span's fields directly into its encoding, which is
//! delivered when the span ends. A span ends when its owner ends it ([`end`]), otherwise when its last clone is dropped, unless
//! only a library's own thread still held it ([`lent`]). A span that a panic leaves or closes has failed. Spans and events on an
//! exporter's own thread are neither traced nor exported, so that no export can cause another.
//!
//! The layer may be the only one of its subscriber or one of several, and may be inside `Option`, `Box`, `Vec`, `Filtered` or
//! `reload::Layer`. Code outside the layer finds it through the subscriber ([`Visibility::SHOWN`]). If a wrapper hides it, each span
//! names its [`Recorder`] instead.

#[cfg(test)]
mod tests;

use std::ptr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id};
use tracing::subscriber::Interest;
use tracing::{Dispatch, Event, Level, Metadata, Subscriber, span};
use tracing_log::NormalizeEvent;
use tracing_subscriber::Registry;
use tracing_subscriber::layer::Context;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::around;
use super::entered;
use super::event::{self, EncodedEvent};
use super::fields::FieldRecorder;
use super::lent;
use super::next::{self, Next};
use super::open::{Open, RestoreOnDrop, lend};
use super::recorder::{Recorder, is_carrier};
use super::recording::Recording;
use crate::console::Console;
use crate::suppression::is_suppressed;

/// Sends spans to the destinations of a [`Config`](crate::Config), which makes the layer: see
/// [`Config::layer`](crate::Config::layer). The subscriber must be `tracing_subscriber`'s `Registry`, or layers on it. Of several
/// of these layers on one registry, the outermost records, and the others do nothing.
#[must_use = "a layer records nothing until it is a part of a subscriber"]
pub struct Layer {
    recorder: Arc<Recorder>,
    console: Console,
    /// Whether the subscriber has no other layer, so that what this one does not want need not exist.
    is_alone: bool,
    visibility: Visibility,
}

/// Whether the subscriber shows the layer to code outside of it.
#[derive(Default)]
struct Visibility(AtomicU8);

impl Visibility {
    /// The subscriber does not show the layer to others, or it is not known whether it does.
    const HIDDEN: u8 = 0;
    /// The subscriber shows the layer.
    const SHOWN: u8 = 1;
    /// The subscriber shows another layer of this type, which records instead.
    const SHADOWED: u8 = 2;

    fn set(&self, visibility: u8) {
        self.0.store(visibility, Ordering::Relaxed);
    }

    fn is(&self, visibility: u8) -> bool {
        self.0.load(Ordering::Relaxed) == visibility
    }
}

/// Ends `span` now. Values recorded later are ignored, and spans within it keep it as their parent.
pub(crate) fn end(span: &tracing::Span) {
    span.with_subscriber(|(id, dispatch)| {
        let (recording, end, hidden) = {
            let span = dispatch.downcast_ref::<Registry>()?.span(id)?;
            let mut extensions = span.extensions_mut();
            let open = extensions.get_mut::<Open>()?;
            let (recording, end) = open.end()?;
            (recording, end, open.recorder.clone())
        };
        hidden.as_ref().or_else(|| recorder(dispatch))?.deliver(recording, end);
        Some(())
    });
}

/// The recorder of a subscriber's layer, unless a wrapper hides the layer.
pub(crate) fn recorder(subscriber: &Dispatch) -> Option<&Arc<Recorder>> {
    subscriber.downcast_ref::<Layer>().map(|layer| &layer.recorder)
}

impl Layer {
    /// A layer beside others. Prints no events: others do.
    pub(crate) fn beside_others(recorder: Recorder, console: Console) -> Self {
        let console = console.silent();
        Self { recorder: Arc::new(recorder), console, is_alone: false, visibility: Visibility::default() }
    }

    /// The only layer of its subscriber.
    pub(crate) fn alone(recorder: Recorder, console: Console) -> Self {
        Self { recorder: Arc::new(recorder), console, is_alone: true, visibility: Visibility::default() }
    }

    fn enabled_at_all(&self, metadata: &Metadata<'_>) -> bool {
        if metadata.is_span() {
            return self.recorder.makes(metadata);
        }
        Recorder::is_traced(metadata)
            || self.console.shows(metadata)
            || (!self.recorder.logs.is_empty() && self.console.selects(metadata))
    }

    /// Another layer of this type records this subscriber's spans.
    fn is_shadowed(&self) -> bool {
        self.visibility.is(Visibility::SHADOWED)
    }

    /// The state of a span that starts now. No lock is held while the fields are recorded, which is foreign code.
    fn begin<S>(&self, attributes: &Attributes<'_>, span: &SpanRef<'_, S>) -> Option<Open>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let (_, begun) = nearest(span.parent(), |parent| {
            let api = if attributes.is_contextual() { around::innermost(parent) } else { None };
            let api = api.map(|api| around::lock(&api).as_parent());
            self.recorder.begin(attributes.metadata().name(), None, None, api.as_ref().or(parent))
        });
        let mut open = begun?;
        if let Some(recording) = &mut open.recording {
            attributes.record(&mut FieldRecorder(recording));
        }
        Some(open)
    }

    /// Ends a span that closes, and takes its recording and its end, unless it is another layer's.
    fn take<S>(&self, span: &SpanRef<'_, S>) -> Option<(Box<Recording>, u64)>
    where
        S: for<'a> LookupSpan<'a>,
    {
        let mut extensions = span.extensions_mut();
        let open = extensions.get_mut::<Open>()?;
        let is_own = open.recorder.as_ref().is_none_or(|recorder| Arc::ptr_eq(recorder, &self.recorder));
        if is_own { open.end() } else { None }
    }
}

/// Looks at the state of `span`, or else of the nearest span around it that has one, and returns that span too: other layers may
/// see spans that this one does not make.
fn nearest<'r, S, T>(
    mut span: Option<SpanRef<'r, S>>,
    look: impl FnOnce(Option<&Open>) -> T,
) -> (Option<SpanRef<'r, S>>, T)
where
    S: for<'a> LookupSpan<'a>,
{
    while let Some(one) = span {
        let extensions = one.extensions();
        if let Some(open) = extensions.get() {
            let looked = look(Some(open));
            drop(extensions);
            return (Some(one), looked);
        }
        drop(extensions);
        span = one.parent();
    }
    (None, look(None))
}

impl<S: Subscriber + for<'a> LookupSpan<'a>> tracing_subscriber::Layer<S> for Layer {
    fn on_register_dispatch(&self, dispatch: &Dispatch) {
        self.visibility.set(match dispatch.downcast_ref::<Self>() {
            Some(found) if ptr::eq(found, self) => Visibility::SHOWN,
            Some(_) => Visibility::SHADOWED,
            None => Visibility::HIDDEN,
        });
    }

    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        if !self.is_alone || self.enabled_at_all(metadata) { Interest::always() } else { Interest::never() }
    }

    fn enabled(&self, metadata: &Metadata<'_>, _: Context<'_, S>) -> bool {
        !self.is_alone || self.enabled_at_all(metadata)
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        let own = self.console.max_level().max(self.recorder.levels.max()).max(LevelFilter::INFO);
        self.is_alone.then_some(own)
    }

    fn on_new_span(&self, attributes: &Attributes<'_>, id: &Id, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id) else { return };
        if is_suppressed() || self.is_shadowed() || !(self.is_alone || self.recorder.makes(attributes.metadata())) {
            return;
        }
        let open = match next::take() {
            Next::Started(open) => Some(open),
            Next::Unstarted => return next::keep(Next::HandedOver(Arc::clone(&self.recorder))),
            Next::None | Next::HandedOver(_) => self.begin(attributes, &span),
        };
        if let Some(mut open) = open {
            open.in_context = attributes.is_contextual();
            if !self.visibility.is(Visibility::SHOWN) {
                open.recorder = Some(Arc::clone(&self.recorder));
            }
            open.put(&span);
        }
    }

    fn on_record(&self, id: &Id, values: &span::Record<'_>, ctx: Context<'_, S>) {
        let Some(span) = ctx.span(id).filter(|_| !self.is_shadowed()) else { return };
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
        if self.is_shadowed() {
            return;
        }
        let to = follows.extensions().get().map(|open: &Open| (open.ids, open.propagated.clone()));
        if let (Some((to, propagated)), Some(Open { recording: Some(recording), .. })) =
            (to, span.extensions_mut().get_mut())
        {
            recording.link(to, propagated.as_deref().and_then(|propagated| propagated.state.header()));
        }
    }

    fn on_event(&self, event: &Event<'_>, ctx: Context<'_, S>) {
        if self.is_shadowed() {
            return;
        }
        let normalized = event.normalized_metadata();
        let metadata = normalized.as_ref().unwrap_or_else(|| event.metadata());
        let is_carriers = is_carrier(metadata.target());
        let span = ctx.event_span(event);
        // Where another layer makes `tracing`'s spans through the API, it records their events itself.
        let is_anothers = span.is_none() && ctx.current_span().id().is_some();
        let (span, (api, ids, is_recorded)) = nearest(span, |open| {
            let api = if event.is_contextual() && !is_carriers { around::innermost(open) } else { None };
            // Copied, so that nothing is locked while the event's values are formatted and written.
            let copied = |open: &Open| (Some(open.ids), open.recording.is_some());
            let (ids, is_recorded) = match &api {
                Some(api) => copied(&around::lock(api)),
                None => open.map(copied).unwrap_or_default(),
            };
            (api, ids, is_recorded)
        });
        if !is_carriers && !is_suppressed() {
            let is_logged = !self.recorder.logs.is_empty() && self.console.selects(metadata);
            if is_logged {
                self.recorder.log(event::log_record(event, ids, self.recorder.limits));
            }
            if is_recorded && *metadata.level() <= Level::INFO && (api.is_none() || !is_anothers) {
                let encoded = EncodedEvent::of_span(event, self.recorder.limits);
                if !is_logged || encoded.is_failure {
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
            self.console.print(event, ids);
        }
    }

    fn on_enter(&self, id: &Id, ctx: Context<'_, S>) {
        if self.is_shadowed() {
            return;
        }
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
        if self.is_shadowed() {
            return;
        }
        if entered::is_followed() {
            entered::detach(id);
        }
        if lent::may_be_lent(id)
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
        let Some(span) = ctx.span(&id).filter(|_| !self.is_shadowed()) else { return };
        // The remaining state is dropped with the registry's span.
        if let Some((recording, end)) = self.take(&span) {
            self.recorder.deliver(recording, end);
        }
    }
}
