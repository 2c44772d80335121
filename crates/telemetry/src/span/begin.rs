//! The start of a span: its place in a trace, and the data that is recorded before the application's own.

use std::sync::Arc;
use std::time::SystemTime;

use opentelemetry::trace::{SpanContext, SpanId, TraceFlags};

use super::id;
use super::lent;
use super::open::Open;
use super::recorder::Recorder;
use super::recording::{Parent, Recording};
use super::sampler::{Decision, Sampler};
use crate::attribute::{SAMPLING_RULE, USER_ID};
use crate::clock::nanoseconds;
use crate::context::{Incoming, PendingRequest, Propagated, SpanIds};
use crate::limits::Limits;
use crate::value::Value;

/// A span that has started.
pub(super) struct Begun {
    pub(super) ids: SpanIds,
    parent: Option<Parent>,
    pub(super) propagated: Option<Arc<Propagated>>,
    /// The sampling rule that decided, if this process decided by rules.
    rule: Option<Arc<str>>,
}

impl Begun {
    /// Starts a span within a span of this process, in the same trace and with the same decision.
    #[inline]
    pub(super) fn within(parent: &Open) -> Self {
        let above = parent.ids;
        let ids = SpanIds::local(above.trace, id::span(), above.flags);
        let propagated = parent.propagated.clone();
        Self { ids, parent: Some(Parent { id: above.span, remote: false }), propagated, rule: None }
    }

    /// Starts the first span of a trace in this process. It continues the incoming context if that has a parent.
    #[inline]
    pub(super) fn local_root(
        sampler: &Sampler,
        incoming: Option<&Incoming>,
        request: Option<&PendingRequest<'_>>,
        now: SystemTime,
    ) -> Self {
        let remote = incoming.and_then(|incoming| incoming.parent.as_ref());
        let trace = remote.map_or_else(|| id::trace(nanoseconds(now)), SpanContext::trace_id);
        let decided = remote.filter(|_| incoming.is_some_and(|incoming| !incoming.is_undecided));
        let state = decided.and(incoming).map(|incoming| incoming.state.clone()).unwrap_or_default();
        let Decision { sampled, state, rate, rule } = sampler.decide(trace, decided, state, request, now);
        let baggage = incoming.and_then(|incoming| incoming.baggage.clone());
        let lineage = incoming.and_then(|incoming| incoming.lineage.clone());
        let propagated = Propagated { user: None, baggage, lineage, state, sample_rate: rate };
        let propagated = Some(propagated).filter(|propagated| *propagated != Propagated::default()).map(Arc::new);
        let random = remote.map_or(id::RANDOM, |remote| remote.trace_flags() & id::RANDOM);
        let flags = if sampled { TraceFlags::SAMPLED | random } else { random };
        let above = remote.map(SpanContext::span_id).filter(|id| *id != SpanId::INVALID);
        let parent = above.map(|id| Parent { id, remote: true });
        Self { ids: SpanIds::local(trace, id::span(), flags), parent, propagated, rule }
    }

    /// A recording of the span, which started at `start`, with the data of its context.
    #[inline]
    pub(super) fn record(&self, name: &str, incoming: Option<&Incoming>, start: u64, limits: Limits) -> Box<Recording> {
        let propagated = self.propagated.as_deref();
        let state = propagated.and_then(|propagated| propagated.state.header());
        let mut recording = Recording::start(name, self.ids, state, self.parent, start, limits);
        if let Some(rate) = propagated.and_then(|propagated| propagated.sample_rate) {
            recording.add("SampleRate", Value::Int(rate));
        }
        if let Some(rule) = &self.rule {
            recording.add(SAMPLING_RULE, &**rule);
        }
        if let Some(user) = propagated.and_then(|propagated| propagated.user.as_ref()) {
            recording.add(USER_ID, &**user);
        }
        if let Some(incoming) = incoming {
            record_incoming(incoming, &mut recording);
        }
        recording
    }
}

impl Recorder {
    /// Begins a span. Returns `None` if no spans are created and there is nothing to propagate.
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
        let recording = begun.ids.is_sampled().then(|| begun.record(name, incoming, nanoseconds(now), self.limits));
        let Begun { ids, propagated, .. } = begun;
        let wants_decision = incoming.is_some_and(|incoming| incoming.wants_decision);
        let around = parent.and_then(|parent| parent.around);
        let is_librarys = lent::on_library_thread();
        Some(Open { recording, wants_decision, around, is_librarys, ..Open::of(ids, propagated) })
    }
}

/// Stands in for a span if no spans are created, as OpenTelemetry's [API without an
/// SDK](https://opentelemetry.io/docs/specs/otel/trace/api/#behavior-of-the-api-in-the-absence-of-an-installed-sdk) specifies:
/// the incoming context, unchanged, and its baggage. A context that leaves the decision to us is not propagated, because no
/// sampler decides here.
pub(super) fn pass(incoming: Option<&Incoming>, parent: Option<&Open>) -> Option<Open> {
    let of = |ids, propagated| Some(Open { passes: true, ..Open::of(ids, propagated) });
    let Some(incoming) = incoming else {
        return parent.and_then(|parent| of(parent.ids, parent.propagated.clone()));
    };
    let named = incoming.parent.as_ref().filter(|context| context.is_valid() && !incoming.is_undecided);
    let Incoming { baggage, lineage, state, .. } = incoming.clone();
    let propagated = Propagated { user: None, baggage, lineage, state, sample_rate: None };
    let propagated = Some(propagated).filter(|propagated| *propagated != Propagated::default()).map(Arc::new);
    of(named.map_or(SpanIds::NONE, SpanIds::from), propagated)
}

/// Records an incoming context on the span that continues it.
fn record_incoming(incoming: &Incoming, span: &mut Recording) {
    if let Some(link) = &incoming.link {
        let state = if incoming.parent.is_none() { incoming.state.header() } else { None };
        span.link(link.into(), state);
    }
    if incoming.has_conflict {
        span.set("trace.context.conflict", true);
    }
}
