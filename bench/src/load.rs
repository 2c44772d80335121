//! Exactly so many requests, one after the other on one connection: for counting instructions.

use std::io::{Read, Write};
use std::net::TcpStream;

pub(crate) fn run(address: &str, requests: usize) -> std::io::Result<()> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    let request = format!("GET /api/activities/home HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n\r\n");
    let mut buffer = [0; 16_384];
    for _ in 0..requests {
        stream.write_all(request.as_bytes())?;
        // Head and body come in one write of less than a segment.
        if stream.read(&mut buffer)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
    Ok(())
}
