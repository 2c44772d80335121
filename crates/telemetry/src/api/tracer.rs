//! The provider that OpenTelemetry's API reaches, and its tracers.

use std::sync::{Arc, OnceLock};

use opentelemetry::trace::{Event, SpanBuilder, TraceContextExt, Tracer, TracerProvider};
use opentelemetry::{Context, InstrumentationScope};
use tracing::Dispatch;
use tracing::dispatcher::WeakDispatch;

use super::parent::ApiParent;
use super::record;
use super::span::{ApiSpan, Started};
use super::values::with_value;
use crate::clock::nanoseconds;
use crate::scope::LibraryScope;
use crate::span::{Open, Recording, around, layer};
use crate::suppression::is_suppressed;

/// Makes spans of OpenTelemetry's API that join those of `tracing`: the same traces, queues, ledger, limits and sampler.
#[derive(Debug, Clone)]
pub struct ApiTracerProvider {
    subscriber: Arc<OnceLock<WeakDispatch>>,
}

/// The tracer of one library.
#[derive(Debug, Clone)]
pub struct ApiTracer {
    scope: Arc<LibraryScope>,
    subscriber: Arc<OnceLock<WeakDispatch>>,
}

impl ApiTracerProvider {
    /// A provider for the current subscriber. [`install`](super::install) makes one, and sets it globally.
    pub fn current() -> Self {
        let provider = Self::unbound();
        provider.bind();
        provider
    }

    /// A provider for a subscriber that does not exist yet, because one of its layers uses the provider. Its tracers make no
    /// spans before [`ApiTracerProvider::bind`].
    pub fn unbound() -> Self {
        Self { subscriber: Arc::default() }
    }

    /// Binds the provider and its tracers to the current subscriber, unless they are bound already.
    pub fn bind(&self) {
        self.subscriber.get_or_init(|| tracing::dispatcher::get_default(Dispatch::downgrade));
    }
}

impl TracerProvider for ApiTracerProvider {
    type Tracer = ApiTracer;

    fn tracer_with_scope(&self, scope: InstrumentationScope) -> ApiTracer {
        let (version, schema) = (scope.version().unwrap_or_default(), scope.schema_url().unwrap_or_default());
        let scope = LibraryScope::new(scope.name(), version, schema, |attributes| {
            for pair in scope.attributes() {
                with_value(&pair.value, |value| attributes.set(pair.key.as_str(), value));
            }
        });
        ApiTracer { scope: Arc::new(scope), subscriber: Arc::clone(&self.subscriber) }
    }
}

impl Tracer for ApiTracer {
    type Span = ApiSpan;

    fn build_with_context(&self, builder: SpanBuilder, parent_cx: &Context) -> ApiSpan {
        let is_wanted = !parent_cx.is_telemetry_suppressed() && !is_suppressed();
        let started = if is_wanted { self.start(&builder, parent_cx) } else { None };
        // Without a span, the parent's context is propagated.
        started.unwrap_or_else(|| ApiSpan::passing(parent_cx.span().span_context().clone()))
    }
}

impl ApiTracer {
    fn start(&self, builder: &SpanBuilder, cx: &Context) -> Option<ApiSpan> {
        let subscriber = self.subscriber.get()?.upgrade()?;
        let parent = ApiParent::of(cx, &subscriber);
        let recorder = layer::recorder(&subscriber).or_else(|| parent.recorder()).cloned()?;
        let mut open = match &parent {
            ApiParent::Nothing => recorder.begin(&builder.name, None, None, None),
            ApiParent::Local(parent) => recorder.begin(&builder.name, None, None, Some(parent)),
            ApiParent::Remote(incoming) => recorder.begin(&builder.name, Some(incoming), None, None),
        }?;
        if open.passes {
            return Some(ApiSpan::passing(open.ids.into()));
        }
        if let Some(recording) = &mut open.recording {
            record_known(builder, recording);
        }
        let context = open.context_with_state();
        let open = around::keep(Open { recorder: Some(recorder), ..open });
        Some(ApiSpan::new(context, Started { open, scope: Arc::clone(&self.scope) }))
    }
}

/// Records what is known before the span starts.
fn record_known(builder: &SpanBuilder, span: &mut Recording) {
    if let Some(start) = builder.start_time {
        span.start_at(nanoseconds(start));
    }
    if let Some(kind) = &builder.span_kind {
        span.kind(kind.clone());
    }
    for pair in builder.attributes.iter().flatten() {
        record::set(span, pair);
    }
    for Event { name, timestamp, attributes, .. } in builder.events.iter().flatten() {
        record::event(span, name, *timestamp, attributes);
    }
    for to in builder.links.iter().flatten() {
        record::link(span, &to.span_context, &to.attributes);
    }
}
