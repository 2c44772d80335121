//! How other implementations read our bytes: Python's official `opentelemetry-proto`, from PyPI, decodes our exports and finds the
//! same spans.

use std::io::Write;
use std::process::{Command, Stdio};

use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::{Folder, cannot_run, eventually, python};

const KEY: &str = "hcaik_a_key_of_this_test";
const MODULE: &str = "opentelemetry.proto.collector.trace.v1.trace_service_pb2";

/// Reads one message in hex from each line of its input, and prints the fields of its spans as JSON.
const DECODE: &str = r"
import json, sys
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
spans = []
for line in sys.stdin:
    for resource in ExportTraceServiceRequest.FromString(bytes.fromhex(line.strip())).resource_spans:
        names = {a.key: a.value.string_value for a in resource.resource.attributes}
        for scope in resource.scope_spans:
            for span in scope.spans:
                spans.append([names['service.name'], scope.scope.name, span.name, span.kind, span.trace_id.hex(),
                    span.span_id.hex(), span.parent_span_id.hex(), span.start_time_unix_nano, span.end_time_unix_nano,
                    span.flags, sorted(a.key for a in span.attributes)])
print(json.dumps(sorted(spans, key=lambda span: span[5])))
";

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[test]
fn pythons_opentelemetry_decodes_the_same_spans() {
    let Some(python) = python::with(&["opentelemetry-proto"], MODULE) else {
        return cannot_run("pypi", "python3 with venv, and opentelemetry-proto from PyPI, cannot be had");
    };
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let trace = cruddur.get("/api/activities/home").trace_id();
    eventually("the spans at Honeycomb", || (honeycomb.spans(&trace).len() == 5).then_some(()));
    cruddur.stop();

    let mut child =
        Command::new(python).args(["-c", DECODE]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let lines: Vec<String> = honeycomb.bodies().iter().map(|body| hex(body)).collect();
    child.stdin.take().unwrap().write_all(lines.join("\n").as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    let decoded: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let mut ours: Vec<Span> = honeycomb.accepted();
    ours.sort_by_key(|span| hex(&span.span_id));
    assert_eq!(decoded.len(), ours.len());
    for (span, own) in decoded.iter().zip(&ours) {
        let mut keys: Vec<&str> = own.attributes.iter().map(|attribute| attribute.key.as_str()).collect();
        keys.sort_unstable();
        let expected = json!([
            span[0],
            "cruddur-telemetry",
            own.name,
            own.kind,
            hex(&own.trace_id),
            hex(&own.span_id),
            hex(&own.parent_span_id),
            own.start_time_unix_nano,
            own.end_time_unix_nano,
            own.flags,
            keys,
        ]);
        assert_eq!(span, &expected);
        assert!(["backend", "frontend-proxy"].contains(&span[0].as_str().unwrap()));
    }
}
