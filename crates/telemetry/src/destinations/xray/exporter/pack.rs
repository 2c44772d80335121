//! Packs the spans of a batch into documents. A document contains a span with its descendants, as many as fit in a datagram. A
//! span whose parent is not in the batch starts a document: a segment if it is a local root, otherwise a stand-alone
//! subsegment. A child that does not fit becomes a separate document, as does a span that is nested too deep for readers. A
//! single span that is too large is written with less [`Detail`]. So every span is in exactly one document, and no document is
//! larger than [`MAX_DOCUMENT_BYTES`]. Does no I/O.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use opentelemetry::trace::SpanId;
use xray::datagram::MAX_DOCUMENT_BYTES;

use super::json::{close, end};
use super::origin::Origin;
use super::part::{Detail, Place};
use super::text_cache::TextCache;
use super::translate::Translator;
use crate::pipeline::Record;
use crate::span::reading::Head;

/// How deep subsegments may nest. JSON readers have a limit, usually 128 objects or lists.
const DEEPEST: usize = 24;
/// The most annotations of one document: X-Ray indexes this many per trace.
const ANNOTATIONS: usize = 50;
/// If fewer bytes than this are left, no child is tried.
const SMALLEST: usize = 400;
/// Ends the list of a span's children.
const NONE: usize = usize::MAX;

/// The numbers of spans that were changed to fit into documents.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct FitCounts {
    /// Spans with a shortened or stripped field.
    pub(super) truncated: usize,
    /// Spans that were written with less detail.
    pub(super) shrunk: usize,
    /// Spans that did not fit in their parent's document.
    pub(super) split: usize,
}

/// Writes the documents of `batch`, and returns their number and bytes; for the benchmark.
#[cfg(feature = "honeycomb")]
pub(crate) fn documents(batch: &[Record]) -> (usize, usize) {
    let origin = Origin::new(&crate::resource::Resource::new("bench", None, &[]), &[]);
    let mut cache = TextCache::default();
    let mut packer = Packer::new(&origin, &mut cache, batch);
    let (mut out, mut counts) = (Vec::new(), (0, 0));
    while packer.next(&mut out).is_some() {
        counts = (counts.0 + 1, counts.1 + out.len());
        out.clear();
    }
    counts
}

/// Packs one batch.
pub(super) struct Packer<'a> {
    /// The head and the content of each span.
    batch: Vec<(Head, &'a [u8])>,
    nodes: Vec<Node>,
    /// Spans that begin a document; the last one is next.
    first: Vec<usize>,
    /// Every span before this index is in a document.
    scanned: usize,
    translator: Translator<'a>,
    /// Annotations that still fit into the current document.
    annotations_left: usize,
    fitted: FitCounts,
}

#[derive(Clone, Copy)]
struct Node {
    is_segment: bool,
    is_written: bool,
    first_child: usize,
    /// The next child of the same parent.
    next: usize,
}

/// A random id, which is its own hash. A sender of relayed spans can choose ids that collide, but only in the table of one
/// batch.
#[derive(PartialEq, Eq)]
struct SpanKey(SpanId);

#[derive(Default)]
struct IdentityHasher(u64);

impl std::hash::Hash for SpanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_ne_bytes(self.0.to_bytes()));
    }
}

impl Hasher for IdentityHasher {
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Not used, because only ids are hashed; a valid hash nevertheless.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Packer<'a> {
    /// Packs spans of `origin`; all texts in `cache` must be of the same origin.
    pub(super) fn new(origin: &'a Origin, cache: &'a mut TextCache, batch: &'a [Record]) -> Self {
        let batch: Vec<_> = batch.iter().map(|record| Head::of(record)).collect();
        let node = |head: &Head| {
            let is_segment = head.local_parent().is_none();
            Node { is_segment, is_written: false, first_child: NONE, next: NONE }
        };
        let mut nodes: Vec<Node> = batch.iter().map(|(head, _)| node(head)).collect();
        let mut first = Vec::with_capacity(batch.len());
        let places = Self::places(&batch);
        // Iterates backwards so that the lists are in the order in which the spans ended.
        for (index, (own, _)) in batch.iter().enumerate().rev() {
            let parent = own.local_parent().and_then(|parent| places.get(&SpanKey(parent)).copied());
            let parent =
                parent.filter(|parent| batch.get(*parent).is_some_and(|(parent, _)| parent.trace == own.trace));
            match parent.filter(|parent| *parent != index).and_then(|parent| nodes.get_mut(parent)) {
                Some(parent) => {
                    let next = std::mem::replace(&mut parent.first_child, index);
                    if let Some(node) = nodes.get_mut(index) {
                        node.next = next;
                    }
                }
                None => first.push(index),
            }
        }
        let (translator, fitted) = (Translator::new(origin, cache), FitCounts::default());
        Self { batch, nodes, first, scanned: 0, translator, annotations_left: 0, fitted }
    }

    /// The index of each span that may be a parent; empty if no span has a local parent.
    fn places(batch: &[(Head, &[u8])]) -> HashMap<SpanKey, usize, BuildHasherDefault<IdentityHasher>> {
        if batch.iter().all(|(head, _)| head.local_parent().is_none()) {
            return HashMap::default();
        }
        batch.iter().enumerate().map(|(index, (head, _))| (SpanKey(head.id), index)).collect()
    }

    /// The changes so far.
    pub(super) fn fitted(&self) -> FitCounts {
        self.fitted
    }

    /// Appends the next document, and returns the number of spans in it; `None` at the end.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let index = self.first.pop().or_else(|| self.next_in_cycle())?;
        let node = self.nodes.get_mut(index)?;
        node.is_written = true;
        let place = if node.is_segment { Place::Segment } else { Place::Alone };
        let (head, content) = self.batch.get(index)?;
        let start = out.len();
        for detail in [Detail::Whole, Detail::NoMetadata, Detail::NoStacks, Detail::Short, Detail::Bare] {
            out.truncate(start);
            let written = self.translator.write((head, content), place, detail, ANNOTATIONS, out);
            self.annotations_left = ANNOTATIONS - written.annotations;
            if out.len() - start < MAX_DOCUMENT_BYTES || detail == Detail::Bare {
                self.fitted.shrunk += usize::from(detail != Detail::Whole);
                self.fitted.truncated += usize::from(written.is_cut);
                break;
            }
        }
        let nested = self.nest(index, 1, start, out);
        end(out, b'}');
        Some(1 + nested)
    }

    /// Appends the children of the span at `index`, with as many of their descendants as fit. They are `depth` objects deep in
    /// the document that begins at `start`. Returns the number of spans appended.
    fn nest(&mut self, index: usize, depth: usize, start: usize, out: &mut Vec<u8>) -> usize {
        let (mut nested, mut is_open) = (0, false);
        let mut next = self.nodes.get(index).map_or(NONE, |node| node.first_child);
        while let Some(node) = self.nodes.get_mut(next) {
            let (child, following) = (next, node.next);
            next = following;
            if std::mem::replace(&mut node.is_written, true) {
                continue;
            }
            let before = out.len();
            // Each open object or list needs a byte to close it: this object, and the list and object of each level above it.
            let room = (start + MAX_DOCUMENT_BYTES).saturating_sub(1 + 2 * depth);
            if depth <= DEEPEST && before + SMALLEST <= room {
                if !is_open {
                    out.extend_from_slice(b"\"subsegments\":[");
                }
                let left = self.annotations_left;
                let written = self.batch.get(child).map(|(head, content)| {
                    self.translator.write((head, content), Place::Nested, Detail::Whole, left, out)
                });
                if let Some(written) = written.filter(|_| out.len() <= room) {
                    is_open = true;
                    self.annotations_left -= written.annotations;
                    self.fitted.truncated += usize::from(written.is_cut);
                    nested += 1 + self.nest(child, depth + 1, start, out);
                    close(out, b'}');
                    continue;
                }
                out.truncate(before);
            }
            self.fitted.split += 1;
            self.first.push(child);
        }
        if is_open {
            close(out, b']');
        }
        nested
    }

    /// Returns a span that is not in any document yet, because its ancestors form a cycle. No program creates such a cycle, but
    /// a relayed message may contain one.
    fn next_in_cycle(&mut self) -> Option<usize> {
        let left = self.nodes.get(self.scanned..)?;
        let found = self.scanned + left.iter().position(|node| !node.is_written)?;
        self.scanned = found + 1;
        Some(found)
    }
}
