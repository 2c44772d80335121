//! The keys and values of a span's [details](crate::model::Details), read from their JSON without building a tree.
//!
//! The key of a value is its path, joined by dots. Attributes, of the span as of its events and links, have their own keys; other members have the path below
//! the details, in the singular: `event.name`, `link.trace_id`, `status.message`. Each element of an array has the array's key.

use std::borrow::Cow;

/// The deepest nesting that is read: more than either protocol's reader keeps.
const DEPTH: usize = 160;

/// A value without parts.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Scalar<'a> {
    Text(Cow<'a, str>),
    /// As it is written in JSON.
    Number(&'a str),
    Bool(bool),
    /// Null, or an empty array or object.
    Nothing,
}

impl Scalar<'_> {
    pub(crate) fn text(&self) -> &str {
        match self {
            Self::Text(text) => text,
            Self::Number(text) => text,
            Self::Bool(true) => "true",
            Self::Bool(false) => "false",
            Self::Nothing => "",
        }
    }
}

/// Calls `visit` with each key and value.
pub(crate) fn visit(details: &str, visit: &mut impl FnMut(&str, &Scalar<'_>)) {
    let mut walker = Walker { text: details, at: 0, path: String::new() };
    // The details are valid JSON: they were written by serde_json. A fault ends the walk.
    let _ = walker.value(Layer::Details, 0, visit);
}

/// The number that a text is; `None` for an infinite one.
pub(crate) fn number(text: &str) -> Option<f64> {
    let starts_like_one = text.bytes().next().is_some_and(|first| first.is_ascii_digit() || b"+-.".contains(&first));
    text.parse().ok().filter(|number: &f64| starts_like_one && number.is_finite())
}

/// Where in the details a value is.
#[derive(Clone, Copy, PartialEq)]
enum Layer {
    /// The details themselves.
    Details,
    /// Below the details, outside of attributes.
    Structure,
    /// Among attributes.
    Attributes,
}

struct Walker<'a> {
    text: &'a str,
    at: usize,
    path: String,
}

impl<'a> Walker<'a> {
    fn value(&mut self, layer: Layer, depth: usize, visit: &mut impl FnMut(&str, &Scalar<'_>)) -> Option<()> {
        match self.peek()? {
            b'{' if depth < DEPTH => return self.object(layer, depth, visit),
            b'[' if depth < DEPTH => return self.array(layer, depth, visit),
            b'"' => {
                let text = self.string()?;
                visit(&self.path, &Scalar::Text(text));
            }
            _ => {
                let scalar = match self.bare()? {
                    "true" => Scalar::Bool(true),
                    "false" => Scalar::Bool(false),
                    "null" => Scalar::Nothing,
                    number => Scalar::Number(number),
                };
                visit(&self.path, &scalar);
            }
        }
        Some(())
    }

    fn object(&mut self, layer: Layer, depth: usize, visit: &mut impl FnMut(&str, &Scalar<'_>)) -> Option<()> {
        self.at += 1;
        let length = self.path.len();
        if self.peek()? == b'}' {
            self.at += 1;
            visit(&self.path, &Scalar::Nothing);
            return Some(());
        }
        loop {
            if self.peek()? != b'"' {
                return None;
            }
            let key = self.string()?;
            if self.peek()? != b':' {
                return None;
            }
            self.at += 1;
            if layer != Layer::Attributes && key == "attributes" {
                let outer = std::mem::take(&mut self.path);
                let read = self.value(Layer::Attributes, depth + 1, visit);
                self.path = outer;
                read?;
            } else {
                if length > 0 {
                    self.path.push('.');
                }
                self.path.push_str(match (layer, &*key) {
                    (Layer::Details, "events") => "event",
                    (Layer::Details, "links") => "link",
                    (_, key) => key,
                });
                let below = if layer == Layer::Details { Layer::Structure } else { layer };
                self.value(below, depth + 1, visit)?;
                self.path.truncate(length);
            }
            match self.peek()? {
                b',' => self.at += 1,
                b'}' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    fn array(&mut self, layer: Layer, depth: usize, visit: &mut impl FnMut(&str, &Scalar<'_>)) -> Option<()> {
        self.at += 1;
        if self.peek()? == b']' {
            self.at += 1;
            // The events and links of a span that has none are no values.
            if layer == Layer::Attributes {
                visit(&self.path, &Scalar::Nothing);
            }
            return Some(());
        }
        loop {
            self.value(layer, depth + 1, visit)?;
            match self.peek()? {
                b',' => self.at += 1,
                b']' => break,
                _ => return None,
            }
        }
        self.at += 1;
        Some(())
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.text.as_bytes().get(self.at)? {
                b' ' | b'\n' | b'\t' | b'\r' => self.at += 1,
                byte => return Some(*byte),
            }
        }
    }

    fn string(&mut self) -> Option<Cow<'a, str>> {
        let start = self.at;
        let mut end = start + 1;
        let mut is_escaped = false;
        loop {
            let rest = self.text.as_bytes().get(end..)?;
            end += memchr::memchr2(b'"', b'\\', rest)?;
            if self.text.as_bytes().get(end) == Some(&b'"') {
                break;
            }
            is_escaped = true;
            end += 2;
        }
        self.at = end + 1;
        if is_escaped {
            return serde_json::from_str(self.text.get(start..=end)?).ok().map(Cow::Owned);
        }
        self.text.get(start + 1..end).map(Cow::Borrowed)
    }

    /// A number or a literal.
    fn bare(&mut self) -> Option<&'a str> {
        let rest = self.text.get(self.at..)?;
        let length = rest.find([',', '}', ']', ' ', '\n', '\t', '\r']).unwrap_or(rest.len());
        self.at += length;
        rest.get(..length).filter(|text| !text.is_empty())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::*;

    fn pairs(details: &str) -> Vec<(String, String)> {
        let mut pairs = Vec::new();
        visit(details, &mut |key, value| pairs.push((key.to_owned(), value.text().to_owned())));
        pairs
    }

    #[test]
    fn each_value_has_its_path_as_its_key() {
        let details = json!({
            "attributes": {"http.route": "/a\"b", "n": 4, "list": ["x", true], "http": {"response": {"status": 500}}},
            "events": [{"name": "exception", "time": null, "attributes": {"exception.type": "E"}}],
            "links": [],
            "status": {"code": "error", "message": null},
        });
        let expected = [
            ("http.response.status", "500"),
            ("http.route", "/a\"b"),
            ("list", "x"),
            ("list", "true"),
            ("n", "4"),
            ("exception.type", "E"),
            ("event.name", "exception"),
            ("event.time", ""),
            ("status.code", "error"),
            ("status.message", ""),
        ];
        let found = pairs(&details.to_string());
        assert_eq!(found, expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn a_number_is_finite_and_written_as_one() {
        assert_eq!((number("200"), number("-0.5"), number("1e3")), (Some(200.0), Some(-0.5), Some(1e3)));
        for text in ["", "nan", "inf", "-inf", "1e999", "0x1f", "4 "] {
            assert_eq!(number(text), None, "{text}");
        }
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<i64>().prop_map(Value::from),
            ".{0,8}".prop_map(Value::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                proptest::collection::btree_map(".{0,6}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
            ]
        })
    }

    /// The scalars of a tree, with empty arrays and objects.
    fn scalars(value: &Value) -> usize {
        match value {
            Value::Array(values) if !values.is_empty() => values.iter().map(scalars).sum(),
            Value::Object(map) if !map.is_empty() => map.values().map(scalars).sum(),
            _ => 1,
        }
    }

    proptest! {
        #[test]
        fn every_scalar_of_any_attributes_is_visited(value in json_value(), is_pretty in any::<bool>()) {
            let details = json!({"attributes": {"a": value}});
            let text = if is_pretty { format!("{details:#}") } else { details.to_string() };
            prop_assert_eq!(pairs(&text).len(), scalars(&details["attributes"]["a"]));
        }

        #[test]
        fn any_text_is_walked_without_a_panic(text in "[\\[\\]{}:,\"\\\\a1é ]{0,40}") {
            pairs(&text);
        }
    }
}
