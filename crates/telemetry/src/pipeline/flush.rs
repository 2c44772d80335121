//! Delivers what is queued: at the end, which closes the queues, or in between. A flush skips the wait for a full batch; pauses
//! that a destination requests or needs still apply.

use std::sync::{Arc, Condvar, PoisonError};
use std::time::{Duration, Instant};

use super::queue::{Phase, Queue, QueueState};

/// What a [flush](crate::Telemetry::flush) did not deliver.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not everything was delivered: {queued} are still queued, and {dropped} were dropped")]
pub struct NotFlushed {
    /// Spans, log records and exports of metrics that were queued when the flush began, and still are, over all destinations.
    pub queued: u64,
    /// Spans, log records and points of metrics that were dropped while the flush waited, over all destinations. The
    /// [ledger](crate::ledger::Ledger) has the reasons.
    pub dropped: u64,
}

/// A flush of one queue.
struct QueueFlush {
    /// The flush is for the records with lower numbers.
    end: u64,
    /// The records that had been lost before.
    lost: u64,
}

/// Drains all queues together and closes them within `timeout`.
pub(crate) fn close<'q>(queues: impl Iterator<Item = &'q Arc<Queue>> + Clone, timeout: Duration) {
    let deadline = Instant::now() + timeout;
    for queue in queues.clone() {
        queue.drain();
    }
    for queue in queues {
        queue.close(deadline);
    }
}

/// Delivers what is queued now, in at most `timeout`.
pub(crate) fn flush<'q>(
    queues: impl Iterator<Item = &'q Arc<Queue>> + Clone,
    timeout: Duration,
) -> Result<(), NotFlushed> {
    let deadline = Instant::now() + timeout;
    let started: Vec<_> = queues.clone().map(|queue| queue.start_flush()).collect();
    let mut left = NotFlushed { queued: 0, dropped: 0 };
    for (queue, started) in queues.zip(started) {
        let (queued, dropped) = queue.wait(&started, deadline);
        left.queued += queued;
        left.dropped += dropped;
    }
    if left == (NotFlushed { queued: 0, dropped: 0 }) { Ok(()) } else { Err(left) }
}

impl Queue {
    /// Has the workers send the waiting records now.
    fn start_flush(&self) -> QueueFlush {
        let mut state = self.lock();
        let end = state.next_number();
        state.flushed_to = end;
        self.work.iter().for_each(Condvar::notify_all);
        QueueFlush { end, lost: state.lost }
    }

    /// Waits until the records of the flush are settled or `deadline` has come. Returns how many are queued, and how many were
    /// lost.
    fn wait(&self, flush: &QueueFlush, deadline: Instant) -> (u64, u64) {
        let mut state = self.lock();
        loop {
            let queued = if state.phase == Phase::Closed { 0 } else { state.queued_before(flush.end) };
            let left = deadline.saturating_duration_since(Instant::now());
            if queued == 0 || left.is_zero() {
                return (queued, state.lost - flush.lost);
            }
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

impl QueueState {
    /// The number of records that wait or are being sent and whose number is lower than `end`.
    fn queued_before(&self, end: u64) -> u64 {
        let sending = self.batches.iter().flatten().map(|(first, length)| {
            let length = u64::try_from(*length).unwrap_or(u64::MAX);
            end.saturating_sub(*first).min(length)
        });
        end.saturating_sub(self.taken) + sending.sum::<u64>()
    }
}
