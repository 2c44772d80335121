use ::xray_lite::{Annotation, AwsNamespace, CustomNamespace, RemoteNamespace, SegmentId};
use opentelemetry_proto::tonic::trace::v1::Span as Exported;

use super::*;
use crate::limits::Limits;
use crate::propagation::{Trust, extract};
use crate::span::sampler::Sampler;
use crate::testing::{attribute, recorded};
use crate::xray::begin_segment;

const TRACE: &str = "1-5759e988-bd862e3fe1be46a994272793";

fn spans(run: impl FnOnce()) -> Vec<Exported> {
    recorded(Sampler::default(), Limits::default(), false, run).spans
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn of(span: &Exported, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

#[test]
fn a_session_is_a_span_below_the_current_one() {
    let mut header = None;
    let spans = spans(|| {
        tracing::info_span!("job").in_scope(|| {
            let mut session = LiteContext::default().enter_subsegment(AwsNamespace::new("S3", "GetObject"));
            header = session.x_amzn_trace_id();
            session.namespace_mut().unwrap().request_id("request-1").response_status(404);
        });
    });
    let [call, job] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&*call.name, call.kind, &call.parent_span_id), ("S3/GetObject", 3, &job.span_id));
    assert_eq!(call.trace_id, job.trace_id);
    let trace = hex(&call.trace_id);
    let (epoch, random) = trace.split_at(8);
    let expected = format!("Root=1-{epoch}-{random};Parent={};Sampled=1", hex(&call.span_id));
    assert_eq!(header.as_ref(), Some(&expected));
    for (key, value) in [
        ("rpc.system", "aws-api"),
        ("rpc.service", "S3"),
        ("rpc.method", "GetObject"),
        ("aws.request_id", "request-1"),
        ("http.response.status_code", "404"),
        ("error.type", "404"),
    ] {
        assert_eq!(of(call, key).as_deref(), Some(value), "{key}");
    }
    assert!(call.start_time_unix_nano >= job.start_time_unix_nano - 1_000_000);
    assert!(call.end_time_unix_nano >= call.start_time_unix_nano);
}

#[test]
fn a_trace_that_is_not_sampled_stays_so() {
    let mut header = None;
    let spans = spans(|| {
        let mut headers = ::http::HeaderMap::new();
        let incoming = format!("Root={TRACE};Parent=53995c3f42cd8ad8;Sampled=0");
        headers.insert("x-amzn-trace-id", incoming.parse().unwrap());
        let _segment = begin_segment("job", &extract(&headers, &Trust::ALWAYS, None));
        let session = LiteContext::default().enter_subsegment(CustomNamespace::new("work"));
        header = session.x_amzn_trace_id();
    });
    let header = header.unwrap();
    assert!(header.starts_with(&format!("Root={TRACE};Parent=")) && header.ends_with(";Sampled=0"), "{header}");
    assert!(spans.is_empty(), "{spans:?}");
}

#[test]
fn a_long_name_of_wide_characters_is_cut() {
    let spans = spans(|| {
        tracing::info_span!("job").in_scope(|| {
            // Byte 200 is inside a character.
            drop(LiteContext::default().with_name_prefix("x").enter_subsegment(CustomNamespace::new("é".repeat(150))));
        });
    });
    assert_eq!(spans[0].name, format!("x{}", "é".repeat(99)));
}

#[test]
fn without_a_current_span_a_session_records_nothing() {
    let spans = spans(|| {
        let session = LiteContext::default().enter_subsegment(CustomNamespace::new("work"));
        assert_eq!(session.x_amzn_trace_id(), None);
    });
    assert!(spans.is_empty(), "{spans:?}");
}

/// As `SubsegmentContext` sends them: the document in progress, then complete.
#[test]
fn the_client_turns_two_documents_into_one_span_with_their_id() {
    let mut id = String::new();
    let spans = spans(|| {
        let parent = SegmentId::Rendered("53995c3f42cd8ad8".to_owned());
        let mut document = Subsegment::begin(TraceId::Rendered(TRACE.to_owned()), Some(parent), "work");
        id = serde_json::to_value(&document).unwrap()["id"].as_str().unwrap().to_owned();
        let client = LiteClient::default();
        client.send(&document).unwrap();
        document.annotations = Some([("rows".to_owned(), Annotation::Number(3))].into());
        document.metadata = Some([("default".to_owned(), serde_json::json!({"cached": false}))].into());
        document.fault = true;
        client.send(document.end()).unwrap();
    });
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&*span.name, hex(&span.span_id)), ("work", id));
    assert_eq!(hex(&span.trace_id), TRACE[2..].replace('-', ""));
    assert_eq!(hex(&span.parent_span_id), "53995c3f42cd8ad8");
    assert_eq!(of(span, "annotation.rows").as_deref(), Some("3"));
    assert_eq!(of(span, "metadata.default").as_deref(), Some(r#"{"cached":false}"#));
    assert_eq!(of(span, "error.type").as_deref(), Some("fault"));
    assert_eq!(span.status.as_ref().unwrap().code, 2);
}

#[test]
fn the_clients_span_is_below_the_current_one_if_there_is_one() {
    let spans = spans(|| {
        tracing::info_span!("job").in_scope(|| {
            let mut document = Subsegment::begin(TraceId::new(), None, "work");
            LiteClient::default().send(document.end()).unwrap();
        });
    });
    let [work, job] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((&work.trace_id, &work.parent_span_id), (&job.trace_id, &job.span_id));
}

#[test]
fn a_remote_call_records_no_secrets_of_its_url() {
    let spans = spans(|| {
        tracing::info_span!("job").in_scope(|| {
            let url = "https://andrew:secret@api.example/v1?token=secret#secret";
            drop(LiteContext::default().enter_subsegment(RemoteNamespace::new("api", "GET", url)));
        });
    });
    let call = &spans[0];
    assert_eq!(of(call, "url.full").as_deref(), Some("https://api.example/v1"));
    assert_eq!(
        (of(call, "peer.service").as_deref(), of(call, "http.request.method").as_deref()),
        (Some("api"), Some("GET"))
    );
    assert!(!format!("{spans:?}").contains("secret"));
}

#[test]
fn what_is_not_a_document_is_accepted_and_recorded_nowhere() {
    let spans = spans(|| {
        let unwritable = std::collections::BTreeMap::from([([1_u8], 2)]);
        LiteClient::default().send(&unwritable).unwrap();
        LiteClient::default().send(&"text").unwrap();
    });
    assert!(spans.is_empty(), "{spans:?}");
}
