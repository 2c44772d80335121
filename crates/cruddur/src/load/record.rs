//! Measurements: counts and a histogram of latencies by route, and the slowest requests. Its size is bounded, however many
//! requests there are: a histogram keeps three digits of a latency, and only the ten slowest requests are kept. Does no I/O.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BinaryHeap};
use std::fmt;
use std::time::{Duration, Instant};

use hdrhistogram::Histogram;
use hyper::StatusCode;

use super::connection::Failure;
use super::route::Route;
use super::trace::Trace;

const SLOWEST: usize = 10;

/// A request and its result.
pub(super) struct Sample {
    pub(super) route: Route,
    pub(super) took: Duration,
    pub(super) outcome: Result<StatusCode, Failure>,
    pub(super) trace: Option<Trace>,
}

/// A request's failure.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Fault {
    /// A response that is neither a success nor the expected response for an expired crud.
    Status(u16),
    Failure(Failure),
}

/// The requests of one route, or of all.
#[derive(Clone)]
pub(super) struct Tally {
    /// Latencies of all requests sent, in microseconds. A request without a response counts the time spent waiting for it.
    latencies: Histogram<u64>,
    /// The exact maximum.
    pub(super) max: Duration,
    pub(super) faults: BTreeMap<Fault, u64>,
    /// Cruds that had expired.
    pub(super) gone: u64,
}

/// One of the slowest requests.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Slow {
    pub(super) took: Duration,
    pub(super) ended: Instant,
    pub(super) route: Route,
    pub(super) outcome: Result<u16, Failure>,
    pub(super) trace: Option<Trace>,
}

/// Everything measured so far.
#[derive(Default)]
pub(super) struct Record {
    pub(super) all: Tally,
    pub(super) routes: BTreeMap<Route, Tally>,
    slowest: BinaryHeap<Reverse<Slow>>,
}

impl Record {
    /// Counts a request.
    pub(super) fn add(&mut self, sample: Sample) {
        let Sample { route, took, outcome, trace } = sample;
        let gone = outcome == Ok(StatusCode::NOT_FOUND) && route.expires();
        let fault = match outcome {
            Err(failure) => Some(Fault::Failure(failure)),
            Ok(status) if status.is_success() || gone => None,
            Ok(status) => Some(Fault::Status(status.as_u16())),
        };
        for tally in [&mut self.all, self.routes.entry(route).or_default()] {
            tally.latencies.saturating_record(u64::try_from(took.as_micros()).unwrap_or(u64::MAX));
            tally.max = tally.max.max(took);
            tally.gone += u64::from(gone);
            if let Some(fault) = fault {
                *tally.faults.entry(fault).or_default() += 1;
            }
        }
        let outcome = outcome.map(|status| status.as_u16());
        if self.slowest.len() < SLOWEST || self.slowest.peek().is_some_and(|Reverse(least)| least.took < took) {
            self.slowest.push(Reverse(Slow { took, ended: Instant::now(), route, outcome, trace }));
        }
        if self.slowest.len() > SLOWEST {
            self.slowest.pop();
        }
    }

    /// The slowest requests, slowest first.
    pub(super) fn slowest(&self) -> Vec<Slow> {
        let mut slowest: Vec<Slow> = self.slowest.iter().map(|Reverse(slow)| slow.clone()).collect();
        slowest.sort_by(|one, other| other.cmp(one));
        slowest
    }
}

impl Tally {
    pub(super) fn count(&self) -> u64 {
        self.latencies.len()
    }

    /// The latency that `percent` of the requests stayed below, to three digits; zero if there were none.
    pub(super) fn percentile(&self, percent: f64) -> Duration {
        Duration::from_micros(self.latencies.value_at_percentile(percent)).min(self.max)
    }

    /// Requests without a response, and those answered with a server error.
    pub(super) fn failed(&self) -> u64 {
        self.faults.iter().filter(|(fault, _)| fault.is_failure()).map(|(_, count)| count).sum()
    }

    /// Requests that the server refused.
    pub(super) fn refused(&self) -> u64 {
        self.faults.iter().filter(|(fault, _)| !fault.is_failure()).map(|(_, count)| count).sum()
    }
}

impl Default for Tally {
    fn default() -> Self {
        // The longest load is an hour, and a request due at its start can be answered half a minute after its end.
        const LONGEST: u64 = 2 * 60 * 60 * 1_000_000;
        let latencies = Histogram::new_with_bounds(1, LONGEST, 3).expect("these bounds are those of a histogram");
        Self { latencies, max: Duration::ZERO, faults: BTreeMap::new(), gone: 0 }
    }
}

impl Fault {
    fn is_failure(self) -> bool {
        match self {
            Self::Status(status) => status >= 500,
            Self::Failure(_) => true,
        }
    }
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => status.fmt(f),
            Self::Failure(failure) => failure.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;

    fn sample(route: Route, milliseconds: u64, outcome: Result<u16, Failure>) -> Sample {
        let outcome = outcome.map(|status| StatusCode::from_u16(status).unwrap());
        Sample { route, took: Duration::from_millis(milliseconds), outcome, trace: None }
    }

    proptest! {
        #[test]
        fn percentiles_are_those_of_a_sorted_list(mut microseconds in vec(1_u64..60_000_000, 1..300)) {
            let mut record = Record::default();
            for took in &microseconds {
                record.add(Sample { took: Duration::from_micros(*took), ..sample(Route::Home, 0, Ok(200)) });
            }
            microseconds.sort_unstable();
            let count = microseconds.len();
            for (percent, rank) in [(50.0, count.div_ceil(2)), (90.0, (count * 9).div_ceil(10)), (100.0, count)] {
                let exact = microseconds[rank - 1];
                let measured = u64::try_from(record.all.percentile(percent).as_micros()).unwrap();
                prop_assert!(measured.abs_diff(exact) <= exact / 1000 + 1, "{percent} %: {measured}, not {exact}");
            }
            let slowest: Vec<u64> =
                record.slowest().iter().map(|slow| u64::try_from(slow.took.as_micros()).unwrap()).collect();
            prop_assert_eq!(slowest, microseconds.iter().rev().take(SLOWEST).copied().collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_expired_crud_is_gone_and_a_missing_route_is_refused() {
        let mut record = Record::default();
        record.add(sample(Route::Status, 1, Ok(404)));
        record.add(sample(Route::Reply, 1, Ok(404)));
        record.add(sample(Route::Home, 1, Ok(404)));
        record.add(sample(Route::Post, 1, Ok(429)));
        assert_eq!((record.all.count(), record.all.gone, record.all.refused(), record.all.failed()), (4, 2, 2, 0));
        assert_eq!(record.routes[&Route::Home].refused(), 1);
        assert_eq!(record.routes[&Route::Status].faults, BTreeMap::new());
    }

    #[test]
    fn a_server_error_and_a_missing_response_are_failures() {
        let mut record = Record::default();
        for outcome in [Ok(500), Ok(503), Err(Failure::Timeout), Err(Failure::Closed), Ok(200), Ok(302)] {
            record.add(sample(Route::Home, 5, outcome));
        }
        assert_eq!((record.all.count(), record.all.failed(), record.all.refused()), (6, 4, 1));
        assert_eq!(record.all.faults[&Fault::Failure(Failure::Timeout)], 1);
    }

    #[test]
    fn an_empty_record_is_zero() {
        let record = Record::default();
        assert_eq!(
            (record.all.count(), record.all.percentile(99.0), record.all.max),
            (0, Duration::ZERO, Duration::ZERO)
        );
    }
}
