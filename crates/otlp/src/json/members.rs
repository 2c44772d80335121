//! The members of objects and the items of lists, as raw JSON.

use std::borrow::Cow;
use std::fmt;

use serde::de::{Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::value::RawValue;

use super::scalar::Raw;
use crate::fault::Fault;

/// Stores a value, or records its fault.
pub(crate) fn store<T>(result: &mut Result<(), Fault>, value: Result<T, Fault>, target: &mut T) {
    match value {
        Ok(value) => *target = value,
        Err(fault) => *result = Err(fault),
    }
}

/// Calls `each` with each item of an optional list.
pub(super) fn optional<'a>(list: Option<Raw<'a>>, each: impl FnMut(Raw<'a>)) -> Result<(), Fault> {
    list.map_or(Ok(()), |list| items(list, each))
}

/// Calls `each` with each member of an object; `null` has none.
pub(crate) fn object<'a>(json: Raw<'a>, each: impl FnMut(&str, &'a RawValue)) -> Result<(), Fault> {
    struct Members<F>(F);

    impl<'de, F: FnMut(&str, &'de RawValue)> Visitor<'de> for Members<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object")
        }

        fn visit_map<A: MapAccess<'de>>(mut self, mut members: A) -> Result<(), A::Error> {
            while let Some((name, value)) = members.next_entry::<Name<'de>, &'de RawValue>()? {
                (self.0)(&name.0, value);
            }
            Ok(())
        }
    }

    #[derive(serde::Deserialize)]
    struct Name<'n>(#[serde(borrow)] Cow<'n, str>);

    if json.is_null() {
        return Ok(());
    }
    let mut deserializer = serde_json::Deserializer::from_str(json.json.get());
    deserializer.deserialize_map(Members(each)).map_err(|_| json.fault("is not an object"))
}

/// Calls `each` with each item of a list; `null` has none.
pub(super) fn items<'a>(json: Raw<'a>, each: impl FnMut(Raw<'a>)) -> Result<(), Fault> {
    struct Items<F>(&'static str, F);

    impl<'de, F: FnMut(Raw<'de>)> Visitor<'de> for Items<F> {
        type Value = ();

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(mut self, mut items: A) -> Result<(), A::Error> {
            while let Some(json) = items.next_element::<&'de RawValue>()? {
                (self.1)(Raw { field: self.0, json });
            }
            Ok(())
        }
    }

    if json.is_null() {
        return Ok(());
    }
    let mut deserializer = serde_json::Deserializer::from_str(json.json.get());
    deserializer.deserialize_seq(Items(json.field, each)).map_err(|_| json.fault("is not a list"))
}
