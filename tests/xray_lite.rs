//! Code that is written against the crate `xray-lite`, in a process that sends to Honeycomb and to the X-Ray daemon: each of its sessions
//! is in the same place of the same trace at both.

use std::process::Command;

use opentelemetry_proto::tonic::common::v1::any_value::Value as Any;
use opentelemetry_proto::tonic::trace::v1::Span;
use serde_json::{Value, json};
use telemetry::propagation::{Trust, extract};
use telemetry::xray::begin_segment;
use telemetry::xray_lite::LiteContext;
use ureq::http::{HeaderMap, HeaderName, HeaderValue};
use xray_lite::{AwsNamespace, Context, CustomNamespace, RemoteNamespace};

use crate::support::daemon::Daemon;
use crate::support::honeycomb::Honeycomb;
use crate::support::{eventually, hex};

const KEY: &str = "hcaik_a_key_of_this_test";
/// Set in the process that [`application`] is.
const APPLICATION: &str = "TESTS_XRAY_LITE_APPLICATION";
const TRACE: &str = "5759e988bd862e3fe1be46a994272793";
const CALLER: &str = "53995c3f42cd8ad8";
const RECEIVED: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1";

#[test]
fn a_session_of_xray_lite_is_one_subsegment_at_the_daemon_and_at_honeycomb() {
    let (honeycomb, daemon) = (Honeycomb::start(KEY), Daemon::start());
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "xray_lite::application", "--nocapture"])
        .env(APPLICATION, "yes")
        .envs([("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)])
        .env("AWS_XRAY_DAEMON_ADDRESS", daemon.address.to_string())
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{errors}");
    for destination in ["honeycomb", "xray"] {
        let ledger = format!("worker: {destination}: 5 spans created = 5 delivered + 0 queued + 0 dropped");
        assert!(errors.lines().any(|line| line == ledger), "{ledger} in {errors}");
    }
    let spans = eventually("the spans", || Some(honeycomb.accepted()).filter(|spans| spans.len() == 5));
    let documents = daemon.spans(TRACE, 5);
    let find =
        |name: &str| spans.iter().find(|span| span.name == name).unwrap_or_else(|| panic!("no {name}: {spans:?}"));
    let document = |span: &Span| documents.iter().find(|document| document["id"] == hex(&span.span_id)).unwrap();

    let parents = [("job", CALLER.to_owned()), ("store", hex(&find("job").span_id))];
    let sessions = ["S3/GetObject", "api", "work"].map(|name| (name, hex(&find("store").span_id)));
    for (name, parent) in parents.into_iter().chain(sessions) {
        let span = find(name);
        assert_eq!((hex(&span.trace_id).as_str(), hex(&span.parent_span_id)), (TRACE, parent.clone()), "{name}");
        assert_eq!(document(span)["parent_id"], parent, "{name}: {documents:#?}");
    }
    for (name, called, namespace, attribute) in [
        ("S3/GetObject", "S3", json!("aws"), Some(("rpc.system", "aws-api"))),
        ("api", "api", json!("remote"), Some(("peer.service", "api"))),
        ("work", "work", Value::Null, None),
    ] {
        let document = document(find(name));
        assert_eq!((&document["name"], &document["namespace"]), (&json!(called), &namespace), "{document:#}");
        if let Some((key, value)) = attribute {
            assert_eq!(text(find(name), key), Some(value), "{name}");
        }
    }
    let call = document(find("S3/GetObject"));
    assert_eq!((&call["aws"]["operation"], &call["aws"]["request_id"]), (&json!("GetObject"), &json!("request-1")));
    assert_eq!((&call["http"]["response"]["status"], &call["throttle"]), (&json!(200), &Value::Null));
    // The header that the session gives its request names the subsegment.
    let printed = String::from_utf8_lossy(&output.stdout);
    let sent = RECEIVED.replace(CALLER, call["id"].as_str().unwrap());
    assert!(printed.contains(&sent), "{sent} in {printed}");
}

fn text<'s>(span: &'s Span, key: &str) -> Option<&'s str> {
    let attribute = span.attributes.iter().find(|attribute| attribute.key == key)?;
    match attribute.value.as_ref()?.value.as_ref()? {
        Any::StringValue(text) => Some(text),
        _ => None,
    }
}

#[test]
#[expect(clippy::disallowed_methods, reason = "the test above sets it for the process that it starts")]
fn application() {
    if std::env::var(APPLICATION).is_err() {
        return;
    }
    let telemetry = telemetry::Config::from_env().unwrap().install("worker").unwrap();
    let received = (HeaderName::from_static("x-amzn-trace-id"), HeaderValue::from_static(RECEIVED));
    let job = begin_segment("job", &extract(&HeaderMap::from_iter([received]), &Trust::ALWAYS, None));
    tracing::info_span!("store").in_scope(store);
    job.close();
    telemetry.shutdown();
}

fn store() {
    let context = LiteContext::default();
    let mut call = context.enter_subsegment(AwsNamespace::new("S3", "GetObject"));
    println!("{}", call.x_amzn_trace_id().unwrap());
    call.namespace_mut().unwrap().request_id("request-1").response_status(200);
    drop(call);
    drop(context.enter_subsegment(RemoteNamespace::new("api", "GET", "http://api.example/")));
    drop(context.enter_subsegment(CustomNamespace::new("work")));
}
