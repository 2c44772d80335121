//! What begins spans and delivers ended ones, whichever API makes them: which spans are made, the sampler, the limits, and the
//! queue of every destination. Knows nothing of `tracing`'s registry.

use std::sync::Arc;

use tracing::{Level, Metadata};

use super::levels::SpanLevels;
use super::panic_hook;
use super::processor::{self, SpanProcessor};
use super::recording::Recording;
use super::sampler::Sampler;
use crate::ledger::Reason;
use crate::limits::Limits;
use crate::pipeline::{Queue, Record};

/// The libraries that exporters use: if their spans were recorded, the exporters would trace themselves.
const CARRIERS: [&str; 6] = ["h2", "hyper", "hyper_util", "opentelemetry", "rustls", "ureq"];

/// The target of the spans of requests.
const REQUESTS: &str = "telemetry::http";

/// What begins a process's spans and delivers them.
pub(crate) struct Recorder {
    pub(crate) sampler: Sampler,
    pub(crate) limits: Limits,
    /// The queues for spans.
    pub(crate) queues: Vec<Arc<Queue>>,
    /// The queues for events as log records.
    pub(crate) logs: Vec<Arc<Queue>>,
    /// Which spans are made.
    pub(crate) levels: SpanLevels,
    /// No spans are made; an incoming context is propagated unchanged.
    pub(crate) disabled: bool,
    /// What sees ended spans first, in this order. Nearly always empty.
    pub(crate) processors: Vec<Box<dyn SpanProcessor>>,
}

impl Recorder {
    /// Whether the event belongs to a trace.
    pub(super) fn is_traced(metadata: &Metadata<'_>) -> bool {
        *metadata.level() <= Level::INFO && !is_carrier(metadata.target())
    }

    pub(super) fn makes(&self, span: &Metadata<'_>) -> bool {
        // Without the span of a request, the trace would end.
        span.target() == REQUESTS || (self.levels.enable(span) && !is_carrier(span.target()))
    }

    /// Queues a log record.
    pub(super) fn log(&self, record: Record) {
        push(&self.logs, record);
    }

    /// Delivers a span that ended at `end`.
    pub(crate) fn deliver(&self, recording: Box<Recording>, end: u64) {
        self.deliver_as(recording, end, |record| record);
    }

    /// Delivers a span that `change` marks as another maker's.
    #[inline]
    pub(crate) fn deliver_as(&self, mut recording: Box<Recording>, end: u64, change: impl FnOnce(Record) -> Record) {
        if std::thread::panicking() {
            recording.unwind();
        } else {
            panic_hook::forget();
        }
        if !self.processors.is_empty() && !processor::run(&self.processors, &mut recording, end) {
            return self.queues.iter().for_each(|queue| queue.refuse(Reason::Processor));
        }
        push(&self.queues, change(recording.finish(end)));
    }
}

fn push(queues: &[Arc<Queue>], record: Record) {
    if let Some((last, others)) = queues.split_last() {
        others.iter().for_each(|queue| queue.push(record.clone()));
        last.push(record);
    }
}

/// Whether a target is a library's that exporters use.
pub(super) fn is_carrier(target: &str) -> bool {
    let library = target.split_once("::").map_or(target, |(library, _)| library);
    CARRIERS.contains(&library)
}
