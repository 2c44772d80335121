//! Reports work that takes long.

use std::fmt::Display;
use std::future::Future;
use std::pin::pin;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

/// Work that takes less is not reported.
const SILENT: Duration = Duration::from_secs(1);
/// The interval between two lines of progress.
const EVERY: Duration = Duration::from_secs(3);

/// Reports work that takes long, with a line every few seconds.
pub(super) struct Progress {
    begun: Instant,
    next: Instant,
}

impl Progress {
    pub(super) fn new() -> Self {
        let begun = Instant::now();
        Self { begun, next: begun + SILENT }
    }

    pub(super) async fn during<T>(&mut self, what: impl Display, work: impl Future<Output = T>) -> T {
        let mut work = pin!(work);
        loop {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(self.next) => {
                    tracing::info!("{what} ({} s since the start)", self.begun.elapsed().as_secs());
                    self.next = Instant::now() + EVERY;
                }
            }
        }
    }
}
