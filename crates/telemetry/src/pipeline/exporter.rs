//! The interface between a queue and a destination: exports a batch of records and returns the outcome.

use std::collections::BTreeMap;
use std::time::Duration;

use super::record::Record;
use crate::ledger::{Alteration, Reason};

/// Delivers batches to one destination. Runs on a separate thread and may block, for a bounded time.
pub(crate) trait Exporter: Send + 'static {
    fn export(&mut self, batch: &[Record]) -> Outcome;
}

impl<E: Exporter + ?Sized> Exporter for Box<E> {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        (**self).export(batch)
    }
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
    /// The destination refuses this process for this time. Records that arrive meanwhile are dropped unsent, with the same
    /// reason.
    pub(crate) closed_for: Option<Duration>,
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
