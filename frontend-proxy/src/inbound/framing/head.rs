//! One request's head: whether its form is strict, and which framing it announces. Looks at each byte once.

use memchr::{memchr, memchr_iter};

use super::refusal::Refusal;
use super::token::is_token;

/// Largest request head, in bytes.
pub const HEAD: usize = 64 * 1024;
/// Most header fields of a request.
pub const FIELDS: usize = 100;

/// What follows a request's head.
#[derive(Debug, Default)]
pub(super) struct Framing {
    pub(super) length: Option<u64>,
    pub(super) chunked: bool,
    pub(super) upgrade: bool,
}

/// A head's length and what follows it; `None` if the head is incomplete.
pub(super) fn head(bytes: &[u8]) -> Result<Option<(usize, Framing)>, Refusal> {
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

/// Whether the bytes contain an empty line, by the most lenient reading. A client that ends a head this way is waiting for a
/// response.
pub(super) fn ends(bytes: &[u8]) -> bool {
    memchr_iter(b'\n', bytes)
        .any(|at| bytes.get(at + 1..).is_some_and(|rest| rest.starts_with(b"\n") || rest.starts_with(b"\r\n")))
}

impl Framing {
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
