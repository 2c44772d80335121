//! Processors of the caller's own: they rename, redact or drop a span when it ends, before any destination gets it.

use std::borrow::Cow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::time::Duration;

use opentelemetry::trace::{SpanId, SpanKind, TraceId};
use tracing::{Dispatch, dispatcher};

use super::reading::Head;
use super::recording::Recording;
use super::{AttributeValue, SpanStatus};
use crate::suppression::suppressed;
use crate::value::IntoValue;

/// Sees each sampled span of this process when it ends, whichever API made it, may change it, and decides whether it is exported.
///
/// It runs on the thread that ends the span, so it must be quick and must not wait. No subscriber is there: it can make no spans
/// and log nothing. If it panics, the span is dropped, because it may hold what the processor was to remove. It does not see log
/// records, and no spans that are [relayed](crate::relay) for other programs.
///
/// ```
/// use telemetry::capture;
/// use telemetry::span::{EndingSpan, ExportDecision, SpanProcessor};
///
/// /// Exports no health checks, and no e-mail addresses.
/// struct Private;
///
/// impl SpanProcessor for Private {
///     fn on_end(&self, span: &mut EndingSpan<'_>) -> ExportDecision {
///         if span.name() == "health" {
///             return ExportDecision::Drop;
///         }
///         span.redact(|_, text| text.contains('@').then(|| "REDACTED".to_owned()));
///         ExportDecision::Export
///     }
/// }
///
/// let config = telemetry::Config::from_env()?.processor(Private);
/// let (layer, capture) = capture::of(config);
/// # use tracing_subscriber::layer::SubscriberExt;
/// # let _default = tracing::subscriber::set_default(tracing_subscriber::registry().with(layer));
/// drop(tracing::info_span!("health"));
/// drop(tracing::info_span!("sign in", user.email = "ada@example.com"));
/// capture.spans().one("sign in").assert_attribute("user.email", "REDACTED");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub trait SpanProcessor: Send + Sync + 'static {
    /// Looks at a span that ends now. Of several processors, each sees what the earlier ones have left.
    fn on_end(&self, span: &mut EndingSpan<'_>) -> ExportDecision;
}

/// Whether a span is exported.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExportDecision {
    /// To every destination.
    Export,
    /// To none. The ledger counts the span as dropped, for the reason `processor`. The spans within it stay, and name a parent
    /// that does not arrive.
    Drop,
}

/// A span that ends now.
pub struct EndingSpan<'a> {
    recording: &'a mut Recording,
    head: Head,
    end: u64,
}

/// Runs the processors. Returns whether the span is to be exported.
pub(super) fn run(processors: &[Box<dyn SpanProcessor>], recording: &mut Recording, end: u64) -> bool {
    let (head, _) = Head::of(recording.encoding());
    let mut span = EndingSpan { recording, head, end };
    let process = || processors.iter().all(|processor| processor.on_end(&mut span) == ExportDecision::Export);
    // A span that closes while another one closes is never removed from `tracing`'s registry, and keeps its parent open.
    let process = || dispatcher::with_default(&Dispatch::none(), process);
    // OpenTelemetry's API finds the subscriber nevertheless, and its spans would be processed too.
    suppressed(|| catch_unwind(AssertUnwindSafe(process))).unwrap_or(false)
}

impl EndingSpan<'_> {
    /// The id of the trace.
    pub fn trace_id(&self) -> TraceId {
        self.head.trace
    }

    /// The span's own id.
    pub fn span_id(&self) -> SpanId {
        self.head.id
    }

    /// The parent's id; `None` if the span is the first of its trace.
    pub fn parent_id(&self) -> Option<SpanId> {
        self.head.parent
    }

    /// Whether the parent is a span of another process.
    pub fn has_remote_parent(&self) -> bool {
        self.head.parent_is_remote
    }

    /// The name.
    pub fn name(&self) -> &str {
        self.recording.current_name()
    }

    /// Which side of an exchange the span is.
    pub fn kind(&self) -> SpanKind {
        self.recording.current_kind()
    }

    /// Whether the span failed.
    pub fn status(&self) -> SpanStatus<'_> {
        self.recording.current_status()
    }

    /// How long the span took; zero if the clock went back meanwhile.
    pub fn duration(&self) -> Duration {
        Duration::from_nanos(self.end.saturating_sub(self.head.start))
    }

    /// The attributes. Parses all of them.
    pub fn attributes(&self) -> impl Iterator<Item = (&str, AttributeValue<'_>)> {
        self.recording.current_attributes()
    }

    /// The value of an attribute.
    pub fn attribute(&self, key: &str) -> Option<AttributeValue<'_>> {
        self.attributes().find(|(own, _)| *own == key).map(|(_, value)| value)
    }

    /// Gives the span another name.
    pub fn rename(&mut self, name: impl Into<Cow<'static, str>>) {
        self.recording.name(name);
    }

    /// Sets an attribute, replacing an earlier one with this key, within the span's limits.
    pub fn set(&mut self, key: &str, value: impl IntoValue) {
        self.recording.set(key, value);
    }

    /// Removes an attribute. Returns whether there was one.
    pub fn remove(&mut self, key: &str) -> bool {
        self.recording.remove(key)
    }

    /// Replaces each text for which `replace`, given its key and the text, returns another one: of each attribute of the span, of
    /// its events and of its links, the name of each event (`event.name`), and the description of the status
    /// (`otel.status_description`). The span's own name is not among them: see [`EndingSpan::rename`].
    pub fn redact(&mut self, mut replace: impl FnMut(&str, &str) -> Option<String>) {
        self.recording.replace_texts(&mut replace);
    }
}
