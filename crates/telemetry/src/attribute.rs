//! Writes OTLP's `KeyValue`: an attribute of a span, an event or a log record. Most are short texts or small numbers, which are
//! written with few copies.

use std::ops::Range;

use otlp::wire::{bytes, field_len, fixed64, head, varint, varint_len};

use crate::value::Value;

/// `user.id`: not yet a stable convention, so the crate of conventions has no constant for it without its experimental feature.
pub(crate) const USER_ID: &str = "user.id";
/// The sampling rule that sampled a local root.
pub(crate) const SAMPLING_RULE: &str = "aws.xray.sampling_rule_name";
/// The most bytes of the encoding of an array's values.
const ARRAY: usize = 64 * 1024;

/// Appends a `KeyValue` as `field`; a text is cut between characters.
#[inline(always)]
pub(crate) fn attribute(out: &mut Vec<u8>, field: u8, key: &str, value: Value<'_>, limit: usize) {
    match value {
        Value::Text(text) if text.len() <= limit && is_short(key, text.len()) => {
            text_head(out, field, key, text.len());
            out.extend_from_slice(text.as_bytes());
        }
        // Small numbers, such as status codes, ports and counts.
        Value::Int(int @ 0..0x20_0000) if key.len() < 0x80 - 8 => {
            let key_length = low(key.len());
            let [first, second, third] = [int, int >> 7, int >> 14].map(|int| int.to_le_bytes()[0] & 0x7f);
            let number: &[u8] = match (second, third) {
                (0, 0) => &[2 << 3 | 2, 2, 3 << 3, first],
                (_, 0) => &[2 << 3 | 2, 3, 3 << 3, first | 0x80, second],
                _ => &[2 << 3 | 2, 4, 3 << 3, first | 0x80, second | 0x80, third],
            };
            out.reserve(key.len() + 10);
            out.extend_from_slice(&[field << 3 | 2, key_length + 2 + low(number.len()), 1 << 3 | 2, key_length]);
            out.extend_from_slice(key.as_bytes());
            out.extend_from_slice(number);
        }
        value => any_attribute(out, field, key, value, limit),
    }
}

/// Whether every length in the encoding of a text of `length` bytes takes one byte, as in nearly every attribute.
#[inline(always)]
pub(crate) fn is_short(key: &str, length: usize) -> bool {
    key.len() + length < 0x80 - 6
}

/// Appends everything that precedes a [short](is_short) text, with its heads in one write.
#[inline(always)]
pub(crate) fn text_head(out: &mut Vec<u8>, field: u8, key: &str, length: usize) {
    out.reserve(key.len() + length + 8);
    let (key_length, length) = (low(key.len()), low(length));
    out.extend_from_slice(&[field << 3 | 2, key_length + length + 6, 1 << 3 | 2, key_length]);
    out.extend_from_slice(key.as_bytes());
    out.extend_from_slice(&[2 << 3 | 2, length + 2, 1 << 3 | 2, length]);
}

#[inline(never)]
fn any_attribute(out: &mut Vec<u8>, field: u8, key: &str, value: Value<'_>, limit: usize) {
    let array = if let Value::Array(values) = value { array(values, limit) } else { Vec::new() };
    let value = if let Value::Text(text) = value { Value::Text(cut(text, limit)) } else { value };
    let value_length = value_length(value, &array);
    let length = field_len(key.len()) + field_len(value_length);
    out.reserve(length + 6);
    head(out, field, length);
    bytes(out, 1, key.as_bytes());
    head(out, 2, value_length);
    any_value(out, value, &array);
}

/// The length of an `AnyValue` in bytes; `array` is the encoding of an array's values.
fn value_length(value: Value<'_>, array: &[u8]) -> usize {
    match value {
        Value::Text(text) => field_len(text.len()),
        Value::Bool(_) => 2,
        Value::Int(int) => 1 + varint_len(int.cast_unsigned()),
        Value::Float(_) => 9,
        Value::Array(_) => field_len(array.len()),
    }
}

/// Appends the content of an `AnyValue`.
fn any_value(out: &mut Vec<u8>, value: Value<'_>, array: &[u8]) {
    match value {
        Value::Text(text) => bytes(out, 1, text.as_bytes()),
        Value::Bool(flag) => out.extend_from_slice(&[2 << 3, flag.into()]),
        Value::Int(int) => {
            out.push(3 << 3);
            varint(out, int.cast_unsigned());
        }
        Value::Float(float) => fixed64(out, 4, float.to_bits()),
        Value::Array(_) => bytes(out, 5, array),
    }
}

/// The encoding of an `ArrayValue`: the values that fit in [`ARRAY`] bytes.
fn array(values: &[Value<'_>], limit: usize) -> Vec<u8> {
    let mut out = Vec::new();
    for value in values {
        let value = match *value {
            Value::Text(text) => Value::Text(cut(text, limit)),
            Value::Array(_) => continue,
            other => other,
        };
        let length = value_length(value, &[]);
        if out.len() + field_len(length) > ARRAY {
            break;
        }
        head(&mut out, 1, length);
        any_value(&mut out, value, &[]);
    }
    out
}

/// The encoded attributes of an event or a log record. Their keys are unique, which OTLP requires: a later value replaces an
/// earlier one.
pub(crate) struct Attributes {
    field: u8,
    encoding: Vec<u8>,
    lengths: u64,
    /// How many more attributes may be added, and how many were dropped.
    left: u32,
    pub(crate) dropped: u32,
    value_bytes: usize,
}

impl Attributes {
    /// Creates an empty list for a message that has attributes as `field`: at most `most`, with texts cut at `value_bytes`.
    pub(crate) fn new(field: u8, most: u32, value_bytes: usize) -> Self {
        Self { field, encoding: Vec::new(), lengths: 0, left: most, dropped: 0, value_bytes }
    }

    pub(crate) fn set(&mut self, key: &str, value: Value<'_>) {
        if self.has(key)
            && let Some(place) = find(&self.encoding, 0, key)
        {
            self.encoding.drain(place);
            self.left += 1;
        }
        let Some(left) = self.left.checked_sub(1) else {
            self.dropped += 1;
            return;
        };
        self.left = left;
        self.lengths |= bit(key);
        attribute(&mut self.encoding, self.field, key, value, self.value_bytes);
    }

    pub(crate) fn has(&self, key: &str) -> bool {
        self.lengths & bit(key) != 0 && find(&self.encoding, 0, key).is_some()
    }

    pub(crate) fn field(&self) -> u8 {
        self.field
    }

    pub(crate) fn encoding(&self) -> &[u8] {
        &self.encoding
    }
}

/// The position of the attribute `key` among the attributes from `start` on. OTLP's keys are unique.
pub(crate) fn find(encoding: &[u8], start: usize, key: &str) -> Option<Range<usize>> {
    let mut at = start;
    let mut rest = encoding.get(at..)?;
    while let [_, tail @ ..] = rest {
        let (length, tail) = short_length(tail)?;
        let (entry, next) = tail.split_at_checked(length)?;
        let whole = rest.len() - next.len();
        // An entry begins with its key: the field's head, the key's length, the key.
        let (key_length, entry) = short_length(entry.get(1..)?)?;
        if key_length == key.len() && entry.starts_with(key.as_bytes()) {
            return Some(at..at + whole);
        }
        at += whole;
        rest = next;
    }
    None
}

/// Reads a length as [`head`] writes it, and returns it with the bytes after it.
fn short_length(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut length = 0;
    for (index, byte) in bytes.iter().take(5).enumerate() {
        length |= usize::from(byte & 0x7f) << (7 * index);
        if byte & 0x80 == 0 {
            return Some((length, bytes.get(index + 1..)?));
        }
    }
    None
}

/// The bit of a key's length, modulo 64. It shows without a search that most absent keys are absent.
pub(crate) fn bit(key: &str) -> u64 {
    1 << (key.len() % 64)
}

fn low(length: usize) -> u8 {
    let [low, ..] = length.to_le_bytes();
    low
}

/// Cuts a text to at most this many bytes, between characters.
pub(crate) fn cut(text: &str, bytes: usize) -> &str {
    text.get(..text.floor_char_boundary(bytes)).unwrap_or_default()
}
