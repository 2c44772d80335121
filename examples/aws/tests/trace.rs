//! The example's spans are one trace: the job, the call below it, and the service below the call.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Command, Stdio};

use serde_json::Value;

/// Reads one export as JSON, and accepts it.
fn export(stream: TcpStream) -> Value {
    let mut reader = BufReader::new(&stream);
    let mut length = 0;
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        if line.trim().is_empty() {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    let response = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\nconnection: close\r\n\r\n{}";
    (&stream).write_all(response).unwrap();
    serde_json::from_slice(&body).unwrap()
}

fn attribute<'a>(span: &'a Value, key: &str) -> &'a Value {
    let attributes = span["attributes"].as_array().unwrap();
    &attributes.iter().find(|attribute| attribute["key"] == key).unwrap_or_else(|| panic!("{key}: {span}"))["value"]
}

#[test]
fn a_call_of_the_aws_sdk_is_one_trace() {
    let collector = TcpListener::bind("127.0.0.1:0").unwrap();
    let child = Command::new(env!("CARGO_BIN_EXE_aws-example"))
        .env("OTEL_EXPORTER_OTLP_ENDPOINT", format!("http://{}", collector.local_addr().unwrap()))
        .env("OTEL_EXPORTER_OTLP_PROTOCOL", "http/json")
        .env("OTEL_EXPORTER_OTLP_COMPRESSION", "none")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut spans = Vec::new();
    while spans.len() < 3 {
        let message = export(collector.accept().unwrap().0);
        spans.extend(message["resourceSpans"][0]["scopeSpans"][0]["spans"].as_array().unwrap().iter().cloned());
    }
    let output = child.wait_with_output().unwrap();
    assert_eq!(String::from_utf8_lossy(&output.stdout), "123456789012\n");
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(printed.contains("3 spans created = 3 delivered + 0 queued + 0 dropped"), "{printed}");

    let named = |name: &str| spans.iter().find(|span| span["name"] == name).unwrap_or_else(|| panic!("{spans:?}"));
    let (job, call, service) = (named("job"), named("STS/GetCallerIdentity"), named("sts"));
    assert!(spans.iter().all(|span| span["traceId"] == job["traceId"]), "{spans:?}");
    assert_eq!((&call["parentSpanId"], &service["parentSpanId"]), (&job["spanId"], &call["spanId"]));
    assert_eq!(attribute(call, "rpc.system")["stringValue"], "aws-api");
    assert_eq!(attribute(call, "rpc.service")["stringValue"], "STS");
    assert_eq!(attribute(call, "rpc.method")["stringValue"], "GetCallerIdentity");
    assert_eq!(attribute(call, "aws.request_id")["stringValue"], "request-1");
    assert_eq!(attribute(call, "http.response.status_code")["intValue"], "200");
}
