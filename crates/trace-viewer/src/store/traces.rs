//! All traces in memory, within a number of bytes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use serde::Serialize;

use super::entry::TraceEntry;
use super::retention::{Evictions, Place, Retention, Worth};
use super::trace::{SpanKey, Trace};
use super::unindexed::Unindexed;
use crate::model::{Document, Nanos, Span, TraceId};

/// A trace may take a quarter of the memory.
const SHARE: usize = 4;

/// A place in the order of traces by their start.
pub(crate) type Cursor = (Nanos, TraceId);

/// Where a new trace is among the fresh ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Age {
    Newest,
    /// It is from an earlier time.
    Oldest,
}

pub(super) struct Traces {
    memory: usize,
    by_id: HashMap<TraceId, Box<Trace>>,
    /// The traces by their start.
    by_start: BTreeSet<Cursor>,
    retention: Retention,
    unindexed: Unindexed,
    counts: Counts,
}

/// Counts of what is in memory and of what no longer is.
#[derive(Debug, Clone, Copy, Default, Serialize)]
pub(crate) struct Counts {
    pub(crate) traces: usize,
    pub(crate) spans: usize,
    pub(crate) bytes: usize,
    pub(crate) evicted_traces: u64,
    pub(crate) evicted: Evictions,
    /// Spans and documents that could not be read or did not fit.
    pub(crate) rejected: u64,
}

impl Traces {
    pub(super) fn new(memory: usize) -> Self {
        Self {
            memory,
            by_id: HashMap::new(),
            by_start: BTreeSet::new(),
            retention: Retention::default(),
            unindexed: Unindexed::default(),
            counts: Counts::default(),
        }
    }

    /// The most bytes of the spans and documents of one trace.
    pub(super) fn trace_limit(&self) -> usize {
        self.memory / SHARE
    }

    pub(super) fn counts(&self) -> Counts {
        self.counts
    }

    pub(super) fn get(&self, id: TraceId) -> Option<&Trace> {
        self.by_id.get(&id).map(|trace| &**trace)
    }

    pub(super) fn get_mut(&mut self, id: TraceId) -> Option<&mut Trace> {
        self.by_id.get_mut(&id).map(|trace| &mut **trace)
    }

    /// The ids of the traces that started last.
    pub(super) fn newest(&self, limit: usize) -> Vec<TraceId> {
        self.by_start.iter().rev().take(limit).map(|(_, id)| *id).collect()
    }

    /// The traces that started before the cursor's, latest first.
    pub(super) fn before(&self, cursor: Option<Cursor>) -> impl Iterator<Item = (Cursor, &Trace)> {
        let range = match cursor {
            Some(cursor) => self.by_start.range(..cursor),
            None => self.by_start.range(..),
        };
        range.rev().filter_map(|cursor| Some((*cursor, self.get(cursor.1)?)))
    }

    /// Starts a round of the traces that wait for an entry: the next ones are those that had changed before the last round.
    pub(super) fn start_round(&mut self) {
        self.unindexed.start_round();
    }

    /// The next trace of the round.
    pub(super) fn next_unindexed(&mut self) -> Option<(TraceId, &Trace)> {
        loop {
            let id = self.unindexed.pop()?;
            if let Some(trace) = self.by_id.get_mut(&id) {
                trace.is_queued = false;
                return self.get(id).map(|trace| (id, trace));
            }
        }
    }

    /// Keeps the entry of a trace's spans, unless they have changed. That makes the trace no fresher.
    pub(super) fn keep_entry(&mut self, id: TraceId, spans: &[Arc<Span>], entry: Arc<TraceEntry>) {
        let Some(trace) = self.by_id.get_mut(&id) else { return };
        let before = trace.bytes();
        trace.keep_entry(spans, entry);
        let after = trace.bytes();
        match trace.place {
            Place::Fresh => self.retention.resize_fresh(before, after),
            Place::Shelf(spot) => self.retention.resize(before, after, spot),
        }
        self.counts.bytes = self.counts.bytes - before + after;
        self.make_space();
    }

    pub(super) fn reject(&mut self, count: u64) {
        self.counts.rejected += count;
    }

    /// Adds a span. Returns whether it fits.
    pub(super) fn add(&mut self, span: Arc<Span>) -> bool {
        self.add_at(span, Age::Newest)
    }

    fn add_at(&mut self, span: Arc<Span>, age: Age) -> bool {
        let (id, limit) = (span.trace_id, self.trace_limit());
        // A span that does not fit makes no trace.
        let fits = (span.size() <= limit || self.by_id.contains_key(&id)) && {
            self.by_id.entry(id).or_insert_with(|| {
                match age {
                    Age::Newest => self.retention.add_fresh(id),
                    Age::Oldest => self.retention.add_oldest(id),
                }
                self.counts.traces += 1;
                Box::new(Trace::new(Place::Fresh))
            });
            self.change(id, |trace| trace.add(span, limit))
        };
        self.counts.rejected += u64::from(!fits);
        self.make_space();
        fits
    }

    /// Adds a document, if the trace has its span.
    pub(super) fn add_document(&mut self, document: Arc<Document>) {
        let (id, limit) = (document.trace_id, self.trace_limit());
        if self.by_id.contains_key(&id) {
            let fits = self.change(id, |trace| trace.add_document(document, limit));
            self.counts.rejected += u64::from(!fits);
            self.make_space();
        }
    }

    /// Adds what the disk has of a trace, unless it is here.
    pub(super) fn load(&mut self, id: TraceId, age: Age, spans: Vec<Arc<Span>>, documents: Vec<Arc<Document>>) {
        for span in spans {
            if self.get(id).is_none_or(|trace| trace.span(SpanKey::of(&span)).is_none()) {
                self.add_at(span, age);
            }
        }
        for document in documents {
            if self.get(id).is_some_and(|trace| !trace.documents().contains_key(&document.id)) {
                self.add_document(document);
            }
        }
        if let Some(trace) = self.by_id.get_mut(&id) {
            trace.is_whole = true;
        }
    }

    /// Marks a trace as opened by a user. Returns whether it was not.
    pub(super) fn open(&mut self, id: TraceId) -> bool {
        let Some(trace) = self.by_id.get_mut(&id) else { return false };
        let is_first = trace.open();
        if let Place::Shelf(spot) = trace.place
            && spot.worth != Worth::Opened
        {
            trace.place = Place::Shelf(self.retention.transfer(id, trace.bytes(), spot, Worth::Opened));
        }
        is_first
    }

    /// Changes a trace, which makes it fresh again, and keeps all counts.
    fn change(&mut self, id: TraceId, change: impl FnOnce(&mut Trace) -> bool) -> bool {
        let Some(trace) = self.by_id.get_mut(&id) else { return false };
        let (mut bytes, spans, start) = (trace.bytes(), trace.spans().len(), trace.start());
        if spans == 0 {
            bytes = 0;
        }
        let mut fresh_bytes = bytes;
        if let Place::Shelf(spot) = trace.place {
            self.retention.withdraw(id, bytes, spot);
            self.retention.add_fresh(id);
            trace.place = Place::Fresh;
            fresh_bytes = 0;
        }
        let fits = change(trace);
        self.retention.resize_fresh(fresh_bytes, trace.bytes());
        self.counts.bytes = self.counts.bytes - bytes + trace.bytes();
        self.counts.spans += trace.spans().len() - spans;
        if spans == 0 || trace.start() != start {
            self.by_start.remove(&(start, id));
            self.by_start.insert((trace.start(), id));
        }
        if !std::mem::replace(&mut trace.is_queued, true) {
            self.unindexed.push(id, &self.by_id);
        }
        fits
    }

    fn make_space(&mut self) {
        while self.counts.bytes > self.memory {
            if let Some(id) = self.retention.oldest_fresh(self.memory) {
                self.shelve(id);
            } else if let Some((worth, id)) = self.retention.victim(self.memory) {
                self.evict(id, worth);
            } else {
                return;
            }
        }
    }

    fn shelve(&mut self, id: TraceId) {
        let Some(trace) = self.by_id.get_mut(&id) else { return };
        let (bytes, outline) = (trace.bytes(), trace.outline());
        let group = self.retention.group(outline.service, outline.route);
        self.retention.resize_fresh(bytes, 0);
        let (spot, displaced) = self.retention.shelve(id, bytes, outline.worth, group, outline.duration);
        trace.place = Place::Shelf(spot);
        if let Some(id) = displaced
            && let Some(trace) = self.by_id.get_mut(&id)
            && let Place::Shelf(spot) = trace.place
        {
            trace.place = Place::Shelf(self.retention.transfer(id, trace.bytes(), spot, Worth::Common));
        }
    }

    fn evict(&mut self, id: TraceId, worth: Worth) {
        let Some(trace) = self.by_id.remove(&id) else { return };
        if let Place::Shelf(spot) = trace.place {
            self.retention.withdraw(id, trace.bytes(), spot);
        }
        self.by_start.remove(&(trace.start(), id));
        self.counts.traces -= 1;
        self.counts.spans -= trace.spans().len();
        self.counts.bytes -= trace.bytes();
        self.counts.evicted_traces += 1;
        self.counts.evicted.add(worth);
    }
}
