//! How many connections there may be, by the settings and by the files that the process may have open, and how much memory they
//! take at most.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::connection::{BUFFER, SEND, STREAM_WINDOW, WINDOW};
use crate::framing::HEAD;
use crate::places::REFUSALS;
use crate::upstream::answer;
use crate::upstream::connection::MOST_ROOM;

/// File descriptors for everything that is no connection of a client that is served, or to an upstream.
const OTHER_FILES: u64 = 64 + REFUSALS as u64;
/// The part of all connections that one client may have, and how many at least.
const SHARE: usize = 10;
const LEAST_SHARE: usize = 10;
/// TLS's own buffers of a connection, in bytes: a record each way, and what rustls lets wait.
const TLS: usize = 128 * 1024;
/// The buffers of a connection to an upstream: the head that is sent; the answer's head, and a read behind it.
const UPSTREAM: usize = BUFFER + answer::HEAD + MOST_ROOM;
/// Connections at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(usize);

/// How many connections there may be, and what they may take.
///
/// For each, at most: the two buffers of hyper with a part of a body on its way between them, and a head that comes in pieces; or
/// HTTP/2's window, and what waits of an answer; with TLS its buffers; and those of a connection to an upstream. Each request of
/// an HTTP/2 connection takes the place of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    pub(crate) connections: usize,
    /// Those of one client.
    pub(crate) each: usize,
    /// Fewer than were asked for, with so many file descriptors.
    files: Option<u64>,
    bytes: usize,
}

impl Bounds {
    pub(crate) fn new(
        Connections(asked): Connections,
        each: Option<Connections>,
        is_secure: bool,
        files: Option<u64>,
    ) -> Self {
        // One for each client, and a third as many for upstreams: most connections have no request under way. Where more have, the
        // requests that find no file are answered with 502.
        let room = files.map_or(usize::MAX, |files| {
            usize::try_from(files.saturating_sub(OTHER_FILES) / 4 * 3).unwrap_or(usize::MAX).max(1)
        });
        let window = |window: u32| usize::try_from(window).unwrap_or(usize::MAX);
        // A head that is not whole yet, what hyper reads, and what it writes, which may be one piece of an answer more. A buffer that
        // grows may have room for twice what is in it.
        let http1 = 2 * (HEAD + BUFFER + BUFFER + MOST_ROOM);
        let http2 = window(WINDOW).max(window(STREAM_WINDOW)) + SEND;
        let bytes = http1.max(http2) + if is_secure { TLS } else { 0 } + UPSTREAM;
        let connections = asked.min(room);
        let each = each.map_or(LEAST_SHARE.max(connections / SHARE), |Connections(each)| each).min(connections);
        Self { connections, each, files: files.filter(|_| room < asked), bytes }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, each, files, bytes } = self;
        let all = connections.saturating_mul(*bytes) / 1024 / 1024;
        write!(f, "at most {connections} connections, {each} of one client, and {} KiB for each, ", bytes / 1024)?;
        write!(f, "{all} MiB in all")?;
        if let Some(files) = files {
            write!(f, "; no more for want of open files ({files}): raise their hard limit")?;
        }
        Ok(())
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self(10_000)
    }
}

/// Why a text is not a number of connections.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConnections {
    /// It is no number.
    #[error(transparent)]
    Number(#[from] ParseIntError),
    /// None, or more than a process should have.
    #[error("it is not from 1 to 100000")]
    Range,
}

impl FromStr for Connections {
    type Err = NotConnections;

    fn from_str(text: &str) -> Result<Self, NotConnections> {
        let connections = text.parse()?;
        if (1..=100_000).contains(&connections) { Ok(Self(connections)) } else { Err(NotConnections::Range) }
    }
}

/// As many open files as the process may have; the number, where there is one.
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

    #[test]
    fn the_bound_is_what_open_files_allow() {
        let bounds = |files| Bounds::new(Connections(10_000), None, false, files);
        assert_eq!((bounds(None).connections, bounds(Some(1_000_000)).connections), (10_000, 10_000));
        let line = "at most 10000 connections, 1000 of one client, and 648 KiB for each, 6328 MiB in all";
        assert_eq!(bounds(None).to_string(), line);
        assert_eq!((bounds(Some(1256)).connections, bounds(Some(1256)).each), (750, 75));
        assert!(bounds(Some(1256)).to_string().ends_with("for want of open files (1256): raise their hard limit"));
        assert_eq!((bounds(Some(0)).connections, bounds(Some(0)).each), (1, 1));
    }

    #[test]
    fn a_client_has_a_share_unless_its_bound_is_set() {
        let each = |all, each: Option<usize>| Bounds::new(Connections(all), each.map(Connections), false, None).each;
        assert_eq!([each(100_000, None), each(200, None), each(50, None), each(3, None)], [10_000, 20, 10, 3]);
        assert_eq!([each(200, Some(150)), each(200, Some(1)), each(200, Some(500))], [150, 1, 200]);
    }
}
