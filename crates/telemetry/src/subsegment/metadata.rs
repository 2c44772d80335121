//! Metadata of a segment until it closes: values as JSON, by namespace and key. Bounded: a value that does not fit is omitted as
//! a whole and counted, so that the output is always valid JSON.

use std::io::{self, Write};

use serde::Serialize;

use super::object;

/// The most bytes of all keys and values of one segment: more than a segment document can carry.
const MOST: usize = 64 * 1024;
/// Namespaces with this prefix are X-Ray's own.
const RESERVED: &str = "AWS.";

#[derive(Debug, Default)]
pub(super) struct Metadata {
    entries: Vec<Entry>,
    bytes: usize,
    left_out: u32,
}

#[derive(Debug)]
struct Entry {
    namespace: String,
    /// JSON text, like the value.
    key: String,
    value: String,
}

impl Entry {
    fn bytes(&self) -> usize {
        self.namespace.len() + self.key.len() + self.value.len()
    }
}

impl Metadata {
    /// Keeps `value`, and replaces an earlier value of this namespace and key.
    pub(super) fn put(&mut self, namespace: &str, key: &str, value: &impl Serialize) {
        let of_key = json(&key, MOST);
        let old =
            self.entries.iter().position(|entry| entry.namespace == namespace && Some(&entry.key) == of_key.as_ref());
        if let Some(old) = old {
            self.bytes -= self.entries.remove(old).bytes();
        }
        let room = MOST - self.bytes;
        let entry = || {
            let entry = Entry { key: of_key?, value: json(value, room)?, namespace: namespace.to_owned() };
            let fits = entry.bytes() <= room && object::fits(&entry.value);
            (fits && !namespace.is_empty() && !namespace.starts_with(RESERVED)).then_some(entry)
        };
        match entry() {
            Some(entry) => {
                self.bytes += entry.bytes();
                self.entries.push(entry);
            }
            None => self.left_out = self.left_out.saturating_add(1),
        }
    }

    /// Returns an object of at most `limit` bytes for each namespace, and the number of omitted values.
    pub(super) fn objects(&mut self, limit: usize) -> (Vec<(String, String)>, u32) {
        let mut left_out = self.left_out;
        let mut objects: Vec<(String, String)> = Vec::new();
        for Entry { namespace, key, value } in self.entries.drain(..) {
            let at = objects.iter().position(|(own, _)| *own == namespace);
            let so_far = at.and_then(|at| objects.get(at)).map_or(0, |(_, object)| object.len());
            // A bracket or comma before the key, a colon after it, and the bracket at the end.
            if so_far + 1 + key.len() + 1 + value.len() + 1 > limit {
                left_out = left_out.saturating_add(1);
                continue;
            }
            match at.and_then(|at| objects.get_mut(at)) {
                Some((_, object)) => object.extend([",", &key, ":", &value]),
                None => objects.push((namespace, ["{", &key, ":", &value].concat())),
            }
        }
        for (_, object) in &mut objects {
            object.push('}');
        }
        (objects, left_out)
    }
}

/// Returns `None` if the JSON is longer than `most`, or if JSON cannot represent the value.
fn json(value: &(impl Serialize + ?Sized), most: usize) -> Option<String> {
    let mut text = Bounded { text: Vec::new(), most };
    serde_json::to_writer(&mut text, value).ok()?;
    String::from_utf8(text.text).ok()
}

/// Accepts up to `most` bytes; a write beyond that fails.
struct Bounded {
    text: Vec<u8>,
    most: usize,
}

impl Write for Bounded {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.text.len() + bytes.len() > self.most {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use serde_json::Value;

    use super::*;

    #[test]
    fn a_key_has_one_value_and_a_namespace_one_object() {
        let mut metadata = Metadata::default();
        metadata.put("default", "a", &1);
        metadata.put("app", "a", &[true]);
        metadata.put("default", "b \"", &"x");
        metadata.put("default", "a", &2);
        let (objects, left_out) = metadata.objects(100);
        let own = |namespace: &str, object: &str| (namespace.to_owned(), object.to_owned());
        assert_eq!(objects, [own("app", r#"{"a":[true]}"#), own("default", r#"{"b \"":"x","a":2}"#)]);
        assert_eq!(left_out, 0);
    }

    #[test]
    fn a_value_that_does_not_fit_is_omitted_whole_and_counted() {
        let mut metadata = Metadata::default();
        metadata.put("default", "long", &"x".repeat(100));
        metadata.put("default", "short", &1);
        metadata.put("default", "longer than everything", &"x".repeat(MOST));
        metadata.put("default", "no text for a key", &BTreeMap::from([([1_u8], 2)]));
        metadata.put("AWS.own", "a", &1);
        metadata.put("", "a", &1);
        let deep: Value = serde_json::from_str(&format!("{}{}", "[".repeat(16), "]".repeat(16))).unwrap();
        metadata.put("default", "deep", &deep);
        let (objects, left_out) = metadata.objects(50);
        assert_eq!((objects, left_out), (vec![("default".to_owned(), r#"{"short":1}"#.to_owned())], 6));
    }

    #[test]
    fn many_values_are_bounded_together() {
        let mut metadata = Metadata::default();
        for index in 0..100 {
            metadata.put(&format!("space{index}"), "key", &"x".repeat(8_000));
        }
        let (objects, left_out) = metadata.objects(8_192);
        assert_eq!((objects.len(), left_out), (8, 92));
    }

    proptest! {
        #[test]
        fn every_value_is_in_an_object_or_counted(
            values in proptest::collection::vec((".{0,3}", ".{0,20}", ".{0,40}"), 0..20), limit in 0_usize..200,
        ) {
            let mut metadata = Metadata::default();
            let mut last = BTreeMap::new();
            for (namespace, key, value) in &values {
                metadata.put(namespace, key, value);
                last.insert((namespace.clone(), key.clone()), value.clone());
            }
            let (objects, left_out) = metadata.objects(limit);
            let mut found = 0;
            for (namespace, object) in objects {
                prop_assert!(object.len() <= limit);
                for (key, value) in serde_json::from_str::<BTreeMap<String, Value>>(&object).unwrap() {
                    prop_assert_eq!(Some(value.as_str().unwrap()), last.get(&(namespace.clone(), key)).map(String::as_str));
                    found += 1;
                }
            }
            // A value with an empty namespace is counted each time that it is put.
            let nameless = values.iter().filter(|(namespace, ..)| namespace.is_empty()).count();
            let named = last.keys().filter(|(namespace, _)| !namespace.is_empty()).count();
            prop_assert_eq!(found + usize::try_from(left_out).unwrap(), named + nameless);
        }
    }
}
