//! Attributes: keys and values, borrowed from a message's bytes if possible.

use std::borrow::Cow;

use crate::fault::Fault;

/// Keys and values, in the order in which they were sent.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Attributes<'a> {
    /// The attributes within the bound. No key is empty; a key that the sender repeated appears twice.
    pub kept: Vec<Attribute<'a>>,
    /// Missing attributes: dropped by the sender, beyond the bound, or invalid.
    pub dropped: u32,
}

/// A key and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Attribute<'a> {
    /// Not empty.
    pub key: Cow<'a, str>,
    /// Its value.
    pub value: Value<'a>,
}

/// A value.
#[derive(Debug, Clone, Default, PartialEq)]
#[expect(missing_docs, reason = "the kinds of OTLP's AnyValue")]
pub enum Value<'a> {
    #[default]
    Empty,
    Text(Cow<'a, str>),
    Bool(bool),
    Int(i64),
    Double(f64),
    Bytes(Cow<'a, [u8]>),
    Array(Vec<Value<'a>>),
    Map(Vec<Attribute<'a>>),
}

impl<'a> Attributes<'a> {
    /// The value of the first attribute with this key.
    pub fn get(&self, key: &str) -> Option<&Value<'a>> {
        self.kept.iter().find(|attribute| attribute.key == key).map(|attribute| &attribute.value)
    }

    /// Adds an attribute, or counts it as dropped.
    pub(crate) fn keep(&mut self, limit: usize, attribute: Result<Attribute<'a>, Fault>) -> Result<(), Fault> {
        match attribute {
            Ok(attribute) if self.kept.len() < limit => self.kept.push(attribute),
            Ok(_) => self.dropped = self.dropped.saturating_add(1),
            Err(fault) => {
                self.dropped = self.dropped.saturating_add(1);
                return Err(fault);
            }
        }
        Ok(())
    }
}
