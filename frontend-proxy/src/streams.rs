//! The requests of HTTP/2 connections, each a task of its own, which is over when its client takes nothing of the answer. Knows
//! nothing of what is asked.

use std::future::Future;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use hyper::rt::Executor;
use tokio::task::JoinSet;
use tokio::time::sleep;

use crate::exchange::Progress;

/// Requests of HTTP/2 connections, each a task, that end with the server.
#[derive(Debug, Clone, Default)]
pub(crate) struct Streams(Arc<Mutex<JoinSet<()>>>);

impl Streams {
    /// What runs the streams of one connection, each of which may wait for its client for so long.
    pub(crate) fn executor(&self, limit: Duration) -> Bounded {
        Bounded { streams: self.clone(), limit }
    }

    /// Cuts off those that are left.
    pub(crate) async fn shutdown(&self) {
        let mut streams = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        streams.shutdown().await;
    }
}

tokio::task_local! {
    /// Of the stream whose task this is.
    static PROGRESS: Arc<Progress>;
}

/// Of the stream in whose task this is asked.
pub(crate) fn progress() -> Option<Arc<Progress>> {
    PROGRESS.try_with(Arc::clone).ok()
}

/// An HTTP/2 client that takes nothing of an answer is waited for as long as one of HTTP/1, though its connection is well.
#[derive(Clone)]
pub(crate) struct Bounded {
    streams: Streams,
    limit: Duration,
}

impl<F> Executor<F> for Bounded
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
