//! X-Ray segment documents: each is kept as it was sent. The document and every subsegment nested in it become spans.

mod level;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xray::{Cause, Exception, SegmentId};

use self::level::Level;
use crate::model::{
    Code, Details, Document, DocumentPart, Event, Kind, Link, Nanos, Source, Span, SpanId, Status, TraceId, short,
};

/// The deepest nesting of subsegments. Ours are at most 24 deep.
const DEPTH: usize = 100;

/// The fields of a document that a span has separate fields for.
const OWN: [&str; 10] =
    ["id", "name", "trace_id", "parent_id", "type", "start_time", "end_time", "in_progress", "subsegments", "cause"];

/// The content of one datagram: its document and the spans in it, with the document's span last.
#[derive(Debug)]
pub(crate) struct ReadDatagram {
    pub(crate) document: Document,
    pub(crate) spans: Vec<Span>,
    /// Fields and subsegments that could not be read.
    pub(crate) skipped: usize,
}

/// Reads a datagram that arrived at `received`.
pub(crate) fn datagram(bytes: &[u8], received: Nanos) -> Result<ReadDatagram, String> {
    let document = xray::datagram::document(bytes).map_err(|error| error.to_string())?;
    let text = text(document).ok_or("the document is not JSON")?;
    let level = Level::read(text)?;
    let parsed = &level.document;
    let trace_id =
        parsed.trace_id.and_then(|id| TraceId::from_bytes(&id.to_bytes())).ok_or("the document has no trace id")?;
    let id = span_id(parsed.id).ok_or("the document's id is zero")?;
    if level.skipped == 0 {
        parsed.check().map_err(|error| error.to_string())?;
    }
    let kind = if parsed.kind == Some(xray::Kind::Subsegment) { Kind::Subsegment } else { Kind::Segment };
    let mut document = Document {
        trace_id,
        id,
        parent: parsed.parent_id.and_then(span_id),
        name: short(&parsed.name).into(),
        kind,
        start: nanos(parsed.start_time),
        in_progress: parsed.in_progress,
        received,
        subsegments: 0,
        text: text.to_owned(),
    };
    let service = (kind == Kind::Segment).then(|| document.name.as_str().into());
    let mut tree = SpanTree { trace_id, service, document: id, spans: Vec::new(), skipped: 0 };
    let parent = level.document.parent_id;
    document.subsegments = tree.flatten(level, text, kind, parent, 0);
    let SpanTree { spans, skipped, .. } = tree;
    Ok(ReadDatagram { document, spans, skipped })
}

/// The document without the white space around it: senders pad their datagrams.
fn text(document: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(document).ok()
}

fn span_id(id: SegmentId) -> Option<SpanId> {
    SpanId::from_bytes(&id.to_bytes())
}

/// The values that all spans of a datagram share, and the spans.
struct SpanTree {
    trace_id: TraceId,
    service: Option<Arc<str>>,
    document: SpanId,
    spans: Vec<Span>,
    skipped: usize,
}

impl SpanTree {
    /// Returns how many subsegments were read, at any depth.
    fn flatten(
        &mut self,
        level: Level<'_>,
        text: &RawValue,
        kind: Kind,
        parent: Option<SegmentId>,
        depth: usize,
    ) -> usize {
        let Level { document, nested, skipped } = level;
        self.skipped += skipped;
        let mut count = 0;
        for text in nested {
            match Level::read(text) {
                Ok(level) if depth < DEPTH => {
                    count += 1 + self.flatten(level, text, Kind::Subsegment, Some(document.id), depth + 1);
                }
                _ => self.skipped += 1,
            }
        }
        self.push(&document, text.get().len(), kind, parent);
        count
    }

    fn push(&mut self, document: &xray::Document, bytes: usize, kind: Kind, parent: Option<SegmentId>) {
        let Some(span_id) = span_id(document.id) else {
            return;
        };
        let mut attributes = attributes(document);
        let links = links(&mut attributes);
        let failed = document.fault || document.error || document.throttle;
        let outcome = if failed { Code::Error } else { Code::Unset };
        let database =
            attributes.get("sql").and_then(|sql| sql.get("database_type")?.as_str().map(|name| short(name).into()));
        let events = match &document.cause {
            Some(Cause::Exceptions { exceptions, .. }) => exceptions.iter().map(exception).collect(),
            Some(Cause::Reference(_)) | None => Vec::new(),
        };
        self.spans.push(Span {
            trace_id: self.trace_id,
            span_id,
            parent: parent.and_then(self::span_id),
            service: self.service.clone(),
            name: short(&document.name).into(),
            kind,
            start: nanos(document.start_time),
            end: document.end_time.map(nanos),
            outcome,
            database,
            is_browser: false,
            source: Source::Xray,
            document: Some(DocumentPart { id: self.document, bytes }),
            details: Details { attributes, events, links, status: Status { code: outcome, message: None } }.to_json(),
        });
    }
}

fn exception(exception: &Exception) -> Event<'static, Map<String, Value>> {
    let mut attributes = exception.other.clone();
    for (key, value) in [("exception.type", &exception.kind), ("exception.message", &exception.message)] {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), Value::String(value.clone()));
        }
    }
    Event { name: "exception".into(), time: None, attributes }
}

fn attributes(document: &xray::Document) -> Map<String, Value> {
    match serde_json::to_value(document) {
        Ok(Value::Object(mut fields)) => {
            for field in OWN {
                fields.remove(field);
            }
            fields
        }
        _ => Map::new(),
    }
}

/// Takes the links out of a document's fields, unless one of them is invalid.
fn links(fields: &mut Map<String, Value>) -> Vec<Link<Map<String, Value>>> {
    let parsed: Option<Vec<DocumentLink>> = fields.get("links").and_then(|links| Vec::deserialize(links).ok());
    let links: Option<Vec<Link<_>>> = parsed.unwrap_or_default().into_iter().map(DocumentLink::link).collect();
    if links.as_ref().is_some_and(|links| !links.is_empty()) {
        fields.remove("links");
    }
    links.unwrap_or_default()
}

/// A link in a document's format.
#[derive(Deserialize)]
struct DocumentLink {
    trace_id: xray::TraceId,
    id: SegmentId,
    #[serde(default)]
    attributes: Map<String, Value>,
}

impl DocumentLink {
    fn link(self) -> Option<Link<Map<String, Value>>> {
        let trace_id = TraceId::from_bytes(&self.trace_id.to_bytes())?;
        Some(Link { trace_id, span_id: span_id(self.id)?, attributes: self.attributes })
    }
}

/// Converts seconds to nanoseconds, rounded to microseconds: for times of this century, a double is no more precise.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a time before 1970 is 0"
)]
fn nanos(seconds: f64) -> Nanos {
    Nanos(((seconds * 1e6).round() as u64).saturating_mul(1_000))
}
