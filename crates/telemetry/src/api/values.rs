//! Attributes of OpenTelemetry's API as ours.

use opentelemetry::{Array, KeyValue, Value as Given};

use crate::attribute::Attributes;
use crate::value::Value;

/// Passes the value to `set`.
pub(super) fn with_value<T>(given: &Given, set: impl FnOnce(Value<'_>) -> T) -> T {
    match given {
        Given::Bool(flag) => set(Value::Bool(*flag)),
        Given::I64(number) => set(Value::Int(*number)),
        Given::F64(number) => set(Value::Float(*number)),
        Given::String(text) => set(Value::Text(text.as_str())),
        Given::Array(array) => with_list(array, set),
        // The API may get further values.
        other => set(Value::Text(&other.as_str())),
    }
}

/// The attributes, encoded for a message that has them as `field`.
pub(super) fn encoded(field: u8, given: &[KeyValue], most: u32, value_bytes: usize) -> Vec<u8> {
    let mut attributes = Attributes::new(field, most, value_bytes);
    for pair in given {
        with_value(&pair.value, |value| attributes.set(pair.key.as_str(), value));
    }
    let mut encoding = attributes.encoding().to_vec();
    otlp::wire::number(&mut encoding, field + 1, attributes.dropped.into());
    encoding
}

fn with_list<T>(array: &Array, set: impl FnOnce(Value<'_>) -> T) -> T {
    let items: Vec<Value<'_>> = match array {
        Array::Bool(flags) => flags.iter().map(|flag| Value::Bool(*flag)).collect(),
        Array::I64(numbers) => numbers.iter().map(|number| Value::Int(*number)).collect(),
        Array::F64(numbers) => numbers.iter().map(|number| Value::Float(*number)).collect(),
        Array::String(texts) => texts.iter().map(|text| Value::Text(text.as_str())).collect(),
        other => return set(Value::Text(&other.to_string())),
    };
    set(Value::Array(&items))
}
