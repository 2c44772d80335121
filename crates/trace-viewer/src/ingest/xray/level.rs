//! One segment or subsegment of a document, without those nested in it.

use std::collections::BTreeMap;

use serde_json::value::RawValue;
use serde_json::{Map, Value};

/// A segment or subsegment, and the texts of the subsegments directly within it.
pub(super) struct Level<'a> {
    pub(super) document: xray::Document,
    pub(super) nested: Vec<&'a RawValue>,
    pub(super) skipped: usize,
}

impl<'a> Level<'a> {
    pub(super) fn read(text: &'a RawValue) -> Result<Self, String> {
        let mut fields: BTreeMap<String, &RawValue> =
            serde_json::from_str(text.get()).map_err(|_| "the document is not an object")?;
        let nested: Option<Vec<&RawValue>> = match fields.remove("subsegments") {
            None => Some(Vec::new()),
            Some(nested) => serde_json::from_str::<Option<_>>(nested.get()).ok().map(Option::unwrap_or_default),
        };
        let value = |(key, text): (String, &RawValue)| Some((key, serde_json::from_str(text.get()).ok()?));
        let count = fields.len();
        let fields: Map<String, Value> = fields.into_iter().filter_map(value).collect();
        let unreadable = count - fields.len() + usize::from(nested.is_none());
        let (document, skipped) = xray::lenient::document(fields).map_err(|error| error.to_string())?;
        Ok(Self { document, nested: nested.unwrap_or_default(), skipped: skipped + unreadable })
    }
}
