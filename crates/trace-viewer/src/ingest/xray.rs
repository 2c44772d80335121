//! X-Ray segment documents: each is kept as it was sent. The document and every subsegment nested in it become spans.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use xray::{Cause, Exception, SegmentId};

use crate::model::{Code, Document, Event, Kind, Link, Nanos, Place, Source, Span, SpanId, Status, TraceId, short};

/// The deepest nesting of subsegments. Ours are at most 24 deep.
const DEPTH: usize = 100;

/// The fields of a document that a span has separate fields for.
const OWN: [&str; 10] =
    ["id", "name", "trace_id", "parent_id", "type", "start_time", "end_time", "in_progress", "subsegments", "cause"];

/// The content of one datagram: its document and the spans in it, with the document's span last.
#[derive(Debug)]
pub(crate) struct Sent {
    pub(crate) document: Document,
    pub(crate) spans: Vec<Span>,
    /// Fields and subsegments that could not be read.
    pub(crate) left_out: usize,
}

/// Reads a datagram that arrived at `received`.
pub(crate) fn datagram(bytes: &[u8], received: Nanos) -> Result<Sent, String> {
    let document = xray::datagram::document(bytes).map_err(|error| error.to_string())?;
    let text = text(document).ok_or("its document is not JSON")?;
    let level = Level::read(text)?;
    let parsed = &level.document;
    let trace_id = parsed.trace_id.and_then(|id| TraceId::from_bytes(&id.to_bytes())).ok_or("it has no trace id")?;
    let id = span_id(parsed.id).ok_or("its id is zero")?;
    if level.left_out == 0 {
        parsed.check().map_err(|error| error.to_string())?;
    }
    let kind = if parsed.kind == Some(xray::Kind::Subsegment) { Kind::Subsegment } else { Kind::Segment };
    let mut document = Document {
        trace_id,
        id,
        parent: parsed.parent_id.and_then(span_id),
        name: short(parsed.name.clone()),
        kind,
        start: nanos(parsed.start_time),
        in_progress: parsed.in_progress,
        received,
        subsegments: 0,
        text: text.to_owned(),
    };
    let service = (kind == Kind::Segment).then(|| document.name.as_str().into());
    let mut tree = Tree { trace_id, service, document: id, spans: Vec::new(), left_out: 0 };
    let parent = level.document.parent_id;
    document.subsegments = tree.flatten(level, text, kind, parent, 0);
    let Tree { spans, left_out, .. } = tree;
    Ok(Sent { document, spans, left_out })
}

/// The document without the white space around it: senders pad their datagrams.
fn text(document: &[u8]) -> Option<&RawValue> {
    serde_json::from_slice(document).ok()
}

fn span_id(id: SegmentId) -> Option<SpanId> {
    SpanId::from_bytes(&id.to_bytes())
}

/// A segment or subsegment, and the texts of the subsegments directly within it.
struct Level<'a> {
    document: xray::Document,
    nested: Vec<&'a RawValue>,
    left_out: usize,
}

impl<'a> Level<'a> {
    fn read(text: &'a RawValue) -> Result<Self, String> {
        let mut fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(text.get()).map_err(|_| "its document is not an object")?;
        let nested: Option<Vec<&RawValue>> = match fields.remove("subsegments") {
            None => Some(Vec::new()),
            Some(nested) => serde_json::from_str::<Option<_>>(nested.get()).ok().map(Option::unwrap_or_default),
        };
        let value = |(key, text): (String, &RawValue)| Some((key, serde_json::from_str(text.get()).ok()?));
        let count = fields.len();
        let fields: Map<String, Value> = fields.into_iter().filter_map(value).collect();
        let unreadable = count - fields.len() + usize::from(nested.is_none());
        let (document, left_out) = xray::lenient::document(fields).map_err(|error| error.to_string())?;
        Ok(Self { document, nested: nested.unwrap_or_default(), left_out: left_out + unreadable })
    }
}

/// The values that all spans of a datagram share, and the spans.
struct Tree {
    trace_id: TraceId,
    service: Option<Arc<str>>,
    document: SpanId,
    spans: Vec<Span>,
    left_out: usize,
}

impl Tree {
    /// Returns how many subsegments were read, at any depth.
    fn flatten(
        &mut self,
        level: Level<'_>,
        text: &RawValue,
        kind: Kind,
        parent: Option<SegmentId>,
        depth: usize,
    ) -> usize {
        let Level { document, nested, left_out } = level;
        self.left_out += left_out;
        let mut count = 0;
        for text in nested {
            match Level::read(text) {
                Ok(level) if depth < DEPTH => {
                    count += 1 + self.flatten(level, text, Kind::Subsegment, Some(document.id), depth + 1);
                }
                _ => self.left_out += 1,
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
        let events = match &document.cause {
            Some(Cause::Exceptions { exceptions, .. }) => exceptions.iter().map(exception).collect(),
            Some(Cause::Reference(_)) | None => Vec::new(),
        };
        self.spans.push(Span {
            trace_id: self.trace_id,
            span_id,
            parent: parent.and_then(self::span_id),
            service: self.service.clone(),
            name: short(document.name.clone()),
            kind,
            start: nanos(document.start_time),
            end: document.end_time.map(nanos),
            attributes,
            events,
            links,
            status: Status { code: if failed { Code::Error } else { Code::Unset }, message: None },
            source: Source::Xray,
            document: Some(Place { id: self.document, bytes }),
        });
    }
}

fn exception(exception: &Exception) -> Event {
    let mut attributes = exception.other.clone();
    for (key, value) in [("exception.type", &exception.kind), ("exception.message", &exception.message)] {
        if let Some(value) = value {
            attributes.insert(key.to_owned(), Value::String(value.clone()));
        }
    }
    Event { name: "exception".to_owned(), time: None, attributes }
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
fn links(fields: &mut Map<String, Value>) -> Vec<Link> {
    let told: Option<Vec<Linked>> = fields.get("links").and_then(|links| Vec::deserialize(links).ok());
    let links: Option<Vec<Link>> = told.unwrap_or_default().into_iter().map(Linked::link).collect();
    if links.as_ref().is_some_and(|links| !links.is_empty()) {
        fields.remove("links");
    }
    links.unwrap_or_default()
}

/// A link in a document's format.
#[derive(Deserialize)]
struct Linked {
    trace_id: xray::TraceId,
    id: SegmentId,
    #[serde(default)]
    attributes: Map<String, Value>,
}

impl Linked {
    fn link(self) -> Option<Link> {
        let trace_id = TraceId::from_bytes(&self.trace_id.to_bytes())?;
        Some(Link { trace_id, span_id: span_id(self.id)?, attributes: self.attributes })
    }
}

/// Converts seconds as a float, to the microsecond. Such a number is no more exact than that in this century.
#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` saturates, and a time before 1970 is 0"
)]
fn nanos(seconds: f64) -> Nanos {
    Nanos(((seconds * 1e6).round() as u64).saturating_mul(1_000))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    const SEGMENT: &str = r#"{"id":"00000000000000a1", "name":"backend","trace_id":"1-5759e988-bd862e3fe1be46a994272793",
        "start_time":1700000000.250000,"end_time":1700000000.5,"http":{"response":{"status":500}},"fault":true,
        "cause":{"exceptions":[{"id":"00000000000000a3","type":"E","message":"no"}]},
        "subsegments":[{"id":"00000000000000a2","name":"db","start_time":1700000000.3,"in_progress":true}]}"#;

    fn sent(document: &str) -> Result<Sent, String> {
        datagram(&[xray::datagram::HEADER, document.as_bytes()].concat(), Nanos(7))
    }

    fn read(document: &str) -> Result<(Document, Vec<Span>), String> {
        sent(document).map(|sent| (sent.document, sent.spans))
    }

    #[test]
    fn what_cannot_be_read_costs_itself_and_is_counted() {
        let of = |text: &str| {
            let sent = sent(text).unwrap();
            (sent.spans, sent.left_out)
        };
        let (spans, left_out) = of(&SEGMENT.replace("\"status\":500", "\"status\":\"500\""));
        assert_eq!((spans.len(), left_out), (2, 1));
        assert!(spans[1].attributes["http"]["response"].get("status").is_none());
        let (spans, left_out) = of(&SEGMENT.replace("\"id\":\"00000000000000a3\",", ""));
        assert_eq!((spans[1].events.len(), left_out), (1, 0), "an exception needs no id");
        let (spans, left_out) = of(&SEGMENT.replace("\"id\":\"00000000000000a2\",", ""));
        assert_eq!((spans.len(), left_out), (1, 1), "a subsegment without an id");
        let (spans, left_out) = of(&SEGMENT.replace("\"name\":\"db\"", "\"name\":\"db\",\"sql\":5,\"subsegments\":{}"));
        assert_eq!((spans.len(), left_out), (2, 2), "fields of a subsegment");
        let (spans, left_out) = of(&SEGMENT.replace("\"start_time\":1700000000.3", "\"start_time\":1e999"));
        assert_eq!((spans.len(), left_out), (1, 1), "a number that no machine has");
        assert!(sent(&SEGMENT.replace("\"name\":\"backend\"", "\"name\":5")).is_err());
    }

    #[test]
    fn nested_subsegments_are_spans_of_the_segments_service() {
        let (_, spans) = read(SEGMENT).unwrap();
        let [db, segment] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((db.kind, db.parent, db.end), (Kind::Subsegment, Some(segment.span_id), None));
        assert_eq!((db.service.as_deref(), segment.duration_ms()), (Some("backend"), Some(250.0)));
        assert_eq!((segment.status.code, segment.events[0].name.as_str()), (Code::Error, "exception"));
        assert_eq!(segment.attributes["http"]["response"]["status"], 500);
        assert!(!segment.attributes.contains_key("id"));
    }

    #[test]
    fn a_document_is_kept_as_sent_without_the_padding_around_it() {
        let (document, spans) = read(&format!("\n {SEGMENT}   ")).unwrap();
        assert_eq!(document.text.get(), SEGMENT);
        assert_eq!((document.kind, document.subsegments, document.in_progress), (Kind::Segment, 1, false));
        assert_eq!((document.name.as_str(), document.received), ("backend", Nanos(7)));
        let nested = r#"{"id":"00000000000000a2","name":"db","start_time":1700000000.3,"in_progress":true}"#;
        let places: Vec<_> = spans.iter().map(|span| span.document.unwrap()).collect();
        let place = |text: &str| Place { id: document.id, bytes: text.len() };
        assert_eq!(places, [place(nested), place(SEGMENT)]);
    }

    #[test]
    fn links_are_told_as_such_and_what_is_none_stays_a_field() {
        let linked = |links: &str| {
            let (_, mut spans) =
                read(&SEGMENT.replacen("\"http\"", &format!("\"links\":{links},\"http\""), 1)).unwrap();
            let segment = spans.pop().unwrap();
            (segment.links, segment.attributes.contains_key("links"))
        };
        let (trace, id) = ("1-5759e988-bd862e3fe1be46a994272794", "00000000000000b1");
        let (links, kept) = linked(&format!(r#"[{{"trace_id":"{trace}","id":"{id}","attributes":{{"n":1}}}}]"#));
        let [link] = links.as_slice() else { panic!("{links:?}") };
        assert_eq!(link.trace_id.to_string(), "5759e988bd862e3fe1be46a994272794");
        assert_eq!((link.span_id.to_string().as_str(), &link.attributes["n"], kept), (id, &json!(1), false));
        for odd in
            [format!(r#"[{{"trace_id":"{trace}","id":"0000000000000000"}}]"#), r#"[{"id":"x"}]"#.into(), "7".into()]
        {
            assert_eq!(linked(&odd), (Vec::new(), true), "{odd}");
        }
    }

    #[test]
    fn ids_of_zero_are_refused() {
        let document = |id: &str, trace: &str| {
            read(&format!(r#"{{"id":"{id}","name":"a","trace_id":"{trace}","start_time":1,"end_time":2}}"#))
        };
        assert!(document("0000000000000000", "1-5759e988-bd862e3fe1be46a994272793").is_err());
        assert!(document("00000000000000a1", "1-00000000-000000000000000000000000").is_err());
    }

    /// Each id and the length of its text, children first.
    fn sizes(tree: &Value) -> Vec<(String, usize)> {
        let nested = tree["subsegments"].as_array().into_iter().flatten().flat_map(sizes);
        nested.chain([(tree["id"].as_str().unwrap().to_owned(), tree.to_string().len())]).collect()
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = datagram(&bytes, Nanos(0));
            let _ = datagram(&[xray::datagram::HEADER, &bytes].concat(), Nanos(0));
        }

        #[test]
        fn any_tree_of_subsegments_is_as_many_spans(counts in proptest::collection::vec(0_usize..4, 0..5)) {
            // Each number is how many subsegments the last one of the level above has.
            let mut ids = 0;
            let mut leaf = || {
                ids += 1;
                json!({"id": format!("{ids:016x}"), "name": "a }] \" b", "start_time": 1, "end_time": 2})
            };
            let mut tree = leaf();
            for count in &counts {
                let mut above = leaf();
                let children: Vec<_> = (1..*count).map(|_| leaf()).chain((*count > 0).then_some(tree)).collect();
                above["subsegments"] = children.into();
                tree = above;
            }
            tree["trace_id"] = "1-5759e988-bd862e3fe1be46a994272793".into();
            let (document, spans) = read(&tree.to_string()).unwrap();
            prop_assert_eq!(document.subsegments + 1, spans.len());
            let told = spans.iter().map(|span| (span.span_id.to_string(), span.document.unwrap().bytes));
            prop_assert_eq!(told.collect::<Vec<_>>(), sizes(&tree));
        }

        #[test]
        fn any_time_is_a_time(seconds in proptest::num::f64::ANY) {
            let _ = nanos(seconds);
        }
    }
}
