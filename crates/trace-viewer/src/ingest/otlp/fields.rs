//! OTLP's attributes as a JSON object.

use otlp::{Attribute, Value};
use serde::ser::{Serialize, SerializeMap, Serializer};

/// Attributes, sorted by key. Of a repeated key, the last value counts.
pub(super) struct Fields<'s>(Vec<&'s Attribute<'s>>);

/// A value of an attribute.
struct Field<'s>(&'s Value<'s>);

impl<'s> Fields<'s> {
    pub(super) fn of(attributes: &'s [Attribute<'_>]) -> Self {
        let mut sorted: Vec<&Attribute<'_>> = attributes.iter().collect();
        sorted.sort_by(|a, b| a.key.cmp(&b.key));
        Self(sorted)
    }
}

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_map(None)?;
        let mut attributes = self.0.iter().peekable();
        while let Some(attribute) = attributes.next() {
            if attributes.peek().is_none_or(|next| next.key != attribute.key) {
                object.serialize_entry(&attribute.key, &Field(&attribute.value))?;
            }
        }
        object.end()
    }
}

impl Serialize for Field<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.0 {
            Value::Empty => serializer.serialize_unit(),
            Value::Text(text) => serializer.serialize_str(text),
            Value::Bool(flag) => serializer.serialize_bool(*flag),
            Value::Int(number) => serializer.serialize_i64(*number),
            // JSON has no number for NaN or an infinity.
            Value::Double(number) if !number.is_finite() => serializer.serialize_str(non_finite(*number)),
            Value::Double(number) => serializer.serialize_f64(*number),
            Value::Array(values) => serializer.collect_seq(values.iter().map(Field)),
            Value::Map(entries) => Fields::of(entries).serialize(serializer),
            Value::Bytes(bytes) => serializer.collect_str(&format_args!("{} bytes", bytes.len())),
        }
    }
}

/// The number in the form of [protobuf's JSON](https://protobuf.dev/programming-guides/json/).
fn non_finite(number: f64) -> &'static str {
    if number.is_nan() {
        "NaN"
    } else if number > 0.0 {
        "Infinity"
    } else {
        "-Infinity"
    }
}
