//! The home page under load: many requests share a query, and no response is older than its request.

use std::sync::atomic::{AtomicBool, Ordering::Relaxed};
use std::thread;

use opentelemetry_proto::tonic::trace::v1::Span;

use crate::support::cruddur::Cruddur;
use crate::support::honeycomb::Honeycomb;
use crate::support::person::Person;
use crate::support::{Folder, engines, eventually, http};

#[test]
fn a_post_is_visible_to_its_author_immediately_under_load() {
    engines::each(&[], |cruddur| {
        let stop = AtomicBool::new(false);
        let home = format!("{}/api/activities/home", cruddur.backend);
        let read = || {
            let mut answers = 0;
            while !stop.load(Relaxed) {
                assert_eq!(http::get(&home).status, 200);
                answers += 1;
            }
            answers
        };
        let write = |me: Person| {
            for number in 0..20 {
                let uuid = me.crud(&format!("number {number}"))["uuid"].clone();
                let seen = me.get("/api/activities/home?limit=100").json();
                assert!(seen.as_array().unwrap().iter().any(|crud| crud["uuid"] == uuid), "{number}");
                assert_eq!(me.request("DELETE", &format!("/api/activities/{}", uuid.as_str().unwrap())).status, 204);
                let seen = me.get("/api/activities/home?limit=100").json();
                assert!(seen.as_array().unwrap().iter().all(|crud| crud["uuid"] != uuid), "{number}");
            }
        };
        thread::scope(|scope| {
            let readers: Vec<_> = (0..6).map(|_| scope.spawn(read)).collect();
            let writers: Vec<_> = (0..3).map(|_| cruddur.person()).map(|me| scope.spawn(|| write(me))).collect();
            let written = writers.into_iter().map(thread::ScopedJoinHandle::join).collect::<Result<Vec<_>, _>>();
            stop.store(true, Relaxed);
            written.unwrap();
            assert!(readers.into_iter().all(|reader| reader.join().unwrap() > 0));
        });
    });
}

/// Each request has its own trace: the request that made the query has its SQL, each sharing request a link to it.
#[test]
fn a_request_that_shares_a_query_links_to_the_span_that_made_it() {
    let collector = Honeycomb::start("");
    let data = Folder::new();
    let backend = Cruddur::service(
        "backend",
        &[
            ("CRUDDUR_DATA", data.path().to_str().unwrap()),
            ("CRUDDUR_FAULTS", "slow-query:300ms"),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", &collector.url),
        ],
    );
    let home = format!("{}/api/activities/home", backend.backend);
    // Each core's worker answers some of the requests, and shares queries among its own.
    let requests = 6 * thread::available_parallelism().unwrap().get();
    thread::scope(|scope| {
        for _ in 0..requests {
            scope.spawn(|| assert_eq!(http::get(&home).status, 200));
        }
    });
    let of_name =
        |name: &str| -> Vec<Span> { collector.accepted().into_iter().filter(|span| span.name == name).collect() };
    let lessons = eventually("each request's spans", || {
        Some(of_name("home-activities-mock-data")).filter(|lessons| lessons.len() == requests)
    });
    let statements = of_name("SELECT activities");
    let (made, shared): (Vec<_>, Vec<_>) =
        lessons.iter().partition(|lesson| statements.iter().any(|sql| sql.parent_span_id == lesson.span_id));
    // The first query starts immediately, and requests that arrive meanwhile share the next.
    assert!(made.len() < requests && !shared.is_empty(), "{} queries for {requests} requests", made.len());
    assert!(made.iter().all(|lesson| lesson.links.is_empty()));
    for lesson in shared {
        let [link] = lesson.links.as_slice() else { panic!("{lesson:?}") };
        let whose = made.iter().find(|made| made.span_id == link.span_id && made.trace_id == link.trace_id);
        assert!(whose.is_some_and(|whose| whose.trace_id != lesson.trace_id), "{lesson:?}");
    }
}
