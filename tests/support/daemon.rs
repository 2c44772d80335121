//! A stand-in for the X-Ray daemon's UDP side, because the daemon itself sends its input to AWS. The part of the real one that it
//! covers: it binds a UDP socket with the kernel's own buffer, as the daemon does, reads one datagram after another, and treats
//! the bytes after the first newline as a document. It keeps every datagram unchanged, answers nothing, and forwards nothing.

use std::collections::BTreeSet;
use std::net::{SocketAddr, UdpSocket};
use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::Value;

use super::eventually;

/// The line before a document, as the AWS SDKs write it.
const HEADER: &[u8] = b"{\"format\": \"json\", \"version\": 1}\n";

/// A running stand-in; its socket is closed when it is dropped.
pub(crate) struct Daemon {
    pub(crate) address: SocketAddr,
    received: Arc<Mutex<Vec<Vec<u8>>>>,
    over: Arc<AtomicBool>,
    reader: Option<thread::JoinHandle<()>>,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::at("127.0.0.1:0".parse().unwrap())
    }

    /// Starts one at an address that an earlier one had.
    pub(crate) fn at(address: SocketAddr) -> Self {
        let socket = UdpSocket::bind(address).unwrap();
        // Closing a socket does not wake a thread that waits in it.
        socket.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
        let address = socket.local_addr().unwrap();
        let (received, over) = (Arc::default(), Arc::default());
        let reader = {
            let (received, over) = (Arc::clone(&received), Arc::clone(&over));
            thread::spawn(move || read(&socket, &received, &over))
        };
        Self { address, received, over, reader: Some(reader) }
    }

    /// Every datagram so far.
    pub(crate) fn datagrams(&self) -> Vec<Vec<u8>> {
        self.received.lock().unwrap().clone()
    }

    /// Every document so far.
    pub(crate) fn documents(&self) -> Vec<Value> {
        self.datagrams().iter().map(|datagram| document(datagram)).collect()
    }

    /// Closes its socket: later datagrams are refused. Returns the ids of all segments and subsegments that came before.
    pub(crate) fn stop(mut self) -> BTreeSet<String> {
        self.end();
        self.datagrams().iter().flat_map(|datagram| ids(datagram)).collect()
    }

    fn end(&mut self) {
        self.over.store(true, Relaxed);
        drop(self.reader.take().map(thread::JoinHandle::join));
    }

    /// The segments and subsegments of a trace, one by one, once there are `count`.
    pub(crate) fn spans(&self, trace_id: &str, count: usize) -> Vec<Value> {
        let (epoch, unique) = trace_id.split_at(8);
        let trace = format!("1-{epoch}-{unique}");
        eventually(format!("{count} segments and subsegments of {trace}"), || {
            let documents: Vec<Value> =
                self.documents().into_iter().filter(|document| document["trace_id"] == *trace).collect();
            let spans: Vec<Value> = documents.iter().flat_map(unnested).collect();
            (spans.len() >= count).then_some(spans)
        })
    }
}

/// The document of a datagram; checks the header line that the daemon requires, and that the document is valid.
fn document(datagram: &[u8]) -> Value {
    let document = datagram.strip_prefix(HEADER);
    xray_schema::document(document.unwrap_or_else(|| panic!("no header line: {}", String::from_utf8_lossy(datagram))))
}

/// The ids of the segments and subsegments in a datagram.
pub(crate) fn ids(datagram: &[u8]) -> Vec<String> {
    unnested(&document(datagram)).iter().map(|one| one["id"].as_str().unwrap().to_owned()).collect()
}

/// The segment or subsegment and all those nested in it, each with its parent's id and without its own children.
pub(crate) fn unnested(document: &Value) -> Vec<Value> {
    let mut own = document.clone();
    let children = own.as_object_mut().unwrap().remove("subsegments");
    let mut all = vec![own];
    for child in children.iter().filter_map(Value::as_array).flatten() {
        let mut child = child.clone();
        child["parent_id"] = document["id"].clone();
        child["trace_id"] = document["trace_id"].clone();
        all.extend(unnested(&child));
    }
    all
}

fn read(socket: &UdpSocket, received: &Mutex<Vec<Vec<u8>>>, over: &AtomicBool) {
    let mut buffer = vec![0; 65_536];
    let mut keep = || socket.recv(&mut buffer).map(|length| received.lock().unwrap().push(buffer[..length].to_vec()));
    while !over.load(Relaxed) {
        drop(keep());
    }
    // From here on, all other senders are refused, and earlier datagrams are still read: no datagram is lost without an error.
    socket.connect("127.0.0.1:1").unwrap();
    while keep().is_ok() {}
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.end();
    }
}
