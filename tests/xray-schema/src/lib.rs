//! Whether AWS X-Ray accepts a document: by `document.json`, a JSON schema of the fields, and by the requirements that span a whole
//! document. For tests alone: a fault is a text. Does no I/O, and depends on no crate of ours.

#![expect(
    clippy::unwrap_used,
    reason = "for tests alone: the schema is a constant, and a fault of it is a failed test"
)]

use std::collections::BTreeSet;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::{Map, Value};

/// AWS's limit is 64 kB, and a datagram's 65,507 bytes.
const MOST_BYTES: usize = 63_000;
const MOST_ANNOTATIONS: usize = 50;

struct Schema {
    schemas: Schemas,
    segment: SchemaIndex,
    subsegment: SchemaIndex,
}

/// Parses a document as it is sent: a segment, or a subsegment alone.
///
/// # Panics
/// The document is not valid.
pub fn document(bytes: &[u8]) -> Value {
    match read(bytes) {
        Ok(document) => document,
        Err(faults) => panic!("invalid X-Ray document: {faults}\n{}", String::from_utf8_lossy(bytes)),
    }
}

/// Parses a document as it is sent: a segment, or a subsegment alone.
///
/// # Errors
/// The document is not valid; the text has every fault.
pub fn read(bytes: &[u8]) -> Result<Value, String> {
    let document: Value = serde_json::from_slice(bytes).map_err(|error| error.to_string())?;
    let mut faults = Vec::new();
    let alone = document["type"] == "subsegment";
    let schema = schema();
    let index = if alone { schema.subsegment } else { schema.segment };
    if let Err(error) = schema.schemas.validate(&document, index) {
        faults.push(format!("{error:#}"));
    }
    if bytes.len() > MOST_BYTES {
        faults.push(format!("{} bytes", bytes.len()));
    }
    // The daemon matches X-Ray's rejections to documents by the first id.
    let first = first_id(bytes);
    if first.as_deref() != document["id"].as_str() {
        faults.push(format!("the first \"id\":\" is {first:?}"));
    }
    if alone && !(document["trace_id"].is_string() && document["parent_id"].is_string()) {
        faults.push("a subsegment alone, without trace_id or parent_id".to_owned());
    }
    let mut seen = Seen::default();
    seen.look(&document, &mut faults);
    if seen.annotations > MOST_ANNOTATIONS {
        faults.push(format!("{} annotations", seen.annotations));
    }
    if faults.is_empty() { Ok(document) } else { Err(faults.join("; ")) }
}

/// Facts that are checked across a whole document.
#[derive(Default)]
struct Seen {
    ids: BTreeSet<String>,
    annotations: usize,
}

impl Seen {
    fn look(&mut self, document: &Value, faults: &mut Vec<String>) {
        self.id(&document["id"], faults);
        let times = (document["start_time"].as_f64(), document["end_time"].as_f64());
        match (times, document["in_progress"].as_bool()) {
            ((Some(start), Some(end)), None | Some(false)) if end >= start => {}
            ((Some(_), None), Some(true)) => {}
            _ => faults.push(format!("times {times:?}, in_progress {}", document["in_progress"])),
        }
        if document["throttle"] == true && document["error"] != true {
            faults.push("throttle without error".to_owned());
        }
        let fields = document.as_object().into_iter().flatten();
        faults.extend(fields.filter(|(_, value)| value.is_null()).map(|(name, _)| format!("{name} is null")));
        self.annotations += document["annotations"].as_object().map_or(0, Map::len);
        for exception in document["cause"]["exceptions"].as_array().into_iter().flatten() {
            self.id(&exception["id"], faults);
        }
        for child in document["subsegments"].as_array().into_iter().flatten() {
            self.look(child, faults);
        }
    }

    /// Each id of a document is unique, and not zero; the schema has its form.
    fn id(&mut self, id: &Value, faults: &mut Vec<String>) {
        let id = id.as_str().unwrap_or_default();
        if id.bytes().all(|byte| byte == b'0') {
            faults.push(format!("id {id:?}"));
        } else if !self.ids.insert(id.to_owned()) {
            faults.push(format!("id {id} twice"));
        }
    }
}

/// The first id in the text, as the daemon finds it.
fn first_id(bytes: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(bytes);
    let (_, rest) = text.split_once("\"id\":\"")?;
    rest.split('"').next().map(str::to_owned)
}

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let file = serde_json::from_str(include_str!("document.json")).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("https://xray/schema.json", file).unwrap();
        let mut of = |at: &str| compiler.compile(&format!("https://xray/schema.json{at}"), &mut schemas).unwrap();
        let (segment, subsegment) = (of("#/$defs/segment"), of("#/$defs/subsegment"));
        Schema { schemas, segment, subsegment }
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// A validator that accepts everything would prove nothing.
    #[test]
    fn an_invalid_document_is_refused() {
        let valid = json!({"id": "70de5b6f19ff9a0a", "name": "backend", "trace_id": "1-581cf771-a006649127e371903a2de979",
            "start_time": 1.0, "end_time": 2.0, "annotations": {"a_1": 1}, "metadata": {"default": {}},
            "http": {"request": {"url": "u".repeat(250)}, "response": {"status": 200}},
            "subsegments": [{"id": "53995c3f42cd8ad8", "name": "db", "namespace": "remote", "start_time": 1.0, "in_progress": true}]});
        let check = |document: &Value| {
            // A serde_json map is ordered by key, so the id is put first by hand.
            let mut rest = document.clone();
            let id = rest.as_object_mut().unwrap().remove("id").unwrap_or_default();
            read(format!("{{\"id\":{id},{}", &rest.to_string()[1..]).as_bytes())
        };
        assert_eq!(check(&valid), Ok(valid.clone()));
        let late = format!("{{\"subsegments\":{},{}", valid["subsegments"], &valid.to_string()[1..]);
        assert!(read(late.as_bytes()).is_err(), "its first id is another's");
        for (at, wrong) in [
            ("/id", json!("70de5b6f19ff9a0")),
            ("/id", json!("0000000000000000")),
            ("/name", json!("")),
            ("/name", json!("a\tb")),
            ("/name", json!("a|b")),
            ("/name", json!("n".repeat(201))),
            ("/trace_id", json!("581cf771a006649127e371903a2de979")),
            ("/start_time", json!("1")),
            ("/end_time", json!(0.5)),
            ("/end_time", Value::Null),
            ("/annotations", json!({"a.b": 1})),
            ("/annotations", json!({"a": null})),
            ("/annotations", json!({"a": "x".repeat(1_001)})),
            ("/annotations", (0..51).map(|n| (format!("a{n}"), json!(n))).collect::<serde_json::Map<_, _>>().into()),
            ("/metadata", json!({"flat": 1})),
            ("/http/request/url", json!("u".repeat(251))),
            ("/http/response/status", json!("200")),
            ("/subsegments/0/id", json!("70de5b6f19ff9a0a")),
            ("/subsegments/0/namespace", json!("local")),
            ("/subsegments/0/start_time", json!("now")),
        ] {
            let mut document = valid.clone();
            *document.pointer_mut(at).unwrap() = wrong.clone();
            assert!(check(&document).is_err(), "{at} = {wrong}");
        }
        for (key, wrong) in [
            ("type", json!("subsegment")),
            ("throttle", json!(true)),
            ("cause", json!({"exceptions": [{"message": "without an id"}]})),
            ("cause", json!({"exceptions": [{"id": "53995c3f42cd8ad9", "stack": [{"line": "1"}]}]})),
            ("links", json!([{"trace_id": "1-2-3", "id": "53995c3f42cd8ad9"}])),
            ("metadata", json!({"default": {"large": "x".repeat(63_000)}})),
        ] {
            let mut document = valid.clone();
            document[key] = wrong;
            assert!(check(&document).is_err(), "{key}");
        }
    }
}
