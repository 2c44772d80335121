//! One destination's queue. All counts of the destination change under one lock, in the same step as the queue.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use super::exporter::Outcome;
use super::pace::Pace;
use super::record::Record;
use crate::ledger::{DestinationCounts, Reason, RecordKind};

/// Memory that a queue uses for a record besides the record's bytes, rounded up.
const OVERHEAD: usize = 64;
/// Number of waiting records that are exported before the delay has ended.
const FULL: usize = 1_024;

/// A destination as the ledger names it.
pub(crate) struct DestinationLabel {
    pub(crate) name: String,
    pub(crate) kind: &'static str,
    pub(crate) records: RecordKind,
    pub(crate) endpoint: String,
}

/// One destination's queue and counts.
pub(crate) struct Queue {
    pub(super) state: Mutex<QueueState>,
    /// Signals a batch, or the shutdown. Each worker has its own.
    pub(super) work: Box<[Condvar]>,
    /// Signals settled records, or the shutdown, to the thread that shuts down and to workers that pause.
    pub(super) settled: Condvar,
    pub(super) pace: Pace,
}

pub(super) struct QueueState {
    pub(super) phase: Phase,
    /// The workers that wait for work. The last one in the list worked most recently and works next, because its buffers are
    /// warm and its connection is open. The others work while it is busy.
    idle: Vec<usize>,
    waiting: VecDeque<Record>,
    /// What the waiting records count as.
    waiting_count: usize,
    /// When the first waiting record was pushed, or when the previous batch left without it.
    since: Instant,
    /// Bytes of all queued records: waiting or being sent.
    bytes: usize,
    /// Bytes of the waiting records alone.
    waiting_bytes: usize,
    /// What the records that are being sent count as.
    sending: usize,
    /// The number of records that have left `waiting`.
    pub(super) taken: u64,
    /// The batch that each worker is sending: the number of its first record, and its length.
    pub(super) batches: Box<[Option<(u64, usize)>]>,
    /// Records with lower numbers are sent without waiting for others.
    pub(super) flushed_to: u64,
    /// Records that were queued and then dropped.
    pub(super) lost: u64,
    /// The destination requested, or needs, a pause until then.
    pub(super) not_before: Option<Instant>,
    pub(super) closed: Option<Closed>,
    /// When each kind of trouble was last logged.
    pub(super) logged: BTreeMap<Trouble, Instant>,
    pub(super) counts: DestinationCounts,
}

/// Why, and until when, the destination accepts nothing from us.
pub(super) struct Closed {
    pub(super) until: Instant,
    pub(super) reason: Reason,
    pub(super) error: String,
}

/// What distinguishes kinds of trouble on the console: the reason, whether the destination accepts nothing any more, and
/// whether the batch will be retried.
pub(super) type Trouble = (Option<Reason>, bool, bool);

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    Open,
    /// Accepts no more records, and delivers the queued ones.
    Draining,
    /// The remaining records have been counted as dropped.
    Closed,
}

impl Queue {
    /// An empty queue without workers.
    pub(super) fn new(to: DestinationLabel, pace: Pace) -> Self {
        let DestinationLabel { name, kind, records, endpoint } = to;
        let counts = DestinationCounts {
            name,
            kind,
            records,
            endpoint,
            created: 0,
            delivered: 0,
            queued: 0,
            dropped: BTreeMap::new(),
            altered: BTreeMap::new(),
            last_error: None,
        };
        let flights = pace.flights.max(1);
        let state = QueueState {
            phase: Phase::Open,
            idle: Vec::with_capacity(flights),
            waiting: VecDeque::new(),
            waiting_count: 0,
            since: Instant::now(),
            bytes: 0,
            waiting_bytes: 0,
            sending: 0,
            taken: 0,
            batches: vec![None; flights].into(),
            flushed_to: 0,
            lost: 0,
            not_before: None,
            closed: None,
            logged: BTreeMap::new(),
            counts,
        };
        let work = (0..flights).map(|_| Condvar::new()).collect();
        Self { state: Mutex::new(state), work, settled: Condvar::new(), pace }
    }

    /// Queues a record, or counts it as dropped. Never waits for the destination.
    pub(crate) fn push(&self, record: Record) {
        let (size, count) = (record.len() + OVERHEAD, record.count());
        let mut state = self.lock();
        state.counts.created += u64::try_from(count).unwrap_or(u64::MAX);
        if state.phase != Phase::Open {
            state.lose(count, Reason::Shutdown);
        } else if state.queued() >= self.pace.queue || state.bytes + size > self.pace.queue_bytes {
            state.lose(count, Reason::QueueFull);
        } else {
            let complete = state.waiting_bytes / self.pace.batch_bytes;
            state.bytes += size;
            state.waiting_bytes += record.len();
            let complete = complete != state.waiting_bytes / self.pace.batch_bytes;
            if state.waiting.is_empty() {
                state.since = Instant::now();
            }
            state.waiting_count += count;
            state.waiting.push_back(record);
            // One worker is woken for the first record, and one when there is a batch.
            if complete || state.waiting.len() == 1 || state.waiting.len().is_multiple_of(self.full()) {
                self.wake(state);
            }
        }
    }

    /// Counts a record that is not queued, for `reason`.
    pub(crate) fn refuse(&self, reason: Reason) {
        let mut state = self.lock();
        state.counts.created += 1;
        state.lose(1, reason);
    }

    /// The counts now.
    pub(crate) fn counts(&self) -> DestinationCounts {
        let state = self.lock();
        DestinationCounts { queued: u64::try_from(state.queued()).unwrap_or(u64::MAX), ..state.counts.clone() }
    }

    /// Stops accepting records. [`Queue::close`] waits for the queued ones.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
        self.work.iter().for_each(Condvar::notify_all);
        self.settled.notify_all();
    }

    /// Waits until all records are delivered or `deadline` has passed, and counts the remaining records as dropped.
    pub(crate) fn close(&self, deadline: Instant) {
        let mut state = self.lock();
        while state.queued() > 0 {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        state.phase = Phase::Closed;
        let left = state.queued();
        state.lose_queued(left, Reason::Shutdown);
        state.waiting.clear();
        state.waiting_count = 0;
        state.sending = 0;
        state.bytes = 0;
        state.waiting_bytes = 0;
        self.work.iter().for_each(Condvar::notify_all);
        self.settled.notify_all();
    }

    fn full(&self) -> usize {
        self.pace.batch.clamp(1, FULL)
    }

    /// Wakes a worker if one is idle. Releases the lock first, because the woken worker needs it.
    fn wake(&self, mut state: MutexGuard<'_, QueueState>) {
        let last = state.idle.pop();
        drop(state);
        if let Some(worker) = last.and_then(|last| self.work.get(last)) {
            worker.notify_one();
        }
    }

    /// Lets a worker wait for work, for at most `time` if it is given.
    fn rest<'q>(
        &'q self,
        worker: usize,
        mut state: MutexGuard<'q, QueueState>,
        time: Option<Duration>,
    ) -> MutexGuard<'q, QueueState> {
        let Some(work) = self.work.get(worker) else { return state };
        state.idle.push(worker);
        state = match time {
            None => work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.idle.retain(|idle| *idle != worker);
        state
    }

    /// The next batch: a full one, or the waiting records once the first has waited long enough. `None` once the queue is
    /// drained.
    pub(super) fn next(&self, worker: usize) -> Option<Vec<Record>> {
        let mut state = self.lock();
        loop {
            if state.waiting.is_empty() {
                if state.phase != Phase::Open {
                    return None;
                }
                state = self.rest(worker, state, None);
                continue;
            }
            let draining = state.phase != Phase::Open;
            let full = state.waiting.len() >= self.full() || state.waiting_bytes >= self.pace.batch_bytes;
            let complete = draining || full || state.taken < state.flushed_to;
            let due = if complete { None } else { Some(state.since + self.pace.delay) };
            // A pause applies to every batch, whichever batch was refused.
            let due = due.max(state.not_before.filter(|_| !draining));
            let left = due.map_or(Duration::ZERO, |due| due.saturating_duration_since(Instant::now()));
            if left.is_zero() {
                break;
            }
            state = self.rest(worker, state, Some(left));
        }
        let (mut count, mut size) = (0, 0);
        for record in state.waiting.iter().take(self.pace.batch.max(1)) {
            size += record.len();
            if count > 0 && size > self.pace.batch_bytes {
                break;
            }
            count += 1;
        }
        let first = state.taken;
        state.taken += u64::try_from(count).unwrap_or(u64::MAX);
        if let Some(own) = state.batches.get_mut(worker) {
            *own = Some((first, count));
        }
        let batch: Vec<Record> = state.waiting.drain(..count).collect();
        let counted = Record::total(&batch);
        state.waiting_count -= counted;
        state.sending += counted;
        state.waiting_bytes -= batch.iter().map(|record| record.len()).sum::<usize>();
        if !state.waiting.is_empty() {
            state.since = Instant::now();
            self.wake(state);
        }
        Some(batch)
    }

    pub(super) fn settle(&self, worker: usize, batch: &[Record], outcome: Outcome) {
        let mut state = self.lock();
        if let Some(own) = state.batches.get_mut(worker) {
            *own = None;
        }
        // A batch that returns after the queue closed was counted when it closed.
        if state.phase != Phase::Closed {
            let mut left = Record::total(batch);
            state.sending -= left;
            state.bytes -= batch.iter().map(|record| record.len() + OVERHEAD).sum::<usize>();
            for (reason, count) in outcome.dropped {
                let count = count.min(left);
                left -= count;
                state.lose_queued(count, reason);
            }
            for (what, count) in outcome.altered {
                *state.counts.altered.entry(what).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
            }
            state.counts.delivered += u64::try_from(left).unwrap_or(u64::MAX);
        }
        self.settled.notify_all();
    }

    /// A panic while the lock is held leaves the counts as they were, so they stay usable.
    pub(super) fn lock(&self) -> MutexGuard<'_, QueueState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl QueueState {
    fn queued(&self) -> usize {
        self.waiting_count + self.sending
    }

    /// The number that the next record gets.
    pub(super) fn next_number(&self) -> u64 {
        self.taken + u64::try_from(self.waiting.len()).unwrap_or(u64::MAX)
    }

    fn lose_queued(&mut self, count: usize, reason: Reason) {
        self.lost += u64::try_from(count).unwrap_or(u64::MAX);
        self.lose(count, reason);
    }

    fn lose(&mut self, count: usize, reason: Reason) {
        if count > 0 {
            *self.counts.dropped.entry(reason).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
        }
    }
}
