//! OpenTelemetry's API: spans that libraries make with `opentelemetry::global` join those of `tracing`.
//!
//! [`install`] sets a provider and a propagator globally, so that a library needs no line of the application's. Its spans are in
//! the same traces, queues, ledger and limits, under its own instrumentation scope, and are sampled with their trace. They have
//! attributes, events, links, a status and a tracestate.
//!
//! The innermost span is the parent, whichever API made it: the library's span within a `tracing` span, and a `tracing` span or
//! event within the library's. That costs nothing until the API makes its first span. A context that names another span is the
//! parent itself; one without a span, inside a span of the API, starts a trace.
//!
//! ```
//! use opentelemetry::trace::{Span, Tracer};
//! use opentelemetry::{KeyValue, global};
//!
//! fn charge() {
//!     let mut span = global::tracer("payments").start("charge");
//!     span.set_attribute(KeyValue::new("payment.method", "card"));
//!     span.end();
//! }
//!
//! tracing::info_span!("checkout").in_scope(charge);
//! ```
//!
//! `Context::current()` inside a `tracing` span knows that span only on request: [`follow_spans`] for all, [`context_of`] for one.
//! The propagator injects `OTEL_PROPAGATORS`' headers and the baggage of the context, and extracts nothing: see
//! [`InjectingPropagator`].

mod parent;
mod propagator;
pub(crate) mod record;
mod span;
#[cfg(test)]
mod tests;
mod tracer;
mod values;

use opentelemetry::Context;
use opentelemetry::global;
use tracing::{Dispatch, Span, dispatcher};

pub use propagator::InjectingPropagator;
pub use span::ApiSpan;
pub use tracer::{ApiTracer, ApiTracerProvider};

use crate::span::{entered, with_nearest_id};

/// Makes OpenTelemetry's global API reach the calling thread's subscriber. [`Config::install`](crate::Config::install) calls this;
/// after [`Config::layer`](crate::Config::layer), call it once the subscriber is in place. If a wrapper such as `reload::Layer`
/// hides our layer from the subscriber, the API's spans join only within `tracing`'s.
///
/// ```
/// use opentelemetry::global;
/// use opentelemetry::trace::Tracer;
///
/// let capture = telemetry::capture::start();
/// telemetry::api::install();
/// tracing::info_span!("checkout").in_scope(|| global::tracer("payments").in_span("charge", |_| {}));
/// assert_eq!(capture.spans().tree(), "checkout\n  charge\n");
/// ```
pub fn install() {
    let (provider, propagator) = (ApiTracerProvider::current(), InjectingPropagator::current());
    // The API announces its global provider in an event, which would be printed at every start.
    dispatcher::with_default(&Dispatch::none(), || {
        global::set_tracer_provider(provider);
        global::set_text_map_propagator(propagator);
    });
}

/// From now on, `Context::current()` inside a `tracing` span is that span's, with its baggage: what the API records there is
/// recorded on the span, except its end.
pub fn follow_spans() {
    entered::follow();
}

/// The current context of the API, with `span` in it: to give to code that takes a context. It does not keep the span open.
///
/// ```
/// use opentelemetry::trace::{FutureExt, TraceContextExt};
/// # async fn work() {}
/// # async fn example() {
/// let context = telemetry::api::context_of(&tracing::Span::current());
/// context.span().update_name("renamed");
/// work().with_context(context).await;
/// # }
/// ```
pub fn context_of(span: &Span) -> Context {
    with_nearest_id(span, |id, open| entered::context_of(id, open)).unwrap_or_else(Context::current)
}
