use opentelemetry::trace::SpanContext;

use super::*;

const W3C: &str = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01";
const XRAY: &str = "Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0";

fn headers(pairs: &[(&'static str, &'static str)]) -> ::http::HeaderMap {
    pairs
        .iter()
        .map(|(name, value)| (::http::HeaderName::from_static(name), ::http::HeaderValue::from_static(value)))
        .collect()
}

fn ids(context: Option<SpanContext>) -> Option<(String, String, bool)> {
    context.map(|c| (c.trace_id().to_string(), c.span_id().to_string(), c.is_sampled()))
}

#[test]
fn w3c_wins_over_x_ray() {
    let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY)]);
    let found = ids(extract(&both, &Trust::ALWAYS, None).parent).unwrap();
    assert_eq!(found.0, "0af7651916cd43dd8448eb211c80319c");
    let found = ids(extract(&headers(&[("x-amzn-trace-id", XRAY)]), &Trust::ALWAYS, None).parent);
    assert_eq!(found, Some(("5759e988bd862e3fe1be46a994272793".into(), "53995c3f42cd8ad8".into(), false)));
}

#[test]
fn an_untrusted_context_is_linked() {
    let headers = headers(&[("traceparent", W3C)]);
    let peer = |text: &str| Some(text.parse().unwrap());
    assert!(extract(&headers, &Trust::loopback(), peer("127.0.0.1")).parent.is_some());
    assert!(extract(&headers, &Trust::loopback(), peer("::ffff:127.0.0.1")).parent.is_some());
    for stranger in [peer("192.0.2.1"), None] {
        let incoming = extract(&headers, &Trust::loopback(), stranger);
        assert!(incoming.parent.is_none() && incoming.link.is_some());
    }
}

#[test]
fn invalid_headers_count_as_missing() {
    let bad = headers(&[("traceparent", "00-zz"), ("x-amzn-trace-id", "Root=1-2-3")]);
    assert_eq!(extract(&bad, &Trust::ALWAYS, None), Incoming::default());
}

#[test]
fn a_conflict_is_linked_and_recorded() {
    let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY)]);
    let incoming = extract(&both, &Trust::ALWAYS, None);
    assert_eq!(ids(incoming.link).unwrap().0, "5759e988bd862e3fe1be46a994272793");
    assert!(incoming.has_conflict);
    let same = "Root=1-0af76519-16cd43dd8448eb211c80319c;Parent=b7ad6b7169203331;Sampled=1";
    let agreed = extract(&headers(&[("traceparent", W3C), ("x-amzn-trace-id", same)]), &Trust::ALWAYS, None);
    assert!(agreed.link.is_none() && !agreed.has_conflict);
}

#[test]
fn untrusted_baggage_is_dropped_except_for_allowed_keys() {
    let given = headers(&[("traceparent", W3C), ("baggage", "user=1,role=admin")]);
    let trust = |text: &str| text.parse::<Trust>().unwrap().with_baggage(vec!["user".to_owned()]);
    let baggage = |trust: &Trust| extract(&given, trust, None).baggage;
    assert_eq!(baggage(&trust("always")).as_deref(), Some("user=1,role=admin"));
    assert_eq!(baggage(&trust("link")).as_deref(), Some("user=1"));
    assert_eq!(baggage(&Trust::loopback()), None);
    assert_eq!(baggage(&trust("never")), None);
    assert_eq!(extract(&given, &trust("never"), None), Incoming::default());
}

#[test]
fn propagators_are_chosen_by_name() {
    let chosen = |text: &str| text.parse::<Propagators>().map_err(|error| error.to_string());
    assert_eq!(chosen("tracecontext, baggage,xray"), Ok(Propagators::default()));
    assert_eq!(chosen("b3"), Err("there is no propagator \"b3\"".to_owned()));
    assert!(chosen("none,xray").is_err());
    let both = headers(&[("traceparent", W3C), ("x-amzn-trace-id", XRAY), ("baggage", "a=b")]);
    let of = |text: &str| chosen(text).unwrap().extract(&both, &Trust::ALWAYS, None);
    assert_eq!(ids(of("xray").parent).unwrap().0, "5759e988bd862e3fe1be46a994272793");
    assert_eq!(of("xray").baggage, None);
    assert_eq!(of("none"), Incoming::default());
    assert_eq!(of("baggage").baggage.as_deref(), Some("a=b"));
}
