//! The bounds of a queue, and of the exports that empty it.

use std::time::Duration;

/// The bounds of one destination's queue, in number, in size and in time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Pace {
    /// Records that may wait or be in flight.
    pub(crate) queue: usize,
    /// Bytes of the records that may wait or be in flight.
    pub(crate) queue_bytes: usize,
    /// Records in one export.
    pub(crate) batch: usize,
    /// Bytes of the records in one export, before compression; a single record may be larger.
    pub(crate) batch_bytes: usize,
    /// How long a record waits for others, to be exported with them.
    pub(crate) delay: Duration,
    /// Concurrent exports, each on a separate thread.
    pub(crate) flights: usize,
    /// The pause before a batch is retried; each further pause is twice as long.
    pub(crate) pause: Duration,
    /// The longest pause that this crate chooses.
    pub(crate) longest_pause: Duration,
    /// The longest pause that a destination may request.
    pub(crate) longest_requested: Duration,
}

impl Pace {
    /// The pace of metrics: each export is one request, and one follows the other, because a receiver may refuse a point that is
    /// older than its successor. A queue holds some hours of a service's points, and 16 MiB at most.
    pub(crate) const METRICS: Self = Self {
        queue: 65_536,
        queue_bytes: 16 * 1024 * 1024,
        batch: 1,
        batch_bytes: 1024 * 1024,
        delay: Duration::ZERO,
        flights: 1,
        pause: Duration::from_millis(500),
        longest_pause: Duration::from_secs(30),
        longest_requested: Duration::from_secs(600),
    };
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            queue: 32_768,
            queue_bytes: 16 * 1024 * 1024,
            batch: 2_048,
            batch_bytes: 1024 * 1024,
            delay: Duration::from_millis(500),
            flights: 4,
            pause: Duration::from_millis(500),
            longest_pause: Duration::from_secs(30),
            longest_requested: Duration::from_secs(600),
        }
    }
}
