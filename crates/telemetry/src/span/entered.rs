//! The context of OpenTelemetry's API inside a `tracing` span, if that was requested: each enter attaches it, and the exit
//! detaches it.

use std::borrow::Cow;
use std::cell::RefCell;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::SystemTime;

use opentelemetry::baggage::{Baggage, BaggageExt};
use opentelemetry::trace::{Span, SpanContext, Status, TraceContextExt};
use opentelemetry::{Context, ContextGuard, KeyValue};
use tracing::span::Id;
use tracing_subscriber::Registry;
use tracing_subscriber::registry::{LookupSpan, SpanRef};

use super::open::Open;
use super::recording::Recording;
use crate::api::record;
use crate::propagation::members;

static IS_FOLLOWED: AtomicBool = AtomicBool::new(false);

thread_local! {
    static ATTACHED: RefCell<Vec<(Id, ContextGuard)>> = const { RefCell::new(Vec::new()) };
}

/// A `tracing` span as the API sees it. It ends by itself, whatever the API requests.
#[derive(Debug)]
struct EnteredSpan {
    id: Id,
    context: SpanContext,
}

/// From now on, every enter attaches the span's context.
pub(crate) fn follow() {
    IS_FOLLOWED.store(true, Ordering::Relaxed);
}

#[inline]
pub(super) fn is_followed() -> bool {
    IS_FOLLOWED.load(Ordering::Relaxed)
}

#[cold]
pub(super) fn attach<'r, R: LookupSpan<'r>>(span: &SpanRef<'r, R>) {
    let attached = {
        let mut extensions = span.extensions_mut();
        let Some(open) = extensions.get_mut::<Open>() else { return };
        if open.entered.is_none() {
            open.entered = Some(Box::new(context_of(&span.id(), open)));
        }
        open.entered.as_deref().cloned()
    };
    if let Some(guard) = attached.map(Context::attach) {
        ATTACHED.try_with(|attached| attached.borrow_mut().push((span.id(), guard))).unwrap_or_default();
    }
}

#[cold]
pub(super) fn detach(id: &Id) {
    let detached = ATTACHED.try_with(|attached| {
        let mut attached = attached.borrow_mut();
        let at = attached.iter().rposition(|(own, _)| own == id)?;
        Some(attached.remove(at))
    });
    // Only here, because it may drop spans of the API.
    drop(detached);
}

/// The current context with a `tracing` span, and its baggage if the context has none.
pub(crate) fn context_of(id: &Id, open: &Open) -> Context {
    let span = EnteredSpan { id: id.clone(), context: open.context_with_state() };
    let context = Context::map_current(|current| current.with_span(span));
    let baggage = open.propagated.as_deref().and_then(|propagated| propagated.baggage.as_deref());
    let Some(list) = baggage.filter(|_| context.baggage().is_empty()) else { return context };
    let mut baggage = Baggage::new();
    for member in members(list) {
        let (key, value) = (member.key.to_owned(), member.value.into_owned());
        baggage.insert_with_metadata(key, value, member.properties);
    }
    context.with_baggage(baggage)
}

impl EnteredSpan {
    fn look<T>(&self, look: impl FnOnce(&mut Recording) -> T) -> Option<T> {
        let mut look = Some(look);
        tracing::dispatcher::get_default(|dispatch| {
            let span = dispatch.downcast_ref::<Registry>()?.span(&self.id)?;
            let mut extensions = span.extensions_mut();
            // The id of a closed span is used again.
            let open = extensions.get_mut::<Open>().filter(|open| open.ids.span == self.context.span_id())?;
            open.touch();
            open.recording.as_deref_mut().zip(look.take()).map(|(recording, look)| look(recording))
        })
    }
}

impl Span for EnteredSpan {
    fn add_event_with_timestamp<T: Into<Cow<'static, str>>>(
        &mut self,
        name: T,
        timestamp: SystemTime,
        attributes: Vec<KeyValue>,
    ) {
        self.look(|span| record::event(span, &name.into(), timestamp, &attributes));
    }

    fn span_context(&self) -> &SpanContext {
        &self.context
    }

    fn is_recording(&self) -> bool {
        self.look(|_| ()).is_some()
    }

    fn set_attribute(&mut self, attribute: KeyValue) {
        self.look(|span| record::set(span, &attribute));
    }

    fn set_status(&mut self, status: Status) {
        self.look(|span| record::set_status(span, &status));
    }

    fn update_name<T: Into<Cow<'static, str>>>(&mut self, new_name: T) {
        self.look(|span| span.name(new_name));
    }

    fn add_link(&mut self, span_context: SpanContext, attributes: Vec<KeyValue>) {
        self.look(|span| record::link(span, &span_context, &attributes));
    }

    fn end_with_timestamp(&mut self, _: SystemTime) {}
}
