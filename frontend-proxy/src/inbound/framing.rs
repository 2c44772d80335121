//! How HTTP/1 requests follow each other on a connection, by the strictest reading of
//! [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112): a request that two readers could frame differently is refused. Looks at
//! each byte of a head once, at chunked bodies' size lines, and at no byte of a body's data; copies nothing and does no I/O.

mod chunked;
mod head;
mod refusal;
mod token;

use chunked::ChunkScanner;
use head::{Framing, ends, head};

pub use head::{FIELDS, HEAD};
pub use refusal::Refusal;

/// Follows the requests of one connection.
#[derive(Debug)]
pub struct Scanner(State);

#[derive(Debug)]
enum State {
    Head {
        /// The empty line that may precede a request has been seen.
        blank: bool,
        /// How many bytes of the head have been searched for its end, without finding it.
        searched: usize,
    },
    Length(u64),
    Chunked(ChunkScanner),
    /// A request asks for another protocol. The decision, and thus what follows, is not known yet.
    Upgrading,
    Tunnel,
}

/// What the scanner decided about the bytes it was shown.
#[derive(Debug, PartialEq, Eq)]
pub struct Scanned {
    /// How many bytes may be passed to the parser.
    pub pass: usize,
    /// What to do with the remaining bytes.
    pub rest: Disposition,
}

/// What to do with the bytes that may not be read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disposition {
    /// There are no such bytes.
    None,
    /// Show the bytes again with those that follow: they are part of a head, or may not be HTTP at all.
    Hold,
    /// The bytes start a request that is refused; nothing after it can be framed.
    Refuse(Refusal),
    /// The bytes are in a body that cannot be framed.
    Broken,
}

impl Default for Scanner {
    fn default() -> Self {
        Self(State::HEAD)
    }
}

impl Scanner {
    /// Scans bytes that follow everything passed before.
    #[inline]
    pub fn scan(&mut self, bytes: &[u8]) -> Scanned {
        let mut pass = 0;
        loop {
            let Some(rest) = bytes.get(pass..).filter(|rest| !rest.is_empty()) else {
                return Scanned { pass, rest: Disposition::None };
            };
            match self.step(rest) {
                Ok(0) => return Scanned { pass, rest: Disposition::Hold },
                Ok(more) => pass += more,
                Err(rest) => return Scanned { pass, rest },
            }
        }
    }

    /// The last request's upgrade is granted: what follows is not HTTP/1.
    pub fn tunnel(&mut self) {
        self.0 = State::Tunnel;
    }

    /// The upgrade is declined: HTTP/1 continues.
    pub fn stay(&mut self) {
        if let State::Upgrading = self.0 {
            self.0 = State::HEAD;
        }
    }

    /// Whether an upgrade is still undecided; until it is, no further bytes pass.
    pub fn is_upgrading(&self) -> bool {
        matches!(self.0, State::Upgrading)
    }

    /// Whether everything passed so far is whole requests, and the connection still uses HTTP/1.
    pub fn is_between(&self) -> bool {
        matches!(self.0, State::Head { searched: 0, .. } | State::Upgrading)
    }

    /// Whether the client is in the middle of a body.
    pub fn is_within(&self) -> bool {
        matches!(self.0, State::Length(_) | State::Chunked(_))
    }

    /// How many of these bytes may pass next; 0 if more bytes are needed.
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Disposition> {
        match &mut self.0 {
            State::Head { blank, .. } if !*blank && bytes.starts_with(b"\r\n") => {
                self.0 = State::Head { blank: true, searched: 0 };
                Ok(2)
            }
            State::Head { blank: false, .. } if bytes == b"\r" => Ok(0),
            State::Head { searched, .. } => {
                if *searched > 0 && !ends(bytes.get(searched.saturating_sub(2)..).unwrap_or_default()) {
                    *searched = bytes.len();
                    return if bytes.len() > HEAD { Err(Disposition::Refuse(Refusal::TooLarge)) } else { Ok(0) };
                }
                match head(bytes).map_err(Disposition::Refuse)? {
                    Some((length, framing)) => {
                        self.0 = State::after(&framing);
                        Ok(length)
                    }
                    None => {
                        *searched = bytes.len();
                        Ok(0)
                    }
                }
            }
            State::Length(left) => {
                let length = usize::try_from(*left).map_or(bytes.len(), |left| left.min(bytes.len()));
                *left = left.saturating_sub(u64::try_from(length).unwrap_or(u64::MAX));
                if *left == 0 {
                    self.0 = State::HEAD;
                }
                Ok(length)
            }
            State::Chunked(chunked) => {
                let (length, ended) = chunked.follow(bytes).ok_or(Disposition::Broken)?;
                if ended {
                    self.0 = State::HEAD;
                }
                Ok(length)
            }
            State::Upgrading => Ok(0),
            State::Tunnel => Ok(bytes.len()),
        }
    }
}

impl State {
    const HEAD: Self = Self::Head { blank: false, searched: 0 };

    fn after(head: &Framing) -> Self {
        match head.length {
            Some(length) if length > 0 => Self::Length(length),
            _ if head.chunked => Self::Chunked(ChunkScanner::default()),
            _ if head.upgrade => Self::Upgrading,
            _ => Self::HEAD,
        }
    }
}

#[cfg(test)]
mod tests;
