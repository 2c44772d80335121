//! Segments and subsegments by hand, for people who come from Python's `xray_recorder`: annotations, metadata, and a name that
//! is known when the program runs. Each is a `tracing` span like any other: it goes to every destination, whether or not the
//! daemon is one, and what begins within it nests below it. Closing one takes it away, and leaving its block closes it, so
//! that it cannot be closed twice or forgotten. Does nothing where the trace is not sampled.
//!
//! A segment bears the service's name in X-Ray; the name that it began with is in its metadata.

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
use tracing::{Instrument, Span};

use self::metadata::Metadata;
#[cfg(feature = "xray")]
pub(crate) use self::object::Object;
use crate::propagation::Incoming;
use crate::span::{self, SpanExt, Value, layer};

/// The page for people who come from Python, whose code is compiled.
#[cfg(all(doctest, feature = "actix"))]
#[doc = include_str!("../../../../docs/src/xray-recorder.md")]
struct FromPython;

/// How many values of metadata were left out.
const LEFT_OUT: &str = "xray.metadata.left_out";

/// Sets an annotation of `span`: a key by which X-Ray finds traces, `annotation.KEY` elsewhere. Of the key, X-Ray takes letters,
/// digits and `_`, and other characters become `_`; a text may have 1,000 characters, and a trace 50 annotations.
///
/// ```
/// use telemetry::xray;
/// let span = tracing::info_span!("home-activities");
/// xray::annotate(&span, "rows", 3);
/// xray::annotate(&tracing::Span::current(), "cached", false);
/// ```
pub fn annotate<'v>(span: &Span, key: &str, value: impl Into<Value<'v>>) {
    span.record_with(|span| span.set(&format!("annotation.{key}"), value));
}

/// Begins the first span of this process in a trace: a new one, or the one that a request or message brought.
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
    Scope::of(named(layer::continuing(incoming, || tracing::info_span!(parent: None, "segment")), name))
}

/// Begins a span below that in which the thread is; the thread is in it until it is closed. It ends then, or where what began
/// within it is open still, with the last of that. Do not hold it over an `.await`, where the thread goes on to others' work:
/// [`capture`] is for that.
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

/// Runs asynchronous `work` in a subsegment, from when it is first polled. Cancelled, it is closed where it was.
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

/// A segment or subsegment that is open, and is closed when it is dropped. A panic that goes through it marks it as failed.
#[derive(Debug)]
pub struct Segment {
    span: Span,
    /// Bytes of an attribute's text; `None` where nothing is recorded.
    limit: Option<usize>,
    metadata: Metadata,
    /// It began while a panic unwound, which is none of its own.
    panicking: bool,
}

impl Segment {
    /// Sets an annotation; see [`annotate`].
    pub fn annotate<'v>(&mut self, key: &str, value: impl Into<Value<'v>>) {
        annotate(&self.span, key, value);
    }

    /// Keeps a value to be read beside the segment, by namespace (Python's is `default`) and key, in place of an earlier one. It
    /// is written as JSON when the segment closes, an object for each namespace. An object has the length of an attribute
    /// (8,192 bytes, unless `OTEL_SPAN_ATTRIBUTE_VALUE_LENGTH_LIMIT` says otherwise), and all of them 64 KiB: a value that does
    /// not fit, that JSON has no form for, that nests deeper than 15, or in a namespace that is empty or begins with `AWS.`, is left out and counted in
    /// `xray.metadata.left_out`.
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

    /// The span that it is, for all else that a span can be told.
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

    /// Closes it, now.
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

/// A [`Segment`] that the thread is in.
#[derive(Debug)]
pub struct Scope {
    // Told first, left then.
    segment: Segment,
    entered: EnteredSpan,
}

impl Scope {
    fn of(segment: Segment) -> Self {
        let entered = segment.span.clone().entered();
        Self { segment, entered }
    }

    /// Closes it, now: the thread is in the one around it again.
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
