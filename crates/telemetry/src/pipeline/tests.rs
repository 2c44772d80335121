//! Each outcome of an export, and the counts at every step.

use std::collections::BTreeMap;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use super::delivery::RETRIES;
use super::queue::Trouble;
use super::*;
use crate::ledger::{DestinationCounts, Reason};
use crate::testing::test_label;

type Step = fn(usize) -> Outcome;

/// An exporter that handles each batch by the test's next step.
struct Scripted(Arc<Mutex<Receiver<Step>>>);

impl Exporter for Scripted {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let what = self.0.lock().unwrap().recv();
        match what {
            Ok(what) => what(batch.len()),
            Err(_) => Outcome::default(),
        }
    }
}

fn queue(bound: usize) -> (Arc<Queue>, SyncSender<Step>) {
    let (next, steps) = sync_channel(16);
    let steps = Arc::new(Mutex::new(steps));
    let pace = Pace {
        queue: bound,
        flights: 1,
        delay: Duration::from_millis(1),
        pause: Duration::from_millis(1),
        longest_pause: Duration::from_millis(5),
        longest_requested: Duration::from_millis(50),
        ..Pace::default()
    };
    (Queue::start(test_label(), pace, move || Scripted(Arc::clone(&steps))).unwrap(), next)
}

fn push(queue: &Queue, count: usize) {
    for _ in 0..count {
        queue.push(Record::from([7; 100]));
        assert_exact(&queue.counts());
    }
}

fn assert_exact(counts: &DestinationCounts) {
    assert_eq!(counts.created, counts.delivered + counts.queued + counts.total_dropped(), "{counts}");
}

fn shut(queue: &Arc<Queue>, timeout: Duration) -> DestinationCounts {
    close(std::iter::once(queue), timeout);
    let counts = queue.counts();
    assert_exact(&counts);
    assert_eq!(counts.queued, 0);
    counts
}

const LONG: Duration = Duration::from_secs(60);

#[test]
fn pushed_records_are_delivered_at_shutdown_at_the_latest() {
    let (queue, next) = queue(1_000);
    push(&queue, 3);
    next.send(|_| Outcome::default()).unwrap();
    assert_eq!(shut(&queue, LONG).delivered, 3);
}

#[test]
fn a_full_queue_drops_and_counts() {
    let (queue, next) = queue(10);
    push(&queue, 15);
    assert_eq!(queue.counts().dropped, BTreeMap::from([(Reason::QueueFull, 5)]));
    drop(next);
    assert_eq!(shut(&queue, LONG).delivered, 10);
}

#[test]
fn a_refused_part_of_a_batch_is_counted_with_its_reason() {
    let (queue, next) = queue(1_000);
    push(&queue, 5);
    let refuse_two: Step = |_| {
        let mut outcome = Outcome::default();
        outcome.lose(2, Reason::Refused, "two are bad");
        outcome
    };
    next.send(refuse_two).unwrap();
    let counts = shut(&queue, LONG);
    assert_eq!((counts.delivered, counts.dropped), (3, BTreeMap::from([(Reason::Refused, 2)])));
    assert_eq!(counts.last_error.as_deref(), Some("two are bad"));
}

#[test]
fn a_worker_survives_a_panic_of_its_exporter_and_counts_it() {
    let (queue, next) = queue(1_000);
    push(&queue, 1);
    next.send(|_| panic!("an exporter's fault, made by this test")).unwrap();
    next.send(|_| Outcome::default()).unwrap();
    while queue.counts().queued > 0 {
        thread::yield_now();
    }
    push(&queue, 1);
    let counts = shut(&queue, LONG);
    assert_eq!((counts.delivered, counts.dropped), (1, BTreeMap::from([(Reason::Panicked, 1)])));
}

const AWAY: Step = |size| {
    let mut outcome = Outcome::default();
    outcome.lose(size, Reason::Unreachable, "away");
    Outcome { again_after: Some(Duration::ZERO), ..outcome }
};

#[test]
fn a_batch_is_retried_until_it_is_accepted() {
    let (queue, next) = queue(1_000);
    push(&queue, 3);
    next.send(AWAY).unwrap();
    while queue.counts().last_error.is_none() {
        assert_exact(&queue.counts());
    }
    assert_eq!(queue.counts().queued, 3, "the error is visible while the batch still waits");
    for what in [AWAY, |_| Outcome::default()] {
        next.send(what).unwrap();
    }
    while queue.counts().queued > 0 {
        assert_exact(&queue.counts());
    }
    let counts = shut(&queue, LONG);
    assert_eq!((counts.delivered, counts.total_dropped()), (3, 0));
}

#[test]
fn a_batch_that_is_never_accepted_is_given_up() {
    let (queue, next) = queue(1_000);
    push(&queue, 3);
    for _ in 0..=RETRIES {
        next.send(AWAY).unwrap();
    }
    while queue.counts().queued > 0 {
        assert_exact(&queue.counts());
    }
    assert_eq!(shut(&queue, LONG).dropped, BTreeMap::from([(Reason::Unreachable, 3)]));
}

#[test]
fn a_closed_destination_receives_no_further_batch() {
    let (queue, next) = queue(1_000);
    push(&queue, 2);
    next.send(|size| {
        let mut outcome = Outcome::default();
        outcome.lose(size, Reason::Refused, "wrong key");
        Outcome { closed_for: Some(LONG), ..outcome }
    })
    .unwrap();
    while queue.counts().queued > 0 {
        thread::yield_now();
    }
    // The test sends no more steps, so an exporter that was called would wait for ever.
    push(&queue, 3);
    let counts = shut(&queue, LONG);
    assert_eq!(counts.dropped, BTreeMap::from([(Reason::Refused, 5)]));
    assert_eq!(counts.last_error.as_deref(), Some("wrong key"));
    drop(next);
}

#[test]
fn a_closed_destination_is_logged_even_after_a_refusal() {
    let (queue, next) = queue(1_000);
    push(&queue, 2);
    const REFUSED: Step = |size| {
        let mut outcome = Outcome::default();
        outcome.lose(size, Reason::Refused, "busy");
        Outcome { again_after: Some(Duration::ZERO), ..outcome }
    };
    for what in [REFUSED, REFUSED, |size| Outcome { again_after: None, closed_for: Some(LONG), ..REFUSED(size) }] {
        next.send(what).unwrap();
    }
    while queue.counts().queued > 0 {
        thread::yield_now();
    }
    let logged: Vec<Trouble> = queue.lock().logged.keys().copied().collect();
    assert_eq!(logged, [(Some(Reason::Refused), false, true), (Some(Reason::Refused), true, false)]);
}

#[test]
fn a_requested_pause_is_obeyed_up_to_its_bound() {
    for (requested, least) in [(Duration::from_millis(30), 30), (LONG, 50)] {
        let (queue, next) = queue(1_000);
        let begun = Instant::now();
        push(&queue, 1);
        let pauses: Step = if requested == LONG {
            |size| Outcome { again_after: Some(LONG), ..AWAY(size) }
        } else {
            |size| Outcome { again_after: Some(Duration::from_millis(30)), ..AWAY(size) }
        };
        for what in [pauses, |_| Outcome::default()] {
            next.send(what).unwrap();
        }
        while queue.counts().queued > 0 {
            thread::yield_now();
        }
        assert_eq!(queue.counts().delivered, 1);
        assert!(begun.elapsed() >= Duration::from_millis(least));
    }
}

#[test]
fn shutdown_does_not_wait_for_an_exporter_that_hangs() {
    let (queue, next) = queue(1_000);
    push(&queue, 600);
    let counts = shut(&queue, Duration::from_millis(50));
    assert_eq!(counts.dropped, BTreeMap::from([(Reason::Shutdown, 600)]));
    push(&queue, 1);
    assert_eq!(queue.counts().dropped, BTreeMap::from([(Reason::Shutdown, 601)]));
    // The batch that was being sent returns late and changes no counts.
    next.send(|_| Outcome::default()).unwrap();
    drop(next);
    assert_exact(&queue.counts());
    assert_eq!(queue.counts().delivered, 0);
}

#[test]
fn a_flush_delivers_what_waits_and_leaves_the_queue_open() {
    let (queue, next) = slow_queue();
    push(&queue, 3);
    next.send(|_| Outcome::default()).unwrap();
    assert_eq!(flush(std::iter::once(&queue), LONG), Ok(()));
    assert_eq!((queue.counts().delivered, queue.counts().queued), (3, 0));
    push(&queue, 2);
    let refuse_one: Step = |_| {
        let mut outcome = Outcome::default();
        outcome.lose(1, Reason::Refused, "one is bad");
        outcome
    };
    next.send(refuse_one).unwrap();
    assert_eq!(flush(std::iter::once(&queue), LONG), Err(NotFlushed { queued: 0, dropped: 1 }));
    assert_eq!(queue.counts().delivered, 4);
    assert_eq!(flush(std::iter::once(&queue), LONG), Ok(()), "an earlier loss is not this flush's");
}

#[test]
fn a_flush_that_runs_out_of_time_says_what_is_queued() {
    let (queue, next) = slow_queue();
    push(&queue, 2);
    assert_eq!(flush(std::iter::once(&queue), Duration::ZERO), Err(NotFlushed { queued: 2, dropped: 0 }));
    drop(next);
    assert_eq!(flush(std::iter::once(&queue), LONG), Ok(()));
}

/// A queue whose records wait longer for others than any test runs.
fn slow_queue() -> (Arc<Queue>, SyncSender<Step>) {
    let (next, steps) = sync_channel(16);
    let steps = Arc::new(Mutex::new(steps));
    let pace = Pace { delay: Duration::from_secs(3_600), ..Pace::default() };
    (Queue::start(test_label(), pace, move || Scripted(Arc::clone(&steps))).unwrap(), next)
}
