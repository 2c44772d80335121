//! State shared by the two sides of one connection: the side that reads and writes bytes, and the side that answers requests.
//! Counts requests, and reports when the connection is idle.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

use crate::inbound::framing::Refusal;
use crate::inbound::permits::ConnectionPermit;

/// Cancelled requests at which an HTTP/2 connection counts as abused, if they are more than half of all its requests.
const CUT: u32 = 100;
/// The states of a request to switch protocols.
const UNDECIDED: u8 = 0;
const GRANTED: u8 = 1;
const DECLINED: u8 = 2;

#[derive(Debug, Default)]
pub(crate) struct ConnectionState {
    refusal: OnceLock<Refusal>,
    upgrade: AtomicU8,
    requests: AtomicU32,
    active: AtomicU32,
    /// A part of a head has arrived.
    heading: AtomicBool,
    headed: Notify,
    /// The body of the HTTP/1 request under way has not ended yet.
    receiving: AtomicBool,
    cut: AtomicU32,
    abused: Notify,
}

impl ConnectionState {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        // The first refusal closes the connection.
        let _: Result<(), Refusal> = self.refusal.set(refusal);
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// Records the response to the request to switch protocols.
    pub(crate) fn decide_upgrade(&self, granted: bool) {
        self.upgrade.store(if granted { GRANTED } else { DECLINED }, Relaxed);
    }

    /// The decision on the upgrade; returned only once.
    pub(crate) fn upgrade(&self) -> Option<bool> {
        match self.upgrade.swap(UNDECIDED, Relaxed) {
            UNDECIDED => None,
            state => Some(state == GRANTED),
        }
    }

    /// Records the start of a request. The request has ended when the returned value is dropped.
    pub(crate) fn begin(self: &Arc<Self>, permit: Option<ConnectionPermit>) -> Active {
        self.requests.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        Active { state: Arc::clone(self), finished: false, permit }
    }

    /// Records whether some of the body of the HTTP/1 request under way is still to come.
    pub(crate) fn receive(&self, receiving: bool) {
        self.receiving.store(receiving, Relaxed);
    }

    /// Whether a response that starts now would start before the end of its request.
    pub(crate) fn is_receiving(&self) -> bool {
        self.receiving.load(Relaxed)
    }

    /// Whether a request is under way.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    /// Records whether part of a head has arrived and the remainder is awaited.
    pub(crate) fn head(&self, heading: bool) {
        self.heading.store(heading, Relaxed);
        if !heading {
            self.headed.notify_one();
        }
    }

    pub(crate) fn is_heading(&self) -> bool {
        self.heading.load(Relaxed)
    }

    /// Completes when no head is awaited any more.
    pub(crate) async fn headed(&self) {
        while self.is_heading() {
            self.headed.notified().await;
        }
    }

    /// Whether nothing has happened since the last call with the same `seen`.
    pub(crate) fn is_idle(&self, seen: &mut Option<u32>) -> bool {
        let requests = self.requests.load(Relaxed);
        let before = seen.replace(requests);
        before == Some(requests) && self.active.load(Relaxed) == 0 && !self.is_heading()
    }

    /// Completes when the client has opened and cancelled so many requests that it cannot want responses.
    pub(crate) async fn abused(&self) {
        self.abused.notified().await;
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Active {
    state: Arc<ConnectionState>,
    finished: bool,
    /// The permit of an HTTP/2 request.
    permit: Option<ConnectionPermit>,
}

impl Active {
    /// Records that the response has no body, whatever its head says.
    pub(crate) fn finish(&mut self) {
        self.finished = true;
    }

    /// The response is complete except for its body.
    pub(crate) fn answer<B: Body>(mut self, body: B, progress: Option<Arc<Progress>>) -> TrackedBody<B> {
        self.finished |= body.is_end_stream();
        TrackedBody { body, active: self, progress }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let state = &self.state;
        state.active.fetch_sub(1, Relaxed);
        if !self.finished && self.permit.is_some() {
            let cut = state.cut.fetch_add(1, Relaxed) + 1;
            if cut >= CUT && cut > state.requests.load(Relaxed) / 2 {
                state.abused.notify_one();
            }
        }
    }
}

/// Whether a response's body waits for its client.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    waiting: AtomicBool,
    frames: AtomicU32,
}

impl Progress {
    /// Whether the client has accepted nothing since the last call with the same `seen`, although data was waiting.
    pub(crate) fn is_stalled(&self, seen: &mut Option<u32>) -> bool {
        let frames = self.frames.load(Relaxed);
        let before = seen.replace(frames);
        before == Some(frames) && self.waiting.load(Relaxed)
    }
}

/// A response's body, which keeps its request under way until its last byte has been accepted.
pub(crate) struct TrackedBody<B> {
    body: B,
    active: Active,
    progress: Option<Arc<Progress>>,
}

impl<B: Body + Unpin> Body for TrackedBody<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(progress) = &self.progress {
            progress.frames.fetch_add(1, Relaxed);
            progress.waiting.store(matches!(polled, Poll::Ready(Some(Ok(_)))), Relaxed);
        }
        if !polled.is_pending() {
            self.active.finished |= matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
