//! A server's health, judged by its responses. After several failures in a row the server is skipped for a pause. After the
//! pause a single request probes it. Each failed probe doubles the pause, up to a bound. Sends no requests itself.

use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering::Relaxed};
use std::time::Duration;

/// Failures in a row after which a server is skipped.
const FAILURES: u32 = 3;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const DOUBLINGS: u32 = 5;

/// Times are relative to the caller's start.
#[derive(Debug, Default)]
pub(crate) struct Health {
    failures: AtomicU32,
    /// In milliseconds.
    out_until: AtomicU64,
    probing: AtomicBool,
}

/// Whether a server may be sent a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    Healthy,
    /// Its pause has ended: one request may probe whether it is healthy again.
    Due,
    /// Skipped until this time, in milliseconds.
    Out(u64),
}

impl Health {
    pub(crate) fn standing(&self, now: Duration) -> Standing {
        let until = self.out_until.load(Relaxed);
        if self.failures.load(Relaxed) < FAILURES {
            Standing::Healthy
        } else if milliseconds(now) < until || self.probing.load(Relaxed) {
            Standing::Out(until)
        } else {
            Standing::Due
        }
    }

    /// Whether the caller makes the probe.
    pub(crate) fn begin_probe(&self) -> bool {
        !self.probing.swap(true, Relaxed)
    }

    /// Ends the probe, whatever its result.
    pub(crate) fn end_probe(&self) {
        self.probing.store(false, Relaxed);
    }

    /// Whether the server was skipped before this success.
    pub(crate) fn succeeded(&self) -> bool {
        self.failures.load(Relaxed) > 0 && self.failures.swap(0, Relaxed) >= FAILURES
    }

    /// How long the server is skipped from now on; `None` if this failure starts no pause.
    pub(crate) fn failed(&self, now: Duration) -> Option<Duration> {
        let failures = self.failures.fetch_add(1, Relaxed).saturating_add(1);
        let out = milliseconds(now) < self.out_until.load(Relaxed);
        let doublings = failures.checked_sub(FAILURES).filter(|_| !out)?;
        let pause = FIRST_PAUSE * 2u32.pow(doublings.min(DOUBLINGS));
        self.out_until.store(milliseconds(now + pause), Relaxed);
        Some(pause)
    }
}

fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn at(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[test]
    fn failures_in_a_row_skip_a_server_for_longer_each_time() {
        let health = Health::default();
        assert_eq!((health.failed(at(0)), health.failed(at(0))), (None, None));
        assert!(!health.succeeded(), "it was never skipped");
        assert_eq!(
            (health.failed(at(1)), health.failed(at(1)), health.standing(at(1))),
            (None, None, Standing::Healthy)
        );
        assert_eq!(health.failed(at(1)), Some(at(1)));
        assert_eq!(health.failed(at(1)), None, "a request sent before the pause does not extend it");
        assert_eq!((health.standing(at(1)), health.standing(at(2))), (Standing::Out(2_000), Standing::Due));
        assert!(health.begin_probe() && !health.begin_probe());
        assert_eq!(health.standing(at(2)), Standing::Out(2_000), "only one request probes");
        assert!(health.failed(at(2)) > Some(at(1)));
        health.end_probe();
        let longest = (0..20).map(|round| health.failed(at(100 * (round + 1))).unwrap()).max();
        assert_eq!(longest, Some(at(32)));
        assert!(health.succeeded());
        assert_eq!(health.standing(at(0)), Standing::Healthy);
    }
}
