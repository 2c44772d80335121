//! Readiness, and the end of a server. From the order to stop on, the server is not ready, and every request that it has accepted gets a response before the
//! drain ends. A request that waits for a silent database then gets 503; its write still runs to its end.

use std::time::Duration;

use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

/// The part of the drain in which responses are written after requests have stopped waiting.
const WRITE: Duration = Duration::from_secs(1);

/// How far the shutdown of this server has come.
#[derive(Debug, Clone, Default)]
pub(super) struct Drain {
    pub(super) begun: CancellationToken,
    pub(super) ending: CancellationToken,
}

impl Drain {
    /// Starts a drain that takes `seconds`, and completes when no request may wait any longer.
    pub(super) async fn run(&self, seconds: u64) {
        self.begun.cancel();
        sleep(Duration::from_secs(seconds).saturating_sub(WRITE)).await;
        self.ending.cancel();
    }
}
