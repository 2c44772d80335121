use serde_json::json;

use super::*;
use crate::model::{Code, Kind, Nanos, Source, SpanId, TraceId};

fn store() -> Store {
    let store = Store::new(1024 * 1024);
    let spans = (1..=3_u64).map(|id| Span {
        trace_id: TraceId::from_bytes(&u128::from(id).to_be_bytes()).unwrap(),
        span_id: SpanId::from_bytes(&id.to_be_bytes()).unwrap(),
        parent: None,
        service: Some(if id == 3 { "frontend proxy".into() } else { "backend".into() }),
        name: "GET /".into(),
        kind: Kind::Server,
        start: Nanos(id),
        end: Some(Nanos(id + 1)),
        outcome: Code::Unset,
        database: None,
        is_browser: false,
        source: Source::Otlp,
        document: None,
        details: serde_json::value::to_raw_value(&json!({"attributes": {"http.route": "/a", "odd key": id}})).unwrap(),
    });
    store.add(spans.collect());
    store
}

fn texts(suggestions: &Suggestions) -> Vec<(&str, usize)> {
    suggestions.suggestions.iter().map(|one| (one.text.as_str(), one.count)).collect()
}

#[test]
fn keys_are_suggested_where_a_key_may_be() {
    let store = store();
    let suggested = suggest(&store, "dur>1s http.r", 13);
    assert_eq!((suggested.key.as_deref(), suggested.from, suggested.to, suggested.spans), (None, 7, 13, 3));
    assert_eq!(texts(&suggested), [("http.route=", 3)]);
    assert_eq!(texts(&suggest(&store, "-od", 3)), [("\"odd key\"=", 3)]);
    let all = suggest(&store, "", usize::MAX);
    assert_eq!(texts(&all)[..2], [("http.route=", 3), ("\"odd key\"=", 3)]);
    assert!(texts(&all).contains(&("service=", 0)) && texts(&all).contains(&("sort:", 0)));
}

#[test]
fn values_of_a_key_are_suggested_after_its_sign() {
    let store = store();
    let suggested = suggest(&store, "service=\"front b", 9);
    assert_eq!((suggested.key.as_deref(), suggested.from, suggested.to), (Some("service"), 8, 16));
    assert_eq!(texts(&suggested), [("backend", 2), ("\"frontend proxy\"", 1)]);
    assert_eq!(texts(&suggest(&store, "(service=back", 13)), [("backend", 2)]);
    assert_eq!(texts(&suggest(&store, "-http.route!=", 13)), [("/a", 3)]);
    assert_eq!(texts(&suggest(&store, "has:exc", 7)), [("exception", 0)]);
}

#[test]
fn any_cursor_is_within_the_query() {
    for cursor in [0, 3, 100] {
        let suggested = suggest(&store(), "é=\"", cursor);
        assert!(suggested.from <= suggested.to && suggested.to <= 3);
    }
}
