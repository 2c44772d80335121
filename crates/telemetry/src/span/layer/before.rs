//! What is known of a span before `tracing` makes it: the context that a request brought, or the whole span, started and
//! recorded. It waits in its thread until the layer's `on_new_span` takes it.

use std::cell::RefCell;

use tracing::Span;

use super::{Layer, Open, Recording};
use crate::context::Incoming;
use crate::http::Served;
use crate::span::{asked, with_open};
use crate::suppression::is_suppressed;

thread_local! {
    /// The context that the next span of this thread continues; see [`continuing`].
    static INCOMING: RefCell<Option<Incoming>> = const { RefCell::new(None) };
    /// The next span of this thread, already started; see [`told`].
    static BEGUN: RefCell<Option<Open>> = const { RefCell::new(None) };
}

/// The name of a request's span, until another name is set.
pub(crate) const HTTP: &str = "HTTP";

/// The span that has started, for the one that `tracing` makes now.
pub(super) fn begun() -> Option<Open> {
    // A thread that ends may make a span after its thread-local values are gone.
    BEGUN.try_with(RefCell::take).ok().flatten()
}

/// The context that the span which `tracing` makes now continues.
pub(super) fn incoming() -> Option<Incoming> {
    INCOMING.try_with(RefCell::take).ok().flatten()
}

/// Makes a span that continues the context of a request. The parent is known before the span starts: a parent that is set later
/// comes too late for the sampler, and splits the trace if a child exists already.
pub(crate) fn continuing(incoming: &Incoming, make: impl FnOnce() -> Span) -> Span {
    if incoming.is_empty() {
        return make();
    }
    INCOMING.replace(Some(incoming.clone()));
    let span = make();
    // If the layer did not take it, the span is not traced.
    drop(INCOMING.take());
    span
}

/// The span of a request. A sampler may decide by the request, and the span continues the context that the request brought.
pub(crate) fn serving(
    request: &Served<'_>,
    incoming: &Incoming,
    tell: impl Fn(&mut Recording),
    make: impl FnOnce() -> Span,
) -> Span {
    asked::tell(request);
    let incoming = Some(incoming).filter(|incoming| !incoming.is_empty());
    let span = told(|layer| layer.begin(HTTP, incoming, None), tell, make);
    // If no sampler took it, the caller has decided.
    drop(asked::take());
    span
}

/// The span of a request that is made within `parent`.
pub(crate) fn calling(parent: &Span, tell: impl Fn(&mut Recording), make: impl FnOnce() -> Span) -> Span {
    told(|layer| layer.begin_within(parent, HTTP), tell, make)
}

/// A span within the current one. It holds no clone of the current span, which `tracing` would otherwise keep open until this
/// one closes.
pub(crate) fn within_current(name: &str, tell: impl Fn(&mut Recording)) -> Span {
    let current = Span::current();
    let make = || tracing::info_span!(target: "telemetry::span", parent: None, "span");
    let begin = |layer: &Layer| Some(Open { within: current.id(), ..layer.begin_within(&current, name)? });
    told(begin, tell, make)
}

/// Starts a span and records on it before `make` makes it: once it is made, each thing that is recorded costs a look-up.
fn told(begin: impl Fn(&Layer) -> Option<Open>, tell: impl Fn(&mut Recording), make: impl FnOnce() -> Span) -> Span {
    let begun = tracing::dispatcher::get_default(|dispatch| {
        let layer = dispatch.downcast_ref::<Layer>().filter(|_| !is_suppressed());
        layer.and_then(|layer| {
            let mut open = begin(layer)?;
            if let Some(recording) = &mut open.recording {
                tell(recording);
            }
            Some(open)
        })
    });
    // A thread that ends may make a span after its thread-local values are gone.
    let keep = |begun| BEGUN.try_with(|next| *next.borrow_mut() = begun).unwrap_or_default();
    keep(begun);
    let span = make();
    // If the layer did not take it, the span is not traced.
    keep(None);
    span
}

impl Layer {
    fn begin_within(&self, parent: &Span, name: &str) -> Option<Open> {
        let begun = with_open(parent, |parent| self.begin(name, None, Some(parent)));
        begun.unwrap_or_else(|| self.begin(name, None, None))
    }
}
