//! The worker of a queue: sends batch after batch, again where that may help, and not at all to a destination that is closed
//! to us. Changes no count itself: it hands each outcome back to the queue.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, PoisonError};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use opentelemetry_sdk::trace::SpanData;

use super::{Exporter, Outcome, Phase, Queue};
use crate::ledger::Reason;

/// One line for each kind of trouble in this time.
const QUIET: Duration = Duration::from_secs(60);
/// How often a batch is sent again before it is given up.
pub(super) const RETRIES: u32 = 6;

impl Queue {
    /// Empties the queue into `exporter` until it is drained.
    pub(super) fn run(&self, mut exporter: impl Exporter) {
        let mut trouble = Trouble { destination: self.account().name, said: BTreeMap::new() };
        let mut closed: Option<(Instant, Reason, String)> = None;
        while let Some(batch) = self.next() {
            if let Some((_, reason, error)) = closed.as_ref().filter(|(until, ..)| Instant::now() < *until) {
                let mut outcome = Outcome::default();
                outcome.lose(batch.len(), *reason, error.clone());
                self.settle(batch.len(), outcome);
                continue;
            }
            let outcome = self.deliver(&mut exporter, &batch, &mut trouble);
            closed = match (outcome.closed_for, outcome.dropped.keys().next(), &outcome.error) {
                (Some(time), Some(reason), Some(error)) => Some((Instant::now() + time, *reason, error.clone())),
                _ => None,
            };
            self.settle(batch.len(), outcome);
        }
    }

    /// Sends a batch, again and again where that may help.
    fn deliver(&self, exporter: &mut impl Exporter, batch: &[Arc<SpanData>], trouble: &mut Trouble) -> Outcome {
        let mut retries = 0;
        loop {
            let outcome = catch_unwind(AssertUnwindSafe(|| exporter.export(batch))).unwrap_or_else(|_| {
                let mut outcome = Outcome::default();
                outcome.lose(batch.len(), Reason::Panicked, "the exporter panicked");
                outcome
            });
            trouble.say(&outcome);
            if let Some(error) = &outcome.error {
                // Told now: the batch may be sent again for minutes.
                self.lock().account.last_error = Some(error.clone());
            }
            match outcome.again_after {
                Some(asked) if retries < RETRIES && self.pause(asked.max(self.backoff(retries))) => retries += 1,
                _ => return outcome,
            }
        }
    }

    /// The pause before retry number `retries`: doubled each time, and shortened by up to a half, so that services that
    /// failed together do not come back together.
    fn backoff(&self, retries: u32) -> Duration {
        let pause = self.pace.pause.saturating_mul(1 << retries.min(16));
        let clock = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().subsec_nanos();
        pause.mul_f64(0.5 + f64::from(clock % 1_000) / 2_000.0)
    }

    /// Waits, and tells whether to try again. A queue that is told to drain ends the wait early and tries once more.
    fn pause(&self, time: Duration) -> bool {
        let until = Instant::now() + time.min(self.pace.longest_pause);
        let mut state = self.lock();
        if state.phase != Phase::Open {
            return false;
        }
        loop {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() || state.phase == Phase::Draining {
                return true;
            }
            if state.phase == Phase::Closed {
                return false;
            }
            state = self.changed.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What has been said of a destination's troubles, so that each kind is said once a minute.
struct Trouble {
    destination: &'static str,
    said: BTreeMap<Option<Reason>, Instant>,
}

impl Trouble {
    fn say(&mut self, outcome: &Outcome) {
        let Some(error) = &outcome.error else { return };
        let kind = outcome.dropped.keys().next().copied();
        if self.said.get(&kind).is_none_or(|at| at.elapsed() >= QUIET) {
            self.said.insert(kind, Instant::now());
            let spans: usize = outcome.dropped.values().sum();
            let again = outcome.again_after.is_some();
            tracing::warn!(target: "telemetry", destination = self.destination, spans, again, "{error}");
        }
    }
}
