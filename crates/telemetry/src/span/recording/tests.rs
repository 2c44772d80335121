use opentelemetry::trace::TraceFlags;
use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use prost::Message;

use super::*;
use crate::span::reading::{self, Head, Reading, Scalar};

/// Values in their OTLP form.
fn values() -> impl Strategy<Value = Any> {
    prop_oneof![
        (0_u32..64).prop_flat_map(|bits| 0..=i64::MAX >> bits).prop_map(Any::IntValue),
        any::<i64>().prop_map(Any::IntValue),
        any::<bool>().prop_map(Any::BoolValue),
        any::<f64>().prop_map(Any::DoubleValue),
        ".{0,9}|[a-z]{100,140}".prop_map(Any::StringValue),
    ]
}

fn value(any: &Any) -> Value<'_> {
    match any {
        Any::StringValue(text) => Value::Text(text),
        Any::BoolValue(flag) => Value::Bool(*flag),
        Any::IntValue(int) => Value::Int(*int),
        Any::DoubleValue(float) => Value::Float(*float),
        _ => panic!("no such value is made"),
    }
}

proptest! {
    /// The length of a key or a value may take one byte or more, and each case is written differently.
    #[test]
    fn any_attribute_is_read_back(
        given in proptest::collection::vec(("[a-z.]{0,9}|[a-z]{100,140}", values()), 0..12),
        renamed in ".{0,9}|[a-z]{100,140}",
    ) {
        let ids = SpanIds::local(1.into(), 2.into(), TraceFlags::SAMPLED);
        let mut last: Vec<(String, Any)> = Vec::new();
        let mut span = Recording::start("x", ids, None, None, 0, Limits::default());
        for (key, any) in &given {
            span.set(key, value(any));
            last.retain(|(own, _)| own != key);
            last.push((key.clone(), any.clone()));
        }
        span.name(renamed.clone());
        let url = ["https", "://", renamed.as_str()];
        for (key, most) in [("url.full", 1_000), ("url.cut", 9)] {
            span.add_joined(key, url, most);
            last.push((key.to_owned(), Any::StringValue(cut(&url.concat(), most).to_owned())));
        }
        let record = span.finish(0);
        let decoded = Span::decode(&*record).unwrap();
        prop_assert_eq!(&decoded.name, &renamed);
        let found: Vec<(String, Any)> =
            decoded.attributes.into_iter().map(|pair| (pair.key, pair.value.unwrap().value.unwrap())).collect();
        prop_assert_eq!(&found, &last);
        let mut reading = Reading::empty();
        reading.read(Head::of(&record).1);
        prop_assert_eq!(reading.attributes.len(), last.len());
        for ((key, scalar), (own, any)) in reading.attributes.iter().zip(&last) {
            prop_assert_eq!(key.as_str(), own);
            let scalar = match scalar {
                Scalar::Text(text) => Value::Text(text.as_str()),
                Scalar::Bool(flag) => Value::Bool(*flag),
                Scalar::Int(int) => Value::Int(*int),
                Scalar::Float(float) => Value::Float(*float),
                Scalar::Array(_) => panic!("no array was set"),
            };
            prop_assert_eq!(scalar, value(any));
        }
    }
}

#[test]
fn a_reused_recording_is_empty() {
    let ids = SpanIds::local(1.into(), 2.into(), TraceFlags::SAMPLED);
    let start = || Recording::start("x", ids, None, None, 0, Limits::default());
    let empty = start().finish(0);
    let mut given = start();
    given.name("y");
    given.kind(SpanKind::Server);
    given.fail("timeout");
    given.describe("too late");
    given.exception("E", "m", "s");
    given.link(ids, None);
    given.drop_more(1, 2, 3);
    drop(given.finish(0));
    assert_eq!(*start().finish(0), *empty);
}

/// The values of the one attribute of a span that is set to `given`, as OTLP's own decoder and as our reading have them.
fn array(given: &[Value<'_>]) -> (Vec<Any>, usize) {
    let ids = SpanIds::local(1.into(), 2.into(), TraceFlags::SAMPLED);
    let mut span = Recording::start("x", ids, None, None, 0, Limits::default());
    span.set("list", 1);
    span.set("list", given);
    let record = span.finish(0);
    let mut decoded = Span::decode(&*record).unwrap().attributes;
    assert_eq!(decoded.len(), 1);
    let Any::ArrayValue(array) = decoded.remove(0).value.unwrap().value.unwrap() else { panic!("no array") };
    let mut reading = Reading::empty();
    reading.read(Head::of(&record).1);
    let [(_, Scalar::Array(items))] = reading.attributes.as_slice() else { panic!("{:?}", reading.attributes) };
    let read = reading::items(items).count();
    (array.values.into_iter().map(|value| value.value.unwrap()).collect(), read)
}

#[test]
fn an_arrays_values_are_read_back() {
    let given = [Value::Text("a"), Value::Bool(true), Value::Int(-1), Value::Float(1.5)];
    let expected = vec![Any::StringValue("a".into()), Any::BoolValue(true), Any::IntValue(-1), Any::DoubleValue(1.5)];
    assert_eq!(array(&given), (expected, 4));
    assert_eq!(array(&[]), (vec![], 0));
}

#[test]
fn an_array_is_bounded_and_has_no_arrays() {
    let text = "x".repeat(10_000);
    let (values, read) = array(&[Value::Text(&text); 100]);
    // Each text is cut at 8,192 bytes, and 64 KiB have room for seven such.
    let Some(Any::StringValue(first)) = values.first() else { panic!("no text") };
    assert_eq!((values.len(), read, first.len()), (7, 7, 8_192));
    assert_eq!(array(&[Value::Array(&[Value::Int(1)]), Value::Int(2)]), (vec![Any::IntValue(2)], 1));
}
