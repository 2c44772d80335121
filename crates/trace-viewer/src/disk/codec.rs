//! The items of a chunk as bytes: spans and X-Ray documents. Each item has a tag and a length, so a reader skips items of a kind that it does not know. Reading
//! is total: any bytes are items or nothing. Knows no files.
//!
//! An item is its tag (one byte), the length of its content (four bytes) and the content. Numbers are little-endian; ids are as on the wire. A text is its
//! length (four bytes) and its UTF-8.

use std::sync::Arc;

use serde_json::value::RawValue;

use crate::model::{Code, Document, DocumentPart, Kind, Nanos, Source, Span, SpanId, TraceId, short};

/// The kinds of items.
const SPAN: u8 = 1;
const DOCUMENT: u8 = 2;

/// Which optional fields of a span or document are present.
const HAS_PARENT: u8 = 1;
const HAS_END: u8 = 2;
const HAS_SERVICE: u8 = 4;
const HAS_DATABASE: u8 = 8;
const HAS_DOCUMENT: u8 = 16;
const IS_BROWSER: u8 = 32;
const IN_PROGRESS: u8 = 64;

const KINDS: [Kind; 7] =
    [Kind::Internal, Kind::Server, Kind::Client, Kind::Producer, Kind::Consumer, Kind::Segment, Kind::Subsegment];
const CODES: [Code; 3] = [Code::Unset, Code::Ok, Code::Error];
const SOURCES: [Source; 2] = [Source::Otlp, Source::Xray];

/// The items of one trace.
#[derive(Default)]
pub(crate) struct SavedItems {
    pub(crate) spans: Vec<Span>,
    pub(crate) documents: Vec<Document>,
    /// Whether a client has opened the trace.
    pub(crate) is_opened: bool,
}

/// Appends a span. The chunk has its trace's id.
pub(super) fn put_span(out: &mut Vec<u8>, span: &Span) {
    // Without `..`: a new field must be written too.
    let Span {
        trace_id: _,
        span_id,
        parent,
        service,
        name,
        kind,
        start,
        end,
        outcome,
        database,
        is_browser,
        source,
        document,
        details,
    } = span;
    put_item(out, SPAN, |out| {
        let flags = flag(parent.is_some(), HAS_PARENT)
            | flag(end.is_some(), HAS_END)
            | flag(service.is_some(), HAS_SERVICE)
            | flag(database.is_some(), HAS_DATABASE)
            | flag(document.is_some(), HAS_DOCUMENT)
            | flag(*is_browser, IS_BROWSER);
        out.extend_from_slice(&[flags, code(&KINDS, *kind), code(&CODES, *outcome), code(&SOURCES, *source)]);
        out.extend_from_slice(&span_id.to_bytes());
        put_nanos(out, *start);
        if let Some(parent) = parent {
            out.extend_from_slice(&parent.to_bytes());
        }
        if let Some(end) = end {
            put_nanos(out, *end);
        }
        if let Some(DocumentPart { id, bytes }) = document {
            out.extend_from_slice(&id.to_bytes());
            put_length(out, *bytes);
        }
        for text in [service, database].into_iter().flatten() {
            put_text(out, text);
        }
        put_text(out, name);
        put_text(out, details.get());
    });
}

/// Appends a document.
pub(super) fn put_document(out: &mut Vec<u8>, document: &Document) {
    let Document { trace_id: _, id, parent, name, kind, start, in_progress, received, subsegments, text } = document;
    put_item(out, DOCUMENT, |out| {
        let flags = flag(parent.is_some(), HAS_PARENT) | flag(*in_progress, IN_PROGRESS);
        out.extend_from_slice(&[flags, code(&KINDS, *kind)]);
        out.extend_from_slice(&id.to_bytes());
        put_nanos(out, *start);
        put_nanos(out, *received);
        if let Some(parent) = parent {
            out.extend_from_slice(&parent.to_bytes());
        }
        put_length(out, *subsegments);
        put_text(out, name);
        put_text(out, text.get());
    });
}

/// Reads all items of a chunk of this trace. An item that is invalid costs itself; one whose length is wrong also those behind it.
pub(super) fn read(trace: TraceId, bytes: &[u8], items: &mut SavedItems) {
    let mut reader = Reader(bytes);
    let mut service: Option<Arc<str>> = None;
    while let Some((tag, content)) = reader.item() {
        match tag {
            SPAN => items.spans.extend(read_span(trace, Reader(content), &mut service)),
            DOCUMENT => items.documents.extend(read_document(trace, Reader(content))),
            _ => {}
        }
    }
}

/// Consecutive spans mostly share their service.
fn read_span(trace_id: TraceId, mut from: Reader<'_>, last: &mut Option<Arc<str>>) -> Option<Span> {
    let [flags, kind, outcome, source] = from.array()?;
    let has = |bit| flags & bit != 0;
    let span_id = SpanId::from_bytes(from.take(8)?)?;
    let start = from.nanos()?;
    let parent = if has(HAS_PARENT) { Some(SpanId::from_bytes(from.take(8)?)?) } else { None };
    let end = if has(HAS_END) { Some(from.nanos()?) } else { None };
    let document = match has(HAS_DOCUMENT) {
        true => Some(DocumentPart { id: SpanId::from_bytes(from.take(8)?)?, bytes: from.length()? }),
        false => None,
    };
    let service = match has(HAS_SERVICE) {
        true => {
            let name = from.name()?;
            match last {
                Some(last) if **last == *name => Some(Arc::clone(last)),
                _ => {
                    *last = Some(name.into());
                    last.clone()
                }
            }
        }
        false => None,
    };
    let database = if has(HAS_DATABASE) { Some(from.name()?.into()) } else { None };
    Some(Span {
        trace_id,
        span_id,
        parent,
        service,
        name: from.name()?.into(),
        kind: *KINDS.get(usize::from(kind))?,
        start,
        end,
        outcome: *CODES.get(usize::from(outcome))?,
        database,
        is_browser: has(IS_BROWSER),
        source: *SOURCES.get(usize::from(source))?,
        document,
        details: from.json()?,
    })
}

fn read_document(trace_id: TraceId, mut from: Reader<'_>) -> Option<Document> {
    let [flags, kind] = from.array()?;
    let has = |bit| flags & bit != 0;
    let id = SpanId::from_bytes(from.take(8)?)?;
    let (start, received) = (from.nanos()?, from.nanos()?);
    Some(Document {
        trace_id,
        id,
        parent: if has(HAS_PARENT) { Some(SpanId::from_bytes(from.take(8)?)?) } else { None },
        subsegments: from.length()?,
        name: from.name()?.to_owned(),
        kind: *KINDS.get(usize::from(kind))?,
        start,
        in_progress: has(IN_PROGRESS),
        received,
        text: from.json()?,
    })
}

fn flag(is_set: bool, bit: u8) -> u8 {
    if is_set { bit } else { 0 }
}

/// The place of a value in its table.
fn code<T: PartialEq + Copy>(table: &[T], value: T) -> u8 {
    table.iter().position(|known| *known == value).and_then(|at| u8::try_from(at).ok()).unwrap_or(u8::MAX)
}

fn put_item(out: &mut Vec<u8>, tag: u8, put: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(&[tag, 0, 0, 0, 0]);
    let start = out.len();
    put(out);
    let length = u32::try_from(out.len() - start).unwrap_or(u32::MAX).to_le_bytes();
    if let Some(place) = out.get_mut(start - 4..start) {
        place.copy_from_slice(&length);
    }
}

fn put_nanos(out: &mut Vec<u8>, nanos: Nanos) {
    out.extend_from_slice(&nanos.0.to_le_bytes());
}

fn put_length(out: &mut Vec<u8>, length: usize) {
    // Bodies and documents have less than 4 GiB.
    out.extend_from_slice(&u32::try_from(length).unwrap_or(u32::MAX).to_le_bytes());
}

fn put_text(out: &mut Vec<u8>, text: &str) {
    put_length(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// The bytes that are still to be read.
struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.0.split_at_checked(length)?;
        self.0 = rest;
        Some(taken)
    }

    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        self.take(N)?.try_into().ok()
    }

    fn item(&mut self) -> Option<(u8, &'a [u8])> {
        let [tag] = self.array()?;
        let length = self.length()?;
        Some((tag, self.take(length)?))
    }

    fn length(&mut self) -> Option<usize> {
        usize::try_from(u32::from_le_bytes(self.array()?)).ok()
    }

    fn nanos(&mut self) -> Option<Nanos> {
        self.array().map(u64::from_le_bytes).map(Nanos)
    }

    fn text(&mut self) -> Option<&'a str> {
        let length = self.length()?;
        std::str::from_utf8(self.take(length)?).ok()
    }

    fn name(&mut self) -> Option<&'a str> {
        self.text().map(short)
    }

    /// A JSON object.
    fn json(&mut self) -> Option<Box<RawValue>> {
        let text = self.text()?;
        text.starts_with('{').then(|| RawValue::from_string(text.to_owned()).ok())?
    }
}

#[cfg(test)]
pub(super) mod tests {
    use proptest::prelude::*;

    use super::*;

    fn id() -> impl Strategy<Value = SpanId> {
        (1..=u64::MAX).prop_map(|id| SpanId::from_bytes(&id.to_be_bytes()).unwrap())
    }

    pub(in crate::disk) fn trace(number: u128) -> TraceId {
        TraceId::from_bytes(&number.to_be_bytes()).unwrap()
    }

    fn json() -> impl Strategy<Value = Box<RawValue>> {
        ".{0,40}".prop_map(|text| serde_json::value::to_raw_value(&serde_json::json!({"text": text})).unwrap())
    }

    prop_compose! {
        pub(in crate::disk) fn any_span()(
            span_id in id(), parent in proptest::option::of(id()), service in proptest::option::of("[a-zé]{0,9}"),
            name in ".{0,30}", (kind, outcome, source) in (0..7_usize, 0..3_usize, 0..2_usize), start in any::<u64>(),
            end in proptest::option::of(any::<u64>()), database in proptest::option::of("[a-z]{0,9}"),
            is_browser in any::<bool>(), part in proptest::option::of((id(), 0..70_000_usize)), details in json(),
        ) -> Span {
            Span {
                trace_id: trace(7), span_id, parent, service: service.map(Into::into), name: name.into(), kind: KINDS[kind],
                start: Nanos(start), end: end.map(Nanos), outcome: CODES[outcome], database: database.map(Into::into), is_browser,
                source: SOURCES[source], document: part.map(|(id, bytes)| DocumentPart { id, bytes }), details,
            }
        }
    }

    prop_compose! {
        fn any_document()(
            id in id(), parent in proptest::option::of(id()), name in ".{0,30}", kind in 5..7_usize, start in any::<u64>(),
            received in any::<u64>(), in_progress in any::<bool>(), subsegments in 0..1_000_usize, text in json(),
        ) -> Document {
            Document {
                trace_id: trace(7), id, parent, name, kind: KINDS[kind], start: Nanos(start), in_progress,
                received: Nanos(received), subsegments, text,
            }
        }
    }

    fn all_of(bytes: &[u8]) -> SavedItems {
        let mut items = SavedItems::default();
        read(trace(7), bytes, &mut items);
        items
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(
            spans in proptest::collection::vec(any_span(), 0..6), documents in proptest::collection::vec(any_document(), 0..3)
        ) {
            let mut bytes = Vec::new();
            spans.iter().for_each(|span| put_span(&mut bytes, span));
            documents.iter().for_each(|document| put_document(&mut bytes, document));
            let read = all_of(&bytes);
            prop_assert_eq!(format!("{:?}", read.spans), format!("{:?}", spans));
            prop_assert_eq!(format!("{:?}", read.documents), format!("{:?}", documents));
        }

        #[test]
        fn any_bytes_are_items_or_nothing(bytes in proptest::collection::vec(any::<u8>(), 0..300), span in any_span(), at in 0..300_usize) {
            all_of(&bytes);
            let mut damaged = Vec::new();
            put_span(&mut damaged, &span);
            let at = at % damaged.len();
            damaged[at] ^= 0x41;
            all_of(&damaged);
            all_of(&damaged[..at]);
        }

        #[test]
        fn an_item_of_an_unknown_kind_is_skipped(tag in 3..=u8::MAX, content in proptest::collection::vec(any::<u8>(), 0..40), span in any_span()) {
            let mut bytes = Vec::new();
            put_item(&mut bytes, tag, |out| out.extend_from_slice(&content));
            put_span(&mut bytes, &span);
            prop_assert_eq!(all_of(&bytes).spans.len(), 1);
        }
    }
}
