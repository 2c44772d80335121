mod failures;

use std::fmt;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;

use super::*;
use crate::http;
use crate::propagation::{self, Trust};
use crate::span::sampler::Root;
use crate::span::start::continuing;
use crate::span::{OwnedSpan, SpanExt, SpanKind};
use crate::testing::{Recorded, attribute, recorded};

fn spans(run: impl FnOnce()) -> Vec<Span> {
    recorded(Sampler::default(), Limits::default(), false, run).spans
}

fn of(span: &Span, key: &str) -> Option<String> {
    attribute(&span.attributes, key)
}

#[test]
fn a_span_records_its_fields_and_later_values() {
    let spans = spans(|| {
        let span = tracing::info_span!(
            "work",
            otel.kind = "client",
            n = 7,
            text = "é",
            flag = true,
            late = tracing::field::Empty
        );
        span.record("late", 1.5);
        span.record("n", 8);
        span.set("text", "again");
        span.record_with(|span| span.name("SELECT activities"));
    });
    let span = &spans[0];
    assert_eq!((span.name.as_str(), span.kind), ("SELECT activities", 3));
    assert_eq!(span.attributes.len(), 4, "{:?}", span.attributes);
    let values = ["n", "text", "flag"].map(|key| of(span, key).unwrap());
    assert_eq!(values, ["8", "again", "true"], "a later value takes the place of an earlier one");
    assert!(span.end_time_unix_nano >= span.start_time_unix_nano && span.status.is_none());
}

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
fn limits_hold_and_drops_are_counted() {
    let limits =
        Limits { attributes: 2, events: 1, links: 1, value_bytes: 5, event_attributes: 3, ..Limits::default() };
    let Recorded { spans, .. } = recorded(Sampler::default(), limits, false, || {
        let span = tracing::info_span!("small", a = "ééé", b = 1, c = 2);
        span.set("d", 4);
        span.set("a", "x");
        for _ in 0..3 {
            span.exception("E", "a long message", "");
            span.follows_from(tracing::info_span!("other").id());
        }
        tracing::info_span!("work").in_scope(|| tracing::info!(a = 1, b = 2, c = 3, "it happened"));
    });
    let span = spans.iter().find(|span| span.name == "work").unwrap();
    assert_eq!((span.events[0].attributes.len(), span.events[0].dropped_attributes_count), (3, 2), "level, target, a");
    let span = spans.iter().find(|span| span.name == "small").unwrap();
    assert_eq!((span.attributes.len(), span.dropped_attributes_count), (2, 2));
    assert_eq!((span.events.len(), span.dropped_events_count), (1, 2));
    assert_eq!((span.links.len(), span.dropped_links_count), (1, 2));
    assert_eq!(attribute(&span.events[0].attributes, "exception.message").as_deref(), Some("a lon"));
    assert_eq!(of(span, "a").as_deref(), Some("x"));
}

#[derive(Debug, thiserror::Error)]
#[error("no disk")]
struct Disk;

/// OTLP requires unique keys: the last value of a key wins.
#[test]
fn keys_are_unique_in_an_event_and_in_a_log_record() {
    let twice = || {
        let _span = tracing::info_span!("work").entered();
        tracing::info!(x = 1, y = "a", x = 2, level = "own", target = 7, "it happened");
        tracing::info!(x = 1, trace_id = "none", trace_id = "5759e988bd862e3fe1be46a994272793");
        tracing::error!(error = "first", error = "second", "exception.message" = "third");
    };
    let unique = |attributes: &[opentelemetry_proto::tonic::common::v1::KeyValue], expected: &[(&str, &str)]| {
        let keys: std::collections::BTreeSet<_> = attributes.iter().map(|attribute| &attribute.key).collect();
        assert_eq!(keys.len(), attributes.len(), "{attributes:?}");
        for (key, value) in expected {
            assert_eq!(attribute(attributes, key).as_deref(), Some(*value), "{attributes:?}");
        }
    };
    let own = [("x", "2"), ("y", "a"), ("target", "7")];
    let Recorded { spans, .. } = recorded(Sampler::default(), Limits::default(), false, twice);
    let [event, _, exception] = spans[0].events.as_slice() else { panic!("{spans:?}") };
    unique(&event.attributes, &[&own[..], &[("level", "own")]].concat());
    unique(&exception.attributes, &[("exception.message", "third")]);
    let Recorded { logs, .. } = recorded(Sampler::default(), Limits::default(), true, twice);
    unique(&logs[0].attributes, &own);
    logs.iter().for_each(|record| unique(&record.attributes, &[]));
}

#[test]
fn a_user_set_in_an_owned_span_reaches_the_spans_around_it() {
    let spans = spans(|| {
        let _root = tracing::info_span!("root").entered();
        let _handler = tracing::info_span!("handler").entered();
        let owned = OwnedSpan::within_current("owned", |_| {});
        owned.in_scope(|| tracing::info_span!("within").in_scope(|| tracing::Span::current().user("andrew")));
    });
    assert_eq!(spans.len(), 4);
    assert!(spans.iter().all(|span| of(span, "user.id").as_deref() == Some("andrew")), "{spans:?}");
}

#[test]
fn a_span_ends_once_when_its_owner_ends_it() {
    let mut clone = tracing::Span::none();
    let spans = spans(|| {
        let parent = tracing::info_span!("parent");
        parent.in_scope(|| {
            let owned = OwnedSpan::within_current("owned", |span| span.kind(SpanKind::Client));
            clone = (*owned).clone();
        });
        drop(parent);
        clone.in_scope(|| {
            tracing::error!("too late");
            drop(tracing::info_span!("late child"));
        });
        clone.set("late", 1);
        clone.end();
        drop(std::mem::replace(&mut clone, tracing::Span::none()));
    });
    let [owned, parent, child] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!([&owned.name, &parent.name, &child.name], ["owned", "parent", "late child"]);
    assert_eq!((&owned.parent_span_id, &child.parent_span_id), (&parent.span_id, &owned.span_id));
    assert_eq!((owned.kind, owned.trace_id == parent.trace_id), (3, true));
    assert!(owned.attributes.is_empty() && owned.events.is_empty() && owned.status.is_none(), "{owned:?}");
    assert!(owned.end_time_unix_nano <= parent.end_time_unix_nano);
}

#[test]
fn levels_choose_spans_and_children_of_others_go_to_the_parent() {
    let levels = |text: &str| {
        let level = SpanLevels::read(&mut settings::Settings::from_pairs(&[("TRACE_LEVEL", text)]));
        move |layer| Layer { levels: level, ..layer }
    };
    let run = || {
        let _outer = tracing::info_span!("outer").entered();
        let _between = tracing::debug_span!(target: "tower_http::trace", "between").entered();
        tracing::info_span!(target: "noisy", "noise").in_scope(|| drop(tracing::info_span!("inner")));
        drop(tracing::trace_span!(target: "hyper::proto", "carrier"));
    };
    let made = |text: &str| {
        let spans = crate::testing::recorded_by(levels(text), false, run).spans;
        let parent = |span: &Span| {
            let parent = spans.iter().find(|other| other.span_id == span.parent_span_id);
            parent.map_or(String::new(), |parent| format!("{}>", parent.name))
        };
        spans.iter().map(|span| parent(span) + &span.name).collect::<Vec<_>>()
    };
    assert_eq!(made("info"), ["noise>inner", "outer>noise", "outer"]);
    let all = ["noise>inner", "between>noise", "outer>between", "outer"];
    assert_eq!([made("tower_http=debug"), made("trace")], [all, all], "other targets stay at info");
    assert_eq!(made("info,noisy=off"), ["outer>inner", "outer"]);
    assert!(made("off").is_empty());
}

#[derive(Debug, thiserror::Error)]
#[error("no store")]
struct Store(#[source] Disk);

#[test]
fn an_event_belongs_to_its_span_and_an_error_is_an_exception() {
    let happen = || {
        let _span = tracing::info_span!("work").entered();
        tracing::info!(n = 3, "it happened");
        let error = Store(Disk);
        tracing::error!(error = &error as &dyn std::error::Error, "it failed");
        tracing::debug!("too small");
    };
    let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), false, happen);
    let [event, exception] = spans[0].events.as_slice() else { panic!("{:?}", spans[0].events) };
    assert_eq!((event.name.as_str(), attribute(&event.attributes, "n").as_deref()), ("it happened", Some("3")));
    assert_eq!(exception.name, "exception");
    let keys = ["exception.type", "exception.message", "exception.stacktrace", "message"];
    let values = keys.map(|key| attribute(&exception.attributes, key).unwrap());
    assert_eq!(values, ["Store", "no store", "caused by: no disk\n", "it failed"]);
    assert!(logs.is_empty());
    let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), true, happen);
    assert_eq!(spans[0].events.len(), 1, "the exception alone, where events are log records");
    assert_eq!(logs.len(), 2);
    assert_eq!((logs[0].severity_number, logs[1].severity_number), (9, 17));
    assert!(logs.iter().all(|record| record.trace_id == spans[0].trace_id && record.span_id == spans[0].span_id));
}

#[test]
fn a_log_record_without_a_span_has_the_trace_it_names() {
    let trace = "5759e988bd862e3fe1be46a994272793";
    let Recorded { spans, logs } = recorded(Sampler::default(), Limits::default(), true, || {
        let _span = tracing::info_span!("work").entered();
        tracing::info!(parent: None, trace_id = trace, "elsewhere");
        tracing::info!(parent: None, trace_id = "none", "nowhere");
        tracing::info!(trace_id = trace, "here");
        tracing::info!(parent: None, trace_id = "0".repeat(32), "nowhere");
    });
    assert_eq!(logs[0].trace_id, opentelemetry::trace::TraceId::from_hex(trace).unwrap().to_bytes());
    assert_eq!(attribute(&logs[0].attributes, "trace_id"), None);
    assert_eq!((logs[1].trace_id.len(), attribute(&logs[1].attributes, "trace_id").as_deref()), (0, Some("none")));
    assert_eq!(logs[2].trace_id, spans[0].trace_id, "its own span counts");
    assert_eq!(attribute(&logs[2].attributes, "trace_id").as_deref(), Some(trace));
    assert!(logs[3].trace_id.is_empty(), "no trace has this id");
    assert!(spans[0].events.is_empty());
}

#[test]
fn a_span_survives_a_panic_while_recording() {
    struct Bad;
    impl fmt::Debug for Bad {
        fn fmt(&self, _: &mut fmt::Formatter<'_>) -> fmt::Result {
            panic!("shown by this test");
        }
    }
    let spans = spans(|| {
        let span = tracing::info_span!("work", value = tracing::field::Empty);
        let record = std::panic::AssertUnwindSafe(|| span.record_with(|_| panic!("by this test")));
        assert!(std::panic::catch_unwind(record).is_err());
        let shown = std::panic::AssertUnwindSafe(|| {
            span.record("value", tracing::field::debug(Bad));
        });
        assert!(std::panic::catch_unwind(shown).is_err());
        span.set("after", 1);
    });
    assert_eq!(of(&spans[0], "after").as_deref(), Some("1"));
}

#[test]
fn a_disabled_sdk_propagates_the_incoming_context() {
    let brought = "00-5759e988bd862e3fe1be46a994272793-53995c3f42cd8ad8-01";
    let disable = |layer| Layer { disabled: true, ..layer };
    let Recorded { spans, .. } = crate::testing::recorded_by(disable, false, || {
        let mut headers = ::http::HeaderMap::new();
        headers.insert("traceparent", ::http::HeaderValue::from_static(brought));
        headers.insert("tracestate", ::http::HeaderValue::from_static("a=b"));
        let incoming = propagation::extract(&headers, &propagation::Trust::ALWAYS, None);
        let span = continuing("serves", &incoming, || tracing::info_span!("serves"));
        let within = span.in_scope(|| tracing::info_span!("within"));
        for span in [&span, &within] {
            let headers = propagation::outgoing(span);
            assert_eq!(headers[0], ("traceparent", brought.to_owned()));
            assert!(headers.contains(&("tracestate", "a=b".to_owned())), "{headers:?}");
        }
        assert!(propagation::outgoing(&tracing::info_span!("begins")).is_empty());
        assert!(propagation::trace_id(&span).is_none(), "nobody served it");
        // A context that leaves the decision to us, or names no span, is propagated without a trace.
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

#[test]
fn an_exporters_own_work_is_not_traced() {
    let spans = spans(|| {
        let here = tracing::dispatcher::get_default(Clone::clone);
        let exporter = std::thread::spawn(move || {
            crate::suppression::suppress();
            tracing::dispatcher::with_default(&here, || drop(tracing::info_span!("export")));
        });
        exporter.join().unwrap();
        drop(tracing::info_span!(target: "hyper::client", "carrier"));
        drop(tracing::info_span!("own"));
    });
    assert_eq!(spans.iter().map(|span| span.name.as_str()).collect::<Vec<_>>(), ["own"]);
}

/// A value whose `Debug` logs, and makes a span.
struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("I am shown");
        drop(tracing::info_span!("within"));
        f.write_str("chatty")
    }
}

/// Under a scoped dispatcher `tracing` lets nothing nest. Under a process's own dispatcher it does, so this test calls the
/// layer itself.
#[test]
fn a_value_may_log_while_it_is_formatted() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "span::layer::tests::in_a_process_of_its_own", "--nocapture"])
        .env("IN_A_PROCESS_OF_ITS_OWN", "1")
        .status()
        .unwrap();
    assert!(status.success());
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test above sets it for the process that it starts")]
fn in_a_process_of_its_own() {
    if std::env::var_os("IN_A_PROCESS_OF_ITS_OWN").is_none() {
        return;
    }
    let config = crate::Config::read(&mut settings::Settings::from_pairs(&[("RUST_LOG", "info")]));
    let telemetry = config.install("test").unwrap();
    let span = tracing::info_span!("outer", value = tracing::field::Empty);
    span.in_scope(|| {
        tracing::info!(value = ?Chatty, "shown");
        span.record("value", tracing::field::debug(Chatty));
        span.record_with(|_| tracing::info!("logged"));
    });
    drop(span);
    drop(telemetry.shutdown());
}

#[test]
fn a_status_is_recorded_as_set() {
    let spans = spans(|| {
        drop(tracing::info_span!("ok", otel.status_code = "OK"));
        drop(tracing::info_span!("bad", otel.status_description = "boom", otel.status_code = "ERROR"));
        let root = tracing::info_span!("root");
        root.user("a");
        root.in_scope(|| drop(tracing::info_span!("own", user.id = "b")));
    });
    let status = |index: usize| spans[index].status.clone().unwrap();
    assert_eq!((status(0).code(), status(1).code()), (StatusCode::Ok, StatusCode::Error));
    assert_eq!(status(1).message, "boom");
    assert_eq!((spans[2].attributes.len(), of(&spans[2], "user.id").as_deref()), (1, Some("b")));
}
