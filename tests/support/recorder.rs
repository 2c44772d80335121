//! The tests' own upstream. It records each message as it arrives framed, by a reader that accepts only
//! unambiguous framing, and answers 200.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex};
use std::thread;

use super::eventually;

pub(crate) struct Recorder {
    pub(crate) address: String,
    record: Arc<Record>,
}

#[derive(Default)]
struct Record {
    messages: Mutex<Vec<Message>>,
    open: AtomicUsize,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Message {
    pub(crate) method: String,
    pub(crate) target: String,
    /// Headers, with names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    /// Whether the body was valid and complete.
    pub(crate) whole: bool,
}

impl Recorder {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let record = Arc::new(Record::default());
        let shared = Arc::clone(&record);
        thread::spawn(move || {
            for stream in listener.incoming() {
                let record = Arc::clone(&shared);
                record.open.fetch_add(1, SeqCst);
                thread::spawn(move || {
                    record.follow(&stream.unwrap());
                    record.open.fetch_sub(1, SeqCst);
                });
            }
        });
        Self { address, record }
    }

    /// The messages received, once the sender has closed all connections.
    pub(crate) fn finish(self) -> Vec<Message> {
        eventually("the end of the upstream's connections", || (self.record.open.load(SeqCst) == 0).then_some(()));
        self.record.messages.lock().unwrap().clone()
    }
}

impl Record {
    fn follow(&self, stream: &TcpStream) {
        let mut reader = BufReader::new(stream);
        while let Some(message) = Message::read(&mut reader) {
            let whole = message.whole;
            self.messages.lock().unwrap().push(message);
            if !whole || (&mut &*stream).write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n").is_err() {
                return;
            }
        }
    }
}

impl Message {
    fn read(reader: &mut impl BufRead) -> Option<Self> {
        let first = line(reader)?;
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
        let whole = words.next().is_some_and(|version| version == "HTTP/1.1") && words.next().is_none();
        let mut message = Self { method, target, headers: Vec::new(), body: Vec::new(), whole };
        message.whole &= message.read_rest(reader).is_some();
        Some(message)
    }

    fn read_rest(&mut self, reader: &mut impl BufRead) -> Option<()> {
        loop {
            let line = line(reader)?;
            if line.is_empty() {
                break;
            }
            let (name, value) = line.split_once(": ")?;
            self.headers.push((name.to_ascii_lowercase(), value.to_owned()));
        }
        let lengths: Vec<usize> = self.all("content-length").map(|value| value.parse().unwrap_or(usize::MAX)).collect();
        let encodings: Vec<&str> = self.all("transfer-encoding").collect();
        match (lengths.as_slice(), encodings.as_slice()) {
            ([], []) => Some(()),
            ([length], []) => {
                self.body = vec![0; *length];
                reader.read_exact(&mut self.body).ok()
            }
            ([], ["chunked"]) => self.read_chunks(reader),
            _ => None,
        }
    }

    fn read_chunks(&mut self, reader: &mut impl BufRead) -> Option<()> {
        loop {
            let length = usize::from_str_radix(&line(reader)?, 16).ok()?;
            let mut chunk = vec![0; length];
            reader.read_exact(&mut chunk).ok()?;
            self.body.append(&mut chunk);
            if !line(reader)?.is_empty() {
                return None;
            }
            if length == 0 {
                return Some(());
            }
        }
    }

    pub(crate) fn all(&self, name: &str) -> impl Iterator<Item = &str> {
        self.headers.iter().filter(move |(header, _)| header == name).map(|(_, value)| value.as_str())
    }
}

/// A line without its line end, which must be CR LF.
fn line(reader: &mut impl BufRead) -> Option<String> {
    let mut line = Vec::new();
    reader.read_until(b'\n', &mut line).ok()?;
    String::from_utf8(line.strip_suffix(b"\r\n")?.to_vec()).ok()
}
