//! A request's body with a deadline.

use std::cell::RefCell;
use std::future::{Future, poll_fn};
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use actix_http::Payload;
use actix_http::error::PayloadError;
use bytes::Bytes;
use futures_util::Stream;
use tokio::time::{Instant, Sleep, sleep_until};

/// The most bytes of a body that are discarded after a response that did not wait for them.
const DISCARDED: usize = 64 * 1024;

/// Whether a body could not be read because it arrived too late, for which the response is 408.
pub fn is_late(error: &PayloadError) -> bool {
    matches!(error, PayloadError::Io(error) if error.kind() == io::ErrorKind::TimedOut)
}

/// Returns the payload, which fails after `limit`, and a handle on its unread remainder.
pub(crate) fn limited(payload: Payload, limit: Duration) -> (Payload, Option<Shared>) {
    match payload {
        Payload::None => (Payload::None, None),
        payload => {
            let limited = Limited { payload, deadline: Instant::now() + limit, sleep: None };
            let shared = Shared(Rc::new(RefCell::new(Some(limited))));
            (Payload::Stream { payload: Box::pin(shared.clone()) }, Some(shared))
        }
    }
}

/// A body that has not been read to its end.
///
/// A response that is sent before then must keep this value. actix-http (3.20) closes the connection if the body still exists
/// once the response has been sent. Otherwise it reads a chunked body to its end, and the connection may never wake up again.
#[derive(Clone)]
pub(crate) struct Shared(Rc<RefCell<Option<Limited>>>);

impl Shared {
    /// Whether the body continues after the bytes that were received with its head. Reads those bytes, up to a limit: most
    /// bodies are short, and a client that has sent a whole body keeps its connection.
    pub(crate) async fn is_unread(&mut self) -> bool {
        let mut left = DISCARDED;
        let mut has_yielded = false;
        poll_fn(|cx| {
            loop {
                match Pin::new(&mut *self).poll_next(cx) {
                    Poll::Ready(Some(Ok(bytes))) if bytes.len() < left => left -= bytes.len(),
                    Poll::Ready(_) => return Poll::Ready(()),
                    Poll::Pending if has_yielded => return Poll::Ready(()),
                    Poll::Pending => {
                        // actix-http decodes the body that came with a head once its handler has waited.
                        has_yielded = true;
                        cx.waker().wake_by_ref();
                        return Poll::Pending;
                    }
                }
            }
        })
        .await;
        self.0.borrow().is_some()
    }
}

impl Stream for Shared {
    type Item = Result<Bytes, PayloadError>;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let mut body = self.0.borrow_mut();
        let Some(limited) = &mut *body else { return Poll::Ready(None) };
        let item = ready!(limited.poll_next(cx));
        if item.is_none() {
            *body = None;
        }
        Poll::Ready(item)
    }
}

struct Limited {
    payload: Payload,
    deadline: Instant,
    /// Set when the body is first waited for; most bodies arrive with their heads.
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Limited {
    fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Bytes, PayloadError>>> {
        // Bytes that arrive slowly must not postpone the deadline.
        let is_late = self.sleep.as_mut().is_some_and(|sleep| sleep.as_mut().poll(cx).is_ready());
        if !is_late {
            if let Poll::Ready(item) = Pin::new(&mut self.payload).poll_next(cx) {
                return Poll::Ready(item);
            }
            let deadline = self.deadline;
            let sleep = self.sleep.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if sleep.as_mut().poll(cx).is_pending() {
                return Poll::Pending;
            }
        }
        Poll::Ready(Some(Err(PayloadError::Io(io::ErrorKind::TimedOut.into()))))
    }
}
