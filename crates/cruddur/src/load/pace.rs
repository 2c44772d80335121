//! When each request is sent. In a closed loop, a visitor sends its next request as soon as it has a response. In an open loop,
//! requests are due at fixed times, whatever the server does. Each goes to the waiting visitor that has waited least, so that
//! no more visitors exist than are needed. If all of a bounded number are busy, the request is late and keeps its due time.

use std::future::pending;
use std::num::NonZeroU32;
use std::time::Duration;

use serde::Serialize;
use tokio::sync::{mpsc, oneshot, watch};
use tokio::time::{Instant, sleep_until};

/// The most visitors in an open loop, and so the most requests in flight.
pub(super) const IN_FLIGHT: usize = 256;
/// A request sent this long after its due time is late. The timer's own granularity is finer.
const LATE: Duration = Duration::from_millis(10);

/// The run has ended: no further request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Ended;

/// Where a visitor learns when its next request is due.
pub(super) enum Turns {
    /// Immediately, until the run is stopped.
    Closed(watch::Receiver<bool>),
    /// When a request is assigned to it.
    Open { waiting: mpsc::Sender<oneshot::Sender<Instant>>, first: Option<Instant> },
}

impl Turns {
    /// Waits until the next request is due, and returns its due time.
    ///
    /// # Errors
    /// The run has ended.
    pub(super) async fn next(&mut self) -> Result<Instant, Ended> {
        match self {
            Self::Closed(stop) if *stop.borrow() => Err(Ended),
            Self::Closed(_) => Ok(Instant::now()),
            Self::Open { waiting, first } => {
                if let Some(due) = first.take() {
                    return Ok(due);
                }
                let (assign, turn) = oneshot::channel();
                waiting.send(assign).await.map_err(|_| Ended)?;
                turn.await.map_err(|_| Ended)
            }
        }
    }
}

/// What sets the pace.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub(super) enum Loop {
    /// The server's responses, for which this many visitors wait.
    Closed { concurrency: u32 },
    /// The clock, at this many requests a second.
    Open {
        rate: u32,
        #[serde(flatten)]
        sent: Sent,
    },
}

/// Counts of the requests that were due in an open loop.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Serialize)]
pub(super) struct Sent {
    pub(super) in_time: u64,
    /// Sent late; their latency counts from their due time.
    pub(super) late: u64,
    /// Due before the end, while every visitor was busy.
    pub(super) unsent: u64,
}

/// Assigns each due request to a visitor until `time` has passed or `stop` is set. `enter` starts a visitor, which
/// takes its turns from the given [`Turns`].
pub(super) async fn open(
    rate: NonZeroU32,
    time: Duration,
    mut stop: watch::Receiver<bool>,
    mut enter: impl FnMut(Turns),
) -> Sent {
    let (waiting, mut free) = mpsc::channel(IN_FLIGHT);
    let start = Instant::now();
    let mut end = start + time;
    let (mut idle, mut visitors, mut sent) = (Vec::new(), 0, Sent::default());
    loop {
        let turn = sent.in_time + sent.late;
        let due = start + after(turn, rate);
        if due < end {
            tokio::select! {
                () = sleep_until(due) => {}
                () = stopped(&mut stop) => end = end.min(Instant::now()),
            }
        }
        if due >= end {
            return sent;
        }
        while let Ok(visitor) = free.try_recv() {
            idle.push(visitor);
        }
        if idle.is_empty() && visitors == IN_FLIGHT {
            tokio::select! {
                Some(visitor) = free.recv() => idle.push(visitor),
                () = sleep_until(end) => {}
                () = stopped(&mut stop) => end = end.min(Instant::now()),
            }
        }
        match idle.pop() {
            Some(visitor) => {
                if oneshot::Sender::send(visitor, due).is_err() {
                    // That visitor has ended; a new one may replace it.
                    visitors -= 1;
                    continue;
                }
            }
            None if visitors < IN_FLIGHT => {
                visitors += 1;
                enter(Turns::Open { waiting: waiting.clone(), first: Some(due) });
            }
            None => {
                sent.unsent = turns(end.duration_since(start), rate).saturating_sub(turn);
                return sent;
            }
        }
        let late = Instant::now().duration_since(due) > LATE;
        *if late { &mut sent.late } else { &mut sent.in_time } += 1;
    }
}

/// When a request is due, from the start of the run.
fn after(turn: u64, rate: NonZeroU32) -> Duration {
    let nanos = u128::from(turn) * 1_000_000_000 / u128::from(rate.get());
    Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

/// How many requests are due before `time` has passed.
fn turns(time: Duration, rate: NonZeroU32) -> u64 {
    let turns = (time.as_nanos() * u128::from(rate.get())).div_ceil(1_000_000_000);
    u64::try_from(turns).unwrap_or(u64::MAX)
}

/// Completes when the run is stopped; never completes if the sender is gone.
pub(super) async fn stopped(stop: &mut watch::Receiver<bool>) {
    if stop.wait_for(|stop| *stop).await.is_err() {
        pending::<()>().await;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use tokio::task::JoinSet;

    use super::*;

    fn rate(rate: u32) -> NonZeroU32 {
        NonZeroU32::new(rate).unwrap()
    }

    proptest! {
        #[test]
        fn a_request_is_due_if_its_time_is_before_the_end(per_second in 1_u32..=10_000, nanos in 1_u64..3_600_000_000_000) {
            let (rate, time) = (rate(per_second), Duration::from_nanos(nanos));
            let turns = turns(time, rate);
            prop_assert!(turns > 0 && after(turns - 1, rate) < time && after(turns, rate) >= time);
        }
    }

    const TIME: Duration = Duration::from_millis(500);

    /// Runs visitors whose every response takes `answer` for half a second; returns the counts, all latencies and the visitors.
    async fn run(per_second: u32, answer: Duration) -> (Sent, Vec<Duration>, usize) {
        let mut visitors = JoinSet::new();
        let (_stop, stopping) = watch::channel(false);
        let enter = |mut turns: Turns| {
            visitors.spawn(async move {
                let mut latencies = Vec::new();
                while let Ok(due) = turns.next().await {
                    tokio::time::sleep(answer).await;
                    latencies.push(due.elapsed());
                }
                latencies
            });
        };
        let sent = open(rate(per_second), TIME, stopping, enter).await;
        let all = visitors.join_all().await;
        (sent, all.concat(), all.len())
    }

    #[tokio::test]
    async fn a_rate_is_kept_by_few_visitors() {
        let (sent, latencies, visitors) = run(100, Duration::from_millis(25)).await;
        assert_eq!((sent.in_time + sent.late, sent.unsent, latencies.len()), (50, 0, 50));
        // On an otherwise idle machine, three are enough.
        assert!((3..=30).contains(&visitors), "{visitors}");
    }

    #[tokio::test]
    async fn a_request_that_waits_is_late_and_one_never_sent_is_counted() {
        // All are busy after 128 ms, and until 300 ms.
        let (sent, latencies, visitors) = run(2000, Duration::from_millis(300)).await;
        assert_eq!((visitors, sent.in_time + sent.late + sent.unsent), (IN_FLIGHT, 1000));
        assert_eq!(u64::try_from(latencies.len()).unwrap(), sent.in_time + sent.late);
        assert!(sent.unsent > 400 && sent.late > 100, "{sent:?}");
        let slowest = latencies.iter().max().unwrap();
        assert!(*slowest > Duration::from_millis(450), "{slowest:?}");
    }

    #[tokio::test]
    async fn a_stopped_run_counts_nothing_as_unsent() {
        let (stop, stopping) = watch::channel(false);
        let mut entered = Vec::new();
        let run = open(rate(10), Duration::from_secs(60), stopping, |turns| entered.push(turns));
        let start = Instant::now();
        let (sent, ()) = tokio::join!(run, async {
            tokio::time::sleep(Duration::from_millis(350)).await;
            stop.send(true).unwrap();
        });
        assert!(start.elapsed() < Duration::from_secs(10));
        assert_eq!((sent.unsent, sent.in_time + sent.late), (0, entered.len().try_into().unwrap()));
        assert!(sent.in_time + sent.late >= 4, "{sent:?}");
        let (stop, stopping) = watch::channel(false);
        let mut closed = Turns::Closed(stopping);
        assert!(closed.next().await.is_ok());
        stop.send(true).unwrap();
        assert_eq!(closed.next().await, Err(Ended));
    }
}
