//! Spans are created with `tracing`'s macros; [`SpanExt`] records more on them.
//!
//! A span should end when the work that it represents ends. With `tracing`, it ends when its last clone is dropped. If that is
//! the clone of sqlx's thread for SQLite, which has already replied, the span ends when any other thread last left it or
//! recorded on it. Another library may keep a clone for longer: create the spans of such calls with [`OwnedSpan`], or call
//! [`SpanExt::end`].
//!
//! Each failure is an error in the trace without code in the application. An ERROR event fails its span and becomes its
//! `exception` event; `#[tracing::instrument(err)]` logs one. A panic that closes a span or unwinds through it does the same, with
//! the panic's message if [`record_panics`] was called.
//!
//! The fields `otel.name`, `otel.kind` (`server`, `client`, `producer`, `consumer`), `otel.status_code` (`OK`, `ERROR`) and
//! `otel.status_description` of a `tracing` span set its name, kind and status. Every other field is an attribute. A span that
//! is not sampled costs only its ids: no attributes are built.
//!
//! ```
//! use telemetry::span::SpanExt;
//! let span = tracing::info_span!("home-activities-mock-data", otel.kind = "client");
//! span.set("app.result_length", 3);
//! span.record_with(|span| {
//!     span.name("SELECT activities");
//!     span.set("db.system.name", "sqlite");
//! });
//! ```

pub(crate) mod around;
mod begin;
mod ended;
pub(crate) mod entered;
mod event;
mod ext;
mod field;
mod fields;
pub(crate) mod id;
pub(crate) mod layer;
mod lent;
pub(crate) mod levels;
mod next;
mod open;
mod owned;
mod panic_hook;
mod processor;
pub(crate) mod reading;
pub(crate) mod recorder;
mod recording;
pub(crate) mod rules;
pub(crate) mod sampler;
pub(crate) mod start;
mod task;
mod threshold;

pub use ended::{AttributeValue, EndedSpan, SpanEvent, SpanStatus};
pub(crate) use event::{causes, kind};
pub use ext::SpanExt;
#[cfg(feature = "xray-lite")]
pub(crate) use open::with_open;
pub(crate) use open::{Open, record_on, with_nearest, with_nearest_id};
pub use opentelemetry::trace::{SpanContext, SpanId, SpanKind, TraceId};
pub use owned::OwnedSpan;
pub use panic_hook::record_panics;
pub use processor::{EndingSpan, ExportDecision, SpanProcessor};
pub(crate) use recording::Parent;
pub use recording::Recording;
pub use task::task;

pub use tracing::Span;

pub use crate::value::{IntoValue, Item, Value};
