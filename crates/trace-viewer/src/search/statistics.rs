//! Counts and durations of many calls.

/// The calls of one kind.
#[derive(Debug, Default)]
pub(super) struct Calls {
    pub(super) count: usize,
    pub(super) errors: usize,
    /// In nanoseconds; eight bytes of a call, whose span takes some hundred.
    durations: Vec<u64>,
}

impl Calls {
    /// A call that is in progress has no duration.
    pub(super) fn add(&mut self, duration: Option<u64>, has_failed: bool) {
        self.count += 1;
        self.errors += usize::from(has_failed);
        self.durations.extend(duration);
    }

    /// The durations, in milliseconds, that these percentages of all calls do not exceed; by nearest rank.
    #[expect(clippy::cast_precision_loss, reason = "a duration that a float cannot hold exactly lasts 104 days")]
    pub(super) fn percentiles<const N: usize>(mut self, percentages: [usize; N]) -> [Option<f64>; N] {
        self.durations.sort_unstable();
        percentages.map(|percentage| {
            let rank = (self.durations.len() * percentage).div_ceil(100).max(1);
            self.durations.get(rank - 1).map(|ns| *ns as f64 / 1e6)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_values_that_occurred() {
        let mut calls = Calls::default();
        (1..=200).rev().for_each(|ms| calls.add(Some(ms * 1_000_000), ms > 190));
        calls.add(None, false);
        assert_eq!((calls.count, calls.errors), (201, 10));
        assert_eq!(calls.percentiles([50, 95, 99]), [Some(100.0), Some(190.0), Some(198.0)]);
        assert_eq!(Calls::default().percentiles([50]), [None]);
    }
}
