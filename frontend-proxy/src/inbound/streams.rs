//! The requests of HTTP/2 connections, each in a separate task. A task ends when its client stops accepting the response.
//! Does not inspect the requests.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::inbound::state::Progress;

/// The requests of HTTP/2 connections, each in a task, which end with the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    /// Runs the streams of one connection, each of which may wait for its client for at most `limit`.
    pub(crate) fn executor(&self, limit: Duration) -> StreamExecutor {
        StreamExecutor { streams: self.clone(), limit }
    }

    /// Cuts off the remaining streams.
    pub(crate) async fn shutdown(&self) {
        let mut streams = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        streams.shutdown().await;
    }
}

tokio::task_local! {
    /// The progress of the stream that this task runs.
    static PROGRESS: Arc<Progress>;
}

/// The progress of the current task's stream.
pub(crate) fn progress() -> Option<Arc<Progress>> {
    PROGRESS.try_with(Arc::clone).ok()
}

/// Ends a stream whose client accepts nothing of the response, after as long as in HTTP/1, even if its connection is healthy.
#[derive(Clone)]
pub(crate) struct StreamExecutor {
    streams: Streams,
    limit: Duration,
}

impl<F> Executor<F> for StreamExecutor
where
    F: Future<Output = ()> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let progress = Arc::new(Progress::default());
        let limit = self.limit;
        let bounded = async move {
            let stalled = async {
                let (mut seen, mut halves) = (None, 0);
                while halves < 2 {
                    sleep(limit / 2).await;
                    halves = if progress.is_stalled(&mut seen) { halves + 1 } else { 0 };
                }
            };
            tokio::select! {
                biased;
                () = PROGRESS.scope(Arc::clone(&progress), stream) => {}
                () = stalled => {}
            }
        };
        let mut streams = self.streams.0.lock().unwrap_or_else(PoisonError::into_inner);
        while streams.try_join_next().is_some() {}
        streams.spawn(bounded);
    }
}
