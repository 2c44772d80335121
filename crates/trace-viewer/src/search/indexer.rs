//! Makes the search entries of traces, in the background: a trace that still changes is left alone, and little time is taken from the spans that arrive.

use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::store::Store;

/// A trace gets its entry when it has not been new or changed for one to two rounds. Until then, searches read its spans.
const ROUND: Duration = Duration::from_millis(500);
/// The traces between two pauses.
const TRACES: usize = 64;
/// A pause: at most 2,500 traces a second get entries, so that a flood of spans, most of which are soon evicted, is not slowed down.
const PAUSE: Duration = Duration::from_millis(25);
/// After large traces, a pause is this many times longer than the work.
const FACTOR: u32 = 8;

/// Runs until it is aborted.
pub(crate) async fn run(store: Arc<Store>) {
    loop {
        let start = Instant::now();
        store.start_indexing();
        loop {
            let start = Instant::now();
            if !store.index(TRACES) {
                break;
            }
            tokio::time::sleep(PAUSE.max(start.elapsed() * FACTOR)).await;
        }
        tokio::time::sleep(ROUND.saturating_sub(start.elapsed())).await;
    }
}
