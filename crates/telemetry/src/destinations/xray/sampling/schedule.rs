//! Decides when to request rules and when to request targets. Reads no clock: times are measured from an arbitrary start.

use std::time::Duration;

/// The interval between requests for targets, unless the response specifies one.
const TARGETS: Duration = Duration::from_secs(10);
/// How long after rules first arrive to request targets, so that a service gets its quota soon after its start.
const FIRST_TARGETS: Duration = Duration::from_secs(1);
/// How long after a failure to request rules or targets again, unless the polling interval is shorter.
const AGAIN: Duration = Duration::from_secs(10);
/// The intervals that a response may specify, in seconds.
const INTERVALS: std::ops::RangeInclusive<u64> = 1..=300;

/// When rules and targets are due.
#[derive(Debug)]
pub(super) struct Schedule {
    polling: Duration,
    rules: Duration,
    /// `None` until rules have arrived.
    targets: Option<Duration>,
    /// When a rule was last changed, if known, in seconds since 1970.
    modified: Option<f64>,
}

/// What is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Rules,
    Targets,
    /// Nothing is due for this long.
    Nothing(Duration),
}

impl Schedule {
    /// Rules are due immediately, and then after each `polling` interval.
    pub(super) fn new(polling: Duration) -> Self {
        Self { polling, rules: Duration::ZERO, targets: None, modified: None }
    }

    pub(super) fn due(&self, now: Duration) -> Due {
        let next = self.targets.map_or(self.rules, |targets| targets.min(self.rules));
        match next.checked_sub(now).filter(|left| !left.is_zero()) {
            Some(left) => Due::Nothing(left),
            None if self.rules <= now => Due::Rules,
            None => Due::Targets,
        }
    }

    /// Records that rules arrived. `jitter`, from 0 to 1, adds up to a tenth of the interval, so that processes that started
    /// together do not poll together.
    pub(super) fn rules_arrived(&mut self, now: Duration, jitter: f64) {
        self.rules = now + self.polling.mul_f64(1.0 + jitter.clamp(0.0, 1.0) / 10.0);
        self.targets.get_or_insert(now + FIRST_TARGETS);
    }

    pub(super) fn rules_failed(&mut self, now: Duration) {
        self.rules = now + self.polling.min(AGAIN);
    }

    /// Records that targets arrived, with the seconds until the next request, and the time at which a rule was last `modified`,
    /// in seconds since 1970. Rules become due if that is later than the last known modification, or later than `requested` if
    /// none is known.
    pub(super) fn targets_arrived(
        &mut self,
        now: Duration,
        interval: Option<u64>,
        modified: Option<f64>,
        requested: f64,
    ) {
        let interval = interval.map(|seconds| seconds.clamp(*INTERVALS.start(), *INTERVALS.end()));
        self.targets = Some(now + interval.map_or(TARGETS, Duration::from_secs));
        if let Some(modified) = modified {
            if modified > self.modified.unwrap_or(requested) {
                self.rules = now;
            }
            self.modified = Some(modified.max(self.modified.unwrap_or(modified)));
        }
    }

    pub(super) fn targets_failed(&mut self, now: Duration) {
        self.targets = Some(now + self.polling.min(AGAIN));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    fn started() -> Schedule {
        let mut schedule = Schedule::new(at(300));
        schedule.rules_arrived(at(0), 0.0);
        schedule
    }

    #[test]
    fn rules_are_due_immediately_and_targets_soon_after() {
        let mut schedule = Schedule::new(at(300));
        assert_eq!(schedule.due(at(0)), Due::Rules);
        schedule.rules_failed(at(2));
        assert_eq!((schedule.due(at(5)), schedule.due(at(12))), (Due::Nothing(at(7)), Due::Rules));
        schedule.rules_arrived(at(12), 1.0);
        assert_eq!((schedule.due(at(12)), schedule.due(at(13))), (Due::Nothing(at(1)), Due::Targets));
        schedule.targets_arrived(at(13), None, None, 0.0);
        assert_eq!(schedule.due(at(13)), Due::Nothing(at(10)));
        schedule.targets_failed(at(330));
        assert_eq!((schedule.due(at(341)), schedule.due(at(342))), (Due::Targets, Due::Rules), "a tenth later");
    }

    #[test]
    fn a_short_polling_interval_is_kept_without_a_response() {
        let mut schedule = Schedule::new(at(2));
        schedule.rules_failed(at(0));
        assert_eq!(schedule.due(at(0)), Due::Nothing(at(2)));
    }

    #[test]
    fn a_response_sets_the_next_request_within_bounds() {
        for (interval, seconds) in [(Some(20), 20), (Some(0), 1), (Some(u64::MAX), 300), (None, 10)] {
            let mut schedule = started();
            schedule.polling = at(1_000);
            schedule.rules_arrived(at(0), 0.0);
            schedule.targets_arrived(at(1), interval, None, 0.0);
            assert_eq!(schedule.due(at(1)), Due::Nothing(at(seconds)), "{interval:?}");
        }
    }

    #[test]
    fn a_changed_rule_makes_rules_due_once() {
        let mut schedule = started();
        schedule.targets_arrived(at(1), None, Some(500.0), 1_000.0);
        assert_eq!(schedule.due(at(1)), Due::Nothing(at(10)), "changed before the last request");
        schedule.targets_arrived(at(11), None, Some(1_005.0), 1_000.0);
        assert_eq!(schedule.due(at(11)), Due::Rules);
        schedule.rules_arrived(at(11), 0.0);
        schedule.targets_arrived(at(21), None, Some(1_005.0), 1_011.0);
        assert_eq!(schedule.due(at(21)), Due::Nothing(at(10)));
        // The daemon's clock is behind ours: the previous modification shows that the change is new.
        schedule.targets_arrived(at(31), None, Some(1_006.0), 9_999.0);
        assert_eq!(schedule.due(at(31)), Due::Rules);
    }
}
