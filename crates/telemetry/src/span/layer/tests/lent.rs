//! When a span ends that several threads hold. A library's thread is one with the name of sqlx's for SQLite.

use std::sync::mpsc;
use std::thread;

use tracing_subscriber::layer::SubscriberExt;

use super::*;
use crate::clock::now;
use crate::testing::recorded_in;

const LIBRARY: &str = "sqlx-sqlite-worker-0";
const APPLICATION: &str = "worker";

/// A thread that enters the span it is given, replies, and drops the span only when it is released.
struct Worker {
    jobs: mpsc::SyncSender<tracing::Span>,
    replies: mpsc::Receiver<()>,
    release: mpsc::SyncSender<()>,
    thread: thread::JoinHandle<()>,
}

impl Worker {
    fn start(name: &str) -> Self {
        let (jobs, received) = mpsc::sync_channel::<tracing::Span>(1);
        let (reply, replies) = mpsc::sync_channel(1);
        let (release, released) = mpsc::sync_channel::<()>(1);
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let work = move || {
            // In a process with one global subscriber it is that of every thread.
            let _default = tracing::dispatcher::set_default(&dispatch);
            for span in received {
                let entered = span.enter();
                reply.send(()).unwrap();
                // Nobody releases a thread that is only awaited.
                released.recv().unwrap_or_default();
                drop(entered);
            }
        };
        let thread = thread::Builder::new().name(name.to_owned()).spawn(work).unwrap();
        Self { jobs, replies, release, thread }
    }

    fn call(&self) {
        self.jobs.send(tracing::Span::current()).unwrap();
        self.replies.recv().unwrap();
    }

    fn finish(self) {
        drop((self.jobs, self.release));
        self.thread.join().unwrap();
    }
}

/// Whether the span `name` ended before `work` returned and the thread `thread` dropped its clone.
fn ends_with_its_work(thread: &str, name: &str, work: impl FnOnce(&Worker)) -> bool {
    let mut returned = 0;
    let spans = spans(|| {
        let worker = Worker::start(thread);
        work(&worker);
        returned = now();
        worker.finish();
    });
    spans.iter().find(|span| span.name == name).unwrap().end_time_unix_nano <= returned
}

#[test]
fn a_span_ends_with_its_work_though_a_librarys_thread_holds_it() {
    fn inner(worker: &Worker) {
        tracing::info_span!("inner").in_scope(|| worker.call());
    }
    let outer = |worker: &Worker| tracing::info_span!("outer").in_scope(|| inner(worker));
    assert!(ends_with_its_work(LIBRARY, "inner", inner));
    assert!(ends_with_its_work(LIBRARY, "outer", outer), "and the span around it, which it keeps open");
    assert!(!ends_with_its_work(APPLICATION, "inner", inner), "an application's thread works for the span");
    assert!(!ends_with_its_work(APPLICATION, "outer", outer));
}

#[test]
fn what_is_recorded_after_the_last_exit_prolongs_the_span() {
    let mut recorded = [0; 3];
    let spans = spans(|| {
        let worker = Worker::start(LIBRARY);
        let span = tracing::info_span!("work", late = tracing::field::Empty);
        span.in_scope(|| worker.call());
        let mut after = |index: usize, act: &dyn Fn()| {
            recorded[index] = now();
            act();
        };
        after(0, &|| {
            span.record("late", 1);
        });
        after(1, &|| span.set("later", 2));
        after(2, &|| tracing::info!(parent: &span, "last"));
        drop(span);
        worker.finish();
    });
    let [span] = spans.as_slice() else { panic!("{spans:?}") };
    assert_eq!((of(span, "late").as_deref(), of(span, "later").as_deref()), (Some("1"), Some("2")));
    assert!(span.end_time_unix_nano >= recorded[2] && span.events.len() == 1, "{span:?}");
}

#[test]
fn a_span_that_no_other_thread_entered_ends_when_it_closes() {
    let mut released = 0;
    let spans = spans(|| {
        let worker = Worker::start(LIBRARY);
        let around = tracing::info_span!("around");
        tracing::info_span!(parent: &around, "within").in_scope(|| worker.call());
        drop(around);
        released = now();
        worker.finish();
    });
    let around = spans.iter().find(|span| span.name == "around").unwrap();
    assert!(around.end_time_unix_nano >= released, "only its close tells its end");
}

#[test]
fn a_span_that_its_owner_leaves_last_ends_when_it_closes() {
    let mut dropped = 0;
    let spans = spans(|| {
        let worker = Worker::start(LIBRARY);
        let span = tracing::info_span!("held");
        span.in_scope(|| worker.call());
        worker.finish();
        dropped = now();
        drop(span);
    });
    assert!(spans[0].end_time_unix_nano >= dropped, "its owner held it longer");
}

#[test]
fn a_span_of_a_librarys_thread_itself_ends_there() {
    let mut left = 0;
    let spans = spans(|| {
        let dispatch = tracing::dispatcher::get_default(Clone::clone);
        let hook = move || {
            tracing::dispatcher::with_default(&dispatch, || {
                let span = tracing::info_span!("kept");
                span.in_scope(|| ());
                let left = now();
                drop(span);
                left
            })
        };
        left = thread::Builder::new().name(LIBRARY.to_owned()).spawn(hook).unwrap().join().unwrap();
    });
    assert!(spans[0].end_time_unix_nano >= left);
}

#[test]
fn an_owned_span_ends_with_its_owner_wherever_its_clones_are() {
    for thread in [LIBRARY, APPLICATION] {
        let owned = |worker: &Worker| {
            let owned = OwnedSpan::within_current("owned", |_| {});
            owned.in_scope(|| worker.call());
        };
        assert!(ends_with_its_work(thread, "owned", owned), "{thread}");
    }
}

#[test]
fn a_span_between_that_only_other_layers_see_prolongs_nothing() {
    let mut returned = 0;
    let run = || {
        let worker = Worker::start(LIBRARY);
        tracing::info_span!("outer").in_scope(|| tracing::debug_span!("between").in_scope(|| worker.call()));
        returned = now();
        worker.finish();
    };
    let spans = recorded_in(|layer| Registry::default().with(layer).into(), run);
    let [outer] = spans.as_slice() else { panic!("{spans:?}") };
    assert!(outer.end_time_unix_nano <= returned);
}
