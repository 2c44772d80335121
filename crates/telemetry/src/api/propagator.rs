//! The propagator that libraries find globally. It only injects: a library that extracted a context from a request would go
//! round [`Trust`](crate::propagation::Trust), by which the service's own span has decided whose trace is continued.

use std::sync::Arc;

use opentelemetry::Context;
use opentelemetry::baggage::BaggageExt;
use opentelemetry::propagation::text_map_propagator::FieldIter;
use opentelemetry::propagation::{Extractor, Injector, TextMapPropagator};
use tracing::Dispatch;
use tracing::dispatcher::WeakDispatch;

use super::parent::{ApiParent, propagating};
use crate::context::{Propagated, SpanIds};
use crate::propagation::{FIELDS, headers_of, with_member};

/// Injects the headers of `OTEL_PROPAGATORS`, and extracts nothing.
#[derive(Debug)]
pub struct InjectingPropagator {
    subscriber: WeakDispatch,
    fields: Vec<String>,
}

impl InjectingPropagator {
    /// A propagator for the spans of the current subscriber.
    pub fn current() -> Self {
        let subscriber = tracing::dispatcher::get_default(Dispatch::downgrade);
        Self { subscriber, fields: FIELDS.map(str::to_owned).into() }
    }

    fn context(&self, cx: &Context) -> (SpanIds, Option<Arc<Propagated>>) {
        let parent = self.subscriber.upgrade().map(|subscriber| ApiParent::of(cx, &subscriber));
        match parent {
            Some(ApiParent::Local(open)) => (open.ids, open.propagated),
            Some(ApiParent::Remote(incoming)) => {
                (incoming.parent.as_ref().map_or(SpanIds::NONE, SpanIds::from), propagating(incoming.state))
            }
            Some(ApiParent::Nothing) | None => (SpanIds::NONE, None),
        }
    }
}

impl TextMapPropagator for InjectingPropagator {
    fn inject_context(&self, cx: &Context, injector: &mut dyn Injector) {
        let (ids, propagated) = self.context(cx);
        let mut propagated = propagated.as_deref().cloned().unwrap_or_default();
        // The members of the context are newer than those of the span.
        for (key, (value, properties)) in cx.baggage() {
            let list = propagated.baggage.as_deref().unwrap_or_default();
            if let Some(list) = with_member(list, key.as_str(), value.as_str(), properties.as_str()) {
                propagated.baggage = Some(list);
            }
        }
        headers_of(ids, Some(&propagated), |name, value| injector.set(name, value.to_owned()));
    }

    fn extract_with_context(&self, cx: &Context, _: &dyn Extractor) -> Context {
        cx.clone()
    }

    fn fields(&self) -> FieldIter<'_> {
        FieldIter::new(&self.fields)
    }
}
