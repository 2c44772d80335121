//! An upstream that answers every request with 200 and keeps the request's head, as lines.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use super::DEADLINE;

pub(crate) struct Upstream {
    /// Its host and port.
    pub(crate) address: String,
    heads: Receiver<Vec<String>>,
}

impl Upstream {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap().to_string();
        let (sender, heads) = sync_channel(100);
        thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let sender = sender.clone();
                // A connection ends when the proxy closes it.
                thread::spawn(move || drop(serve(stream, &sender)));
            }
        });
        Self { address, heads }
    }

    /// The head of the next request.
    pub(crate) fn head(&self) -> Vec<String> {
        self.heads.recv_timeout(DEADLINE).unwrap()
    }
}

fn serve(mut stream: TcpStream, sender: &SyncSender<Vec<String>>) -> std::io::Result<()> {
    let mut reader = BufReader::new(stream.try_clone()?);
    loop {
        let mut head = Vec::new();
        loop {
            let mut line = Vec::new();
            if reader.read_until(b'\n', &mut line)? == 0 {
                return Ok(());
            }
            match String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']) {
                "" => break,
                line => head.push(line.to_owned()),
            }
        }
        let length = values(&head, "content-length").first().map_or(0, |length| length.parse().unwrap());
        reader.by_ref().take(length).read_to_end(&mut Vec::new())?;
        // The receiver may be gone.
        drop(sender.send(head));
        stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok")?;
    }
}

/// The values of a header, in order.
pub(crate) fn values<'a>(head: &'a [String], name: &str) -> Vec<&'a str> {
    let lines = head.iter().filter_map(|line| line.split_once(':'));
    lines.filter(|(own, _)| own.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
}
