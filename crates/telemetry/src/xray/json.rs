//! JSON text, written straight into a buffer: a document has no other form on its way to the daemon. Commas are written by
//! need; whoever opens closes. Keys that are constants are names without anything to escape.

use std::io::Write;

use crate::span::reading::{Scalar, Text};

/// The most characters of a string in `http.request`, and of `user`.
pub(super) const SHORT: usize = 250;

/// Appends to a buffer.
pub(super) struct Json<'o> {
    out: &'o mut Vec<u8>,
    /// A text was cut.
    pub(super) cut: bool,
}

impl<'o> Json<'o> {
    pub(super) fn new(out: &'o mut Vec<u8>) -> Self {
        Self { out, cut: false }
    }

    /// Begins an object, as an item of an array or as the whole text.
    pub(super) fn open(&mut self) {
        self.separate();
        self.out.push(b'{');
    }

    /// Begins the object `key`.
    pub(super) fn open_at(&mut self, key: &'static str) {
        self.key(key);
        self.out.push(b'{');
    }

    pub(super) fn close(&mut self) {
        self.out.push(b'}');
    }

    /// Begins the array `key`.
    pub(super) fn open_list_at(&mut self, key: &'static str) {
        self.key(key);
        self.out.push(b'[');
    }

    /// The object `key`, which is JSON already.
    pub(super) fn object<'t>(&mut self, key: impl Into<Text<'t>>, json: &str) {
        self.separate();
        self.quoted(key.into());
        self.out.push(b':');
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(super) fn close_list(&mut self) {
        self.out.push(b']');
    }

    pub(super) fn text<'t>(&mut self, key: &'static str, text: impl Into<Text<'t>>) {
        self.key(key);
        self.quoted(text.into());
    }

    /// At most [`SHORT`] characters of a text.
    pub(super) fn short<'t>(&mut self, key: &'static str, text: impl Into<Text<'t>>) {
        let short = self.cut_to(SHORT, text.into());
        self.text(key, short);
    }

    /// At most so many characters.
    pub(super) fn cut_to<'t>(&mut self, characters: usize, text: Text<'t>) -> Text<'t> {
        let short = text.first(characters);
        self.cut |= short != text;
        short
    }

    /// `scheme://host:port` and a path, where there is one.
    pub(super) fn url(&mut self, scheme: Text<'_>, host: Text<'_>, port: Option<u16>, path: [Text<'_>; 2]) {
        self.key("url");
        self.out.push(b'"');
        for part in [scheme, "://".into(), host] {
            self.escaped(part);
        }
        if let Some(port) = port {
            self.out.push(b':');
            self.digits(port);
        }
        for part in path {
            self.escaped(part);
        }
        self.out.push(b'"');
    }

    /// A text in lower-case hex, with a dash after each of the numbers of bytes in `parts` but the last.
    pub(super) fn hex(&mut self, key: &'static str, prefix: &str, parts: &[&[u8]]) {
        self.key(key);
        self.out.push(b'"');
        self.out.extend_from_slice(prefix.as_bytes());
        for (index, part) in parts.iter().enumerate() {
            if index > 0 {
                self.out.push(b'-');
            }
            // Of no more than sixteen bytes at a time.
            for bytes in part.chunks(16) {
                let mut digits = [0; 32];
                for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bytes) {
                    let digit = |nibble: u8| nibble + b'0' + u8::from(nibble > 9) * (b'a' - b'0' - 10);
                    *pair = [digit(byte >> 4), digit(byte & 0xf)];
                }
                self.out.extend_from_slice(digits.get(..2 * bytes.len()).unwrap_or_default());
            }
        }
        self.out.push(b'"');
    }

    pub(super) fn flag(&mut self, key: &'static str) {
        self.key(key);
        self.out.extend_from_slice(b"true");
    }

    pub(super) fn number(&mut self, key: &'static str, number: impl itoa::Integer) {
        self.key(key);
        self.digits(number);
    }

    /// Seconds since 1970 with their microseconds.
    pub(super) fn seconds(&mut self, key: &'static str, nanoseconds: u64) {
        self.key(key);
        let micros = nanoseconds / 1_000;
        self.digits(micros / 1_000_000);
        // The digit before the six becomes the point.
        let start = self.out.len();
        self.digits(1_000_000 + micros % 1_000_000);
        if let Some(point) = self.out.get_mut(start) {
            *point = b'.';
        }
    }

    /// A pair whose key is any text. A number that JSON does not have is null.
    pub(super) fn value<'t>(&mut self, key: impl Into<Text<'t>>, value: Scalar<'_>) {
        self.separate();
        self.quoted(key.into());
        self.out.push(b':');
        match value {
            Scalar::Text(text) => self.quoted(text),
            Scalar::Bool(flag) => self.out.extend_from_slice(if flag { b"true" } else { b"false" }),
            Scalar::Int(number) => self.digits(number),
            // Debug keeps the exponent of a large number, Display writes all its digits. Writing to memory does not fail.
            Scalar::Float(number) if number.is_finite() => drop(write!(self.out, "{number:?}")),
            Scalar::Float(_) => self.out.extend_from_slice(b"null"),
        }
    }

    /// Pairs that are JSON already, or none.
    pub(super) fn pairs(&mut self, pairs: &str) {
        if !pairs.is_empty() {
            self.separate();
            self.out.extend_from_slice(pairs.as_bytes());
        }
    }

    #[inline]
    fn key(&mut self, key: &'static str) {
        self.out.reserve(key.len() + 4);
        self.separate();
        self.out.push(b'"');
        self.out.extend_from_slice(key.as_bytes());
        self.out.extend_from_slice(b"\":");
    }

    #[inline]
    fn separate(&mut self) {
        if !matches!(self.out.last(), None | Some(b'{' | b'[' | b'\n')) {
            self.out.push(b',');
        }
    }

    fn quoted(&mut self, text: Text<'_>) {
        self.out.push(b'"');
        self.escaped(text);
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: Text<'_>) {
        if is_plain(text.as_bytes()) {
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        let start = self.out.len();
        // Neither a text nor a buffer in memory fails. The quotes come off again.
        let _: serde_json::Result<()> = serde_json::to_writer(&mut *self.out, text.as_str());
        self.out.pop();
        if start < self.out.len() {
            self.out.remove(start);
        }
    }

    fn digits(&mut self, number: impl itoa::Integer) {
        self.out.extend_from_slice(itoa::Buffer::new().format(number).as_bytes());
    }
}

/// It is ASCII of which nothing must be escaped.
fn is_plain(text: &[u8]) -> bool {
    let (eights, rest) = text.as_chunks();
    let found = eights.iter().fold(0, |found, eight| found | special(u64::from_ne_bytes(*eight)));
    match (found, rest, text.last_chunk()) {
        (0, [], _) => true,
        // Some of these bytes for the second time.
        (0, _, Some(last)) => special(u64::from_ne_bytes(*last)) == 0,
        (0, ..) => rest.iter().all(|byte| matches!(byte, b' '..0x80) && *byte != b'"' && *byte != b'\\'),
        _ => false,
    }
}

/// Not zero where one of eight bytes is a control character, a quote, a backslash or not ASCII.
fn special(eight: u64) -> u64 {
    const ONES: u64 = u64::from_ne_bytes([1; 8]);
    let less = |bytes: u64, than: u8| bytes.wrapping_sub(ONES * u64::from(than)) & !bytes;
    let is = |byte: u8| less(eight ^ (ONES * u64::from(byte)), 1);
    (less(eight, 0x20) | is(b'"') | is(b'\\') | eight) & (ONES << 7)
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
            json.seconds("time", time);
            json.open_list_at("list");
            json.open();
            json.value("float", Scalar::Float(float));
            json.close();
            json.open();
            json.value("int", Scalar::Int(int));
            json.close();
            json.close_list();
            json.close();
            let read: serde_json::Value = serde_json::from_slice(&out).unwrap();
            prop_assert_eq!(read[&key].as_str(), Some(text.as_str()));
            let microseconds = read["time"].to_string();
            prop_assert!((read["time"].as_f64().unwrap() - std::time::Duration::from_nanos(time).as_secs_f64()).abs() < 1e-5, "{microseconds}");
            // serde_json reads a float to its last digit but one.
            match read["list"][0]["float"].as_f64() {
                Some(read) => prop_assert!((read - float).abs() <= float.abs() * 1e-12, "{read}"),
                None => prop_assert!(!float.is_finite()),
            }
            prop_assert_eq!(read["list"][1]["int"].as_i64(), Some(int));
        }
    }
}
