//! Stale connections, which are replaced.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

/// When the connections of a pool became stale, if they have. Connections that were opened before are replaced, because their prepared statements are wrong
/// since then.
#[derive(Debug, Clone, Default)]
pub(super) struct Renewal(Arc<Mutex<Option<Instant>>>);

impl Renewal {
    pub(super) fn renew(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// Whether a connection of this age is stale.
    pub(super) fn replaces(&self, age: Duration) -> bool {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).is_some_and(|since| since.elapsed() <= age)
    }
}
