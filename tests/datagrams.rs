//! The viewer in place of the X-Ray daemon: any bytes may arrive, as large as UDP carries. An invalid document is counted, and
//! the next one is accepted.

use std::net::UdpSocket;

use serde_json::{Value, json};

use crate::support::cruddur::Cruddur;
use crate::support::{eventually, http};

const HEADER: &str = "{\"format\": \"json\", \"version\": 1}\n";
/// The most that UDP carries on IPv4.
const LARGEST: usize = 65_507;

fn segment(id: u64) -> Value {
    json!({"id": format!("{id:016x}"), "name": "a", "trace_id": format!("1-5759e988-{id:024x}"), "start_time": 1.0, "end_time": 2.0})
}

fn datagram(document: &impl ToString) -> Vec<u8> {
    [HEADER, &document.to_string()].concat().into_bytes()
}

/// `segment` with so much metadata that its datagram has `size` bytes.
fn of_size(segment: &Value, size: usize) -> Vec<u8> {
    let mut document = segment.clone();
    document["metadata"] = json!({"default": {"text": ""}});
    let text = "x".repeat(size - datagram(&document).len());
    document["metadata"]["default"]["text"] = text.into();
    datagram(&document)
}

fn status(viewer: &Cruddur) -> Value {
    http::get(&format!("{}/api/status", viewer.viewer)).json()
}

fn with(key: &str, value: Value) -> Vec<u8> {
    let mut document = segment(7);
    document[key] = value;
    datagram(&document)
}

#[test]
fn an_invalid_document_is_counted_and_the_next_one_accepted() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    let deep = |levels: usize| {
        let open = r#"{"id":"00000000000000a1","name":"a","start_time":1,"end_time":2,"subsegments":["#;
        format!("{}{}", open.repeat(levels), "]}".repeat(levels)).replacen(
            "\"name\"",
            "\"trace_id\":\"1-5759e988-bd862e3fe1be46a994272793\",\"name\"",
            1,
        )
    };
    let garbage = [
        vec![],
        b"\n".to_vec(),
        HEADER.as_bytes().to_vec(),
        datagram(&"null"),
        datagram(&"[]"),
        datagram(&"{}"),
        datagram(&"{\"id\":"),
        segment(7).to_string().into_bytes(),
        [&b"{\"format\": \"json\", \"version\": 2}\n"[..], segment(7).to_string().as_bytes()].concat(),
        [HEADER.as_bytes(), &[0xff, 0xfe, 0x00]].concat(),
        (0..LARGEST).map(|byte| u8::try_from(byte * 31 % 251).unwrap()).collect(),
        [HEADER.as_bytes(), &vec![b'['; LARGEST - HEADER.len()]].concat(),
        // Cut off, as by a sender that does not know the limit.
        of_size(&segment(7), LARGEST)[..60_000].to_vec(),
        with("id", json!("0000000000000000")),
        with("id", json!("zz00000000000007")),
        with("trace_id", json!("1-00000000-000000000000000000000000")),
        with("start_time", json!("now")),
        with("end_time", Value::Null),
        with("type", json!("subsegment")),
    ];
    for (count, (number, bytes)) in (1..).zip(garbage.iter().enumerate()) {
        // One at a time, so that each increase is due to this datagram.
        assert_eq!(socket.send_to(bytes, &viewer.xray).unwrap(), bytes.len());
        let shown = String::from_utf8_lossy(&bytes[..bytes.len().min(80)]).into_owned();
        eventually(format!("the count of number {number}, {shown}"), || {
            let rejected = status(&viewer)["rejected"].as_u64().unwrap();
            assert!(rejected <= count, "{rejected} after {number}, {shown}");
            (rejected == count).then_some(())
        });
    }
    let traces = || http::get(&format!("{}/api/traces", viewer.viewer)).json().as_array().unwrap().len();
    assert_eq!(traces(), 0);
    // Subsegments that nest too deep are counted, and cost no other part of their document.
    socket.send_to(&datagram(&deep(600)), &viewer.xray).unwrap();
    eventually("a trace without its deepest subsegments", || (traces() == 1).then_some(()));
    assert!(status(&viewer)["rejected"].as_u64() > u64::try_from(garbage.len()).ok());
    socket.send_to(&datagram(&segment(1)), &viewer.xray).unwrap();
    eventually("another trace", || (traces() == 2).then_some(()));
}

/// Larger than X-Ray accepts, but no larger than UDP carries: the viewer shows it, and a hundred of them fit.
#[test]
fn the_largest_datagrams_are_accepted() {
    let viewer = Cruddur::service("trace-viewer", &[]);
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    for id in 1..=100_u64 {
        socket.send_to(&of_size(&segment(id), LARGEST), &viewer.xray).unwrap();
        let url = format!("{}/api/traces/5759e988{id:024x}", viewer.viewer);
        let trace = eventually(format!("trace {id}"), || Some(http::get(&url)).filter(|answer| answer.status == 200));
        assert_eq!(trace.json()["sources"]["xray"], 1);
    }
    assert_eq!(status(&viewer)["rejected"], 0);
    assert!(viewer.peak_memory() < 200 * 1024, "{} KiB", viewer.peak_memory());
}
