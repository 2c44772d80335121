//! JSON that every reader of a document can parse: limited in depth, and without numbers or characters that only some parsers
//! accept. A single invalid value would cost the whole document.

use serde_json::Value;

/// How deep objects and lists may nest: documents nest too, and readers limit the depth.
const DEEPEST: usize = 16;

/// An object, as text in its shortest form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object(String);

impl Object {
    /// Returns `None` if `text` is not an object, or is not valid in a document.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let value = parse(text).filter(Value::is_object)?;
        Some(Self(value.to_string()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

/// Whether `text` is valid as a value in an object of a document.
pub(super) fn fits(text: &str) -> bool {
    parse(text).is_some_and(|value| depth(&value) < DEEPEST)
}

fn parse(text: &str) -> Option<Value> {
    serde_json::from_str(text).ok().filter(|value| depth(value) <= DEEPEST)
}

/// Recursion is safe: serde_json limits the depth of what it reads.
fn depth(value: &Value) -> usize {
    match value {
        Value::Array(values) => 1 + values.iter().map(depth).max().unwrap_or(0),
        Value::Object(fields) => 1 + fields.values().map(depth).max().unwrap_or(0),
        _ => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn nested(depth: usize) -> String {
        format!("{}1{}", "[".repeat(depth), "]".repeat(depth))
    }

    #[test]
    fn json_that_some_readers_refuse_is_none() {
        assert_eq!(Object::parse(" {\"b\": [1.5] ,\n\"a\":null}\n").unwrap().as_str(), r#"{"a":null,"b":[1.5]}"#);
        for text in ["", "1", "[{}]", r#"{"a":"\ud800"}"#, r#"{"a":1e999}"#, "{} {}", r#"{"a":1}x"#] {
            assert_eq!(Object::parse(text), None, "{text}");
        }
        assert!(Object::parse(&format!("{{\"a\":{}}}", nested(15))).is_some());
        for deep in [16, 127, 10_000] {
            assert!(Object::parse(&format!("{{\"a\":{}}}", nested(deep))).is_none());
        }
        assert!(fits(&nested(15)) && !fits(&nested(16)));
    }
}
