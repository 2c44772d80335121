//! Annotations, and metadata for everything that has no field.

use super::*;

#[test]
fn only_indexed_attributes_are_annotations() {
    let origin = origin(&[("team", "found")], &["user.id", "n"]);
    let (document, fitted) = document_by(
        &origin,
        testing::span("test").with(|span| {
            span.set("annotation.rows", 3);
            span.set("annotation.a-b", "x");
            span.set("annotation.a_b", "second of the same key");
            span.set("annotation.nan", f64::NAN);
            span.set("annotation.long", "é".repeat(2_000));
            span.set("user.id", "andrew");
            span.set("n", true);
            span.set("metadata.default", r#"{"key":[1]}"#);
            span.set("metadata.broken", r#"{"key":[1"#);
            span.set("metadata.otel", r#"{"not":"ours"}"#);
            span.set("other", 1.5);
        }),
    );
    let annotations = &document["annotations"];
    assert_eq!(annotations["long"].as_str().unwrap().chars().count(), 1_000);
    assert_eq!(
        (&annotations["rows"], &annotations["a_b"], &annotations["user_id"], &annotations["n"]),
        (&json!(3), &json!("x"), &json!("andrew"), &json!(true))
    );
    assert_eq!(annotations.as_object().unwrap().len(), 5);
    let metadata = &document["metadata"];
    assert_eq!((&metadata["default"], &metadata["resource"]["team"]), (&json!({"key": [1]}), &json!("found")));
    let attributes = &metadata["otel"]["attributes"];
    assert_eq!((&attributes["other"], &attributes["metadata.broken"]), (&json!(1.5), &json!(r#"{"key":[1"#)));
    assert_eq!(attributes["metadata.otel"], r#"{"not":"ours"}"#);
    assert_eq!(
        attributes["annotation.long"].as_str().unwrap().chars().count(),
        2_000,
        "complete if the field has only a part"
    );
    assert_eq!(fitted, FitCounts { truncated: 1, ..FitCounts::default() });
}

/// X-Ray indexes texts, numbers and booleans alone.
#[test]
fn an_array_is_metadata_and_no_annotation() {
    let document = document_of(testing::span("test").with(|span| {
        span.set("annotation.tables", ["a\"", "b"]);
        span.set("sizes", [1_i64, -2]);
        span.set("shares", [0.5, f64::NAN]);
        span.set("none", Vec::<bool>::new());
    }));
    assert_eq!(document["annotations"], serde_json::Value::Null);
    let expected = json!({"annotation.tables": ["a\"", "b"], "sizes": [1, -2], "shares": [0.5, "NaN"], "none": []});
    assert_eq!(document["metadata"]["otel"]["attributes"], expected);
}

#[test]
fn a_value_without_a_field_is_in_the_metadata() {
    let attributes = |span: Made| document_of(span)["metadata"]["otel"]["attributes"].clone();
    let set = |pairs: &'static [(&str, &str)]| {
        move |span: &mut Recording| pairs.iter().for_each(|(key, text)| span.set(key, *text))
    };
    let lite = attributes(call(set(&[(DB_SYSTEM_NAME, "sqlite"), (URL_PATH, "/data/app.db")])));
    assert_eq!(lite[URL_PATH], "/data/app.db");
    let port = attributes(call(|span| {
        span.set(DB_SYSTEM_NAME, "redis");
        span.set(SERVER_PORT, 6_379);
    }));
    assert_eq!(port[SERVER_PORT], 6_379);
    let far = attributes(call(|span| {
        set(&[(URL_SCHEME, "http"), (SERVER_ADDRESS, "a"), (URL_PATH, "/")])(span);
        span.set(SERVER_PORT, i64::MIN);
    }));
    assert_eq!(far[SERVER_PORT], i64::MIN);
    let gone = origin(&[("cloud.platform", "gcp_cloud_run"), ("cloud.availability_zone", "a")], &[]);
    let resource = &document_by(&gone, testing::span("test")).0["metadata"]["resource"];
    assert_eq!(
        (&resource["cloud.platform"], &resource["cloud.availability_zone"]),
        (&json!("gcp_cloud_run"), &json!("a"))
    );
}

#[test]
fn an_exception_that_does_not_fit_is_complete_in_the_metadata() {
    let document = document_of(testing::span("test").with(|span| {
        (0..40).for_each(|n| span.exception("E", &format!("number {n}"), ""));
    }));
    assert_eq!(document["cause"]["exceptions"].as_array().unwrap().len(), 32);
    let events = document["metadata"]["otel"]["events"].as_array().unwrap();
    assert!(events[31].get("attributes").is_none());
    assert_eq!(events[32]["attributes"]["exception.message"], "number 32");
}

#[test]
fn invalid_metadata_stays_a_text() {
    let deep = format!("{{\"a\":{}{}}}", "[".repeat(100), "]".repeat(100));
    let document = document_of(testing::span("test").with(|span| {
        span.set("metadata.deep", &deep);
        span.set("metadata.surrogate", r#"{"a":"\ud800"}"#);
        span.set("metadata.line", "{\"a\":1}\n");
        span.set("metadata.next", "{\"b\":1}");
    }));
    let metadata = &document["metadata"];
    assert_eq!((&metadata["line"], &metadata["next"]), (&json!({"a": 1}), &json!({"b": 1})));
    let attributes = &metadata["otel"]["attributes"];
    assert_eq!(
        (&attributes["metadata.deep"], &attributes["metadata.surrogate"]),
        (&json!(deep), &json!(r#"{"a":"\ud800"}"#))
    );
}

/// Values with which X-Ray would refuse a document.
#[test]
fn a_value_that_x_ray_would_refuse_is_not_lost() {
    let long = "é".repeat(1_000);
    let (document, fitted) = document_by(
        &origin(&[], &[]),
        call(|span| {
            span.set(URL_FULL, &long);
            span.set("not.a.number", f64::NAN);
            span.set(SERVER_ADDRESS, "💣");
            span.set("", "");
            span.set(HTTP_RESPONSE_STATUS_CODE, 700_000);
            span.name(long.clone());
            span.exception("", "", "");
        }),
    );
    assert_eq!(document["http"]["request"]["url"].as_str().unwrap().chars().count(), 250);
    let otel = &document["metadata"]["otel"];
    assert_eq!((&otel["name"], &otel["attributes"][URL_FULL]), (&json!(long), &json!(long)));
    assert_eq!((&document["name"], &document["fault"]), (&json!("unnamed"), &json!(true)));
    assert_eq!(fitted.truncated, 1);
    // An id without a time in it.
    let made = testing::span("test").record();
    let trace = TraceId::from_bytes([0xff; 16]).to_bytes();
    let mut record = made.to_vec();
    record[2..18].copy_from_slice(&trace);
    let (documents, _) = packed(&[record.into()], &origin(&[], &[]));
    assert_eq!(documents[0].0["trace_id"], "1-ffffffff-ffffffffffffffffffffffff");
}
