//! Bytes sent unchanged, and the responses to them.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;

use super::DEADLINE;

/// The final statuses of the responses to `bytes`, at most `most`, and whether the connection then closes.
pub(crate) fn exchange(address: &str, bytes: &[u8], most: usize) -> (Vec<u16>, bool) {
    let stream = connect(address);
    // The connection may be closed before all is sent.
    drop((&mut &stream).write_all(bytes));
    let mut reader = BufReader::new(&stream);
    let mut statuses = Vec::new();
    while statuses.len() < most {
        match answer(&mut reader) {
            Some((status, _)) => statuses.push(status),
            None => return (statuses, true),
        }
    }
    (statuses, false)
}

pub(crate) fn connect(address: &str) -> TcpStream {
    let stream = TcpStream::connect(address.trim_start_matches("http://")).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_nodelay(true).unwrap();
    stream
}

/// The next response that is not an interim one: its status and its body. `None` at the end of the connection.
pub(crate) fn answer(reader: &mut impl BufRead) -> Option<(u16, Vec<u8>)> {
    loop {
        let mut first = String::new();
        if reader.read_line(&mut first).ok()? == 0 {
            return None;
        }
        let status: u16 = first.split(' ').nth(1).unwrap_or_else(|| panic!("no status in {first:?}")).parse().unwrap();
        let mut length = 0;
        loop {
            let mut line = String::new();
            reader.read_line(&mut line).ok()?;
            match line.trim_end().split_once(": ") {
                Some((name, value)) if name.eq_ignore_ascii_case("content-length") => length = value.parse().unwrap(),
                Some((name, value)) if name.eq_ignore_ascii_case("transfer-encoding") => panic!("{name}: {value}"),
                Some(_) => {}
                None => break,
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body).ok()?;
        if status >= 200 {
            return Some((status, body));
        }
    }
}
