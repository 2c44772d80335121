//! X-Ray's own schema accepts the document of any span, with any names and values of attributes, including those that have
//! fields of their own.

use opentelemetry_semantic_conventions::attribute::{
    CLIENT_ADDRESS, ERROR_TYPE, HTTP_REQUEST_METHOD, USER_AGENT_ORIGINAL,
};

use super::*;

/// Names that documents have fields for, or that are handled differently from others.
const KNOWN: [&str; 33] = [
    DB_NAMESPACE,
    DB_QUERY_TEXT,
    DB_SYSTEM_NAME,
    HTTP_REQUEST_METHOD,
    HTTP_RESPONSE_STATUS_CODE,
    SERVER_ADDRESS,
    SERVER_PORT,
    URL_FULL,
    URL_PATH,
    URL_SCHEME,
    CLIENT_ADDRESS,
    USER_AGENT_ORIGINAL,
    ERROR_TYPE,
    "http.response.body.size",
    "peer.service",
    "rpc.system",
    "rpc.service",
    "rpc.method",
    "cloud.region",
    "aws.request_id",
    "aws.sqs.queue.url",
    "aws.dynamodb.table_names",
    "aws.xray.sampling_rule_name",
    "user.id",
    "annotation.",
    "annotation.a",
    "annotation.é",
    "metadata.",
    "metadata.default",
    "metadata.otel",
    "metadata.resource",
    "id",
    "indexed",
];

#[derive(Debug, Clone)]
enum Any {
    Text(String),
    Int(i64),
    Float(f64),
    Bool(bool),
}

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        any::<String>(),
        "[a-z:/]{0,12}",
        // Longer than any field, and made of multi-byte characters.
        (0_usize..2_100).prop_map(|count| "é💣".repeat(count / 2)),
        Just("aws-api".to_owned()),
        Just(r#"{"id":"0000000000000001","key":[1,null]}"#.to_owned()),
        Just("   0: f\n             at src/main.rs:5:3\n   1: g\ncaused by: no disk\n".to_owned()),
    ]
}

fn value() -> impl Strategy<Value = Any> {
    prop_oneof![
        4 => text().prop_map(Any::Text),
        1 => any::<i64>().prop_map(Any::Int),
        1 => (100_i64..600).prop_map(Any::Int),
        1 => proptest::num::f64::ANY.prop_map(Any::Float),
        1 => any::<bool>().prop_map(Any::Bool),
    ]
}

fn attributes() -> impl Strategy<Value = Vec<(String, Any)>> {
    let key = prop_oneof![4 => proptest::sample::select(KNOWN.to_vec()).prop_map(str::to_owned), 1 => ".{0,20}"];
    proptest::collection::vec((key, value()), 0..20)
}

type Exception = (String, String, String);

fn exceptions() -> impl Strategy<Value = Vec<Exception>> {
    proptest::collection::vec((text(), text(), text()), 0..4)
}

fn say(span: &mut Recording, name: String, kind: SpanKind, attributes: &[(String, Any)], exceptions: &[Exception]) {
    span.name(name);
    span.kind(kind);
    for (key, value) in attributes {
        match value {
            Any::Text(text) => span.set(key, text),
            Any::Int(number) => span.set(key, *number),
            Any::Float(number) => span.set(key, *number),
            Any::Bool(flag) => span.set(key, *flag),
        }
    }
    for (kind, message, stack) in exceptions {
        span.exception(kind, message, stack);
    }
}

proptest! {
    #[test]
    fn any_span_is_a_valid_document(
        name in text(),
        // Not arbitrary text: the schema lists the letters of Unicode 8, while this crate also treats newer ones as letters.
        service in "[a-zA-Zé߀日ǅٱ५Ⅷ\u{2028}\u{345}Ⓐ𝕏💣 \t\n|{}\"_.:/%&#=+@-]{0,250}",
        kind in 0_usize..5,
        failed in any::<bool>(),
        attributes in attributes(),
        nested in attributes(),
        exceptions in exceptions(),
    ) {
        let kind = [SpanKind::Server, SpanKind::Client, SpanKind::Internal, SpanKind::Producer, SpanKind::Consumer][kind].clone();
        let record = |span: &mut Recording, own: &[(String, Any)]| {
            say(span, name.clone(), kind.clone(), own, &exceptions);
            if failed {
                span.fail("timeout");
            }
        };
        let [child, root, orphan] = [(Some(1), 1 << 32, &nested), (None, 1, &attributes), (Some(9), 1 << 33, &attributes)]
            .map(|(parent, id, own)| testing::within(parent, id).with(|span| record(span, own)).record());
        let origin = Origin::new(&Resource::new(&service, None, &[]), &["indexed".to_owned(), "id".to_owned()]);
        let (documents, _) = packed(&[child, root, orphan], &origin);
        prop_assert_eq!(documents.iter().map(|(_, spans)| spans).sum::<usize>(), 3);
    }
}
