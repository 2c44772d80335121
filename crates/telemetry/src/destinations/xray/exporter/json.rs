//! JSON text, written directly into a buffer: a document has no other form on its way to the daemon. Every value is followed by a
//! comma, which a closing bracket replaces. The caller that opens an object or array must close it. Constant keys need no
//! escaping, and appear in the program exactly as in a document.

use std::io::Write;

use crate::ascii;
use crate::span::reading::{Scalar, Text, items};
use crate::value::not_finite;

/// The most characters of a string in `http.request`, and of `user`.
pub(super) const SHORT: usize = 250;

/// A constant key, quoted, with its colon; made by [`key!`].
#[derive(Debug, Clone, Copy)]
pub(super) struct Key(pub(super) &'static str);

macro_rules! key {
    ($name:literal) => {
        $crate::destinations::xray::exporter::json::Key(concat!("\"", $name, "\":"))
    };
}
pub(super) use key;

/// Appends to a buffer.
pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
    /// Whether a text was shortened.
    pub(super) cut: bool,
}

impl<'o> Json<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, cut: false }
    }

    /// Begins an object, as an item of an array or as the whole text.
    pub(super) fn open(&mut self) {
        self.out.push(b'{');
    }

    /// Begins the object `key`.
    #[inline(always)]
    pub(super) fn open_at(&mut self, key: Key) {
        self.key(key);
        self.out.push(b'{');
    }

    #[inline(always)]
    pub(super) fn close(&mut self) {
        close(self.out, b'}');
    }

    /// Begins the array `key`.
    pub(super) fn open_list_at(&mut self, key: Key) {
        self.key(key);
        self.out.push(b'[');
    }

    pub(super) fn close_list(&mut self) {
        close(self.out, b']');
    }

    /// Writes the object `key`, whose value is already JSON.
    pub(super) fn object<'t>(&mut self, key: impl Into<Text<'t>>, json: &str) {
        self.quoted(key.into(), b"\":");
        self.out.extend_from_slice(json.as_bytes());
        self.out.push(b',');
    }

    #[inline(always)]
    pub(super) fn text<'t>(&mut self, key: Key, text: impl Into<Text<'t>>) {
        self.key(key);
        self.quoted(text.into(), b"\",");
    }

    /// Writes a text in parts that need no escaping.
    #[inline(always)]
    pub(super) fn plain<const N: usize>(&mut self, key: Key, parts: [&[u8]; N]) {
        self.key(key);
        self.out.push(b'"');
        for part in parts {
            self.out.extend_from_slice(part);
        }
        self.out.extend_from_slice(b"\",");
    }

    /// Writes at most [`SHORT`] characters of a text.
    #[inline(always)]
    pub(super) fn short<'t>(&mut self, key: Key, text: impl Into<Text<'t>>) {
        let text = text.into();
        // Nearly every text fits within that many bytes.
        let short = if text.len() <= SHORT { text } else { self.cut_to(SHORT, text) };
        self.text(key, short);
    }

    /// Shortens a text to at most so many characters.
    pub(super) fn cut_to<'t>(&mut self, characters: usize, text: Text<'t>) -> Text<'t> {
        let short = text.first(characters);
        self.cut |= short != text;
        short
    }

    /// Writes `scheme://host:port` and a path, if there is one.
    pub(super) fn url(&mut self, scheme: Text<'_>, host: Text<'_>, port: Option<u16>, path: [Text<'_>; 2]) {
        self.out.extend_from_slice(b"\"url\":\"");
        self.escaped(scheme);
        self.out.extend_from_slice(b"://");
        self.escaped(host);
        if let Some(port) = port {
            self.out.push(b':');
            self.digits(port);
        }
        for part in path {
            self.escaped(part);
        }
        self.out.extend_from_slice(b"\",");
    }

    /// Writes eight bytes in lower-case hex.
    #[inline(always)]
    pub(super) fn id(&mut self, key: Key, id: [u8; 8]) {
        self.plain(key, [&ascii::hex(id)]);
    }

    pub(super) fn flag(&mut self, key: Key) {
        self.key(key);
        self.out.extend_from_slice(b"true,");
    }

    #[inline(always)]
    pub(super) fn number(&mut self, key: Key, number: impl itoa::Integer) {
        self.key(key);
        self.digits(number);
        self.out.push(b',');
    }

    /// Writes seconds since 1970, with microseconds.
    #[inline(always)]
    pub(super) fn seconds(&mut self, key: Key, nanoseconds: u64) {
        self.key(key);
        self.microseconds(nanoseconds / 1_000);
    }

    fn microseconds(&mut self, microseconds: u64) {
        const EIGHT_DIGITS: u64 = 100_000_000;
        let [high, low] = [microseconds / EIGHT_DIGITS, microseconds % EIGHT_DIGITS].map(u32::try_from);
        match (high, low) {
            // Ten of sixteen digits are seconds: from 2001 to 2286.
            (Ok(high @ 10_000_000..=99_999_999), Ok(low)) => {
                let [ten, one, micros @ ..] = ascii::decimal(low);
                self.out.extend_from_slice(&ascii::decimal(high));
                self.out.extend_from_slice(&[ten, one, b'.']);
                self.out.extend_from_slice(&micros);
                self.out.push(b',');
            }
            // Writing to memory does not fail.
            _ => drop(write!(self.out, "{}.{:06},", microseconds / 1_000_000, microseconds % 1_000_000)),
        }
    }

    /// Writes a pair whose key is any text. A number that JSON cannot represent becomes a text.
    pub(super) fn value<'t>(&mut self, key: impl Into<Text<'t>>, value: Scalar<'_>) {
        self.quoted(key.into(), b"\":");
        self.scalar(value);
    }

    /// Writes a value and a comma.
    fn scalar(&mut self, value: Scalar<'_>) {
        match value {
            Scalar::Text(text) => return self.quoted(text, b"\","),
            Scalar::Bool(flag) => self.out.extend_from_slice(if flag { b"true" } else { b"false" }),
            Scalar::Int(number) => self.digits(number),
            Scalar::Array(array) => {
                self.out.push(b'[');
                items(array).for_each(|item| self.scalar(item));
                return self.close_list();
            }
            // Debug keeps the exponent of a large number, while Display writes all its digits. Writing to memory cannot fail.
            Scalar::Float(number) => match not_finite(number) {
                Some(text) => return self.quoted(text.into(), b"\","),
                None => drop(write!(self.out, "{number:?}")),
            },
        }
        self.out.push(b',');
    }

    /// Appends pairs that are already JSON, each followed by a comma; `pairs` may be empty.
    pub(super) fn pairs(&mut self, pairs: &str) {
        self.out.extend_from_slice(pairs.as_bytes());
    }

    #[inline(always)]
    fn key(&mut self, key: Key) {
        self.out.extend_from_slice(key.0.as_bytes());
    }

    /// Writes a text between a quote and `end`, which begins with a quote.
    fn quoted(&mut self, text: Text<'_>, end: &[u8; 2]) {
        self.out.push(b'"');
        self.escaped(text);
        self.out.extend_from_slice(end);
    }

    fn escaped(&mut self, text: Text<'_>) {
        if is_plain(text.as_bytes()) { self.out.extend_from_slice(text.as_bytes()) } else { self.escape(text) }
    }

    #[cold]
    fn escape(&mut self, text: Text<'_>) {
        let start = self.out.len();
        // Writing a text to memory cannot fail. The quotes are removed again.
        let _: serde_json::Result<()> = serde_json::to_writer(&mut *self.out, text.as_str());
        self.out.pop();
        if start < self.out.len() {
            self.out.remove(start);
        }
    }

    #[inline(always)]
    fn digits(&mut self, number: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// Replaces the last comma, if there is one, with `bracket`, and appends a comma.
#[inline(always)]
pub(super) fn close(out: &mut Vec<u8>, bracket: u8) {
    end(out, bracket);
    out.push(b',');
}

/// Replaces the last comma, if there is one, with `bracket`, and appends no comma.
#[inline(always)]
pub(super) fn end(out: &mut Vec<u8>, bracket: u8) {
    match out.last_mut() {
        Some(last @ b',') => *last = bracket,
        _ => out.push(bracket),
    }
}

/// Whether `text` is ASCII and needs no escaping.
#[inline(always)]
fn is_plain(text: &[u8]) -> bool {
    // The last eight or four bytes are checked as one word, even if that checks some bytes twice.
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let of = |eight: &[u8; 8]| are_plain(u64::from_ne_bytes(*eight));
        let (eights, _) = text.as_chunks();
        return is_set(eights.iter().skip(1).fold(of(first) & of(last), |found, eight| found & of(eight)));
    }
    if let (Some(first), Some(last)) = (text.first_chunk(), text.last_chunk()) {
        let [first, last] = [first, last].map(|four| u64::from(u32::from_ne_bytes(*four)));
        return is_set(are_plain(first | last << 32));
    }
    text.iter().all(|byte| matches!(byte, b' '..0x80) && *byte != b'"' && *byte != b'\\')
}

/// The highest bit of every byte of eight.
const BITS: u64 = u64::from_ne_bytes([0x80; 8]);

/// Sets the highest bit of each of the eight bytes that is ASCII, except control characters, a quote and a backslash. If a byte
/// is not ASCII, its own highest bit is clear, and those of the other bytes are meaningless.
#[inline(always)]
fn are_plain(eight: u64) -> u64 {
    let all = |byte| u64::from_ne_bytes([byte; 8]);
    let is_not = |byte| (eight ^ all(byte)).wrapping_add(all(0x7f));
    eight.wrapping_add(all(0x80 - b' ')) & is_not(b'"') & is_not(b'\\') & !eight
}

fn is_set(found: u64) -> bool {
    found & BITS == BITS
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_read_back(key in ".{0,20}", text in any::<String>(), float: f64, int: i64, time: u64) {
            let mut out = Vec::new();
            let mut json = Json::new(&mut out);
            json.open();
            json.value(key.as_str(), Scalar::Text(text.as_str().into()));
            json.seconds(key!("time"), time);
            json.open_list_at(key!("list"));
            json.open();
            json.value("float", Scalar::Float(float));
            json.close();
            json.open();
            json.value("int", Scalar::Int(int));
            json.close();
            json.close_list();
            end(&mut out, b'}');
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read[&key].as_str(), Some(text.as_str()));
            let microseconds = read["time"].to_string();
            prop_assert!((read["time"].as_f64().unwrap() - std::time::Duration::from_nanos(time).as_secs_f64()).abs() < 1e-5, "{microseconds}");
            // serde_json reads a float to its last digit but one.
            match read["list"][0]["float"].as_f64() {
                Some(read) => prop_assert!((read - float).abs() <= float.abs() * 1e-12, "{read}"),
                None => prop_assert_eq!(read["list"][0]["float"].as_str(), not_finite(float)),
            }
            prop_assert_eq!(read["list"][1]["int"].as_i64(), Some(int));
        }
    }
}
