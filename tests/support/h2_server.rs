//! A server of HTTP/2, without TLS, in any [`Trouble`], for clients of gRPC. It reads each call to its end, and understands none.
//! Healthy, it answers each with the empty message, by which every service of OTLP accepts all.

use std::io::{self, Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Mutex};
use std::thread::sleep;
use std::time::Duration;

use super::fake;
use super::h2::{self, ACK, DATA, END_HEADERS, END_STREAM, HEADERS, PREFACE, SETTINGS, WINDOW_UPDATE};
use super::honeycomb::Trouble;

/// The content type of a response of gRPC.
pub(crate) const GRPC: &str = "application/grpc";
/// Bytes that a client may send on a stream, and besides on a connection, before it needs permission: more than any test sends.
const WINDOW: u32 = 1 << 30;

/// A running server.
pub(crate) struct H2Server {
    pub(crate) url: String,
    trouble: Arc<Mutex<Trouble>>,
}

impl H2Server {
    pub(crate) fn troubled(trouble: Trouble) -> Self {
        let trouble = Arc::new(Mutex::new(trouble));
        let address = fake::listen(&trouble, serve);
        Self { url: format!("http://{address}"), trouble }
    }

    /// Puts the server in this trouble from now on.
    pub(crate) fn get_into(&self, trouble: Trouble) {
        *self.trouble.lock().unwrap() = trouble;
    }
}

fn serve(mut stream: TcpStream, trouble: &Mutex<Trouble>) -> io::Result<()> {
    stream.set_nodelay(true)?;
    stream.read_exact(&mut [0; PREFACE.len()])?;
    // Setting 4 is the window of each stream.
    let settings = [&[0, 4], WINDOW.to_be_bytes().as_slice()].concat();
    stream.write_all(&h2::frame(SETTINGS, 0, 0, &settings))?;
    stream.write_all(&h2::frame(WINDOW_UPDATE, 0, 0, &WINDOW.to_be_bytes()))?;
    while let Some(frame) = h2::next(&mut stream) {
        if frame.kind == SETTINGS && frame.flags & ACK == 0 {
            stream.write_all(&h2::frame(SETTINGS, ACK, 0, &[]))?;
        }
        // A call ends with the stream that carries it.
        if frame.stream == 0 || frame.flags & END_STREAM == 0 {
            continue;
        }
        let trouble = trouble.lock().unwrap().clone();
        match trouble {
            Trouble::Hangs => {}
            Trouble::Resets => return Ok(()),
            Trouble::Drips => {
                for byte in message(frame.stream, "") {
                    stream.write_all(&[byte])?;
                    sleep(Duration::from_millis(100));
                }
            }
            trouble => stream.write_all(&response(frame.stream, &trouble))?,
        }
    }
    Ok(())
}

fn response(stream: u32, trouble: &Trouble) -> Vec<u8> {
    match trouble {
        Trouble::Redirects(to) => headers(stream, END_STREAM, &[(":status", "307"), ("location", to)]),
        // A proxy's page.
        Trouble::Refuses(status) => page(stream, &status.to_string(), "text/html", "<!doctype html>"),
        Trouble::Answers(GRPC, body) => message(stream, body),
        Trouble::Answers(kind, body) => page(stream, "200", kind, body),
        _ => message(stream, ""),
    }
}

fn page(stream: u32, status: &str, kind: &str, body: &str) -> Vec<u8> {
    let head = headers(stream, 0, &[(":status", status), ("content-type", kind)]);
    [head, h2::frame(DATA, END_STREAM, stream, body.as_bytes())].concat()
}

/// A success of gRPC, with a message that is not compressed.
fn message(stream: u32, body: &str) -> Vec<u8> {
    let length = u32::try_from(body.len()).unwrap().to_be_bytes();
    let data = [&[0], length.as_slice(), body.as_bytes()].concat();
    let head = headers(stream, 0, &[(":status", "200"), ("content-type", GRPC)]);
    [head, h2::frame(DATA, 0, stream, &data), headers(stream, END_STREAM, &[("grpc-status", "0")])].concat()
}

fn headers(stream: u32, flags: u8, headers: &[(&str, &str)]) -> Vec<u8> {
    let headers: Vec<_> = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    h2::frame(HEADERS, END_HEADERS | flags, stream, &h2::block(&headers))
}
