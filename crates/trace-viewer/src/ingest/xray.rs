//! X-Ray segment documents: the document and every subsegment nested in it become spans.

use std::sync::Arc;

use serde_json::{Map, Value};
use xray::{Cause, Document, Exception, SegmentId};

use crate::model::{Code, Event, Kind, Nanos, Source, Span, SpanId, Status, TraceId, short};

/// The fields of a document that a span has a place of its own for.
const OWN: [&str; 10] =
    ["id", "name", "trace_id", "parent_id", "type", "start_time", "end_time", "in_progress", "subsegments", "cause"];

pub(crate) fn datagram(bytes: &[u8]) -> Result<Vec<Span>, String> {
    let document = xray::datagram::parse(bytes).map_err(|error| error.to_string())?;
    let trace_id =
        document.trace_id.and_then(|id| TraceId::from_bytes(&id.to_bytes())).ok_or("its trace id is zero")?;
    let kind = if document.kind == Some(xray::Kind::Subsegment) { Kind::Subsegment } else { Kind::Segment };
    let service = (kind == Kind::Segment).then(|| short(document.name.clone()).into());
    let parent = document.parent_id;
    let mut spans = Vec::new();
    flatten(document, kind, parent, &Origin { trace_id, service }, &mut spans);
    if spans.is_empty() { Err("its id is zero".to_owned()) } else { Ok(spans) }
}

/// What every span of a datagram shares.
struct Origin {
    trace_id: TraceId,
    service: Option<Arc<str>>,
}

/// JSON bounds how deep documents nest.
fn flatten(mut document: Document, kind: Kind, parent: Option<SegmentId>, origin: &Origin, spans: &mut Vec<Span>) {
    let id = document.id;
    for subsegment in std::mem::take(&mut document.subsegments) {
        flatten(subsegment, Kind::Subsegment, Some(id), origin, spans);
    }
    let Some(span_id) = SpanId::from_bytes(&id.to_bytes()) else {
        return;
    };
    let failed = document.fault || document.error || document.throttle;
    let events = match &document.cause {
        Some(Cause::Exceptions { exceptions, .. }) => exceptions.iter().map(exception).collect(),
        Some(Cause::Reference(_)) | None => Vec::new(),
    };
    spans.push(Span {
        trace_id: origin.trace_id,
        span_id,
        parent: parent.and_then(|id| SpanId::from_bytes(&id.to_bytes())),
        service: origin.service.clone(),
        name: short(document.name.clone()),
        kind,
        start: nanos(document.start_time),
        end: document.end_time.map(nanos),
        attributes: attributes(&document),
        events,
        status: Status { code: if failed { Code::Error } else { Code::Unset }, message: None },
        source: Source::Xray,
    });
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

fn attributes(document: &Document) -> Map<String, Value> {
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

/// Seconds as a float, to the microsecond, which is as exact as such a number is in this century.
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

    use super::*;

    fn read(document: &str) -> Result<Vec<Span>, String> {
        datagram(&[xray::datagram::HEADER, document.as_bytes()].concat())
    }

    #[test]
    fn nested_subsegments_are_spans_of_the_segments_service() {
        let spans = read(
            r#"{"id":"00000000000000a1","name":"backend","trace_id":"1-5759e988-bd862e3fe1be46a994272793",
                "start_time":1700000000.25,"end_time":1700000000.5,"http":{"response":{"status":500}},"fault":true,
                "cause":{"exceptions":[{"id":"00000000000000a3","type":"E","message":"no"}]},
                "subsegments":[{"id":"00000000000000a2","name":"db","start_time":1700000000.3,"in_progress":true}]}"#,
        )
        .unwrap();
        let [db, segment] = spans.as_slice() else { panic!("{spans:?}") };
        assert_eq!((db.kind, db.parent, db.end), (Kind::Subsegment, Some(segment.span_id), None));
        assert_eq!((db.service.as_deref(), segment.duration_ms()), (Some("backend"), Some(250.0)));
        assert_eq!((segment.status.code, segment.events[0].name.as_str()), (Code::Error, "exception"));
        assert_eq!(segment.attributes["http"]["response"]["status"], 500);
        assert!(!segment.attributes.contains_key("id"));
    }

    #[test]
    fn ids_of_zero_are_refused() {
        let document = |id: &str, trace: &str| {
            read(&format!(r#"{{"id":"{id}","name":"a","trace_id":"{trace}","start_time":1,"end_time":2}}"#))
        };
        assert!(document("0000000000000000", "1-5759e988-bd862e3fe1be46a994272793").is_err());
        assert!(document("00000000000000a1", "1-00000000-000000000000000000000000").is_err());
    }

    proptest! {
        #[test]
        fn any_bytes_are_spans_or_an_error(bytes in proptest::collection::vec(any::<u8>(), 0..400)) {
            let _ = datagram(&bytes);
            let _ = datagram(&[xray::datagram::HEADER, &bytes].concat());
        }

        #[test]
        fn any_time_is_a_time(seconds in proptest::num::f64::ANY) {
            let _ = nanos(seconds);
        }
    }
}
