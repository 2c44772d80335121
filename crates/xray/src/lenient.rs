//! Reads other senders' documents as far as possible: an optional field of the wrong type is dropped, and the document is kept.

use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::document::Kind;
use crate::{Document, Error, SegmentId, TraceId};

/// The type that a field must have.
enum Shape {
    Scalar(fn(&Value) -> bool),
    /// An object: the listed fields have these shapes, and other fields may have any.
    Object(&'static [(&'static str, Shape)]),
    /// Exceptions, or the id of an exception as text.
    Cause,
}

const TEXT: Shape = Shape::Scalar(Value::is_string);
const FLAG: Shape = Shape::Scalar(Value::is_boolean);
const ANY_OBJECT: Shape = Shape::Object(&[]);

const DOCUMENT: &[(&str, Shape)] = &[
    ("trace_id", Shape::Scalar(is::<TraceId>)),
    ("type", Shape::Scalar(is::<Kind>)),
    ("parent_id", Shape::Scalar(is::<SegmentId>)),
    ("end_time", Shape::Scalar(Value::is_number)),
    ("in_progress", FLAG),
    ("namespace", TEXT),
    ("service", Shape::Object(&[("version", TEXT)])),
    ("user", TEXT),
    ("http", Shape::Object(&[("request", Shape::Object(REQUEST)), ("response", Shape::Object(RESPONSE))])),
    ("sql", Shape::Object(&[("database_type", TEXT), ("sanitized_query", TEXT)])),
    ("error", FLAG),
    ("throttle", FLAG),
    ("fault", FLAG),
    ("cause", Shape::Cause),
    ("annotations", ANY_OBJECT),
    ("metadata", ANY_OBJECT),
    ("aws", ANY_OBJECT),
];
const REQUEST: &[(&str, Shape)] = &[("method", TEXT), ("url", TEXT), ("client_ip", TEXT), ("user_agent", TEXT)];
const RESPONSE: &[(&str, Shape)] = &[("status", Shape::Scalar(is::<Number>))];
const EXCEPTION: &[(&str, Shape)] = &[("id", TEXT), ("message", TEXT), ("type", TEXT)];

/// Builds a document from `fields` without those of the wrong type, and returns how many were removed. The caller reads nested
/// subsegments. A removed `end_time` is not reported as missing.
///
/// # Errors
/// A required field is missing or has another type.
pub fn document(mut fields: Map<String, Value>) -> Result<(Document, usize), Error> {
    let dropped = drop_invalid(&mut fields, DOCUMENT);
    Ok((serde_json::from_value(Value::Object(fields))?, dropped))
}

fn is<T: DeserializeOwned>(value: &Value) -> bool {
    T::deserialize(value).is_ok()
}

/// Removes fields of another shape, and returns how many were removed. A null is removed too, but not counted.
fn drop_invalid(fields: &mut Map<String, Value>, shapes: &[(&str, Shape)]) -> usize {
    let mut removed = 0;
    for (key, shape) in shapes {
        let Some(value) = fields.get_mut(*key) else { continue };
        let is_null = value.is_null();
        let inner = if is_null { None } else { drop_invalid_within(value, shape) };
        removed += inner.unwrap_or(usize::from(!is_null));
        if inner.is_none() {
            fields.remove(*key);
        }
    }
    removed
}

/// Returns how many fields were removed from within a value, or `None` if the value itself has another shape.
fn drop_invalid_within(value: &mut Value, shape: &Shape) -> Option<usize> {
    match (shape, value) {
        (Shape::Scalar(is_right), value) => is_right(value).then_some(0),
        (Shape::Object(shapes), Value::Object(fields)) => Some(drop_invalid(fields, shapes)),
        (Shape::Cause, Value::String(_)) => Some(0),
        (Shape::Cause, Value::Object(fields)) => Some(match fields.get_mut("exceptions") {
            None => 0,
            Some(Value::Array(exceptions)) => drop_invalid_exceptions(exceptions),
            Some(_) => {
                fields.remove("exceptions");
                1
            }
        }),
        (Shape::Object(_) | Shape::Cause, _) => None,
    }
}

fn drop_invalid_exceptions(exceptions: &mut Vec<Value>) -> usize {
    let before = exceptions.len();
    exceptions.retain(Value::is_object);
    let within =
        exceptions.iter_mut().filter_map(Value::as_object_mut).map(|exception| drop_invalid(exception, EXCEPTION));
    within.sum::<usize>() + before - exceptions.len()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn read(more: &Value) -> (Value, usize) {
        let mut fields = json!({"id": "70de5b6f19ff9a0a", "name": "a", "start_time": 1.0, "end_time": 2.0});
        fields.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        let Value::Object(fields) = fields else { unreachable!() };
        let (document, dropped) = document(fields).unwrap();
        let mut kept = serde_json::to_value(document).unwrap();
        for key in ["id", "name", "start_time"] {
            kept.as_object_mut().unwrap().remove(key);
        }
        if kept["end_time"] == 2.0 {
            kept.as_object_mut().unwrap().remove("end_time");
        }
        (kept, dropped)
    }

    #[test]
    fn a_field_of_another_type_is_dropped_alone() {
        let http =
            |status: Value| json!({"http": {"request": {"method": "GET"}, "response": {"status": status, "n": 1}}});
        assert_eq!(read(&http(json!(200))), (http(json!(200)), 0));
        let kept = json!({"http": {"request": {"method": "GET"}, "response": {"n": 1}}});
        assert_eq!(read(&http(json!("200"))), (kept, 1));
        let cause = |exceptions: Value| json!({"cause": {"exceptions": exceptions}});
        for (given, kept, dropped) in [
            (json!({"http": 5, "sql": "x", "user": 7, "fault": true}), json!({"fault": true}), 3),
            (json!({"error": "true", "throttle": 1, "fault": null}), json!({}), 2),
            (json!({"annotations": [], "metadata": 1, "aws": {"n": 1}}), json!({"aws": {"n": 1}}), 2),
            (json!({"type": "odd", "parent_id": 3, "trace_id": "1-x", "namespace": {}}), json!({}), 4),
            (json!({"end_time": "soon"}), json!({}), 1),
            (cause(json!([{"message": "no id"}])), cause(json!([{"message": "no id"}])), 0),
            (cause(json!([{"id": 7, "type": "E"}, 5])), cause(json!([{"type": "E"}])), 2),
            (cause(json!({})), json!({"cause": {"exceptions": []}}), 1),
            (json!({"cause": "70de5b6f19ff9a0b"}), json!({"cause": "70de5b6f19ff9a0b"}), 0),
            (json!({"cause": 5, "unknown": {"a": []}}), json!({"unknown": {"a": []}}), 1),
        ] {
            assert_eq!(read(&given), (kept, dropped), "{given}");
        }
    }

    #[test]
    fn a_required_field_is_still_required() {
        for fields in [
            json!({"name": "a", "start_time": 1.0}),
            json!({"id": "70de5b6f19ff9a0a", "name": 5, "start_time": 1.0}),
            json!({"id": "70de5b6f19ff9a0a", "name": "a", "start_time": "1"}),
        ] {
            assert!(document(fields.as_object().unwrap().clone()).is_err(), "{fields}");
        }
    }

    fn any_json() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<f64>().prop_map(Value::from),
            "[0-9a-z-]{0,20}".prop_map(Value::from),
        ];
        leaf.prop_recursive(3, 24, 4, |inner| {
            let key = prop::sample::select(vec!["request", "response", "status", "exceptions", "id", "version", "x"]);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(key, inner, 0..4)
                    .prop_map(|map| map.into_iter().map(|(key, value)| (key.to_owned(), value)).collect()),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_document_is_read_with_any_optional_fields(
            values in prop::collection::vec((prop::sample::select((0..DOCUMENT.len()).collect::<Vec<_>>()), any_json()), 0..6)
        ) {
            let more: Map<String, Value> =
                values.into_iter().map(|(at, value)| (DOCUMENT[at].0.to_owned(), value)).collect();
            read(&Value::Object(more));
        }
    }
}
