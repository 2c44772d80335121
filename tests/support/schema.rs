//! Whether X-Ray accepts a document: by the JSON schema that ships inside the package `xray-lite`, and by the further
//! requirements of X-Ray's documentation. The unit tests of `telemetry` use this file too. Knows nothing of spans.

use std::collections::BTreeSet;
use std::process::Command;
use std::sync::OnceLock;

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

const FILE: &str = "xray-segmentdocument-schema-v1.0.0.json";
const MOST_BYTES: usize = 63_000;
const MOST_ANNOTATIONS: usize = 50;

struct Schema {
    schemas: Schemas,
    segment: SchemaIndex,
    subsegment: SchemaIndex,
}

/// A document that is sent alone, unchanged.
///
/// # Panics
/// The document is not valid.
pub(crate) fn document(bytes: &[u8]) -> Value {
    match read(bytes) {
        Ok(document) => document,
        Err(faults) => panic!("not a document of X-Ray's: {faults}\n{}", text(bytes)),
    }
}

/// A document that is sent alone, or everything that is wrong with it.
pub(crate) fn read(bytes: &[u8]) -> Result<Value, String> {
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
    let first =
        text(bytes).split_once("\"id\":\"").map(|(_, rest)| rest.split('"').next().unwrap_or_default().to_owned());
    if first.as_deref() != document["id"].as_str() {
        faults.push(format!("the first \"id\":\" is {first:?}"));
    }
    if !is_trace_id(document["trace_id"].as_str().unwrap_or_default()) {
        faults.push(format!("trace_id {}", document["trace_id"]));
    }
    if alone && !document["parent_id"].is_string() {
        faults.push("a subsegment alone, without parent_id".to_owned());
    }
    let mut seen = Seen::default();
    seen.look(&document, alone, &mut faults);
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
    fn look(&mut self, document: &Value, sub: bool, faults: &mut Vec<String>) {
        self.id(&document["id"], faults);
        let times = (document["start_time"].as_f64(), document["end_time"].as_f64());
        match (times, document["in_progress"].as_bool()) {
            ((Some(start), Some(end)), None | Some(false)) if end >= start => {}
            ((Some(_), None), Some(true)) => {}
            _ => faults.push(format!("times {times:?}, in_progress {}", document["in_progress"])),
        }
        let flag = |name: &str| document[name] == true;
        if flag("throttle") && !flag("error") {
            faults.push("throttle without error".to_owned());
        }
        if !(document["namespace"].is_null()
            || sub && ["aws", "remote"].map(Value::from).contains(&document["namespace"]))
        {
            faults.push(format!("namespace {}", document["namespace"]));
        }
        for field in ["user", "service", "origin"] {
            if sub && !document[field].is_null() {
                faults.push(format!("{field} is a segment's"));
            }
        }
        let fields = document.as_object().into_iter().flatten();
        faults.extend(fields.filter(|(_, value)| value.is_null()).map(|(name, _)| format!("{name} is null")));
        self.annotations += document["annotations"].as_object().map_or(0, serde_json::Map::len);
        for exception in document["cause"]["exceptions"].as_array().into_iter().flatten() {
            self.id(&exception["id"], faults);
        }
        for link in document["links"].as_array().into_iter().flatten() {
            let ids = (link["trace_id"].as_str().unwrap_or_default(), link["id"].as_str().unwrap_or_default());
            if !is_trace_id(ids.0) || !is_id(ids.1) {
                faults.push(format!("link {link}"));
            }
        }
        for child in document["subsegments"].as_array().into_iter().flatten() {
            self.look(child, true, faults);
        }
    }

    fn id(&mut self, id: &Value, faults: &mut Vec<String>) {
        let text = id.as_str().unwrap_or_default();
        if !is_id(text) || text.bytes().all(|byte| byte == b'0') {
            faults.push(format!("id {id}"));
        } else if !self.ids.insert(text.to_owned()) {
            faults.push(format!("id {text} twice"));
        }
    }
}

fn is_id(text: &str) -> bool {
    text.len() == 16 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_trace_id(text: &str) -> bool {
    let parts: Vec<&str> = text.split('-').collect();
    let hex = |text: &str| text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    matches!(parts.as_slice(), ["1", epoch, unique] if epoch.len() == 8 && unique.len() == 24 && hex(epoch) && hex(unique))
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn schema() -> &'static Schema {
    static SCHEMA: OnceLock<Schema> = OnceLock::new();
    SCHEMA.get_or_init(|| {
        let file = std::fs::read(package("xray-lite").join(FILE)).unwrap();
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        compiler.add_resource("https://xray/schema.json", serde_json::from_slice(&file).unwrap()).unwrap();
        let mut of = |at: &str| compiler.compile(&format!("https://xray/schema.json{at}"), &mut schemas).unwrap();
        let (segment, subsegment) = (of(""), of("#/definitions/subsegment"));
        Schema { schemas, segment, subsegment }
    })
}

/// Where cargo keeps the source of a package that this one depends on.
fn package(name: &str) -> std::path::PathBuf {
    let arguments = ["metadata", "--format-version", "1", "--locked", "--manifest-path"];
    let manifest = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
    let told = Command::new(env!("CARGO")).args(arguments).arg(manifest).output().unwrap();
    let told: Value = serde_json::from_slice(&told.stdout).unwrap_or_else(|_| panic!("{}", text(&told.stderr)));
    let package = told["packages"].as_array().unwrap().iter().find(|package| package["name"] == name).unwrap();
    std::path::Path::new(package["manifest_path"].as_str().unwrap()).parent().unwrap().to_owned()
}
