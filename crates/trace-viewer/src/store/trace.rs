//! One trace in memory: its spans, and the documents from which they were read, up to a limit in bytes.

use std::collections::HashMap;
use std::sync::Arc;

use super::entry::TraceEntry;
use super::retention::{Place, Worth};
use super::summary::{self, Summary, summarise};
use crate::model::{Code, Document, Kind, Nanos, Source, Span, SpanId, TraceId, allocated};

/// The memory of a trace's entries in the maps and sets of all traces, which are up to half empty, and of the allocator.
const ENTRIES: usize = 256;
/// A trace with at least this many spans has an index, and its summary is kept.
const LARGE: usize = 32;

/// Identifies a span within a trace: a span with the same key replaces it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct SpanKey {
    id: SpanId,
    source: Source,
    kind: Kind,
}

pub(super) struct Trace {
    spans: Vec<Arc<Span>>,
    /// The indexes of a large trace's spans.
    index: HashMap<SpanKey, usize>,
    /// Each document has a span with its id.
    documents: HashMap<SpanId, Arc<Document>>,
    /// The bytes of spans and documents.
    content: usize,
    /// The earliest start of a span.
    start: Nanos,
    /// How many spans and documents did not fit.
    dropped: u64,
    summary: Option<Arc<Summary>>,
    /// What a search knows of the spans as they are.
    entry: Option<Arc<TraceEntry>>,
    /// Whether the trace waits for its entry.
    pub(super) is_queued: bool,
    is_opened: bool,
    /// Whether it has all that the disk has of it.
    pub(super) is_whole: bool,
    pub(super) place: Place,
}

/// The part of a trace that decides how long it is kept.
pub(super) struct Outline<'a> {
    /// The service and the name of the root span.
    pub(super) service: &'a str,
    pub(super) route: &'a str,
    /// In nanoseconds.
    pub(super) duration: u64,
    pub(super) worth: Worth,
}

impl SpanKey {
    pub(crate) fn of(span: &Span) -> Self {
        Self { id: span.span_id, source: span.source, kind: span.kind }
    }
}

impl Trace {
    pub(super) fn new(place: Place) -> Self {
        Self {
            spans: Vec::new(),
            index: HashMap::new(),
            documents: HashMap::new(),
            content: 0,
            start: Nanos(u64::MAX),
            dropped: 0,
            summary: None,
            entry: None,
            is_queued: false,
            is_opened: false,
            is_whole: false,
            place,
        }
    }

    /// Adds a span, or replaces its earlier version. Returns whether it fits.
    pub(super) fn add(&mut self, span: Arc<Span>, limit: usize) -> bool {
        let key = SpanKey::of(&span);
        let known = self.find(key).and_then(|at| self.spans.get_mut(at));
        let before = known.as_ref().map_or(0, |span| span.size());
        let content = self.content - before + span.size();
        self.summary = None;
        self.entry = None;
        if content > limit {
            self.dropped += 1;
            return false;
        }
        self.content = content;
        self.start = self.start.min(span.start);
        if let Some(known) = known {
            *known = span;
            return true;
        }
        self.spans.push(span);
        if self.spans.len() == LARGE {
            self.index = self.spans.iter().enumerate().map(|(at, span)| (SpanKey::of(span), at)).collect();
        } else if self.spans.len() > LARGE {
            self.index.insert(key, self.spans.len() - 1);
        }
        true
    }

    /// Adds the document of a span that is here, or replaces its earlier version. Returns whether it fits. An earlier version is dropped even if the new one
    /// does not fit: it would be stale.
    pub(super) fn add_document(&mut self, document: Arc<Document>, limit: usize) -> bool {
        // If the document's own span did not fit, that span has already been counted.
        if self.find(SpanKey { id: document.id, source: Source::Xray, kind: document.kind }).is_none() {
            return true;
        }
        self.summary = None;
        self.entry = None;
        self.content -= self.documents.remove(&document.id).map_or(0, |before| before.size());
        let content = self.content + document.size();
        if content > limit {
            self.dropped += 1;
            return false;
        }
        self.content = content;
        self.documents.insert(document.id, document);
        true
    }

    fn find(&self, key: SpanKey) -> Option<usize> {
        if self.spans.len() < LARGE {
            return self.spans.iter().position(|span| SpanKey::of(span) == key);
        }
        self.index.get(&key).copied()
    }

    pub(super) fn span(&self, key: SpanKey) -> Option<Arc<Span>> {
        self.spans.get(self.find(key)?).cloned()
    }

    pub(super) fn spans(&self) -> &[Arc<Span>] {
        &self.spans
    }

    pub(super) fn documents(&self) -> &HashMap<SpanId, Arc<Document>> {
        &self.documents
    }

    pub(super) fn start(&self) -> Nanos {
        self.start
    }

    /// How much memory the trace takes, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let tables = allocated(self.spans.capacity() * size_of::<Arc<Span>>())
            + table(self.index.capacity(), size_of::<(SpanKey, usize)>())
            + table(self.documents.capacity(), size_of::<(SpanId, Arc<Document>)>());
        let entry = self.entry.as_ref().map_or(0, |entry| entry.bytes());
        ENTRIES + allocated(size_of::<Self>()) + tables + entry + self.content
    }

    pub(super) fn entry(&self) -> Option<&Arc<TraceEntry>> {
        self.entry.as_ref()
    }

    /// Keeps the entry of `spans`, if these are still the trace's.
    pub(super) fn keep_entry(&mut self, spans: &[Arc<Span>], entry: Arc<TraceEntry>) {
        let is_same = self.spans.len() == spans.len() && self.spans.iter().zip(spans).all(|(a, b)| Arc::ptr_eq(a, b));
        if is_same && entry.facts.is_cut == self.is_cut() {
            self.entry = Some(entry);
        }
    }

    /// The bytes of spans and documents.
    pub(super) fn content(&self) -> usize {
        self.content
    }

    /// Whether a part of the trace did not fit.
    pub(super) fn is_cut(&self) -> bool {
        self.dropped > 0
    }

    /// Returns whether it was not opened before.
    pub(super) fn open(&mut self) -> bool {
        !std::mem::replace(&mut self.is_opened, true)
    }

    pub(super) fn outline(&self) -> Outline<'_> {
        let root = summary::root(&self.spans);
        let duration = summary::time(&self.spans).map_or(0, |(start, end)| end.0.saturating_sub(start.0));
        let worth = if self.is_opened {
            Worth::Opened
        } else if self.spans.iter().any(|span| span.is_browser) {
            Worth::Browser
        } else if self.has_error() {
            Worth::Error
        } else {
            Worth::Common
        };
        let service = root.and_then(|root| root.service.as_deref()).unwrap_or_default();
        Outline { service, route: root.map_or("", |root| &root.name), duration, worth }
    }

    /// Whether an operation failed. OTLP decides if it reported any: X-Ray's `error` may be the caller's alone.
    fn has_error(&self) -> bool {
        let has_otlp = self.spans.iter().any(|span| span.source == Source::Otlp);
        let decides = |span: &&Arc<Span>| !has_otlp || span.source == Source::Otlp;
        self.spans.iter().filter(decides).any(|span| span.outcome == Code::Error)
    }

    pub(super) fn summary(&mut self, id: TraceId) -> Option<Arc<Summary>> {
        if let Some(summary) = &self.summary {
            return Some(Arc::clone(summary));
        }
        let summary = summarise(id, &self.spans, self.dropped).map(Arc::new)?;
        if self.spans.len() >= LARGE {
            self.summary = Some(Arc::clone(&summary));
        }
        Some(summary)
    }
}

/// How much memory a hash table with this capacity takes.
fn table(capacity: usize, entry: usize) -> usize {
    if capacity == 0 { 0 } else { allocated((capacity + 1).next_power_of_two() * (entry + 1) + 16) }
}
