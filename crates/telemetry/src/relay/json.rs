//! OTLP's JSON: ids in hex, 64-bit numbers as numbers or texts. Spans are read one at a time, and lists only as far as they are
//! kept, so that a message takes little more memory than its bytes. Members that OTLP does not have are ignored, as it asks.

use std::borrow::Cow;
use std::fmt;
use std::marker::PhantomData;

use opentelemetry::trace::{SpanId, TraceId};
use serde::de::{Error, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

use super::{ATTRIBUTES, Any, EVENT_ATTRIBUTES, EVENTS, Happened, Told};
use crate::span::reading;

/// Resources of a message, and scopes of each: they take more memory than their bytes.
const FEW: usize = 64;

/// Calls `each` for each span of an `ExportTraceServiceRequest`, with the name of its service.
pub(super) fn read(message: &[u8], mut each: impl FnMut(Option<&str>, Told<'_>)) -> Result<(), String> {
    let message: Message<'_> = serde_json::from_slice(message).map_err(|error| error.to_string())?;
    for part in &message.resource_spans.0 {
        let attributes = part.resource.iter().flat_map(|resource| &resource.attributes.kept);
        let service = attributes.filter(|entry| entry.key == "service.name").find_map(|entry| match &entry.value {
            Some(AnyValue { string_value: Some(name), .. }) => Some(&**name),
            _ => None,
        });
        for span in part.scope_spans.0.iter().flat_map(|scope| &scope.spans) {
            let span: Span<'_> = serde_json::from_str(span.get()).map_err(|error| format!("a span: {error}"))?;
            each(service, span.told());
        }
    }
    Ok(())
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Message<'a> {
    #[serde(borrow, default)]
    resource_spans: Few<Part<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Part<'a> {
    #[serde(borrow)]
    resource: Option<Resource<'a>>,
    #[serde(borrow)]
    scope_spans: Few<Scope<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Resource<'a> {
    #[serde(borrow)]
    attributes: List<KeyValue<'a>, ATTRIBUTES>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Scope<'a> {
    #[serde(borrow)]
    spans: Vec<&'a RawValue>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Span<'a> {
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
    #[serde(borrow)]
    span_id: Cow<'a, str>,
    parent_span_id: Option<Cow<'a, str>>,
    flags: u32,
    #[serde(borrow)]
    name: Cow<'a, str>,
    kind: u64,
    start_time_unix_nano: Long,
    end_time_unix_nano: Long,
    #[serde(borrow)]
    attributes: List<KeyValue<'a>, ATTRIBUTES>,
    dropped_attributes_count: u32,
    #[serde(borrow)]
    events: List<Event<'a>, EVENTS>,
    dropped_events_count: u32,
    links: List<IgnoredAny, 0>,
    dropped_links_count: u32,
    status: Option<Status>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Event<'a> {
    time_unix_nano: Long,
    #[serde(borrow)]
    name: Cow<'a, str>,
    #[serde(borrow)]
    attributes: List<KeyValue<'a>, EVENT_ATTRIBUTES>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: u64,
    message: String,
}

#[derive(Deserialize)]
struct KeyValue<'a> {
    #[serde(borrow)]
    key: Cow<'a, str>,
    value: Option<AnyValue<'a>>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct AnyValue<'a> {
    string_value: Option<Cow<'a, str>>,
    bool_value: Option<bool>,
    int_value: Option<Int>,
    double_value: Option<f64>,
}

impl<'a> Span<'a> {
    fn told(self) -> Told<'a> {
        let parent = self.parent_span_id.unwrap_or_default();
        let status = self.status.unwrap_or_default();
        let dropped = [
            self.dropped_attributes_count.saturating_add(self.attributes.more),
            self.dropped_events_count.saturating_add(self.events.more),
            self.dropped_links_count.saturating_add(self.links.more),
        ];
        let mut told = Told {
            trace: hex(&self.trace_id).map(u128::to_be_bytes).map(TraceId::from_bytes),
            id: span_id(&self.span_id),
            parent: span_id(&parent),
            parent_is_invalid: false,
            parent_is_remote: reading::is_remote(self.flags),
            name: self.name,
            kind: self.kind,
            start: self.start_time_unix_nano.0,
            end: self.end_time_unix_nano.0,
            attributes: self.attributes.attributes(),
            events: self.events.kept.into_iter().map(Event::happened).collect(),
            failed: status.code == 2,
            description: status.message.into(),
            dropped,
        };
        told.trace = told.trace.filter(|_| self.trace_id.len() == 32);
        told.parent_is_invalid = told.parent.is_none() && !parent.is_empty();
        told
    }
}

impl<'a> Event<'a> {
    fn happened(self) -> Happened<'a> {
        Happened { time: self.time_unix_nano.0, name: self.name, attributes: self.attributes.attributes() }
    }
}

impl<'a, const N: usize> List<KeyValue<'a>, N> {
    fn attributes(self) -> Vec<(Cow<'a, str>, Any<'a>)> {
        self.kept.into_iter().map(|entry| (entry.key, entry.value.unwrap_or_default().told())).collect()
    }
}

impl<'a> AnyValue<'a> {
    fn told(self) -> Any<'a> {
        match self {
            Self { string_value: Some(text), .. } => Any::Text(text),
            Self { bool_value: Some(flag), .. } => Any::Bool(flag),
            Self { int_value: Some(Int(int)), .. } => Any::Int(int),
            Self { double_value: Some(float), .. } => Any::Float(float),
            _ => Any::Other,
        }
    }
}

fn span_id(text: &str) -> Option<SpanId> {
    let id = hex(text).filter(|_| text.len() == 16)?;
    u64::try_from(id).ok().map(u64::to_be_bytes).map(SpanId::from_bytes)
}

/// A number of hex digits alone that is not zero.
fn hex(text: &str) -> Option<u128> {
    let digits = text.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(text, 16).ok().filter(|number| digits && *number != 0)
}

/// The first `N` of a list, and how many more there are.
struct List<T, const N: usize> {
    kept: Vec<T>,
    more: u32,
}

impl<T, const N: usize> Default for List<T, N> {
    fn default() -> Self {
        Self { kept: Vec::new(), more: 0 }
    }
}

impl<'de, T: Deserialize<'de>, const N: usize> Deserialize<'de> for List<T, N> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Items<T, const N: usize>(PhantomData<T>);

        impl<'de, T: Deserialize<'de>, const N: usize> Visitor<'de> for Items<T, N> {
            type Value = List<T, N>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<List<T, N>, A::Error> {
                let mut list = List::default();
                while list.kept.len() < N {
                    match items.next_element()? {
                        Some(item) => list.kept.push(item),
                        None => return Ok(list),
                    }
                }
                while items.next_element::<IgnoredAny>()?.is_some() {
                    list.more = list.more.saturating_add(1);
                }
                Ok(list)
            }
        }

        deserializer.deserialize_seq(Items(PhantomData))
    }
}

/// A list that is refused where it has more than [`FEW`], rather than that spans are lost uncounted.
struct Few<T>(Vec<T>);

impl<T> Default for Few<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Few<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let list = List::<T, FEW>::deserialize(deserializer)?;
        if list.more == 0 {
            Ok(Self(list.kept))
        } else {
            Err(Error::custom(format_args!("more than {FEW} resources, or scopes of one; send fewer")))
        }
    }
}

/// An unsigned number, as a number or a text.
#[derive(Default)]
struct Long(u64);

/// The same with a sign.
struct Int(i64);

impl<'de> Deserialize<'de> for Long {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        integer(deserializer)?.try_into().map(Self).map_err(|_| Error::custom("a number is out of its range"))
    }
}

impl<'de> Deserialize<'de> for Int {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        integer(deserializer)?.try_into().map(Self).map_err(|_| Error::custom("a number is out of its range"))
    }
}

fn integer<'de, D: Deserializer<'de>>(deserializer: D) -> Result<i128, D::Error> {
    struct Number;

    impl Visitor<'_> for Number {
        type Value = i128;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a whole number, or a text that is one")
        }

        fn visit_u64<E: Error>(self, number: u64) -> Result<i128, E> {
            Ok(number.into())
        }

        fn visit_i64<E: Error>(self, number: i64) -> Result<i128, E> {
            Ok(number.into())
        }

        fn visit_str<E: Error>(self, text: &str) -> Result<i128, E> {
            text.parse().map_err(|_| Error::custom("a text that should be a whole number is none"))
        }
    }

    deserializer.deserialize_any(Number)
}
