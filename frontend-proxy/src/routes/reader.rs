//! Reads values from the TOML document of a routes file; records each fault with its line and its fix. Knows no route.

use std::fmt::Display;
use std::ops::{Range, RangeInclusive};
use std::str::FromStr;
use std::time::Duration;

use settings::Settings;
use settings::quantity::{Size, Timespan};
use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::upstream::address::Upstream;

/// Most entries of one list.
const MAX_LIST: usize = 64;

/// The values of `$CRUDDUR_UPSTREAM` and `$CRUDDUR_VIEWER` in a routes file.
#[derive(Debug, Clone)]
pub(crate) struct Variables {
    pub(crate) upstream: Upstream,
    pub(crate) viewer: Option<Upstream>,
}

/// A document that is being read.
pub(super) struct Reader<'a> {
    pub(super) text: &'a str,
    /// The document's name in faults.
    pub(super) name: &'a str,
    pub(super) variables: &'a Variables,
    pub(super) faults: &'a mut Settings,
}

pub(super) type Value<'i> = Spanned<DeValue<'i>>;

impl Reader<'_> {
    pub(super) fn fault(&mut self, at: Range<usize>, problem: impl Into<String>) {
        let before = self.text.as_bytes().get(..at.start).unwrap_or_default();
        let line = before.iter().filter(|byte| **byte == b'\n').count() + 1;
        self.faults.fault(format!("{}:{line}", self.name), problem);
    }

    pub(super) fn flag(&mut self, table: &DeTable<'_>, key: &str) -> Option<bool> {
        let value = find(table, key)?;
        let flag = value.get_ref().as_bool();
        if flag.is_none() {
            self.wrong_type(value, key, "true or false");
        }
        flag
    }

    pub(super) fn duration(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        range: RangeInclusive<Duration>,
    ) -> Option<Duration> {
        let examples = format!("a duration from \"{}\" to \"{}\"", Timespan(*range.start()), Timespan(*range.end()));
        self.within(table, key, &examples, |span: &Timespan| range.contains(&span.0)).map(|span| span.0)
    }

    pub(super) fn size(&mut self, table: &DeTable<'_>, key: &str, range: RangeInclusive<u64>) -> Option<u64> {
        let examples = format!("a size from \"{}\" to \"{}\"", Size(*range.start()), Size(*range.end()));
        self.within(table, key, &examples, |size: &Size| range.contains(&size.0)).map(|size| size.0)
    }

    pub(super) fn within<T>(
        &mut self,
        table: &DeTable<'_>,
        key: &str,
        examples: &str,
        valid: impl Fn(&T) -> bool,
    ) -> Option<T>
    where
        T: FromStr,
        T::Err: Display,
    {
        let value = find(table, key)?;
        let text = self.text_of(value, key, examples)?;
        let problem = match text.parse::<T>() {
            Ok(parsed) if valid(&parsed) => return Some(parsed),
            Ok(_) => format!("`{key}` is {text:?}, which is out of range; give {examples}"),
            Err(error) => format!("`{key}` is {text:?} ({error}); give {examples}"),
        };
        self.fault(value.span(), problem);
        None
    }

    pub(super) fn list(&mut self, value: &Value<'_>, key: &str, examples: &str) -> Vec<(String, Range<usize>)> {
        let Some(entries) = value.get_ref().as_array() else {
            self.wrong_type(value, key, &format!("a list of {examples}"));
            return Vec::new();
        };
        if entries.len() > MAX_LIST {
            self.fault(value.span(), format!("`{key}` has {} entries; give at most {MAX_LIST}", entries.len()));
        }
        let entries = entries.iter().take(MAX_LIST);
        entries.filter_map(|entry| Some((self.text_of(entry, key, examples)?, entry.span()))).collect()
    }

    pub(super) fn text_of(&mut self, value: &Value<'_>, key: &str, examples: &str) -> Option<String> {
        let text = value.get_ref().as_str();
        if text.is_none() {
            self.wrong_type(value, key, examples);
        }
        text.map(str::to_owned)
    }

    pub(super) fn wrong_type(&mut self, value: &Value<'_>, key: &str, examples: &str) {
        let found = value.get_ref().type_str();
        let article = if found.starts_with(['a', 'i']) { "an" } else { "a" };
        self.fault(value.span(), format!("`{key}` is {article} {found}; give {examples}"));
    }
}

pub(super) fn find<'t, 'i>(table: &'t DeTable<'i>, key: &str) -> Option<&'t Value<'i>> {
    table.iter().find(|(own, _)| own.get_ref() == key).map(|(_, value)| value)
}

pub(super) fn span_of(table: &DeTable<'_>, key: &str) -> Range<usize> {
    find(table, key).map_or(0..0, Spanned::span)
}
