//! Spans that are started and recorded before `tracing` makes them. Once a span is made, each recorded value costs a look-up.

use tracing::Span;

use super::around;
use super::layer;
use super::next::{self, Next};
use super::open::{self, Open, with_nearest};
use super::recorder::Recorder;
use super::recording::Recording;
use crate::context::{Incoming, PendingRequest};
use crate::metrics::measure::Measure;
use crate::suppression::is_suppressed;

/// The name of a request's span, until another name is set.
pub(crate) const HTTP: &str = "HTTP";

/// A span that continues the context of a request. The parent is known before the span starts: a parent that is set later is
/// too late for the sampler, and splits the trace if a child exists already.
pub(crate) fn continuing(name: &str, incoming: &Incoming, make: impl FnOnce() -> Span) -> Span {
    begin_recorded(|recorder| recorder.begin(name, non_empty(incoming), None, None), |_| {}, || None, make)
}

/// The span of a request. A sampler may decide by the request, and the span continues the request's context.
pub(crate) fn serving(
    request: PendingRequest<'_>,
    incoming: &Incoming,
    record: impl Fn(&mut Recording),
    measure: impl Fn() -> Option<Measure>,
    make: impl FnOnce() -> Span,
) -> Span {
    begin_recorded(|recorder| recorder.begin(HTTP, non_empty(incoming), Some(&request), None), record, measure, make)
}

fn non_empty(incoming: &Incoming) -> Option<&Incoming> {
    Some(incoming).filter(|incoming| !incoming.is_empty())
}

/// The span of an outgoing request within `parent`.
pub(crate) fn calling(
    parent: &Span,
    record: impl Fn(&mut Recording),
    measure: impl Fn() -> Option<Measure>,
    make: impl FnOnce() -> Span,
) -> Span {
    let api = api_within(parent);
    begin_recorded(|recorder| recorder.begin_within(parent, api.as_ref(), HTTP), record, measure, make)
}

/// A span within the current one. It holds no clone of the current span, which `tracing` would otherwise keep open until this
/// one closes.
pub(crate) fn within_current(name: &str, record: impl Fn(&mut Recording)) -> Span {
    let current = Span::current();
    let api = api_within(&current);
    let make = || tracing::info_span!(target: "telemetry::span", parent: None, "span");
    let begin = |recorder: &Recorder| {
        Some(Open { within: current.id(), ..recorder.begin_within(&current, api.as_ref(), name)? })
    };
    begin_recorded(begin, record, || None, make)
}

/// Starts a span and its measurement, and records on it before `make` creates it; if a wrapper hides the layer, after that.
fn begin_recorded(
    begin: impl Fn(&Recorder) -> Option<Open>,
    record: impl Fn(&mut Recording),
    measure: impl Fn() -> Option<Measure>,
    make: impl FnOnce() -> Span,
) -> Span {
    let start = |recorder: &Recorder| {
        let mut open = begin(recorder)?;
        if let Some(recording) = &mut open.recording {
            record(recording);
        }
        open.measure = measure().map(Box::new);
        Some(open)
    };
    next::keep(tracing::dispatcher::get_default(|dispatch| match layer::recorder(dispatch) {
        _ if is_suppressed() => Next::None,
        Some(recorder) => start(recorder).map_or(Next::None, Next::Started),
        None => Next::Unstarted,
    }));
    let span = make();
    // If the layer did not take it, the span is not traced.
    if let Next::HandedOver(recorder) = next::take()
        && let Some(open) = start(&recorder)
    {
        open::put(&span, Open { recorder: Some(recorder), ..open });
    }
    span
}

/// The span of OpenTelemetry's API that is around the calling code and within `span`, if `span` is the current one.
fn api_within(span: &Span) -> Option<Open> {
    if !around::is_used() || Span::current().id() != span.id() {
        return None;
    }
    let api = with_nearest(span, |open| around::innermost(Some(open))).unwrap_or_else(|| around::innermost(None));
    api.map(|api| around::lock(&api).as_parent())
}

impl Recorder {
    fn begin_within(&self, parent: &Span, api: Option<&Open>, name: &str) -> Option<Open> {
        if api.is_some() {
            return self.begin(name, None, None, api);
        }
        let begun = with_nearest(parent, |parent| self.begin(name, None, None, Some(parent)));
        begun.unwrap_or_else(|| self.begin(name, None, None, None))
    }
}
