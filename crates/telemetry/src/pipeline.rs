//! From a span's end to its destination. Each destination has a bounded queue and its own worker threads, so that a slow
//! destination delays no other. A span never waits for space: if the queue is full, the span is dropped and counted. All counts
//! of a destination change under one lock, in the same step as the queue. Reaches exporters only through [`Exporter`].

mod delivery;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use crate::ledger::{Account, Alteration, Reason};
use crate::span::Record;

/// Memory that a queue uses for a record besides the record's bytes, rounded up.
const OVERHEAD: usize = 64;
/// Number of waiting records that are exported before the delay has ended.
const FULL: usize = 1_024;

/// The bounds of one destination's queue, in number, in size and in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Records that may wait for, or be on their way to, the destination.
    pub(crate) queue: usize,
    /// Bytes of the records that may wait or be on their way.
    pub(crate) queue_bytes: usize,
    /// Records in one export.
    pub(crate) batch: usize,
    /// Bytes of the records in one export, before compression; a single record may be larger.
    pub(crate) batch_bytes: usize,
    /// How long a record waits for others, to be exported with them.
    pub(crate) delay: Duration,
    /// Exports at the same time, each on a separate thread.
    pub(crate) flights: usize,
    /// The pause before a batch is retried; each further pause is twice as long.
    pub(crate) pause: Duration,
    /// The longest pause that this crate chooses.
    pub(crate) longest_pause: Duration,
    /// The longest pause that a destination may request.
    pub(crate) longest_asked: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            queue: 32_768,
            queue_bytes: 16 * 1024 * 1024,
            batch: 2_048,
            batch_bytes: 1024 * 1024,
            delay: Duration::from_millis(500),
            flights: 4,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_asked: Duration::from_secs(600),
        }
    }
}

/// What the ledger records of a destination besides its counts.
pub(crate) struct Destination {
    pub(crate) name: &'static str,
    pub(crate) kind: &'static str,
    pub(crate) endpoint: String,
}

/// Delivers batches to one destination. Runs on a separate thread and may block, for a bounded time.
pub(crate) trait Exporter: Send + 'static {
    fn export(&mut self, batch: &[Record]) -> Outcome;
}

/// The outcome of a batch: each record that is not dropped was delivered.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    pub(crate) dropped: BTreeMap<Reason, usize>,
    /// Records that were changed.
    pub(crate) altered: BTreeMap<Alteration, usize>,
    pub(crate) error: Option<String>,
    /// The destination's remark on a batch that it accepted.
    pub(crate) warning: Option<String>,
    /// The whole batch may be retried once this time has passed. If it is not retried, it is dropped as recorded here.
    pub(crate) again_after: Option<Duration>,
    /// The destination accepts nothing from us for this time: records that come meanwhile are dropped unsent, for the same
    /// reason.
    pub(crate) closed_for: Option<Duration>,
}

/// One destination's queue and counts.
pub(crate) struct Queue {
    state: Mutex<State>,
    /// Signals that there is a batch, or that the end is near. Each worker has its own.
    work: Box<[Condvar]>,
    /// Signals that records have been settled, or that the end is near: for the thread that waits for the end, and for pauses.
    settled: Condvar,
    pace: Pace,
}

struct State {
    phase: Phase,
    /// The workers that wait for work. The last in the list worked last, so it is the next to work: its buffers are warm and
    /// its connection is open. The others are for when it is busy sending.
    idle: Vec<usize>,
    waiting: VecDeque<Record>,
    /// When the first waiting record came, or was left behind by a batch.
    since: Instant,
    /// Bytes of all queued records: waiting or on their way.
    bytes: usize,
    /// Bytes of the waiting records alone.
    waiting_bytes: usize,
    on_the_way: usize,
    /// The destination requested, or needs, a pause until then.
    not_before: Option<Instant>,
    closed: Option<Closed>,
    /// When each kind of trouble was last logged.
    said: BTreeMap<Trouble, Instant>,
    account: Account,
}

/// Why the destination accepts nothing from us, and until when.
struct Closed {
    until: Instant,
    reason: Reason,
    error: String,
}

/// What distinguishes kinds of trouble on the console: the reason, whether the destination accepts nothing any more, and
/// whether the batch will be retried.
type Trouble = (Option<Reason>, bool, bool);

#[derive(Clone, Copy, PartialEq, Eq)]
enum Phase {
    Open,
    /// Accepts no more records, and delivers the queued ones.
    Draining,
    /// The remaining records have been counted as dropped.
    Closed,
}

impl Outcome {
    pub(crate) fn lose(&mut self, count: usize, reason: Reason, error: impl Into<String>) {
        *self.dropped.entry(reason).or_default() += count;
        self.error = Some(error.into());
    }

    /// Adds the outcome of another part of the batch.
    pub(crate) fn add(&mut self, part: Self) {
        for (reason, count) in part.dropped {
            *self.dropped.entry(reason).or_default() += count;
        }
        for (what, count) in part.altered {
            *self.altered.entry(what).or_default() += count;
        }
        self.error = part.error.or(self.error.take());
        self.warning = part.warning.or(self.warning.take());
    }
}

impl Queue {
    /// Makes a queue and starts the threads that empty it, each into an exporter that `make` makes.
    pub(crate) fn start<E: Exporter>(
        to: Destination,
        pace: Pace,
        make: impl Fn() -> E + Clone + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let Destination { name, kind, endpoint } = to;
        let account = Account {
            name,
            kind,
            endpoint,
            created: 0,
            delivered: 0,
            queued: 0,
            dropped: BTreeMap::new(),
            altered: BTreeMap::new(),
            last_error: None,
        };
        let flights = pace.flights.max(1);
        let state = State {
            phase: Phase::Open,
            idle: Vec::with_capacity(flights),
            waiting: VecDeque::new(),
            since: Instant::now(),
            bytes: 0,
            waiting_bytes: 0,
            on_the_way: 0,
            not_before: None,
            closed: None,
            said: BTreeMap::new(),
            account,
        };
        let state = Mutex::new(state);
        let work = (0..flights).map(|_| Condvar::new()).collect();
        let queue = Arc::new(Self { state, work, settled: Condvar::new(), pace });
        for flight in 0..flights {
            let (worker, make) = (Arc::clone(&queue), make.clone());
            thread::Builder::new().name(format!("{name}-{flight}")).spawn(move || worker.run(flight, make))?;
        }
        Ok(queue)
    }

    /// Queues a record, or counts it as dropped. Never waits for the destination.
    pub(crate) fn push(&self, record: Record) {
        let size = record.len() + OVERHEAD;
        let mut state = self.lock();
        state.account.created += 1;
        if state.phase != Phase::Open {
            state.lose(1, Reason::Shutdown);
        } else if state.queued() >= self.pace.queue || state.bytes + size > self.pace.queue_bytes {
            state.lose(1, Reason::QueueFull);
        } else {
            let complete = state.waiting_bytes / self.pace.batch_bytes;
            state.bytes += size;
            state.waiting_bytes += record.len();
            let complete = complete != state.waiting_bytes / self.pace.batch_bytes;
            if state.waiting.is_empty() {
                state.since = Instant::now();
            }
            state.waiting.push_back(record);
            // One worker is woken for the first record, and one when there is a batch.
            if complete || state.waiting.len() == 1 || state.waiting.len().is_multiple_of(self.full()) {
                self.wake(state);
            }
        }
    }

    /// The counts now.
    pub(crate) fn account(&self) -> Account {
        let state = self.lock();
        Account { queued: u64::try_from(state.queued()).unwrap_or(u64::MAX), ..state.account.clone() }
    }

    /// Accepts no more records from now on; [`Queue::close`] waits for the queued ones.
    pub(crate) fn drain(&self) {
        let mut state = self.lock();
        if state.phase == Phase::Open {
            state.phase = Phase::Draining;
        }
        self.work.iter().for_each(Condvar::notify_all);
        self.settled.notify_all();
    }

    /// Waits until everything is delivered or `deadline` has come, and counts the remaining records as dropped.
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
        state.lose(left, Reason::Shutdown);
        state.waiting.clear();
        state.on_the_way = 0;
        state.bytes = 0;
        state.waiting_bytes = 0;
        self.work.iter().for_each(Condvar::notify_all);
        self.settled.notify_all();
    }

    fn full(&self) -> usize {
        self.pace.batch.clamp(1, FULL)
    }

    /// Wakes a worker if one is idle. Releases the lock before, because a woken worker needs it first.
    fn wake(&self, mut state: MutexGuard<'_, State>) {
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
        mut state: MutexGuard<'q, State>,
        time: Option<Duration>,
    ) -> MutexGuard<'q, State> {
        let Some(work) = self.work.get(worker) else { return state };
        state.idle.push(worker);
        state = match time {
            None => work.wait(state).unwrap_or_else(PoisonError::into_inner),
            Some(time) => work.wait_timeout(state, time).unwrap_or_else(PoisonError::into_inner).0,
        };
        state.idle.retain(|idle| *idle != worker);
        state
    }

    /// The next batch: a full one, or the waiting records once the first has waited long enough. `None` at the end.
    fn next(&self, worker: usize) -> Option<Vec<Record>> {
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
            let complete = draining || full;
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
        state.on_the_way += count;
        let batch: Vec<Record> = state.waiting.drain(..count).collect();
        state.waiting_bytes -= batch.iter().map(|record| record.len()).sum::<usize>();
        if !state.waiting.is_empty() {
            state.since = Instant::now();
            self.wake(state);
        }
        Some(batch)
    }

    fn settle(&self, batch: &[Record], outcome: Outcome) {
        let mut state = self.lock();
        // A batch that comes back after the end was already counted when the queue closed.
        if state.phase != Phase::Closed {
            state.on_the_way -= batch.len();
            state.bytes -= batch.iter().map(|record| record.len() + OVERHEAD).sum::<usize>();
            let mut left = batch.len();
            for (reason, count) in outcome.dropped {
                let count = count.min(left);
                left -= count;
                state.lose(count, reason);
            }
            for (what, count) in outcome.altered {
                *state.account.altered.entry(what).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
            }
            state.account.delivered += u64::try_from(left).unwrap_or(u64::MAX);
        }
        self.settled.notify_all();
    }

    /// A panic while the lock is held leaves the counts as they were, so they stay usable.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn queued(&self) -> usize {
        self.waiting.len() + self.on_the_way
    }

    fn lose(&mut self, count: usize, reason: Reason) {
        if count > 0 {
            *self.account.dropped.entry(reason).or_default() += u64::try_from(count).unwrap_or(u64::MAX);
        }
    }
}

/// Drains all queues together and closes them within `timeout`.
pub(crate) fn close(queues: &[Arc<Queue>], timeout: Duration) {
    let deadline = Instant::now() + timeout;
    for queue in queues {
        queue.drain();
    }
    for queue in queues {
        queue.close(deadline);
    }
}
