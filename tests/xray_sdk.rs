//! The X-Ray SDK for Python, from PyPI, as the service behind our proxy and as the client before it: one trace, the right
//! parents, and one sampling decision. Its own documents go to the viewer, which shows them.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::{Folder, cannot_run, eventually, http, python};

const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";
const CALLER: &str = "46422517bae0bb00";

/// A service like those that the SDK's framework middleware creates: it reads the header, and starts a segment from it.
const SERVICE: &str = r"
import http.server
from aws_xray_sdk.core import xray_recorder
from aws_xray_sdk.core.models.trace_header import TraceHeader
xray_recorder.configure(service='python-backend', sampling=False)
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        header = TraceHeader.from_header_str(self.headers.get('X-Amzn-Trace-Id'))
        segment = xray_recorder.begin_segment('python-backend', header.root, header.parent, header.sampled)
        segment.save_origin_trace_header(header)
        segment.put_http_meta('method', 'GET')
        segment.put_http_meta('status', 200)
        segment.put_annotation('kind', 'behind')
        with xray_recorder.in_subsegment('work') as subsegment:
            subsegment.put_metadata('rows', [1, 2])
        xray_recorder.end_segment()
        body = self.headers.get('X-Amzn-Trace-Id').encode()
        self.send_response(200)
        self.send_header('content-length', str(len(body)))
        self.end_headers()
        self.wfile.write(body)
    def log_message(self, *_):
        pass
server = http.server.HTTPServer(('127.0.0.1', 0), Handler)
print(server.server_port, flush=True)
server.serve_forever()
";

/// A client that calls within a subsegment; the SDK's patch of `http.client` adds the header.
const CLIENT: &str = r"
import http.client, json, sys
from aws_xray_sdk.core import patch, xray_recorder
patch(['httplib'])
xray_recorder.configure(service='python-client', sampling=False, context_missing='RUNTIME_ERROR')
xray_recorder.begin_segment('python-client', sampling=int(sys.argv[2]))
with xray_recorder.in_subsegment('call') as subsegment:
    subsegment.put_annotation('kind', 'before')
    connection = http.client.HTTPConnection(sys.argv[1])
    connection.request('GET', '/api/activities/home')
    response = connection.getresponse()
    response.read()
    print(json.dumps([subsegment.trace_id, subsegment.id, response.status, response.getheader('server-timing')]))
xray_recorder.end_segment()
";

/// A Python program that is killed when it is dropped.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        drop(self.0.kill());
        drop(self.0.wait());
    }
}

fn sdk() -> Option<PathBuf> {
    let python = python::with(&["aws-xray-sdk"], "aws_xray_sdk.core");
    if python.is_none() {
        cannot_run("pypi", "python3 with venv, and aws-xray-sdk from PyPI, cannot be had");
    }
    python
}

/// A service with the SDK, and our proxy before it; both send to `viewer`.
fn behind(python: &Path, viewer: &Cruddur) -> (Running, Cruddur) {
    let mut service = Command::new(python);
    service.args(["-c", SERVICE]).env("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray).stdout(Stdio::piped());
    let mut service = Running(service.spawn().unwrap());
    let mut port = String::new();
    BufReader::new(service.0.stdout.take().unwrap()).read_line(&mut port).unwrap();
    let upstream = format!("127.0.0.1:{}", port.trim());
    let proxy = Cruddur::service(
        "frontend-proxy",
        &[("CRUDDUR_UPSTREAM", &upstream), ("AWS_XRAY_DAEMON_ADDRESS", &viewer.xray), ("TRACE_TRUST", "always")],
    );
    (service, proxy)
}

/// The viewer's spans of a trace, once it has `count` segments and subsegments.
fn trace(viewer: &Cruddur, trace_id: &str, count: u64) -> Vec<Value> {
    eventually(format!("{count} segments and subsegments of {trace_id}"), || {
        let answer = http::get(&format!("{}/api/traces/{trace_id}", viewer.viewer));
        let trace = (answer.status == 200).then(|| answer.json())?;
        (trace["sources"]["xray"].as_u64()? >= count).then(|| trace["spans"].as_array().unwrap().clone())
    })
}

fn find<'a>(spans: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = spans.iter().find(|span| span["kind"] == kind && span["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}: {:#}", Value::from(spans.to_vec())))
}

/// The trace ids that the viewer has.
fn known(viewer: &Cruddur) -> Vec<String> {
    let list = http::get(&format!("{}/api/traces", viewer.viewer)).json();
    list.as_array().unwrap().iter().map(|trace| trace["trace_id"].as_str().unwrap().to_owned()).collect()
}

#[test]
fn the_sdk_behind_our_proxy_continues_our_trace() {
    let Some(python) = sdk() else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let (_service, proxy) = behind(&python, &viewer);
    let url = format!("{}/api/anything", proxy.page);
    let answer = http::get(&url);
    assert_eq!(answer.status, 200);
    let id = answer.trace_id();
    let spans = trace(&viewer, &id, 4);
    let server = find(&spans, "segment", "frontend-proxy");
    let call = spans.iter().find(|span| span["parent_span_id"] == server["span_id"]).unwrap();
    let segment = find(&spans, "segment", "python-backend");
    let work = find(&spans, "subsegment", "work");
    assert_eq!((&call["kind"], &call["service"]), (&json!("subsegment"), &json!("frontend-proxy")));
    assert_eq!(segment["parent_span_id"], call["span_id"], "{spans:#?}");
    assert_eq!(work["parent_span_id"], segment["span_id"]);
    assert_eq!(segment["attributes"]["annotations"]["kind"], "behind");
    assert_eq!(segment["attributes"]["http"]["response"]["status"], 200);
    assert_eq!(work["attributes"]["metadata"]["default"]["rows"], json!([1, 2]));
    assert_eq!(known(&viewer), [id]);
}

/// A trace that we do not sample is not sampled by the service behind us.
#[test]
fn the_sdk_behind_our_proxy_keeps_our_decision() {
    let Some(python) = sdk() else { return };
    let viewer = Cruddur::service("trace-viewer", &[]);
    let (_service, proxy) = behind(&python, &viewer);
    let url = format!("{}/api/anything", proxy.page);
    let (epoch, unique) = TRACE.split_at(8);
    let header = format!("Root=1-{epoch}-{unique};Parent={CALLER};Sampled=0");
    let answer = http::request("GET", &url, &[("x-amzn-trace-id", &header)]);
    let sent = String::from_utf8(answer.body.clone()).unwrap();
    assert!(sent.starts_with(&format!("Root=1-{epoch}-{unique};Parent=")) && sent.contains(";Sampled=0"), "{sent}");
    // If that trace had been sampled, it would have arrived before the next one.
    let next = http::get(&url).trace_id();
    trace(&viewer, &next, 4);
    assert_eq!(known(&viewer), [next]);
}

/// The client's output: its trace id, its subsegment's id, the status, and our `Server-Timing`.
fn call(python: &Path, cruddur: &Cruddur, sampled: &str, variables: &[(&str, &str)]) -> (String, String, String) {
    let mut client = Command::new(python);
    client.args(["-c", CLIENT, cruddur.page.trim_start_matches("http://"), sampled]);
    client.env("AWS_XRAY_DAEMON_ADDRESS", &cruddur.xray).envs(variables.iter().copied());
    let output = client.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let printed: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(printed[2], 200);
    let text = |index: usize| printed[index].as_str().unwrap().to_owned();
    (text(0), text(1), text(3))
}

/// 32 hex digits, as W3C and the viewer write X-Ray's.
fn trace_id(root: &str) -> String {
    root.trim_start_matches("1-").replace('-', "")
}

/// Reads the context's flags in our `Server-Timing`.
fn is_sampled(timing: &str) -> bool {
    let flags = timing.trim_end_matches('"').rsplit('-').next().unwrap();
    u8::from_str_radix(flags, 16).unwrap() & 1 == 1
}

#[test]
fn a_trace_of_the_sdk_before_our_proxy_is_continued() {
    let Some(python) = sdk() else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let (root, subsegment, timing) = call(&python, &cruddur, "1", &[]);
    let id = trace_id(&root);
    assert!(timing.contains(&id) && is_sampled(&timing), "{timing}");
    // Five spans are ours. The SDK's are a segment, its subsegment, and one for each of the three functions that it patches.
    let spans = trace(&cruddur, &id, 10);
    let server = find(&spans, "segment", "frontend-proxy");
    assert_eq!(server["parent_span_id"], subsegment);
    let client = find(&spans, "segment", "python-client");
    let own = find(&spans, "subsegment", "call");
    assert_eq!((&own["span_id"], &own["parent_span_id"]), (&json!(subsegment), &client["span_id"]));
    assert_eq!(own["attributes"]["annotations"]["kind"], "before");
}

/// An SDK that does not sample says so, either with its own ids or, by default, with ids of zeros.
#[test]
fn an_sdk_before_our_proxy_can_decline_recording() {
    let Some(python) = sdk() else { return };
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[]);
    let (root, _, timing) = call(&python, &cruddur, "0", &[("AWS_XRAY_NOOP_ID", "false")]);
    assert!(timing.contains(&trace_id(&root)) && !is_sampled(&timing), "{timing}");
    let (root, _, timing) = call(&python, &cruddur, "0", &[]);
    assert!(!timing.contains(&trace_id(&root)) && !is_sampled(&timing), "{timing}");
    assert_eq!(trace_id(&root), "0".repeat(32));
    // If one of them had been sampled, it would have arrived before the next one.
    let next = cruddur.get("/api/activities/home").trace_id();
    cruddur.spans(&next, 5);
    let mut known = known(&cruddur);
    known.retain(|trace| *trace != next);
    assert_eq!(known.len(), 1, "only the backend's start: {known:?}");
}
