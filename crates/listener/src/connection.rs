//! A connection's bytes, and two deadlines: for the next request's head, and for the client to read a response.
//!
//! During a request, the application limits its own time, and [`crate::payload`] limits the body's. Bytes after a response that
//! are not a request, such as the remainder of an unread body, fall under the deadline for a head.

use std::cell::{Cell, RefCell};
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::bounds::{Bounds, TAKEN};
use crate::heads::{Heads, Surplus};

/// Whether the server is responding to a request on a connection, and to how many it has responded.
#[derive(Clone, Default)]
pub(crate) struct Watch(Rc<Progress>);

#[derive(Default)]
struct Progress {
    busy: Cell<bool>,
    answered: Cell<u64>,
    /// Fields of the next request that actix-http did not receive.
    surplus: RefCell<Surplus>,
}

/// A request without a complete response.
pub(crate) struct Busy(Watch);

impl Watch {
    pub(crate) fn begin(&self) -> Busy {
        self.0.busy.set(true);
        Busy(self.clone())
    }

    /// The header fields of the request that is starting, except those that actix-http received.
    pub(crate) fn surplus(&self) -> Surplus {
        self.0.surplus.take()
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let Watch(progress) = &self.0;
        progress.busy.set(false);
        progress.answered.set(progress.answered.get() + 1);
    }
}

/// An accepted connection.
pub(crate) struct Connection {
    io: TcpStream,
    bounds: Bounds,
    watch: Watch,
    heads: Heads,
    /// The number of responses when `deadline` was last set.
    answered: u64,
    /// Whether bytes have been received since then.
    has_begun: bool,
    /// The deadline for the next request to start, and then for its head to end. actix-http limits the first head.
    deadline: Instant,
    /// Wakes the connection at `deadline` or earlier, because moving a timer for each request would cost more than waking up a
    /// few times a minute. Set from the first response on.
    alarm: Option<Pin<Box<Sleep>>>,
    /// The deadline for the client to read, and the number of bytes that it has read since it was set.
    write: Option<Pin<Box<Sleep>>>,
    taken: usize,
}

impl Connection {
    pub(crate) fn new(io: TcpStream, bounds: Bounds) -> Self {
        let watch = Watch::default();
        let deadline = Instant::now() + bounds.head;
        Self {
            io,
            bounds,
            watch,
            heads: Heads::default(),
            answered: 0,
            has_begun: false,
            deadline,
            alarm: None,
            write: None,
            taken: 0,
        }
    }

    pub(crate) fn watch(&self) -> Watch {
        self.watch.clone()
    }

    pub(crate) fn peer(&self) -> Option<SocketAddr> {
        self.io.peer_addr().ok()
    }

    /// Reads once, and returns the number of bytes received. They are in `buf`, except those that are held back.
    fn poll_receive(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<usize>> {
        let before = buf.filled().len();
        let polled = Pin::new(&mut self.io).poll_read(cx, buf)?;
        let received = buf.filled().len() - before;
        if self.poll_late(cx, received > 0).is_ready() {
            return Poll::Ready(Err(late()));
        }
        ready!(polled);
        let Progress { busy, answered, surplus } = &*self.watch.0;
        if received == 0 {
            self.heads.end();
        } else {
            let is_next = !busy.get() && answered.get() == self.heads.count();
            let passed = self.heads.receive(&buf.filled()[before..], is_next);
            buf.set_filled(before + passed);
            if let Some(fields) = self.heads.surplus() {
                surplus.replace(fields);
            }
        }
        Poll::Ready(Ok(received))
    }

    /// Ready when the next request is late.
    fn poll_late(&mut self, cx: &mut Context<'_>, received: bool) -> Poll<()> {
        let Progress { busy, answered, .. } = &*self.watch.0;
        if busy.get() {
            return Poll::Pending;
        }
        let answered = answered.get();
        if self.answered != answered {
            self.answered = answered;
            self.has_begun = false;
            self.deadline = Instant::now() + self.bounds.idle;
        }
        if received && !self.has_begun && answered > 0 {
            self.has_begun = true;
            self.deadline = Instant::now() + self.bounds.head;
        }
        if answered == 0 { Poll::Pending } else { self.poll_alarm(cx) }
    }

    fn poll_alarm(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // Rings no later than this, because a head that starts in between has this deadline.
        let next = |deadline: Instant| deadline.min(Instant::now() + self.bounds.head);
        let alarm = match &mut self.alarm {
            // It has been polled, so it will wake this task, which stays the same.
            Some(alarm) if !alarm.is_elapsed() => return Poll::Pending,
            Some(_) if self.deadline <= Instant::now() => return Poll::Ready(()),
            Some(alarm) => {
                alarm.as_mut().reset(next(self.deadline));
                alarm
            }
            None => self.alarm.insert(Box::pin(sleep_until(next(self.deadline)))),
        };
        alarm.as_mut().poll(cx)
    }

    /// Ready when the client has read too slowly.
    fn poll_unread(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let deadline = Instant::now() + self.bounds.write;
        let sleep = self.write.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
        sleep.as_mut().poll(cx)
    }

    fn written(&mut self, length: usize) {
        self.taken += length;
        if self.taken >= TAKEN {
            self.all_written();
        }
    }

    fn all_written(&mut self) {
        self.write = None;
        self.taken = 0;
    }
}

fn late() -> io::Error {
    io::ErrorKind::TimedOut.into()
}

impl AsyncRead for Connection {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        let before = buf.filled().len();
        loop {
            if connection.heads.write(buf) || buf.filled().len() > before {
                return Poll::Ready(Ok(()));
            }
            // All received bytes may be held back.
            if ready!(connection.poll_receive(cx, buf))? == 0 && !connection.heads.write(buf) {
                return Poll::Ready(Ok(()));
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let connection = self.get_mut();
        match Pin::new(&mut connection.io).poll_write(cx, buf)? {
            Poll::Ready(length) => {
                connection.written(length);
                Poll::Ready(Ok(length))
            }
            Poll::Pending => connection.poll_unread(cx).map(|()| Err(late())),
        }
    }

    /// Called by actix-http whenever it has written all its bytes, so also after each response.
    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let connection = self.get_mut();
        ready!(Pin::new(&mut connection.io).poll_flush(cx))?;
        connection.all_written();
        match connection.poll_late(cx, false) {
            Poll::Ready(()) => Poll::Ready(Err(late())),
            Poll::Pending => Poll::Ready(Ok(())),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
