//! When spans end, and what marks them as failed, as a collector receives them from the real services.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use opentelemetry_proto::tonic::trace::v1::Span;
use opentelemetry_proto::tonic::trace::v1::status::StatusCode;
use serde_json::json;

use crate::support::cruddur::{Cruddur, run};
use crate::support::honeycomb::Honeycomb;
use crate::support::person::Person;
use crate::support::{Folder, StopOnDrop, eventually};

const KEY: &str = "hcaik_a_key_of_this_test";
const POSTS: usize = 500;
/// The spans of a post: SERVER and CLIENT of the proxy, SERVER and INTERNAL of the backend, and at least a transaction's five statements.
const LEAST: usize = 9;
/// The flag of a span whose parent is in another process.
const REMOTE: u32 = 0x200;

/// Keeps both cores busy, so that every thread is occasionally delayed.
pub(crate) fn while_busy(run: impl FnOnce()) {
    let stop = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::hint::spin_loop();
                }
            });
        }
        let stopped = StopOnDrop(&stop);
        run();
        drop(stopped);
    });
}

/// The spans that end after their parent, each with its parent's name and the difference in nanoseconds.
pub(crate) fn outlasting(spans: &[Span]) -> Vec<String> {
    let parents: HashMap<&[u8], &Span> = spans.iter().map(|span| (span.span_id.as_slice(), span)).collect();
    let late = spans.iter().filter_map(|span| {
        let parent = parents.get(span.parent_span_id.as_slice())?;
        let by = span.end_time_unix_nano.checked_sub(parent.end_time_unix_nano).filter(|by| *by > 0)?;
        let place = if span.flags & REMOTE == 0 { "within" } else { "called by" };
        Some(format!("{} {place} {}: {by} ns", span.name, parent.name))
    });
    late.collect()
}

fn none_outlasts(act: impl Fn(&Person, usize), count: usize, least: usize) {
    let honeycomb = Honeycomb::start(KEY);
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &[("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", &honeycomb.url)]);
    let person = cruddur.person();
    while_busy(|| (0..count).for_each(|index| act(&person, index)));
    drop(cruddur.stop());
    let spans =
        eventually("the spans of every request", || Some(honeycomb.accepted()).filter(|s| s.len() >= count * least));
    let late = outlasting(&spans);
    assert!(
        late.is_empty(),
        "{} of {} spans: {:#?}",
        late.len(),
        spans.len(),
        late.iter().take(20).collect::<Vec<_>>()
    );
}

#[test]
fn no_span_of_a_post_outlasts_its_parent_on_a_busy_machine() {
    let post = |person: &Person, index| {
        let answer = person.post("/api/activities", &json!({"message": format!("crud {index}"), "ttl": "1-hour"}));
        assert_eq!(answer.status, 200);
    };
    none_outlasts(post, POSTS, LEAST);
}

#[test]
fn no_span_of_a_rolled_back_transaction_outlasts_its_parent() {
    let reply_to_nothing = |person: &Person, _| {
        let nothing = "/api/activities/0193a1f0-0000-7000-8000-000000000000/reply";
        let answer = person.post(nothing, &json!({"message": "to nothing"}));
        assert_eq!(answer.status, 404);
    };
    none_outlasts(reply_to_nothing, 200, 5);
}

#[test]
fn an_error_that_is_logged_and_returned_is_one_exception() {
    let honeycomb = Honeycomb::start(KEY);
    let variables = [("HONEYCOMB_API_KEY", KEY), ("HONEYCOMB_API_ENDPOINT", honeycomb.url.as_str())];
    let data = Folder::new();
    let cruddur = Cruddur::up(&data, &variables);
    let answer = crate::support::http::get(&format!("{}/rollbar/test", cruddur.backend));
    assert_eq!(answer.status, 500);
    let span = eventually("the request's span", || {
        honeycomb.accepted().into_iter().find(|span| span.name == "GET /rollbar/test")
    });
    assert_eq!(span.status.map(|status| status.code()), Some(StatusCode::Error));
    assert_eq!(span.events.iter().filter(|event| event.name == "exception").count(), 1, "{:?}", span.events);
}

#[test]
fn an_invalid_span_level_is_a_fault_at_the_start() {
    let ended = run(&["backend"], &[("TRACE_LEVEL", "loud"), ("CRUDDUR_BACKEND_LISTEN", "nowhere")]);
    assert_eq!(ended.status.code(), Some(64), "{}", ended.errors);
    assert!(ended.errors.contains("TRACE_LEVEL: \"loud\""), "{}", ended.errors);
}
