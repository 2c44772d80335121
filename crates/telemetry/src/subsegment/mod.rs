//! Segments and subsegments for manual instrumentation, for users of Python's `xray_recorder`: annotations, metadata, and names
//! that are known only at run time. Each is a `tracing` span like any other: it goes to every destination, whether or not the
//! daemon is one, and spans that begin within it nest below it. Closing a segment consumes it, and leaving its block closes it,
//! so that it cannot be closed twice or forgotten. Does nothing if the trace is not sampled.
//!
//! In X-Ray, a segment has the service's name; the name that it began with is in its metadata.

mod metadata;
mod object;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::error::Error;
use std::future::Future;
use std::ops::{Deref, DerefMut};

use serde::Serialize;
use tracing::span::EnteredSpan;
use tracing::{Instrument, Level, Span};

use self::metadata::Metadata;
#[cfg(feature = "xray")]
pub(crate) use self::object::Object;
use crate::context::Incoming;
use crate::span::{self, SpanExt, start};
use crate::value::IntoValue;

/// The page for users of the Python SDK; its code is compiled.
#[cfg(all(doctest, feature = "actix"))]
#[doc = include_str!("../../../../docs/src/xray-recorder.md")]
struct FromPython;

/// The number of omitted metadata values.
const LEFT_OUT: &str = "xray.metadata.left_out";

/// Sets an annotation of `span`: a key by which X-Ray finds traces, named `annotation.KEY` elsewhere. X-Ray accepts letters,
/// digits and `_` in a key; other characters become `_`. A text may have 1,000 characters, and a trace 50 annotations.
///
/// ```
/// use telemetry::xray;
/// let span = tracing::info_span!("home-activities");
/// xray::annotate(&span, "rows", 3);
/// xray::annotate(&tracing::Span::current(), "cached", false);
/// ```
pub fn annotate(span: &Span, key: &str, value: impl IntoValue) {
    span.record_with(|span| span.set(&format!("annotation.{key}"), value));
}

/// Begins the first span of this process in a trace: a new trace, or the trace of an incoming request or message.
///
/// ```
/// use telemetry::propagation::{Incoming, Trust, extract};
/// use telemetry::xray;
///
/// let job = xray::begin_segment("nightly job", &Incoming::default());
/// xray::begin_subsegment("cleaning").close();
/// job.close();
///
/// let message = http::HeaderMap::new();
/// let segment = xray::begin_segment("message", &extract(&message, &Trust::ALWAYS, None));
/// # drop(segment);
/// ```
pub fn begin_segment(name: impl Into<Cow<'static, str>>, incoming: &Incoming) -> Scope {
    let make = || tracing::info_span!(parent: None, "segment");
    // The sampler counts each span that starts, so a span starts only if it will be made.
    let span = match tracing::span_enabled!(Level::INFO) {
        true => start::continuing("segment", incoming, make),
        false => Span::none(),
    };
    Scope::of(named(span, name))
}

/// Begins a span below the thread's current span, and makes it current until it is closed. The span ends when it is closed or,
/// if spans that began within it are still open, with the last of those. Do not hold it over an `.await`, where the thread
/// continues with other tasks' work: use [`capture`] for that.
///
/// ```
/// use telemetry::xray;
/// let mut subsegment = xray::begin_subsegment("mock-data");
/// subsegment.annotate("rows", 3);
/// subsegment.metadata("default", "query", &serde_json::json!({"limit": 20, "handles": ["andrew"]}));
/// subsegment.close();
/// ```
pub fn begin_subsegment(name: impl Into<Cow<'static, str>>) -> Scope {
    Scope::of(subsegment(name))
}

/// Runs `work` in a subsegment.
///
/// ```
/// use telemetry::xray;
/// let rows = xray::in_subsegment("mock-data", |subsegment| {
///     subsegment.annotate("cached", false);
///     3
/// });
/// # assert_eq!(rows, 3);
/// ```
pub fn in_subsegment<T>(name: impl Into<Cow<'static, str>>, work: impl FnOnce(&mut Segment) -> T) -> T {
    work(&mut begin_subsegment(name))
}

/// Runs asynchronous `work` in a subsegment, from its first poll. If the work is cancelled, the subsegment is closed at that
/// moment.
///
/// ```
/// use telemetry::xray;
/// async fn home() -> usize {
///     xray::capture("mock-data", async |mut subsegment| {
///         let rows = read().await;
///         subsegment.annotate("rows", rows);
///         rows
///     })
///     .await
/// }
/// # async fn read() -> usize { 3 }
/// # drop(home());
/// ```
pub async fn capture<T, F: Future<Output = T>>(
    name: impl Into<Cow<'static, str>>,
    work: impl FnOnce(Segment) -> F,
) -> T {
    let segment = subsegment(name);
    let span = segment.span.clone();
    let work = span.in_scope(|| work(segment));
    work.instrument(span).await
}

fn subsegment(name: impl Into<Cow<'static, str>>) -> Segment {
    named(tracing::info_span!("subsegment"), name)
}

fn named(span: Span, name: impl Into<Cow<'static, str>>) -> Segment {
    let mut limit = None;
    span.record_with(|span| {
        span.name(name);
        limit = Some(span.limits.value_bytes);
    });
    Segment { span, limit, metadata: Metadata::default(), panicking: std::thread::panicking() }
}

/// An open segment or subsegment, which is closed when it is dropped. A panic that unwinds through it marks it as failed.
#[derive(Debug)]
pub struct Segment {
    span: Span,
    /// The most bytes of an attribute's text; `None` if nothing is recorded.
    limit: Option<usize>,
    metadata: Metadata,
    /// Whether it began while a panic was already unwinding; that panic does not mark it as failed.
    panicking: bool,
}

impl Segment {
    /// Sets an annotation; see [`annotate`].
    pub fn annotate(&mut self, key: &str, value: impl IntoValue) {
        annotate(&self.span, key, value);
    }

    /// Keeps a value that is shown with the segment, by namespace (Python's is `default`) and key. It replaces an earlier value
    /// of the same namespace and key. Values are written as JSON when the segment closes, in one object for each namespace. An
    /// object is limited to the length of an attribute (`OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT`), and all objects together to
    /// 64 KiB. A value is omitted and counted in `xray.metadata.left_out` if it does not fit, JSON cannot represent it, it
    /// nests deeper than 15, or its namespace is empty or begins with `AWS.`.
    pub fn metadata(&mut self, namespace: &str, key: &str, value: &impl Serialize) {
        if self.limit.is_some() {
            self.metadata.put(namespace, key, value);
        }
    }

    /// Adds an exception with its message and causes, and marks the segment as failed.
    ///
    /// ```
    /// use telemetry::xray;
    /// let failed = xray::in_subsegment("mock-data", |subsegment| {
    ///     "x".parse::<u8>().inspect_err(|error| subsegment.exception(error))
    /// });
    /// # assert!(failed.is_err());
    /// ```
    pub fn exception(&mut self, error: &(dyn Error + 'static)) {
        self.span.record_with(|span| {
            let kind = span::kind(&error).unwrap_or_else(|| "error".to_owned());
            span.exception(&kind, &error.to_string(), &span::causes(error));
            span.fail(&kind);
        });
    }

    /// The segment's span, for everything else that a span can record.
    ///
    /// ```
    /// use telemetry::propagation::outgoing;
    /// use telemetry::span::SpanExt;
    /// use telemetry::xray;
    /// let subsegment = xray::begin_subsegment("call");
    /// subsegment.span().user("andrew");
    /// let headers = outgoing(subsegment.span());
    /// # drop(headers);
    /// ```
    pub fn span(&self) -> &Span {
        &self.span
    }

    /// Closes the segment now.
    pub fn close(self) {
        drop(self);
    }
}

impl Drop for Segment {
    fn drop(&mut self) {
        let Some(limit) = self.limit else { return };
        let (objects, left_out) = self.metadata.objects(limit);
        let panics = std::thread::panicking() && !self.panicking;
        self.span.record_with(|span| {
            for (namespace, object) in &objects {
                span.set(&format!("metadata.{namespace}"), object);
            }
            if left_out > 0 {
                span.set(LEFT_OUT, i64::from(left_out));
            }
            if panics {
                span.fail("panic");
            }
        });
    }
}

/// A [`Segment`] that is the current span of its thread.
#[derive(Debug)]
pub struct Scope {
    // Dropped in this order: the segment is recorded first, then the thread leaves its span.
    segment: Segment,
    entered: EnteredSpan,
}

impl Scope {
    fn of(segment: Segment) -> Self {
        let entered = segment.span.clone().entered();
        Self { segment, entered }
    }

    /// Closes the segment now, and makes the enclosing span current again.
    pub fn close(self) {
        let Self { segment, entered } = self;
        segment.close();
        drop(entered);
    }
}

impl Deref for Scope {
    type Target = Segment;

    fn deref(&self) -> &Segment {
        &self.segment
    }
}

impl DerefMut for Scope {
    fn deref_mut(&mut self) -> &mut Segment {
        &mut self.segment
    }
}
