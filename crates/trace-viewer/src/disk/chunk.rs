//! A chunk: what one request or datagram added to one trace. Its head has what the index and the retention need, and a checksum covers all of it, so a damaged
//! chunk costs itself alone. Knows no files.

use std::sync::Arc;

use flate2::Crc;

use super::codec::{self, SavedItems};
use crate::model::{Code, Document, Nanos, Source, Span, TraceId};

/// The bytes before a chunk's items: the magic, the checksum, and the [`FACTS`].
pub(super) const HEAD: usize = 8 + FACTS;
/// The bytes of an [`Entry`] without its place.
const FACTS: usize = 52;
/// The bytes of an entry in the index.
pub(super) const ENTRY: usize = FACTS + 4;

const MAGIC: [u8; 4] = [0xc7, b'T', b'c', b'1'];

/// What decides how long a trace is kept.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

/// A chunk, without its items.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    pub(super) trace: TraceId,
    /// Where the chunk starts in its file.
    pub(super) offset: u32,
    /// The bytes of the chunk, with its head.
    pub(super) length: u32,
    /// How many items it has.
    pub(super) items: u32,
    /// The earliest start of a span, and the latest end.
    pub(super) start: Nanos,
    pub(super) end: Nanos,
    /// The service and the name of its first operation, hashed.
    pub(super) service: u32,
    pub(super) route: u32,
    pub(super) marks: Marks,
}

/// Chunks that are to be written together.
#[derive(Default)]
pub(super) struct Chunks {
    pub(super) bytes: Vec<u8>,
    /// Their offsets are relative to `bytes`.
    pub(super) entries: Vec<Entry>,
}

impl Marks {
    /// The chunk has a span without a parent.
    const ROOT: Self = Self(1);
    const OTLP: Self = Self(2);
    const OTLP_ERROR: Self = Self(4);
    const XRAY_ERROR: Self = Self(8);
    pub(super) const BROWSER: Self = Self(16);
    pub(super) const OPENED: Self = Self(32);

    fn of(span: &Span) -> Self {
        let is_otlp = span.source == Source::Otlp;
        let mut marks = if is_otlp { Self::OTLP } else { Self::default() };
        if span.outcome == Code::Error {
            marks = marks.and(if is_otlp { Self::OTLP_ERROR } else { Self::XRAY_ERROR });
        }
        if span.is_browser { marks.and(Self::BROWSER) } else { marks }
    }

    pub(super) fn and(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub(super) fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub(super) fn has_root(self) -> bool {
        self.has(Self::ROOT)
    }

    /// Whether an operation failed. OTLP decides if it reported any, as in memory.
    pub(super) fn has_error(self) -> bool {
        self.has(Self::OTLP_ERROR) || (self.has(Self::XRAY_ERROR) && !self.has(Self::OTLP))
    }

    /// Whether a trace with these marks is kept longer than others.
    pub(super) fn is_worthy(self) -> bool {
        self.has(Self::OPENED) || self.has(Self::BROWSER) || self.has_error()
    }
}

impl Chunks {
    /// The chunks of one request: a chunk for each trace.
    pub(super) fn of(spans: &mut [Arc<Span>]) -> Self {
        let mut chunks = Self::default();
        chunks.bytes.reserve(spans.iter().map(|span| span.details.get().len() + 128).sum());
        // Stable: the spans of a trace keep their order.
        spans.sort_by_key(|span| span.trace_id);
        for spans in spans.chunk_by(|a, b| a.trace_id == b.trace_id) {
            chunks.push(spans, None);
        }
        chunks
    }

    /// The chunk of one datagram, whose spans are of one trace.
    pub(super) fn of_document(spans: &[Arc<Span>], document: &Document) -> Self {
        let mut chunks = Self::default();
        chunks.push(spans, Some(document));
        chunks
    }

    /// A chunk without items, which marks its trace as opened.
    pub(super) fn opened(trace: TraceId) -> Self {
        let mut chunks = Self::default();
        let mut entry = Entry::empty(trace);
        entry.marks = Marks::OPENED;
        chunks.bytes.resize(HEAD, 0);
        chunks.finish(entry);
        chunks
    }

    fn push(&mut self, spans: &[Arc<Span>], document: Option<&Document>) {
        let Some(first) = spans.first() else { return };
        let mut entry = Entry::empty(first.trace_id);
        let offset = self.bytes.len();
        self.bytes.resize(offset + HEAD, 0);
        entry.offset = u32::try_from(offset).unwrap_or(u32::MAX);
        let mut root = first;
        for span in spans {
            entry.marks = entry.marks.and(Marks::of(span));
            entry.start = entry.start.min(span.start);
            entry.end = entry.end.max(span.end.unwrap_or(span.start));
            entry.items += 1;
            if (span.parent.is_some(), span.start) < (root.parent.is_some(), root.start) {
                root = span;
            }
            codec::put_span(&mut self.bytes, span);
        }
        if let Some(document) = document {
            entry.items += 1;
            codec::put_document(&mut self.bytes, document);
        }
        if root.parent.is_none() {
            entry.marks = entry.marks.and(Marks::ROOT);
        }
        entry.service = hash(root.service.as_deref().unwrap_or_default());
        entry.route = hash(&root.name);
        self.finish(entry);
    }

    /// Writes the head of the chunk that ends here.
    fn finish(&mut self, mut entry: Entry) {
        let Some(chunk) = usize::try_from(entry.offset).ok().and_then(|offset| self.bytes.get_mut(offset..)) else {
            return;
        };
        entry.length = u32::try_from(chunk.len()).unwrap_or(u32::MAX);
        if let Some(facts) = chunk.get_mut(8..HEAD) {
            facts.copy_from_slice(&entry.facts());
        }
        let sum = checksum(chunk.get(8..).unwrap_or_default());
        if let Some((magic, rest)) = chunk.split_first_chunk_mut::<4>()
            && let Some(place) = rest.first_chunk_mut::<4>()
        {
            (*magic, *place) = (MAGIC, sum.to_le_bytes());
        }
        self.entries.push(entry);
    }
}

impl Entry {
    fn empty(trace: TraceId) -> Self {
        let (start, end, marks) = (Nanos(u64::MAX), Nanos(0), Marks::default());
        Self { trace, offset: 0, length: 0, items: 0, start, end, service: 0, route: 0, marks }
    }

    pub(super) fn bytes(&self) -> u64 {
        u64::from(self.length)
    }

    fn facts(&self) -> [u8; FACTS] {
        let mut facts = [0; FACTS];
        facts[..16].copy_from_slice(&self.trace.to_bytes());
        facts[16..24].copy_from_slice(&self.start.0.to_le_bytes());
        facts[24..32].copy_from_slice(&self.end.0.to_le_bytes());
        facts[32..36].copy_from_slice(&self.length.to_le_bytes());
        facts[36..40].copy_from_slice(&self.items.to_le_bytes());
        facts[40..44].copy_from_slice(&self.service.to_le_bytes());
        facts[44..48].copy_from_slice(&self.route.to_le_bytes());
        facts[48] = self.marks.0;
        facts
    }

    fn of_facts(facts: &[u8; FACTS], offset: u32) -> Option<Self> {
        let four = |at: usize| facts.get(at..at + 4)?.try_into().ok().map(u32::from_le_bytes);
        let eight = |at: usize| facts.get(at..at + 8)?.try_into().ok().map(u64::from_le_bytes);
        Some(Self {
            trace: TraceId::from_bytes(facts.get(..16)?)?,
            start: Nanos(eight(16)?),
            end: Nanos(eight(24)?),
            length: four(32)?,
            items: four(36)?,
            service: four(40)?,
            route: four(44)?,
            marks: Marks(facts[48]),
            offset,
        })
    }

    pub(super) fn to_index(self) -> [u8; ENTRY] {
        let mut bytes = [0; ENTRY];
        bytes[..FACTS].copy_from_slice(&self.facts());
        bytes[FACTS..].copy_from_slice(&self.offset.to_le_bytes());
        bytes
    }

    pub(super) fn of_index(bytes: &[u8]) -> Option<Self> {
        let (facts, offset) = bytes.split_first_chunk::<FACTS>()?;
        Self::of_facts(facts, u32::from_le_bytes(offset.try_into().ok()?))
    }
}

/// Reads the items of a chunk, unless it is damaged or of another trace.
pub(super) fn read(trace: TraceId, chunk: &[u8], items: &mut SavedItems) -> bool {
    let Some(entry) = entry_at(chunk, 0).filter(|entry| entry.trace == trace) else { return false };
    let length = usize::try_from(entry.length).unwrap_or(usize::MAX);
    chunk.get(HEAD..length).is_some_and(|content| {
        codec::read(trace, content, items);
        true
    })
}

/// The chunks in a file's bytes, from `start` on. Damaged bytes are skipped up to the next chunk. Also returns where the last chunk ends, and how many bytes
/// before that belong to none.
pub(super) fn scan(bytes: &[u8], start: usize) -> (Vec<Entry>, usize, usize) {
    let (mut entries, mut at, mut end, mut damaged) = (Vec::new(), start, start, 0);
    while let Some(rest) = bytes.get(at..).filter(|rest| rest.len() >= HEAD) {
        if let Some(entry) = entry_at(rest, at) {
            damaged += at - end;
            at += usize::try_from(entry.length).unwrap_or(usize::MAX);
            end = at;
            entries.push(entry);
        } else {
            // The magic's first byte occurs in no ASCII text, so there are few wrong guesses.
            let next = rest.iter().skip(1).position(|byte| *byte == MAGIC[0]);
            at += 1 + next.unwrap_or(rest.len());
        }
    }
    (entries, end, damaged)
}

/// The chunk at the start of these bytes, if it is whole.
fn entry_at(bytes: &[u8], offset: usize) -> Option<Entry> {
    let rest = bytes.strip_prefix(&MAGIC)?;
    let (sum, facts) = rest.split_first_chunk::<4>()?;
    let entry = Entry::of_facts(facts.first_chunk()?, u32::try_from(offset).ok()?)?;
    let length = usize::try_from(entry.length).ok().filter(|length| *length >= HEAD)?;
    (checksum(bytes.get(8..length)?) == u32::from_le_bytes(*sum)).then_some(entry)
}

pub(super) fn checksum(bytes: &[u8]) -> u32 {
    let mut crc = Crc::new();
    crc.update(bytes);
    crc.sum()
}

/// FNV-1a: the same in every process. Only fairness depends on it.
fn hash(text: &str) -> u32 {
    text.bytes().fold(0x811c_9dc5, |hash, byte| (hash ^ u32::from(byte)).wrapping_mul(0x0100_0193))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::disk::codec::tests::{any_span, trace};

    fn chunks(spans: Vec<Span>) -> Chunks {
        Chunks::of(&mut spans.into_iter().map(Arc::new).collect::<Vec<_>>())
    }

    /// Spans of three traces.
    fn spans() -> impl Strategy<Value = Vec<Span>> {
        let span = (any_span(), 1..4_u128).prop_map(|(span, number)| Span { trace_id: trace(number), ..span });
        proptest::collection::vec(span, 1..12)
    }

    fn items(bytes: &[u8], entries: &[Entry]) -> usize {
        let chunk = |entry: &Entry| {
            let mut items = SavedItems::default();
            let offset = entry.offset as usize;
            assert!(read(entry.trace, &bytes[offset..offset + entry.length as usize], &mut items));
            items.spans.len()
        };
        entries.iter().map(chunk).sum()
    }

    proptest! {
        #[test]
        fn a_scan_finds_the_chunks_that_were_written(spans in spans()) {
            let count = spans.len();
            let Chunks { bytes, entries } = chunks(spans);
            prop_assert_eq!(scan(&bytes, 0), (entries.clone(), bytes.len(), 0));
            prop_assert_eq!(items(&bytes, &entries), count);
            for entry in entries {
                prop_assert_eq!(Entry::of_index(&entry.to_index()), Some(entry));
            }
        }

        #[test]
        fn a_damaged_chunk_costs_itself_alone(spans in spans(), at in any::<usize>(), bit in 0..8_u8) {
            let Chunks { mut bytes, entries } = chunks(spans);
            let at = at % bytes.len();
            bytes[at] ^= 1_u8 << bit;
            let (found, ..) = scan(&bytes, 0);
            let is_hit = |entry: &&Entry| (entry.offset..entry.offset + entry.length).contains(&u32::try_from(at).unwrap());
            let whole: Vec<Entry> = entries.iter().filter(|entry| !is_hit(entry)).copied().collect();
            prop_assert_eq!(found, whole);
        }

        #[test]
        fn a_torn_end_costs_the_last_chunk(spans in spans(), cut in 1..40_usize) {
            let Chunks { bytes, entries } = chunks(spans);
            let (found, end, damaged) = scan(&bytes[..bytes.len() - cut.min(HEAD - 1)], 0);
            prop_assert_eq!(&found[..], &entries[..entries.len() - 1]);
            prop_assert_eq!((end, damaged), (entries.last().unwrap().offset as usize, 0));
        }

        #[test]
        fn any_bytes_are_chunks_or_none(bytes in proptest::collection::vec(prop_oneof![any::<u8>(), Just(0xc7), Just(b'T')], 0..400)) {
            let (entries, end, _) = scan(&bytes, 0);
            prop_assert!(end <= bytes.len() && items(&bytes, &entries) == 0);
            read(trace(1), &bytes, &mut SavedItems::default());
        }
    }

    #[test]
    fn only_otlp_decides_whether_a_trace_failed_if_it_reported_any() {
        let xray = Marks::XRAY_ERROR;
        assert!(xray.has_error() && !xray.and(Marks::OTLP).has_error());
        assert!(xray.and(Marks::OTLP).and(Marks::OTLP_ERROR).has_error());
    }
}
