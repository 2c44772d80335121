//! Which callers the proxy trusts: whose baggage is propagated, and that no caller can make us record a trace. `edge` tests what is
//! believed about a client's address, scheme and host.

use crate::support::cruddur::Cruddur;
use crate::support::http;
use crate::support::upstream::{Upstream, values};

const TRACE: &str = "6b02f03a54f4980499a5c1872558fcbf";

/// The head that a proxy with these variables forwards for a request with these headers.
fn forwarded(variables: &[(&str, &str)], headers: &[(&str, &str)]) -> Vec<String> {
    let upstream = Upstream::start();
    let variables: Vec<_> = variables.iter().copied().chain([("CRUDDUR_UPSTREAM", &*upstream.address)]).collect();
    let proxy = Cruddur::service("frontend-proxy", &variables);
    assert_eq!(http::request("GET", &format!("{}/api/x", proxy.page), headers).status, 200);
    upstream.head()
}

#[test]
fn an_untrusted_caller_can_neither_record_nor_choose_a_trace() {
    let parent = format!("00-{TRACE}-46422517bae0bb00-01");
    let root = "Root=1-6b02f03a-54f4980499a5c1872558fcbf;Parent=46422517bae0bb00;Sampled=1";
    for (trust, sampler) in [
        ("link", "parentbased_always_off"),
        ("never", "parentbased_always_off"),
        ("10.0.0.0/8", "parentbased_traceidratio"),
    ] {
        let variables = [("TRACE_TRUST", trust), ("OTEL_TRACES_SAMPLER", sampler), ("OTEL_TRACES_SAMPLER_ARG", "0")];
        for headers in [&[("traceparent", &*parent), ("tracestate", "ot=th:0")][..], &[("x-amzn-trace-id", root)]] {
            let head = forwarded(&variables, headers);
            let sent = values(&head, "traceparent");
            let fields: Vec<&str> = sent[0].split('-').collect();
            assert_ne!(fields[1], TRACE, "{trust} {headers:?}");
            assert_eq!(fields[3], "02", "not sampled: {trust} {headers:?}");
            assert_eq!(values(&head, "tracestate"), Vec::<&str>::new());
            assert!(values(&head, "x-amzn-trace-id")[0].ends_with(";Sampled=0"));
        }
    }
    // A trusted caller decides.
    let head = forwarded(
        &[("TRACE_TRUST", "always"), ("OTEL_TRACES_SAMPLER", "parentbased_always_off")],
        &[("traceparent", &parent)],
    );
    assert!(values(&head, "traceparent")[0].starts_with(&format!("00-{TRACE}-")));
    assert!(values(&head, "traceparent")[0].ends_with("-01"));
}

#[test]
fn with_telemetry_disabled_a_trace_passes_unchanged() {
    let parent = format!("00-{TRACE}-46422517bae0bb00-01");
    let headers = [("traceparent", &*parent), ("tracestate", "a=b")];
    let head = forwarded(&[("OTEL_SDK_DISABLED", "True"), ("TRACE_TRUST", "always")], &headers);
    assert_eq!((values(&head, "traceparent"), values(&head, "tracestate")), (vec![&*parent], vec!["a=b"]));
    for (trust, headers) in [("always", &[][..]), ("never", &headers)] {
        let head = forwarded(&[("OTEL_SDK_DISABLED", "true"), ("TRACE_TRUST", trust)], headers);
        assert_eq!(values(&head, "traceparent"), Vec::<&str>::new(), "{trust}");
    }
}

#[test]
fn baggage_is_propagated_if_its_key_is_allowed() {
    let headers = [("baggage", "tenant=a;p=1, user=me@example.com"), ("baggage", "locale=de%20CH")];
    for (variables, expected) in [
        (&[][..], &[][..]),
        (&[("TRACE_BAGGAGE_KEYS", "tenant, locale")], &["tenant=a;p=1,locale=de%20CH"]),
        (&[("TRACE_BAGGAGE_KEYS", "tenant"), ("TRACE_TRUST", "link")], &["tenant=a;p=1"]),
        (&[("TRACE_BAGGAGE_KEYS", "tenant"), ("TRACE_TRUST", "never")], &[]),
        (&[("TRACE_TRUST", "always")], &["tenant=a;p=1,user=me@example.com,locale=de%20CH"]),
    ] {
        let head = forwarded(variables, &headers);
        assert_eq!(values(&head, "baggage"), expected, "{variables:?}");
    }
}
