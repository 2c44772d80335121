//! Puts the spans of a batch into documents: each with its children in it, as deep and as many as a datagram can hold. A span whose
//! parent is not in the batch begins a document: a segment if it is a local root, else a stand-alone subsegment. A child that
//! finds no room becomes a document of its own, and so does what lies too deep for those who read it. A span that is too large
//! by itself is told in less [`Detail`]. So every span is in exactly one document, and none is larger than
//! [`MAX_DOCUMENT_BYTES`]. Does no I/O.

use std::collections::HashMap;
use std::hash::{BuildHasherDefault, Hasher};

use opentelemetry::trace::SpanId;
use wire::datagram::MAX_DOCUMENT_BYTES;

use super::alike::Alike;
use super::json::{close, end};
use super::origin::Origin;
use super::translate::{Detail, Place, Translator};
use crate::span::Record;
use crate::span::reading::Head;

/// How deep subsegments may nest; readers of JSON stop at some depth, usual is 128 objects or lists.
const DEEPEST: usize = 24;
/// Annotations of one document: X-Ray indexes so many of a trace.
const ANNOTATIONS: usize = 50;
/// Where so little room is left, a child is not tried.
const SMALLEST: usize = 400;
/// Ends the list of a span's children.
const NONE: usize = usize::MAX;

/// What was done to fit spans into documents.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Fitted {
    /// Spans of which a field was cut or stripped.
    pub(super) truncated: usize,
    /// Spans that were told in less detail.
    pub(super) shrunk: usize,
    /// Spans that found no room within their parent's document.
    pub(super) split: usize,
}

/// Writes the documents of `batch`, and tells how many there are and their bytes: for the bench.
#[cfg(feature = "honeycomb")]
pub(crate) fn documents(batch: &[Record]) -> (usize, usize) {
    let origin = Origin::new(&crate::resource::Resource::new("bench", None, &[]), &[]);
    let mut alike = Alike::default();
    let mut packer = Packer::new(&origin, &mut alike, batch);
    let (mut out, mut told) = (Vec::new(), (0, 0));
    while packer.next(&mut out).is_some() {
        told = (told.0 + 1, told.1 + out.len());
        out.clear();
    }
    told
}

/// A batch of spans on its way into documents.
pub(super) struct Packer<'a> {
    /// What each span is and what it says.
    batch: Vec<(Head, &'a [u8])>,
    nodes: Vec<Node>,
    /// Those that begin a document; the last one is next.
    first: Vec<usize>,
    /// Up to this one, each span has a document.
    scanned: usize,
    translator: Translator<'a>,
    /// In the document that is being written.
    annotations_left: usize,
    fitted: Fitted,
}

#[derive(Clone, Copy)]
struct Node {
    is_segment: bool,
    is_told: bool,
    first_child: usize,
    /// The next child of the same parent.
    next: usize,
}

/// An id that was made at random: it is its own hash. Whoever chooses the ids of relayed spans can make them collide, in a
/// table of one batch.
#[derive(PartialEq, Eq)]
struct SpanKey(SpanId);

#[derive(Default)]
struct AsItIs(u64);

impl std::hash::Hash for SpanKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(u64::from_ne_bytes(self.0.to_bytes()));
    }
}

impl Hasher for AsItIs {
    fn write_u64(&mut self, number: u64) {
        self.0 = number;
    }

    fn write(&mut self, bytes: &[u8]) {
        // Nobody hashes anything else; if somebody did, it would still be a hash.
        self.0 = bytes.iter().fold(self.0, |hash, byte| hash.rotate_left(8) ^ u64::from(*byte));
    }

    fn finish(&self) -> u64 {
        self.0
    }
}

impl<'a> Packer<'a> {
    /// Of spans that `origin` made, as all those did whose texts `alike` keeps.
    pub(super) fn new(origin: &'a Origin, alike: &'a mut Alike, batch: &'a [Record]) -> Self {
        let batch: Vec<_> = batch.iter().map(|record| Head::of(record)).collect();
        let node = |head: &Head| {
            let is_segment = head.local_parent().is_none();
            Node { is_segment, is_told: false, first_child: NONE, next: NONE }
        };
        let mut nodes: Vec<Node> = batch.iter().map(|(head, _)| node(head)).collect();
        let mut first = Vec::with_capacity(batch.len());
        let places = Self::places(&batch);
        // From the last to the first, so that lists are in the order in which the spans ended.
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
        let (translator, fitted) = (Translator::new(origin, alike), Fitted::default());
        Self { batch, nodes, first, scanned: 0, translator, annotations_left: 0, fitted }
    }

    /// Where each span is that may be a parent; nothing where no span has a parent here.
    fn places(batch: &[(Head, &[u8])]) -> HashMap<SpanKey, usize, BuildHasherDefault<AsItIs>> {
        if batch.iter().all(|(head, _)| head.local_parent().is_none()) {
            return HashMap::default();
        }
        batch.iter().enumerate().map(|(index, (head, _))| (SpanKey(head.id), index)).collect()
    }

    /// What was done so far.
    pub(super) fn fitted(&self) -> Fitted {
        self.fitted
    }

    /// Appends the next document, and tells how many spans are in it; `None` at the end.
    pub(super) fn next(&mut self, out: &mut Vec<u8>) -> Option<usize> {
        let index = self.first.pop().or_else(|| self.forgotten())?;
        let node = self.nodes.get_mut(index)?;
        node.is_told = true;
        let place = if node.is_segment { Place::Segment } else { Place::Alone };
        let (head, said) = self.batch.get(index)?;
        let start = out.len();
        for detail in [Detail::Whole, Detail::NoMetadata, Detail::NoStacks, Detail::Short, Detail::Bare] {
            out.truncate(start);
            let written = self.translator.write((head, said), place, detail, ANNOTATIONS, out);
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

    /// Appends the children of the span at `index`, `depth` objects deep in the document that begins at `start`, with all that
    /// finds room of what is below them; tells how many spans that is.
    fn nest(&mut self, index: usize, depth: usize, start: usize, out: &mut Vec<u8>) -> usize {
        let (mut nested, mut is_open) = (0, false);
        let mut next = self.nodes.get(index).map_or(NONE, |node| node.first_child);
        while let Some(node) = self.nodes.get_mut(next) {
            let (child, following) = (next, node.next);
            next = following;
            if std::mem::replace(&mut node.is_told, true) {
                continue;
            }
            let before = out.len();
            // What is open must be closed, a byte each: this object, and the list and object of each above it.
            let room = (start + MAX_DOCUMENT_BYTES).saturating_sub(1 + 2 * depth);
            if depth <= DEEPEST && before + SMALLEST <= room {
                if !is_open {
                    out.extend_from_slice(b"\"subsegments\":[");
                }
                let left = self.annotations_left;
                let written = self
                    .batch
                    .get(child)
                    .map(|(head, said)| self.translator.write((head, said), Place::Nested, Detail::Whole, left, out));
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

    /// A span that nothing led to: one of a ring of parents, which no program makes, but a relayed message may have.
    fn forgotten(&mut self) -> Option<usize> {
        let left = self.nodes.get(self.scanned..)?;
        let found = self.scanned + left.iter().position(|node| !node.is_told)?;
        self.scanned = found + 1;
        Some(found)
    }
}
