//! The run: starts visitors, signals the end to them, and waits for the responses that are still due.

use std::future::Future;
use std::num::NonZeroU32;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep};

use super::connection::PATIENCE;
use super::options::Load;
use super::pace::{self, Loop, Turns};
use super::visit::stay;
use super::visitor::{Run, Visitor};

/// How long an interrupted run waits for responses.
const GRACE: Duration = Duration::from_secs(1);

/// The result of a run.
#[derive(Debug, Clone, Copy)]
pub(super) struct RunResult {
    pub(super) pace: Loop,
    /// From the first request to the last response.
    pub(super) took: Duration,
    pub(super) interrupted: bool,
    /// Requests in flight when the run was cut off.
    pub(super) abandoned: usize,
}

/// Runs for the requested time, or until `interrupt` completes.
pub(super) async fn run(
    run: &Arc<Run>,
    options: &Load,
    seed: u64,
    mut interrupt: Pin<&mut impl Future<Output = ()>>,
) -> RunResult {
    let start = Instant::now();
    let (stop, stopping) = watch::channel(false);
    let mut visitors = JoinSet::new();
    let mut seeds = StdRng::seed_from_u64(seed);
    let mut enter = |turns: Turns| {
        visitors.spawn(stay(Visitor::new(Arc::clone(run), turns, seeds.random())));
    };
    let paced = async {
        match options.rate.and_then(NonZeroU32::new) {
            Some(rate) => {
                let sent = pace::open(rate, options.duration, stopping, &mut enter).await;
                Loop::Open { rate: rate.get(), sent }
            }
            None => {
                (0..options.concurrency).for_each(|_| enter(Turns::Closed(stopping.clone())));
                let mut stopping = stopping;
                tokio::select! {
                    () = sleep(options.duration) => {}
                    () = pace::stopped(&mut stopping) => {}
                }
                Loop::Closed { concurrency: options.concurrency }
            }
        }
    };
    let (pace, mut interrupted) = {
        let mut paced = std::pin::pin!(paced);
        tokio::select! {
            pace = &mut paced => (pace, false),
            () = &mut interrupt => {
                stop.send_replace(true);
                (paced.await, true)
            }
        }
    };
    stop.send_replace(true);
    let answered = async { while visitors.join_next().await.is_some() {} };
    let patience = if interrupted { GRACE } else { PATIENCE + GRACE };
    tokio::select! {
        () = answered => {}
        () = sleep(patience) => {}
        () = &mut interrupt, if !interrupted => interrupted = true,
    }
    let abandoned = run.in_flight.load(Relaxed);
    RunResult { pace, took: start.elapsed(), interrupted, abandoned }
}
