//! The context that a span continues, and the one that it propagates.

use super::*;
use crate::http;
use crate::propagation::{self, Trust};
use crate::span::sampler::Root;
use crate::span::start::continuing;

#[test]
fn children_share_their_parents_trace_and_carry_its_user() {
    let spans = spans(|| {
        let root = tracing::info_span!("root");
        root.in_scope(|| {
            let handler = tracing::info_span!("handler");
            handler.user("andrew");
            handler.in_scope(|| drop(tracing::info_span!("sql")));
        });
    });
    let [sql, handler, root] = spans.as_slice() else { panic!("{spans:?}") };
    assert!(root.parent_span_id.is_empty());
    assert_eq!((&handler.parent_span_id, &sql.parent_span_id), (&root.span_id, &handler.span_id));
    for span in [sql, handler, root] {
        assert_eq!(span.trace_id, root.trace_id);
        assert_eq!(of(span, "user.id").as_deref(), Some("andrew"), "on every span of the request");
    }
}

#[test]
fn a_request_continues_its_context_and_propagates_it() {
    let mut headers = ::http::HeaderMap::new();
    let traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
    headers.insert("traceparent", ::http::HeaderValue::from_static(traceparent));
    headers.insert("tracestate", ::http::HeaderValue::from_static("vendor=1"));
    headers.insert("baggage", ::http::HeaderValue::from_static("a=b"));
    let mut outgoing = Vec::new();
    let spans = spans(|| {
        let incoming = propagation::extract(&headers, &Trust::ALWAYS, None);
        let served = http::ServerRequest {
            method: "GET",
            route: Some("/x/{id}"),
            path: "/x/1",
            query: None,
            scheme: "http",
            host: Some("localhost:80"),
            peer: None,
            peer_port: None,
            client: None,
            user_agent: None,
            version: None,
        };
        let server = http::server_span(&served, &incoming);
        let client = http::client_span(&server, "GET", "http", "next:81", "/y");
        http::record_status(&client, http::Side::Client, 404);
        outgoing = propagation::outgoing(&client);
    });
    let [client, server] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((server.name.as_str(), server.kind, client.kind), ("GET /x/{id}", 2, 3));
    assert_eq!(server.parent_span_id, 0xb7ad_6b71_6920_3331_u64.to_be_bytes());
    assert_eq!((server.flags, client.flags), (0x301, 0x101), "the parent of the first is remote");
    assert_eq!(client.status.as_ref().unwrap().code(), StatusCode::Error);
    assert_eq!(of(client, "error.type").as_deref(), Some("404"));
    let sent = |name: &str| outgoing.iter().find(|(own, _)| *own == name).map(|(_, value)| value.as_str());
    assert!(sent("traceparent").unwrap().starts_with("00-0af7651916cd43dd8448eb211c80319c-"));
    assert_eq!((sent("tracestate"), sent("baggage")), (Some("vendor=1"), Some("a=b")));
    assert!(sent("x-amzn-trace-id").unwrap().starts_with("Root=1-0af76519-16cd43dd8448eb211c80319c;"));
}

#[test]
fn an_unsampled_span_is_not_built_but_propagated() {
    let sampler = Sampler { root: Root::Off, parent_based: true };
    let Recorded { spans, .. } = recorded(sampler, Limits::default(), false, || {
        let span = tracing::info_span!("root");
        span.record_with(|_| panic!("called, although the span is not recorded"));
        let headers = propagation::outgoing(&span);
        assert!(headers[0].1.ends_with("-02"), "{headers:?}");
    });
    assert!(spans.is_empty());
}

#[test]
fn a_sampled_span_and_its_child_record_the_sample_rate() {
    let sampler = Sampler { root: Root::ratio(0.25), parent_based: true };
    let Recorded { spans, .. } = recorded(sampler, Limits::default(), false, || {
        for _ in 0..400 {
            let root = tracing::info_span!("root");
            root.in_scope(|| drop(tracing::info_span!("child")));
        }
    });
    assert!(spans.len() > 80 && spans.len() < 400, "{} of 800", spans.len());
    assert!(spans.iter().all(|span| of(span, "SampleRate").as_deref() == Some("4") && span.trace_state == "ot=th:c"));
}

#[test]
fn a_disabled_sdk_propagates_the_incoming_context() {
    let traceparent = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
    let disable = |recorder| Recorder { disabled: true, ..recorder };
    let Recorded { spans, .. } = crate::testing::recorded_by(disable, false, || {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("traceparent", ::http::HeaderValue::from_static(traceparent));
        headers.insert("tracestate", ::http::HeaderValue::from_static("a=b"));
        let incoming = propagation::extract(&headers, &propagation::Trust::ALWAYS, None);
        let span = continuing("serves", &incoming, || tracing::info_span!("serves"));
        let within = span.in_scope(|| tracing::info_span!("within"));
        for span in [&span, &within] {
            let headers = propagation::outgoing(span);
            assert_eq!(headers[0], ("traceparent", traceparent.to_owned()));
            assert!(headers.contains(&("tracestate", "a=b".to_owned())), "{headers:?}");
        }
        assert!(propagation::outgoing(&tracing::info_span!("begins")).is_empty());
        assert!(propagation::trace_id(&span).is_none(), "this process has no span for it");
        // A context without a decision or without a span is propagated without its trace.
        for header in [
            "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=?",
            "Root=1-5759e988-bd862e3fe1be46a994272793",
        ] {
            let mut headers = ::http::HeaderMap::new();
            headers.insert("x-amzn-trace-id", ::http::HeaderValue::from_static(header));
            headers.insert("baggage", ::http::HeaderValue::from_static("a=b"));
            let incoming = propagation::extract(&headers, &propagation::Trust::ALWAYS, None);
            let span = continuing("serves", &incoming, || tracing::info_span!("serves"));
            assert_eq!(propagation::outgoing(&span), [("baggage", "a=b".to_owned())]);
        }
    });
    assert!(spans.is_empty());
}
