//! A connection's bytes between the socket and hyper. The [`Scanner`] sees each byte from an HTTP/1 client first. A head is
//! passed on whole. A refused head is replaced by a request that only this module can create. Its response is thus made and
//! sent like every other, after the responses to earlier requests. This module also enforces two deadlines: for a head that
//! arrives slowly, and for a client that does not read its response. A client that ends its side after whole requests still
//! gets their responses. That end is passed on after the responses, or when nothing was written to the client for a while: a
//! client that has disconnected looks the same. This module answers no request itself.

mod write;

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use tokio::io::{AsyncRead, ReadBuf};
use tokio::time::{Instant, Sleep, sleep, sleep_until};

use crate::inbound::framing::{Disposition, Refusal, Scanned, Scanner};
use crate::inbound::permits::ConnectionPermit;
use crate::inbound::state::ConnectionState;

/// Replaces a refused request. No client can send it, because a header name with an underscore is refused.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nhost: _\r\n_refused: 1\r\nconnection: close\r\n\r\n";
/// The header that marks the replacement.
pub(crate) const MARK: &str = "_refused";
/// Bytes of another protocol that may wait for the response to the upgrade request.
const EARLY: usize = 4 * 1024;
/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For a head, from its first byte.
    pub(crate) head: Duration,
    /// Until the client accepts any byte that is written to it.
    pub(crate) write: Duration,
    /// Between two writes to a client that has ended its side.
    pub(crate) ended: Duration,
}

pub(crate) struct Wire<S> {
    io: S,
    scanner: Scanner,
    state: Arc<ConnectionState>,
    deadlines: Deadlines,
    /// Bytes read but not yet passed on.
    held: BytesMut,
    /// The deadline of the first head, if a part of it was read earlier.
    until: Option<Instant>,
    /// How many of the held bytes may be passed on.
    cleared: usize,
    /// How many of the held bytes the scanner has seen.
    shown: usize,
    end: End,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
    /// Set once the client has ended its side while its requests are under way: the end is passed on at this deadline.
    ended: Option<Pin<Box<Sleep>>>,
    linger: Option<(usize, Pin<Box<Sleep>>)>,
    /// Held until the connection closes, even if it has become a tunnel.
    _permit: Option<ConnectionPermit>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing after the refused request is passed on.
    Refused,
    /// A body is invalid: reading ends there.
    Broken,
}

impl<S> Wire<S> {
    /// Wraps a connection from which `first` has been read already. If `first` starts a head, `until` is the head's deadline.
    pub(crate) fn new(
        io: S,
        first: BytesMut,
        until: Option<Instant>,
        state: Arc<ConnectionState>,
        deadlines: Deadlines,
        permit: Option<ConnectionPermit>,
    ) -> Self {
        Self {
            io,
            scanner: Scanner::default(),
            state,
            deadlines,
            held: first,
            until,
            cleared: 0,
            shown: 0,
            end: End::Open,
            head: None,
            write: None,
            ended: None,
            linger: None,
            _permit: permit,
        }
    }

    /// A connection that does not use HTTP/1: all bytes pass.
    pub(crate) fn unscanned(mut self) -> Self {
        self.scanner.tunnel();
        self
    }

    /// A connection whose first request is refused, whatever it is.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.held.clear();
        self.refuse(refusal);
        self
    }

    /// Appends the replacement of the refused request to the cleared bytes.
    fn refuse(&mut self, refusal: Refusal) {
        self.state.refuse(refusal);
        self.held.extend_from_slice(REFUSED);
        (self.cleared, self.shown) = (self.held.len(), self.held.len());
        self.end = End::Refused;
        self.headed();
    }

    /// Records that no head is awaited.
    fn headed(&mut self) {
        if self.head.take().is_some() {
            self.state.head(false);
        }
    }

    fn scan_held(&mut self) {
        let Scanned { pass, rest } = self.scanner.scan(&self.held);
        (self.cleared, self.shown) = (pass, self.held.len());
        self.settle(rest, pass);
    }

    /// Handles the held bytes from `pass` on.
    fn settle(&mut self, rest: Disposition, pass: usize) {
        let until = self.until.take().filter(|_| pass == 0);
        match rest {
            Disposition::None => self.headed(),
            Disposition::Hold if self.scanner.is_upgrading() => self.headed(),
            Disposition::Hold => {
                let limit = self.deadlines.head;
                // A head that starts after another one has its own deadline.
                if pass > 0 || self.head.is_none() {
                    let until = until.unwrap_or_else(|| Instant::now() + limit);
                    self.head = Some(Box::pin(sleep_until(until)));
                    self.state.head(true);
                }
            }
            Disposition::Refuse(refusal) => {
                self.held.truncate(pass);
                self.refuse(refusal);
            }
            Disposition::Broken => {
                self.held.truncate(pass);
                self.shown = pass;
                self.end = End::Broken;
                self.headed();
            }
        }
    }

    /// Continues with the protocol that the response to an upgrade request has chosen, once it has.
    fn follow_upgrade(&mut self) {
        if !self.scanner.is_upgrading() {
            return;
        }
        if let Some(granted) = self.state.upgrade() {
            if granted {
                self.scanner.tunnel();
            } else {
                self.scanner.stay();
            }
            self.shown = 0;
        }
    }

    fn pass_held(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buf.remaining());
        buf.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.advance(length);
        (self.cleared, self.shown) = (self.cleared - length, self.shown - length);
        if self.held.is_empty() {
            // An idle connection holds no memory for partial heads.
            self.held = BytesMut::new();
        }
    }

    /// Handles a client that has ended its side. The end is passed on immediately if it cuts off a message, or if no request is
    /// under way.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.scanner.is_between() || !self.state.is_active() {
            return Poll::Ready(Ok(()));
        }
        let limit = self.deadlines.ended;
        let deadline = self.ended.get_or_insert_with(|| Box::pin(sleep(limit)));
        deadline.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Reads straight into the reader's buffer. Only a partial head is taken back from it.
    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        let Scanned { pass, rest } = self.scanner.scan(new);
        if rest != Disposition::None {
            self.held.extend_from_slice(new.get(pass..).unwrap_or_default());
            self.shown = self.held.len();
            buf.set_filled(before + pass);
            self.settle(rest, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// Reads into the held bytes; returns how many bytes were added.
    fn poll_hold(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let mut bytes = [0; 4096];
        let mut buf = ReadBuf::new(&mut bytes);
        ready!(Pin::new(&mut self.io).poll_read(cx, &mut buf))?;
        self.held.extend_from_slice(buf.filled());
        Poll::Ready(Ok(buf.filled().len()))
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        let before = buf.filled().len();
        loop {
            if wire.cleared > 0 {
                wire.pass_held(buf);
                return Poll::Ready(Ok(()));
            }
            match wire.end {
                End::Open => {}
                // Does not report the end of the connection: hyper would then drop the response.
                End::Refused => return Poll::Pending,
                End::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            wire.follow_upgrade();
            if wire.shown < wire.held.len() && !wire.scanner.is_upgrading() {
                wire.scan_held();
                continue;
            }
            if wire.held.is_empty() && !wire.scanner.is_upgrading() {
                ready!(wire.poll_read_through(cx, buf))?;
                if buf.filled().len() > before {
                    return Poll::Ready(Ok(()));
                }
                if wire.held.is_empty() && wire.end == End::Open {
                    return wire.poll_end(cx);
                }
                continue;
            }
            if wire.scanner.is_upgrading() && wire.held.len() >= EARLY {
                return Poll::Pending;
            }
            match wire.poll_hold(cx)? {
                Poll::Ready(0) => return wire.poll_end(cx),
                Poll::Ready(_) => {}
                Poll::Pending => {
                    let Some(deadline) = &mut wire.head else { return Poll::Pending };
                    ready!(deadline.as_mut().poll(cx));
                    wire.held.clear();
                    wire.refuse(Refusal::TooSlow);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests;
