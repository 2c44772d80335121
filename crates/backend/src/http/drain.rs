//! The end of a server. Once it is ordered to stop, the server is not ready, and every accepted request gets a response before the drain ends. A request
//! that still waits for a silent database then gets 503; its write still runs to its end.

use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;

use actix_web::Error;
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use super::problem::Problem;

/// The part of the drain in which responses are written after requests have stopped waiting.
const WRITE: Duration = Duration::from_secs(1);

pub(super) const STOPPING: &str = "the server is stopping";

/// How far the shutdown of this server has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Drain {
    has_begun: Arc<AtomicBool>,
    ending: CancellationToken,
}

impl Drain {
    /// From now on, no request waits longer than [`Drain::run`]. Must be called before the server is stopped.
    pub(super) fn begin(&self) {
        self.has_begun.store(true, Ordering::Release);
    }

    pub(super) fn has_begun(&self) -> bool {
        self.has_begun.load(Ordering::Acquire)
    }

    /// Completes when no request may wait any longer in a drain that takes `seconds` from now.
    pub(super) async fn run(&self, seconds: u64) {
        sleep(Duration::from_secs(seconds).saturating_sub(WRITE)).await;
        self.ending.cancel();
    }

    /// The response, or an error if there is none by the end of the drain.
    ///
    /// Requests would contend for the list of those that wait for the end, so a request joins it only during a drain: actix-http polls every request when its
    /// server is stopped.
    ///
    /// `response` is pinned by the caller: a future given by value would be in this one twice, and move with it.
    pub(super) async fn respond_in_time<T>(
        &self,
        mut response: Pin<&mut impl Future<Output = Result<T, Error>>>,
    ) -> Result<T, Error> {
        let mut ending = pin!(None);
        poll_fn(|cx| {
            let polled = response.as_mut().poll(cx);
            if polled.is_ready() || !self.has_begun() {
                return polled;
            }
            if ending.is_none() {
                ending.set(Some(self.ending.cancelled()));
            }
            let ended = ending.as_mut().as_pin_mut().is_some_and(|ending| ending.poll(cx).is_ready());
            if ended { Poll::Ready(Err(Problem::unavailable(STOPPING).into())) } else { Poll::Pending }
        })
        .await
    }
}
