//! Changes to a recording that has ended, before it is exported: names, attributes, and every text of it.

use std::mem;

use otlp::wire::{Field, Fields, bytes, fixed64, number};

use super::{Code, Recording, field};
use crate::attribute::{attribute, bit, cut, find};
use crate::span::ended::{self, AttributeValue, SpanStatus};
use crate::span::reading::{self, Reading, Scalar};
use crate::value::Value;

/// The key with which the description of a span's status is passed to [`Recording::replace_texts`].
const DESCRIPTION: &str = "otel.status_description";
/// The key of an event's name there.
const EVENT_NAME: &str = "event.name";

impl Recording {
    pub(crate) fn current_name(&self) -> &str {
        &self.name
    }

    pub(crate) fn current_kind(&self) -> opentelemetry::trace::SpanKind {
        self.kind.clone()
    }

    pub(crate) fn current_status(&self) -> SpanStatus<'_> {
        match self.status {
            Code::Unset => SpanStatus::Unset,
            Code::Ok => SpanStatus::Ok,
            Code::Error => SpanStatus::Error(&self.description),
        }
    }

    /// The ids and times, then the attributes: the encoding so far.
    pub(crate) fn encoding(&self) -> &[u8] {
        &self.encoding
    }

    /// The attributes so far.
    pub(crate) fn current_attributes(&self) -> impl Iterator<Item = (&str, AttributeValue<'_>)> {
        let mut content = Reading::empty();
        content.read(self.encoding.get(self.attributes_at..).unwrap_or_default());
        content.attributes.into_iter().map(|pair| ended::pair(&pair))
    }

    /// Removes an attribute. Returns whether there was one.
    pub(crate) fn remove(&mut self, key: &str) -> bool {
        if self.lengths & bit(key) != 0
            && let Some(place) = find(&self.encoding, self.attributes_at, key)
        {
            self.encoding.drain(place);
            self.attributes -= 1;
            return true;
        }
        false
    }

    /// Replaces each text for which `replace`, given its key, returns another one.
    pub(crate) fn replace_texts(&mut self, replace: &mut impl FnMut(&str, &str) -> Option<String>) {
        let limit = self.limits.value_bytes;
        let attributes = self.encoding.split_off(self.attributes_at);
        for (_, value) in Fields(&attributes) {
            if let Field::Bytes(pair) = value {
                replaced(&mut self.encoding, field::ATTRIBUTE, pair, limit, replace);
            }
        }
        let more = mem::take(&mut self.more);
        for (field, value) in Fields(&more) {
            match (u8::try_from(field), value) {
                (Ok(field::EVENT), Field::Bytes(event)) => {
                    let event = replaced_event(event, limit, replace);
                    bytes(&mut self.more, field::EVENT, &event);
                }
                (Ok(field::LINK), Field::Bytes(link)) => {
                    let link = replaced_link(link, limit, replace);
                    bytes(&mut self.more, field::LINK, &link);
                }
                (Ok(field), Field::Bytes(other)) => bytes(&mut self.more, field, other),
                _ => {}
            }
        }
        if !self.description.is_empty()
            && let Some(description) = replace(DESCRIPTION, &self.description)
        {
            self.description = cut(&description, limit).to_owned();
        }
    }
}

/// Appends the attribute `pair`, with another text if `replace` gives one.
fn replaced(
    out: &mut Vec<u8>,
    field: u8,
    pair: &[u8],
    limit: usize,
    replace: &mut impl FnMut(&str, &str) -> Option<String>,
) {
    let (key, value) = reading::attribute(pair);
    let key = key.as_str();
    let mut of = |value: &Scalar<'_>| match value {
        Scalar::Text(text) => replace(key, text.as_str()),
        Scalar::Bool(_) | Scalar::Int(_) | Scalar::Float(_) | Scalar::Array(_) => None,
    };
    if let Scalar::Array(array) = value {
        let items: Vec<Scalar<'_>> = reading::items(array).collect();
        let others: Vec<Option<String>> = items.iter().map(of).collect();
        if others.iter().any(Option::is_some) {
            let values: Vec<Value<'_>> =
                items.iter().zip(&others).map(|(item, other)| changed(item, other.as_deref())).collect();
            return attribute(out, field, key, Value::Array(&values), limit);
        }
    } else if let Some(text) = of(&value) {
        return attribute(out, field, key, Value::Text(&text), limit);
    }
    bytes(out, field, pair);
}

/// An item of an array, or another text in its place. There are no arrays within an array.
fn changed<'a>(item: &Scalar<'a>, other: Option<&'a str>) -> Value<'a> {
    match (*item, other) {
        (_, Some(text)) => Value::Text(text),
        (Scalar::Bool(flag), None) => Value::Bool(flag),
        (Scalar::Int(int), None) => Value::Int(int),
        (Scalar::Float(float), None) => Value::Float(float),
        (Scalar::Text(text), None) => Value::Text(text.as_str()),
        (Scalar::Array(_), None) => Value::Array(&[]),
    }
}

/// A link with other texts.
fn replaced_link(link: &[u8], limit: usize, replace: &mut impl FnMut(&str, &str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(link.len());
    for (field, value) in Fields(link) {
        match (u8::try_from(field), value) {
            (Ok(4), Field::Bytes(pair)) => replaced(&mut out, 4, pair, limit, replace),
            (Ok(field), Field::Bytes(other)) => bytes(&mut out, field, other),
            (Ok(field), Field::Number(value)) => number(&mut out, field, value),
            (Ok(field), Field::Fixed32(value)) => {
                out.push(field << 3 | 5);
                out.extend_from_slice(&value.to_le_bytes());
            }
            _ => {}
        }
    }
    out
}

/// An event with other texts.
fn replaced_event(event: &[u8], limit: usize, replace: &mut impl FnMut(&str, &str) -> Option<String>) -> Vec<u8> {
    let mut out = Vec::with_capacity(event.len());
    for (field, value) in Fields(event) {
        match (field, value) {
            (2, Field::Bytes(name)) => {
                let other = replace(EVENT_NAME, str::from_utf8(name).unwrap_or_default());
                bytes(&mut out, 2, other.as_deref().map_or(name, |text| cut(text, limit).as_bytes()));
            }
            (3, Field::Bytes(pair)) => replaced(&mut out, 3, pair, limit, replace),
            (field, Field::Fixed64(value)) => fixed64(&mut out, u8::try_from(field).unwrap_or_default(), value),
            (field, Field::Number(value)) => number(&mut out, u8::try_from(field).unwrap_or_default(), value),
            (_, Field::Bytes(_) | Field::Fixed32(_)) => {}
        }
    }
    out
}
