//! What the two sides of one connection tell each other: the side that reads and writes bytes, and the side that answers
//! requests. Counts requests, and says when nothing is going on.

use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, Ordering::Relaxed};
use std::sync::{Arc, OnceLock};
use std::task::{Context, Poll};

use hyper::body::{Body, Frame, SizeHint};
use tokio::sync::Notify;

use crate::framing::Refusal;
use crate::places::Place;

/// Requests given up by the client before it is called an abuse of HTTP/2, where they are more than half of all.
const CUT: u32 = 100;
/// The states of a wish for another protocol.
const UNDECIDED: u8 = 0;
const GRANTED: u8 = 1;
const DECLINED: u8 = 2;

#[derive(Debug, Default)]
pub(crate) struct Exchange {
    refusal: OnceLock<Refusal>,
    upgrade: AtomicU8,
    requests: AtomicU32,
    active: AtomicU32,
    /// A part of a head has come.
    heading: AtomicBool,
    headed: Notify,
    /// The body of the HTTP/1 request under way has not come to its end.
    receiving: AtomicBool,
    cut: AtomicU32,
    abused: Notify,
}

impl Exchange {
    pub(crate) fn refuse(&self, refusal: Refusal) {
        // The first one closes the connection.
        let _: Result<(), Refusal> = self.refusal.set(refusal);
    }

    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.get().copied()
    }

    /// The request that wished for another protocol is answered.
    pub(crate) fn decide_upgrade(&self, granted: bool) {
        self.upgrade.store(if granted { GRANTED } else { DECLINED }, Relaxed);
    }

    /// What was decided, told once.
    pub(crate) fn upgrade(&self) -> Option<bool> {
        match self.upgrade.swap(UNDECIDED, Relaxed) {
            UNDECIDED => None,
            state => Some(state == GRANTED),
        }
    }

    /// A request begins; it is over when what this returns is dropped.
    pub(crate) fn begin(self: &Arc<Self>, place: Option<Place>) -> Active {
        self.requests.fetch_add(1, Relaxed);
        self.active.fetch_add(1, Relaxed);
        Active { exchange: Arc::clone(self), over: false, place }
    }

    /// Records whether some of the body of the HTTP/1 request under way is still to come.
    pub(crate) fn receive(&self, receiving: bool) {
        self.receiving.store(receiving, Relaxed);
    }

    /// Whether a response that starts now starts before the end of its request.
    pub(crate) fn is_receiving(&self) -> bool {
        self.receiving.load(Relaxed)
    }

    /// Whether a request is under way.
    pub(crate) fn is_active(&self) -> bool {
        self.active.load(Relaxed) > 0
    }

    /// Whether a part of a head has come, and the rest is waited for.
    pub(crate) fn head(&self, heading: bool) {
        self.heading.store(heading, Relaxed);
        if !heading {
            self.headed.notify_one();
        }
    }

    pub(crate) fn is_heading(&self) -> bool {
        self.heading.load(Relaxed)
    }

    /// Completes when no head is waited for any more.
    pub(crate) async fn headed(&self) {
        while self.is_heading() {
            self.headed.notified().await;
        }
    }

    /// Whether nothing has gone on since this was asked before with the same `seen`.
    pub(crate) fn is_idle(&self, seen: &mut Option<u32>) -> bool {
        let requests = self.requests.load(Relaxed);
        let before = seen.replace(requests);
        before == Some(requests) && self.active.load(Relaxed) == 0 && !self.is_heading()
    }

    /// Completes when the client has opened and given up requests as no client does that wants answers.
    pub(crate) async fn abused(&self) {
        self.abused.notified().await;
    }
}

/// A request under way.
#[derive(Debug)]
pub(crate) struct Active {
    exchange: Arc<Exchange>,
    over: bool,
    /// Of a request of HTTP/2.
    place: Option<Place>,
}

impl Active {
    /// The answer has no body, whatever its head says.
    pub(crate) fn finish(&mut self) {
        self.over = true;
    }

    /// The answer is all there is to it, but for its body.
    pub(crate) fn answer<B: Body>(mut self, body: B, progress: Option<Arc<Progress>>) -> Answer<B> {
        self.over |= body.is_end_stream();
        Answer { body, active: self, progress }
    }
}

impl Drop for Active {
    fn drop(&mut self) {
        let exchange = &self.exchange;
        exchange.active.fetch_sub(1, Relaxed);
        if !self.over && self.place.is_some() {
            let cut = exchange.cut.fetch_add(1, Relaxed) + 1;
            if cut >= CUT && cut > exchange.requests.load(Relaxed) / 2 {
                exchange.abused.notify_one();
            }
        }
    }
}

/// Whether an answer's body waits for its client.
#[derive(Debug, Default)]
pub(crate) struct Progress {
    waiting: AtomicBool,
    frames: AtomicU32,
}

impl Progress {
    /// Whether the client has taken nothing since this was asked before with the same `seen`, though there was something.
    pub(crate) fn is_stalled(&self, seen: &mut Option<u32>) -> bool {
        let frames = self.frames.load(Relaxed);
        let before = seen.replace(frames);
        before == Some(frames) && self.waiting.load(Relaxed)
    }
}

/// An answer's body, which keeps its request under way until its last byte is taken.
pub(crate) struct Answer<B> {
    body: B,
    active: Active,
    progress: Option<Arc<Progress>>,
}

impl<B: Body + Unpin> Body for Answer<B> {
    type Data = B::Data;
    type Error = B::Error;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<B::Data>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        if let Some(progress) = &self.progress {
            progress.frames.fetch_add(1, Relaxed);
            progress.waiting.store(matches!(polled, Poll::Ready(Some(Ok(_)))), Relaxed);
        }
        if !polled.is_pending() {
            self.active.over |= matches!(polled, Poll::Ready(None)) || self.body.is_end_stream();
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
