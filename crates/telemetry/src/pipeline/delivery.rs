//! The workers of a queue. Each worker sends batches, retries if that may help, and sends nothing to a destination that refuses
//! this process. A pause that a destination requests applies to all workers. Workers change no counts themselves, but return
//! each outcome to the queue.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant};
use std::{io, thread};

use super::exporter::{Exporter, Outcome};
use super::pace::Pace;
use super::queue::{Closed, DestinationLabel, Phase, Queue};
use super::record::Record;
use crate::ledger::Reason;
use crate::suppression::suppress;

/// Each kind of trouble is logged at most once in this time.
const QUIET: Duration = Duration::from_secs(60);
/// The most retries of a batch before it is dropped.
pub(super) const RETRIES: u32 = 6;

impl Queue {
    /// Creates a queue and starts its workers, each with an exporter from `make`.
    pub(crate) fn start<E: Exporter>(
        to: DestinationLabel,
        pace: Pace,
        make: impl Fn() -> E + Clone + Send + 'static,
    ) -> io::Result<Arc<Self>> {
        let name = to.name.clone();
        let queue = Arc::new(Self::new(to, pace));
        for flight in 0..queue.work.len() {
            let (worker, make) = (Arc::clone(&queue), make.clone());
            thread::Builder::new().name(format!("{name}-{flight}")).spawn(move || worker.run(flight, make))?;
        }
        Ok(queue)
    }

    /// Exports the queue's batches until it is drained, with an exporter from `make`. After a panic, makes a new exporter. Each
    /// worker has a different number.
    fn run<E: Exporter>(&self, worker: usize, make: impl Fn() -> E) {
        suppress();
        let mut exporter = make();
        while let Some(batch) = self.next(worker) {
            let outcome =
                self.refusal(Record::total(&batch)).unwrap_or_else(|| self.deliver(&mut exporter, &make, &batch));
            self.settle(worker, &batch, outcome);
        }
    }

    /// The outcome of a batch that counts as `size` while the destination refuses this process.
    fn refusal(&self, size: usize) -> Option<Outcome> {
        let state = self.lock();
        let closed = state.closed.as_ref().filter(|closed| Instant::now() < closed.until)?;
        let mut outcome = Outcome::default();
        outcome.lose(size, closed.reason, closed.error.clone());
        Some(outcome)
    }

    /// Sends a batch, and retries it if that may help.
    fn deliver<E: Exporter>(&self, exporter: &mut E, make: &impl Fn() -> E, batch: &[Record]) -> Outcome {
        let mut retries = 0;
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| exporter.export(batch))).unwrap_or_else(|_| {
                *exporter = make();
                let mut outcome = Outcome::default();
                outcome.lose(Record::total(batch), Reason::Panicked, "the exporter panicked");
                outcome
            });
            self.note(&outcome);
            match outcome.again_after {
                Some(requested) if retries < RETRIES && self.pause(requested, self.backoff(retries)) => retries += 1,
                _ => return outcome,
            }
            // Meanwhile the destination may have refused another worker.
            if let Some(refusal) = self.refusal(Record::total(batch)) {
                return refusal;
            }
        }
    }

    /// Records an outcome's consequences for the destination, and logs it at most once a minute. Called before the batch is
    /// settled, because the batch may be retried for minutes.
    fn note(&self, outcome: &Outcome) {
        let mut state = self.lock();
        // A success ends neither a pause nor a closure: it may have been sent before the pause was requested. Both end when
        // their time has passed.
        let Some(error) = outcome.error.as_ref().or(outcome.warning.as_ref()) else { return };
        if outcome.error.is_some() {
            state.counts.last_error = Some(error.clone());
        }
        let kind = outcome.dropped.keys().next().copied();
        if let (Some(time), Some(reason)) = (outcome.closed_for, kind) {
            state.closed = Some(Closed { until: Instant::now() + time, reason, error: error.clone() });
        }
        let again = outcome.again_after.is_some();
        let trouble = (kind, outcome.closed_for.is_some(), again);
        if state.logged.get(&trouble).is_none_or(|at| at.elapsed() >= QUIET) {
            state.logged.insert(trouble, Instant::now());
            let destination = state.counts.name.clone();
            drop(state);
            let records: usize = outcome.dropped.values().sum();
            tracing::warn!(target: "telemetry", destination, records, again, "{error}");
        }
    }

    /// The pause before retry number `retries`: doubled each time, and shortened by up to a half, so that services that failed
    /// together do not retry together.
    fn backoff(&self, retries: u32) -> Duration {
        let longest = self.pace.pause.saturating_mul(1 << retries.min(16)).min(self.pace.longest_pause);
        longest.mul_f64(rand::random_range(0.5..=1.0))
    }

    /// Waits as long as the destination has requested, but at least `own`. Returns whether to retry. Draining the queue ends the
    /// wait early and allows one more try.
    fn pause(&self, requested: Duration, own: Duration) -> bool {
        let until = Instant::now() + requested.min(self.pace.longest_requested).max(own);
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return false;
        }
        state.not_before = state.not_before.max(Some(until));
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.phase == Phase::Draining {
                return true;
            }
            if state.phase == Phase::Closed {
                return false;
            }
            state = self.settled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}
