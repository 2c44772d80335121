//! The interface between a queue and a destination: exports a batch of records and returns the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::Record;
use crate::ledger::{Alteration, Reason};

/// Delivers batches to one destination. Each of a destination's workers has an exporter and a thread of its own.
pub trait Exporter: Send + 'static {
    /// Exports `batch`, which has at most 2,048 records and 1 MiB unless variables set other bounds, and a single record if that is
    /// larger. May block, and must not for ever: give each wait a bound. Spans and events of the calling thread are neither
    /// traced nor exported. If it panics, the batch counts as dropped and the worker makes a new exporter.
    fn export(&mut self, batch: &[Record]) -> Outcome;
}

impl<E: Exporter + ?Sized> Exporter for Box<E> {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        (**self).export(batch)
    }
}

/// The outcome of a batch: each record that is not dropped was delivered.
#[derive(Debug, Default)]
#[must_use = "the ledger counts by it"]
pub struct Outcome {
    pub(crate) dropped: BTreeMap<Reason, usize>,
    /// Records that were changed.
    pub(crate) altered: BTreeMap<Alteration, usize>,
    pub(crate) error: Option<String>,
    /// The destination's remark on a batch that it accepted.
    pub(crate) warning: Option<String>,
    /// The whole batch may be retried once this time has passed. If it is not retried, it is dropped as recorded here.
    pub(crate) again_after: Option<Duration>,
    /// The destination refuses this process for this time. Records that arrive meanwhile are dropped unsent, with the same
    /// reason.
    pub(crate) closed_for: Option<Duration>,
}

impl Outcome {
    /// The destination accepted the whole batch.
    pub fn delivered() -> Self {
        Self::default()
    }

    /// The destination did not accept `count` records of the batch, and accepted the others. `error` is logged, at most once a
    /// minute, and is the ledger's last error: it must hold no secret.
    ///
    /// ```
    /// use telemetry::exporter::Outcome;
    /// use telemetry::ledger::Reason;
    /// let outcome = Outcome::dropped(2, Reason::TooLarge, "two spans are larger than 64 kB");
    /// # drop(outcome);
    /// ```
    pub fn dropped(count: usize, reason: Reason, error: impl Into<String>) -> Self {
        let mut outcome = Self::default();
        outcome.lose(count, reason, error);
        outcome
    }

    /// The whole batch may be sent again after `pause`. It is retried up to six times, with pauses of half a second at first,
    /// twice as long each time and at most 30 s, or of `pause` if that is longer, at most ten minutes. Meanwhile it counts as
    /// queued. If no retry helps, it is dropped as in this outcome.
    pub fn retry_after(self, pause: Duration) -> Self {
        Self { again_after: Some(pause), ..self }
    }

    /// The destination will accept nothing for this time, such as after a refused key. Records that come meanwhile are dropped
    /// for the same reason as this batch.
    pub fn closed_for(self, time: Duration) -> Self {
        Self { closed_for: Some(time), ..self }
    }

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
