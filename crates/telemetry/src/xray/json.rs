//! JSON text, written straight into a buffer: a document has no other form on its way to the daemon. Commas are written by
//! need; whoever opens closes. Keys that are constants are names without anything to escape.

use std::io::Write;

use crate::span::Value;

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
    pub(super) fn object(&mut self, key: &str, json: &str) {
        self.separate();
        self.quoted(key);
        self.out.push(b':');
        self.out.extend_from_slice(json.as_bytes());
    }

    pub(super) fn close_list(&mut self) {
        self.out.push(b']');
    }

    pub(super) fn text(&mut self, key: &'static str, text: &str) {
        self.key(key);
        self.quoted(text);
    }

    /// At most [`SHORT`] characters of a text.
    pub(super) fn short(&mut self, key: &'static str, text: &str) {
        let short = self.cut_to(SHORT, text);
        self.text(key, short);
    }

    /// At most so many characters.
    pub(super) fn cut_to<'t>(&mut self, characters: usize, text: &'t str) -> &'t str {
        // A text of so few bytes has no more characters.
        let end = if text.len() <= characters { None } else { text.char_indices().nth(characters) };
        match end.and_then(|(end, _)| text.get(..end)) {
            Some(short) => {
                self.cut = true;
                short
            }
            None => text,
        }
    }

    /// `scheme://host:port` and a path, where there is one.
    pub(super) fn url(&mut self, scheme: &str, host: &str, port: Option<u16>, path: [&str; 2]) {
        self.key("url");
        self.out.push(b'"');
        for part in [scheme, "://", host] {
            self.escaped(part);
        }
        if let Some(port) = port {
            self.print(format_args!(":{port}"));
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
            for byte in *part {
                let [high, low] =
                    [byte >> 4, byte & 0xf].map(|nibble| nibble + if nibble < 10 { b'0' } else { b'a' - 10 });
                self.out.extend_from_slice(&[high, low]);
            }
        }
        self.out.push(b'"');
    }

    pub(super) fn flag(&mut self, key: &'static str) {
        self.key(key);
        self.out.extend_from_slice(b"true");
    }

    pub(super) fn number(&mut self, key: &'static str, number: impl std::fmt::Display) {
        self.key(key);
        self.print(format_args!("{number}"));
    }

    /// Seconds since 1970 with their microseconds.
    pub(super) fn seconds(&mut self, key: &'static str, nanoseconds: u64) {
        self.key(key);
        // Sixteen digits until the year 2286, the last six of them behind the point.
        let (mut digits, mut left) = ([b'0'; 20], nanoseconds / 1_000);
        for (place, digit) in digits.iter_mut().rev().enumerate() {
            if place == 6 {
                *digit = b'.';
            } else {
                let [low, ..] = (left % 10).to_le_bytes();
                *digit = b'0' + low;
                left /= 10;
            }
        }
        let start = digits.iter().position(|digit| *digit != b'0').unwrap_or(0);
        // A point needs a digit before it.
        let start = start.min(digits.len() - 8);
        self.out.extend_from_slice(digits.get(start..).unwrap_or_default());
    }

    /// A pair whose key is any text. A number that JSON does not have is null.
    pub(super) fn value(&mut self, key: &str, value: Value<'_>) {
        self.separate();
        self.quoted(key);
        self.out.push(b':');
        match value {
            Value::Text(text) => self.quoted(text),
            Value::Bool(flag) => self.print(format_args!("{flag}")),
            Value::Int(number) => self.print(format_args!("{number}")),
            // Debug keeps the exponent of a large number, Display writes all its digits.
            Value::Float(number) if number.is_finite() => self.print(format_args!("{number:?}")),
            Value::Float(_) => self.out.extend_from_slice(b"null"),
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

    fn quoted(&mut self, text: &str) {
        self.out.push(b'"');
        self.escaped(text);
        self.out.push(b'"');
    }

    fn escaped(&mut self, text: &str) {
        // Without an early end, so that the compiler looks at many bytes at a time.
        let is_plain = |plain: bool, byte: &u8| plain & (*byte >= 0x20) & (*byte != b'"') & (*byte != b'\\');
        if text.as_bytes().iter().fold(true, is_plain) {
            self.out.extend_from_slice(text.as_bytes());
            return;
        }
        let start = self.out.len();
        // Neither a text nor a buffer in memory fails. The quotes come off again.
        let _: serde_json::Result<()> = serde_json::to_writer(&mut *self.out, text);
        self.out.pop();
        if start < self.out.len() {
            self.out.remove(start);
        }
    }

    fn print(&mut self, text: std::fmt::Arguments<'_>) {
        // Writing to memory does not fail.
        let _: std::io::Result<()> = self.out.write_fmt(text);
    }
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
            json.value(&key, Value::Text(&text));
            json.seconds("time", time);
            json.open_list_at("list");
            json.open();
            json.value("float", Value::Float(float));
            json.close();
            json.open();
            json.value("int", Value::Int(int));
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
