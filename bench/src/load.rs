//! Requests of one kind. Either an exact number, one after another on one connection, for counting instructions; or a number per
//! second, each at its due time, to measure the latency of one request on a server that is not busy.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread::{sleep, spawn};
use std::time::{Duration, Instant};

/// Connections that share the rate.
const CONNECTIONS: u32 = 4;

pub(crate) fn run(address: &str, requests: usize) -> std::io::Result<()> {
    let mut client = Client::connect(address)?;
    for _ in 0..requests {
        client.request()?;
    }
    Ok(())
}

/// Prints the median and the 99th percentile in microseconds. A request's latency counts from its due time; a request delayed by
/// the previous one is late.
pub(crate) fn paced(address: &str, rate: u32, seconds: u32) -> std::io::Result<()> {
    let pause = Duration::from_secs(1) * CONNECTIONS / rate;
    let count = rate * seconds / CONNECTIONS;
    let start = Instant::now() + Duration::from_millis(100);
    let threads: Vec<_> = (0..CONNECTIONS)
        .map(|index| {
            let mut client = Client::connect(address)?;
            let first = start + pause / CONNECTIONS * index;
            Ok(spawn(move || (0..count).map(|n| client.request_at(first + pause * n)).collect::<Result<Vec<_>, _>>()))
        })
        .collect::<std::io::Result<_>>()?;
    let mut took = Vec::new();
    for thread in threads {
        took.extend(thread.join().expect("a thread of the load panicked")?);
    }
    took.sort_unstable();
    let of = |part: usize| took[(took.len() - 1) * part / 100].as_micros();
    println!("p50={} p99={}", of(50), of(99));
    Ok(())
}

struct Client {
    stream: TcpStream,
    request: String,
    buffer: [u8; 16_384],
}

impl Client {
    fn connect(address: &str) -> std::io::Result<Self> {
        let stream = TcpStream::connect(address)?;
        stream.set_nodelay(true)?;
        let request = format!("GET /api/activities/home HTTP/1.1\r\nHost: {address}\r\nUser-Agent: bench\r\n\r\n");
        Ok(Self { stream, request, buffer: [0; 16_384] })
    }

    fn request(&mut self) -> std::io::Result<()> {
        self.stream.write_all(self.request.as_bytes())?;
        // Head and body come in one write of less than a segment.
        if self.stream.read(&mut self.buffer)? == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        Ok(())
    }

    /// The request's latency, from `due`.
    fn request_at(&mut self, due: Instant) -> std::io::Result<Duration> {
        sleep(due.saturating_duration_since(Instant::now()));
        self.request()?;
        Ok(due.elapsed())
    }
}
