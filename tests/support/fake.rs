//! What the fakes of HTTP services share: a thread for each connection, and requests read to their end.

use std::io::{self, BufRead, Read};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::thread;

use flate2::read::GzDecoder;

/// Listens on a free port, and serves each connection on a separate thread. A connection ends if `serve` fails: its client has
/// disconnected.
pub(super) fn listen<S: Send + Sync + 'static>(
    state: &Arc<S>,
    serve: impl Fn(TcpStream, &S) -> io::Result<()> + Clone + Send + 'static,
) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let state = Arc::clone(state);
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            let (state, serve) = (Arc::clone(&state), serve.clone());
            thread::spawn(move || drop(serve(stream, &state)));
        }
    });
    address
}

/// A request, read to its end.
pub(super) struct Request {
    pub(super) lines: Vec<String>,
    pub(super) body: Vec<u8>,
}

impl Request {
    pub(super) fn read(reader: &mut impl BufRead) -> std::io::Result<Self> {
        let mut lines = Vec::new();
        loop {
            let mut line = String::new();
            if reader.read_line(&mut line)? == 0 {
                return Err(std::io::ErrorKind::UnexpectedEof.into());
            }
            if line.trim().is_empty() {
                break;
            }
            lines.push(line.trim().to_owned());
        }
        let mut request = Self { lines, body: Vec::new() };
        request.body = vec![0; request.header("content-length").parse().unwrap_or(0)];
        reader.read_exact(&mut request.body)?;
        Ok(request)
    }

    pub(super) fn header(&self, name: &str) -> &str {
        let of_name = |line: &&String| line.to_ascii_lowercase().starts_with(&format!("{name}:"));
        self.lines.iter().find(of_name).and_then(|line| line.split_once(':')).map_or("", |(_, value)| value.trim())
    }

    pub(super) fn is_json(&self) -> bool {
        self.header("content-type") == "application/json"
    }

    pub(super) fn unpacked(&self) -> Option<Vec<u8>> {
        match self.header("content-encoding") {
            "" => Some(self.body.clone()),
            "gzip" => {
                let mut unpacked = Vec::new();
                GzDecoder::new(self.body.as_slice()).read_to_end(&mut unpacked).ok().map(|_| unpacked)
            }
            _ => None,
        }
    }
}
