//! How many connections the settings and the limit of open files allow, and how much memory they use at most.

use std::fmt;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::inbound::connection::BUFFER;
use crate::inbound::connection::http2::{SEND, STREAM_WINDOW, WINDOW};
use crate::inbound::framing::HEAD;
use crate::inbound::permits::{Connections, REFUSALS};
use crate::upstream::answer;
use crate::upstream::connection::MOST_READ;

/// File descriptors for everything except the connections of served clients and to upstreams.
const OTHER_FILES: u64 = 64 + REFUSALS as u64;
/// The fraction of all connections that one client may have, and the least number it may have.
const SHARE: usize = 10;
const LEAST_SHARE: usize = 10;
/// TLS's own buffers of a connection, in bytes: a record each way, and the data that rustls may hold.
const TLS: usize = 128 * 1024;
/// The buffers of a connection to an upstream: the request's head, the response's head, and a read after it.
const UPSTREAM: usize = BUFFER + answer::HEAD + MOST_READ;

/// How many connections there may be, and how much memory each may use.
///
/// For each connection, at most: hyper's two buffers, a part of a body between them, and a partial head; or HTTP/2's window and
/// the waiting part of a response. TLS adds its buffers, and an upstream connection its own. Each request of an HTTP/2
/// connection takes a connection's permit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub(crate) connections: usize,
    /// The connections of one client.
    pub(crate) each: usize,
    /// The limit of file descriptors, if it allows fewer connections than configured.
    files: Option<u64>,
    bytes: usize,
}

impl Bounds {
    pub(crate) fn new(configured: Connections, each: Option<Connections>, is_secure: bool, files: Option<u64>) -> Self {
        // One file for each client, and a third as many for upstreams, because most connections have no request under way. If more
        // have one, requests that get no file are answered with 502.
        let allowed = files.map_or(usize::MAX, |files| {
            usize::try_from(files.saturating_sub(OTHER_FILES) / 4 * 3).unwrap_or(usize::MAX).max(1)
        });
        let window = |window: u32| usize::try_from(window).unwrap_or(usize::MAX);
        // A partial head, hyper's read buffer, and its write buffer, which may hold one more piece of a response. A buffer that
        // grows may have twice the capacity that it needs.
        let http1 = 2 * (HEAD + BUFFER + BUFFER + MOST_READ);
        let http2 = window(WINDOW).max(window(STREAM_WINDOW)) + SEND;
        let bytes = http1.max(http2) + if is_secure { TLS } else { 0 } + UPSTREAM;
        let connections = configured.get().min(allowed);
        let each = each.map_or(LEAST_SHARE.max(connections / SHARE), Connections::get).min(connections);
        Self { connections, each, files: files.filter(|_| allowed < configured.get()), bytes }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, each, files, bytes } = self;
        let all = connections.saturating_mul(*bytes) / 1024 / 1024;
        write!(f, "at most {connections} connections, {each} from one client; at most {} KiB each, ", bytes / 1024)?;
        write!(f, "{all} MiB in total")?;
        if let Some(files) = files {
            write!(f, "; limited by the {files} files that may be open: raise the hard limit")?;
        }
        Ok(())
    }
}

/// Raises the limit of open files as far as the process may; returns the limit, if there is one.
pub(crate) fn raise_file_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(connections: usize) -> Connections {
        connections.to_string().parse().unwrap()
    }

    #[test]
    fn open_files_limit_the_connections() {
        let bounds = |files| Bounds::new(number(10_000), None, false, files);
        assert_eq!((bounds(None).connections, bounds(Some(1_000_000)).connections), (10_000, 10_000));
        let line = "at most 10000 connections, 1000 from one client; at most 648 KiB each, 6328 MiB in total";
        assert_eq!(bounds(None).to_string(), line);
        assert_eq!((bounds(Some(1256)).connections, bounds(Some(1256)).each), (750, 75));
        assert!(
            bounds(Some(1256))
                .to_string()
                .ends_with("limited by the 1256 files that may be open: raise the hard limit")
        );
        assert_eq!((bounds(Some(0)).connections, bounds(Some(0)).each), (1, 1));
    }

    #[test]
    fn a_client_gets_a_tenth_unless_configured() {
        let each = |all, each: Option<usize>| Bounds::new(number(all), each.map(number), false, None).each;
        assert_eq!([each(100_000, None), each(200, None), each(50, None), each(3, None)], [10_000, 20, 10, 3]);
        assert_eq!([each(200, Some(150)), each(200, Some(1)), each(200, Some(500))], [150, 1, 200]);
    }
}
