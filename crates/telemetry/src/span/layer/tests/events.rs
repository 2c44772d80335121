//! Events as events of their span, and as log records.

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::logs::v1::LogRecord;
use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::testing::recorded_under;

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
    assert_eq!(spans[0].events.len(), 1, "only the exception if events are log records");
    assert_eq!(logs.len(), 2);
    assert_eq!((logs[0].severity_number, logs[1].severity_number), (9, 17));
    assert!(logs.iter().all(|record| record.trace_id == spans[0].trace_id && record.span_id == spans[0].span_id));
}

#[test]
fn log_records_have_the_levels_of_rust_log_and_other_events_stay_with_their_span() {
    let run = || {
        let _span = tracing::info_span!("work").entered();
        tracing::debug!("detail");
        tracing::info!("news");
        tracing::warn!("careful");
        tracing::error!("broken");
    };
    let cases: [(&str, &[&str], &[&str]); 3] = [
        ("warn", &["careful", "broken"], &["news", "exception"]),
        ("debug", &["detail", "news", "careful", "broken"], &["exception"]),
        ("off", &[], &["news", "careful", "exception"]),
    ];
    for (levels, logged, kept) in cases {
        let compose = |recorder, console| Registry::default().with(Layer::alone(recorder, console)).into();
        let Recorded { spans, logs } = recorded_under(compose, true, levels, run);
        let body = |record: &LogRecord| match &record.body.as_ref().unwrap().value {
            Some(Any::StringValue(text)) => text.clone(),
            other => panic!("{other:?}"),
        };
        assert_eq!(logs.iter().map(body).collect::<Vec<_>>(), logged, "{levels}");
        let events: Vec<_> = spans[0].events.iter().map(|event| event.name.as_str()).collect();
        assert_eq!(events, kept, "{levels}");
    }
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
    assert_eq!(logs[2].trace_id, spans[0].trace_id, "its span takes precedence");
    assert_eq!(attribute(&logs[2].attributes, "trace_id").as_deref(), Some(trace));
    assert!(logs[3].trace_id.is_empty(), "the id is invalid");
    assert!(spans[0].events.is_empty());
}

/// A value whose `Debug` logs an event and creates a span.
struct Chatty;

impl fmt::Debug for Chatty {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::info!("I am shown");
        drop(tracing::info_span!("within"));
        f.write_str("chatty")
    }
}

/// A value whose `Debug` records on the current span.
struct Setting;

impl fmt::Debug for Setting {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        tracing::Span::current().set("recorded", true);
        f.write_str("setting")
    }
}

/// `tracing` ignores nested events under a scoped dispatcher but not under a global one, so this test runs in a separate
/// process.
#[test]
fn a_value_may_log_while_it_is_formatted() {
    let status = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "span::layer::tests::events::in_a_process_of_its_own", "--nocapture"])
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
        // A span's fields are formatted while no lock of its parent is held.
        drop(tracing::info_span!("inner", value = ?Setting));
    });
    drop(span);
    drop(telemetry.shutdown());
}
