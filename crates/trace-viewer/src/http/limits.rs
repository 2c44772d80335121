//! Limits on searches: at most two run at a time, next to the workers that receive spans, and a bounded number waits.

use std::sync::Arc;

use actix_web::web;
use tokio::sync::Semaphore;

use super::problem::SearchError;

/// The searches that run at a time.
const RUNNING: usize = 2;
/// The searches that run or wait. One more is a 503.
const ADMITTED: usize = 16;

/// Limits the searches.
pub(crate) struct Searches {
    running: Arc<Semaphore>,
    admitted: Semaphore,
}

impl Searches {
    pub(crate) fn new() -> Self {
        Self { running: Arc::new(Semaphore::new(RUNNING)), admitted: Semaphore::new(ADMITTED) }
    }

    /// Runs a search on a thread where it may take time.
    pub(super) async fn run<T: Send + 'static>(
        &self,
        search: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, SearchError> {
        let _admitted = self.admitted.try_acquire().map_err(|_| SearchError::Busy)?;
        let running = Arc::clone(&self.running).acquire_owned().await.map_err(|_| SearchError::Busy)?;
        // The search goes on if its client leaves, so it holds its place itself.
        let searched = web::block(move || {
            let found = search();
            drop(running);
            found
        });
        searched.await.map_err(|_| SearchError::Failed)
    }
}
