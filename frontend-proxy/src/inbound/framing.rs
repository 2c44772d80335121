//! How HTTP/1 requests follow each other on a connection, by the strictest reading of
//! [RFC 9112](https://www.rfc-editor.org/rfc/rfc9112): a request that two readers could frame differently is refused. Looks at
//! each byte of a head once, at chunked bodies' size lines, and at no byte of a body's data; copies nothing and does no I/O.

mod chunked;
mod refusal;

use chunked::Chunked;
use memchr::{memchr, memchr_iter};

pub use refusal::Refusal;

/// Largest request head, in bytes.
pub const HEAD: usize = 64 * 1024;
/// Most header fields of a request.
pub const FIELDS: usize = 100;

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
    Chunked(Chunked),
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
    pub rest: Rest,
}

/// What to do with the bytes that may not be read yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rest {
    /// There are no such bytes.
    None,
    /// Show the bytes again with those that follow: they are part of a head, or may not be HTTP at all.
    Hold,
    /// The bytes start a request that is refused; nothing after it can be framed.
    Refuse(Refusal),
    /// The bytes are in a body that cannot be framed.
    Broken,
}

/// What follows a request's head.
#[derive(Debug, Default)]
struct Framing {
    length: Option<u64>,
    chunked: bool,
    upgrade: bool,
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
                return Scanned { pass, rest: Rest::None };
            };
            match self.step(rest) {
                Ok(0) => return Scanned { pass, rest: Rest::Hold },
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
    fn step(&mut self, bytes: &[u8]) -> Result<usize, Rest> {
        match &mut self.0 {
            State::Head { blank, .. } if !*blank && bytes.starts_with(b"\r\n") => {
                self.0 = State::Head { blank: true, searched: 0 };
                Ok(2)
            }
            State::Head { blank: false, .. } if bytes == b"\r" => Ok(0),
            State::Head { searched, .. } => {
                if *searched > 0 && !ends(bytes.get(searched.saturating_sub(2)..).unwrap_or_default()) {
                    *searched = bytes.len();
                    return if bytes.len() > HEAD { Err(Rest::Refuse(Refusal::TooLarge)) } else { Ok(0) };
                }
                match head(bytes).map_err(Rest::Refuse)? {
                    Some((length, framing)) => {
                        self.0 = framing.next();
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
                let (length, over) = chunked.follow(bytes).ok_or(Rest::Broken)?;
                if over {
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
}

impl Framing {
    fn next(&self) -> State {
        match self.length {
            Some(length) if length > 0 => State::Length(length),
            _ if self.chunked => State::Chunked(Chunked::default()),
            _ if self.upgrade => State::Upgrading,
            _ => State::HEAD,
        }
    }

    /// Reads the fields that affect framing, distinguished by the lengths of their names.
    fn take(&mut self, name: &[u8], value: &[u8], old: bool) -> Result<(), Refusal> {
        match name.len() {
            7 if name.eq_ignore_ascii_case(b"upgrade") => self.upgrade = !old,
            14 if name.eq_ignore_ascii_case(b"content-length") => {
                if self.length.is_some() {
                    return Err(Refusal::Length);
                }
                self.length = Some(length(value).ok_or(Refusal::Length)?);
            }
            17 if name.eq_ignore_ascii_case(b"transfer-encoding") => {
                if self.chunked || old || !value.trim_ascii().eq_ignore_ascii_case(b"chunked") {
                    return Err(Refusal::Encoding);
                }
                self.chunked = true;
            }
            _ => {}
        }
        Ok(())
    }
}

/// Whether the bytes contain an empty line, by the most lenient reading. A client that ends a head this way is waiting for a
/// response.
fn ends(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes)
        .any(|at| bytes.get(at + 1..).is_some_and(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n")))
}

/// A head's length and what follows it; `None` if the head is incomplete.
fn head(bytes: &[u8]) -> Result<Option<(usize, Framing)>, Refusal> {
    // A first byte that cannot start a request is refused immediately: it may belong to another protocol.
    if !bytes.first().is_some_and(|first| is_token(*first)) {
        return Err(if bytes.starts_with(b"\n") { Refusal::BareLineFeed } else { Refusal::RequestLine });
    }
    let incomplete = if bytes.len() > HEAD { Err(Refusal::TooLarge) } else { Ok(None) };
    let mut rest = bytes;
    let Some(first) = line(&mut rest)? else { return incomplete };
    let old = request_line(first)?;
    let mut framing = Framing::default();
    let mut fields = 0;
    loop {
        let Some(field) = line(&mut rest)? else { return incomplete };
        if field.is_empty() {
            break;
        }
        fields += 1;
        let length = field.iter().position(|byte| !is_token(*byte)).unwrap_or(field.len());
        match (length, field.get(length)) {
            (0, Some(b' ' | b'\t')) => return Err(Refusal::Folded),
            (_, Some(b'_')) => return Err(Refusal::Underscore),
            (0, _) => return Err(Refusal::Name),
            (_, Some(b':')) => {}
            _ => return Err(Refusal::Name),
        }
        if let 7 | 14 | 17 = length {
            let (name, value) = field.split_at(length);
            framing.take(name, value.get(1..).unwrap_or_default(), old)?;
        }
    }
    let length = bytes.len() - rest.len();
    if length > HEAD {
        return Err(Refusal::TooLarge);
    }
    if fields > FIELDS {
        return Err(Refusal::TooMany);
    }
    if framing.chunked && framing.length.is_some() {
        return Err(Refusal::Encoding);
    }
    // One CR for each line: the request line, each field and the empty line.
    if !is_clean(bytes.get(..length).unwrap_or_default(), fields + 2) {
        return Err(Refusal::Control);
    }
    Ok(Some((length, framing)))
}

/// Takes the first line, without its end.
fn line<'a>(bytes: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Refusal> {
    let Some((line, rest)) = memchr(b'\n', bytes).and_then(|end| bytes.split_at_checked(end)) else {
        // A client that uses a bare CR as a line end may be waiting for a response already.
        let bare = memchr(b'\r', bytes).is_some_and(|at| at + 1 < bytes.len());
        return if bare { Err(Refusal::Control) } else { Ok(None) };
    };
    *bytes = rest.get(1..).unwrap_or_default();
    line.strip_suffix(b"\r").map(Some).ok_or(Refusal::BareLineFeed)
}

/// Whether the request is HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let (line, old) = match (line.strip_suffix(b" HTTP/1.1"), line.strip_suffix(b" HTTP/1.0")) {
        (Some(line), _) => (line, false),
        (_, Some(line)) => (line, true),
        _ => return Err(Refusal::RequestLine),
    };
    let space = memchr(b' ', line).ok_or(Refusal::RequestLine)?;
    let (method, target) = line.split_at(space);
    let target = target.get(1..).unwrap_or_default();
    if method == b"CONNECT" {
        return Err(Refusal::Connect);
    }
    if method.iter().all(|byte| is_token(*byte)) && is_target(target) { Ok(old) } else { Err(Refusal::RequestLine) }
}

/// Whether the parser accepts this target, and keeps it whole: a fragment would be cut off.
fn is_target(target: &[u8]) -> bool {
    let usual = |byte: &u8| byte.is_ascii_alphanumeric() || b"/-._~%?&=+,:;@!$'()*".contains(byte);
    if target.first() == Some(&b'/') && target.iter().all(usual) {
        return true;
    }
    memchr(b'#', target).is_none() && http::Uri::try_from(target).is_ok()
}

fn length(value: &[u8]) -> Option<u64> {
    let digits = value.trim_ascii();
    // Eighteen digits cannot overflow.
    let right = (1..=18).contains(&digits.len()) && digits.iter().all(u8::is_ascii_digit);
    right.then(|| digits.iter().fold(0, |length, digit| length * 10 + u64::from(digit - b'0')))
}

/// Whether the head has no control character except tabs and the line ends of exactly `lines` lines.
fn is_clean(head: &[u8], lines: usize) -> bool {
    let other = |byte: u8| (byte < b' ') & (byte != b'\t') & (byte != b'\r') & (byte != b'\n') | (byte == 0x7f);
    !head.iter().fold(false, |found, byte| found | other(*byte)) && memchr_iter(b'\r', head).count() == lines
}

/// The characters of [a token](https://www.rfc-editor.org/rfc/rfc9110#section-5.6.2), except the underscore.
const TOKEN: [bool; 256] = {
    let mut token = [false; 256];
    let (mut at, all) = (0, *b"!#$%&'*+-.^`|~");
    while at < all.len() {
        token[all[at] as usize] = true;
        at += 1;
    }
    let mut byte = 0_u8;
    while byte < 128 {
        token[byte as usize] = token[byte as usize] || byte.is_ascii_alphanumeric();
        byte += 1;
    }
    token
};

fn is_token(byte: u8) -> bool {
    TOKEN[usize::from(byte)]
}

#[cfg(test)]
mod tests;
