//! A connection's bytes between the socket and hyper. Each byte from an HTTP/1 client passes the [`Scanner`] first; a head is
//! passed on whole, and in the place of one that is refused a request stands that only this can make, so that the answer to it
//! is made and sent like every other, after those to earlier requests. A head that drips in, and a client that does not take
//! its answer, have their deadlines here. A client that ends its side after whole requests still gets their answers: the end is
//! passed on after them, or when the client was sent nothing for a while, since one that has gone away looks the same. Answers
//! nothing itself.

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

use crate::exchange::Exchange;
use crate::framing::{Refusal, Rest, Scanned, Scanner};
use crate::places::Place;

/// Stands for a request that is refused; no client can send it, for a name with an underscore is refused itself.
const REFUSED: &[u8] = b"GET / HTTP/1.1\r\nhost: _\r\n_refused: 1\r\nconnection: close\r\n\r\n";
/// The header that marks it.
pub(crate) const MARK: &str = "_refused";
/// Bytes of another protocol that may wait for the answer to the wish for it.
const EARLY: usize = 4 * 1024;
/// How long a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Deadlines {
    /// For a head, from its first byte.
    pub(crate) head: Duration,
    /// Until it takes anything of what is written to it.
    pub(crate) write: Duration,
    /// Between two writes to a client that has ended its side.
    pub(crate) ended: Duration,
}

pub(crate) struct Wire<S> {
    io: S,
    scanner: Scanner,
    exchange: Arc<Exchange>,
    deadlines: Deadlines,
    /// Read, and not passed on yet.
    held: BytesMut,
    /// The deadline of the first head, of which a part had come before.
    until: Option<Instant>,
    /// So many of them may be passed on.
    cleared: usize,
    /// So many of them the scanner has seen.
    shown: usize,
    end: End,
    head: Option<Pin<Box<Sleep>>>,
    write: Option<Pin<Box<Sleep>>>,
    /// The client has ended its side, and requests of it are under way: until when that is not passed on.
    ended: Option<Pin<Box<Sleep>>>,
    linger: Option<(usize, Pin<Box<Sleep>>)>,
    /// Free again when the connection is gone, be it a tunnel by then.
    _place: Option<Place>,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum End {
    Open,
    /// Nothing that follows is passed on.
    Refused,
    /// A body broke off; so does reading.
    Broken,
}

impl<S> Wire<S> {
    /// A connection of which `first` has been read already, the begin of a head that has time `until` then.
    pub(crate) fn new(
        io: S,
        first: BytesMut,
        until: Option<Instant>,
        exchange: Arc<Exchange>,
        deadlines: Deadlines,
        place: Option<Place>,
    ) -> Self {
        Self {
            io,
            scanner: Scanner::default(),
            exchange,
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
            _place: place,
        }
    }

    /// One that speaks no HTTP/1: everything passes.
    pub(crate) fn unscanned(mut self) -> Self {
        self.scanner.tunnel();
        self
    }

    /// One whose first request is refused, whatever it is.
    pub(crate) fn refused(mut self, refusal: Refusal) -> Self {
        self.held.clear();
        self.refuse(refusal);
        self
    }

    /// Puts the request that stands for the refused one behind what is cleared.
    fn refuse(&mut self, refusal: Refusal) {
        self.exchange.refuse(refusal);
        self.held.extend_from_slice(REFUSED);
        (self.cleared, self.shown) = (self.held.len(), self.held.len());
        self.end = End::Refused;
        self.headed();
    }

    /// No head is waited for.
    fn headed(&mut self) {
        if self.head.take().is_some() {
            self.exchange.head(false);
        }
    }

    fn scan_held(&mut self) {
        let Scanned { pass, rest } = self.scanner.scan(&self.held);
        (self.cleared, self.shown) = (pass, self.held.len());
        self.settle(rest, pass);
    }

    /// What becomes of the held bytes from `pass` on.
    fn settle(&mut self, rest: Rest, pass: usize) {
        let until = self.until.take().filter(|_| pass == 0);
        match rest {
            Rest::None => self.headed(),
            Rest::Hold if self.scanner.is_upgrading() => self.headed(),
            Rest::Hold => {
                let limit = self.deadlines.head;
                // A head that begins behind another one has its own time.
                if pass > 0 || self.head.is_none() {
                    let until = until.unwrap_or_else(|| Instant::now() + limit);
                    self.head = Some(Box::pin(sleep_until(until)));
                    self.exchange.head(true);
                }
            }
            Rest::Refuse(refusal) => {
                self.held.truncate(pass);
                self.refuse(refusal);
            }
            Rest::Broken => {
                self.held.truncate(pass);
                self.shown = pass;
                self.end = End::Broken;
                self.headed();
            }
        }
    }

    fn pass_held(&mut self, buf: &mut ReadBuf<'_>) {
        let length = self.cleared.min(buf.remaining());
        buf.put_slice(self.held.get(..length).unwrap_or_default());
        self.held.advance(length);
        (self.cleared, self.shown) = (self.cleared - length, self.shown - length);
        if self.held.is_empty() {
            // An idle connection holds no memory for heads that come in pieces.
            self.held = BytesMut::new();
        }
    }

    /// The client has ended its side. That is passed on at once where it cuts a message off, or no request is under way.
    fn poll_end(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.scanner.is_between() || !self.exchange.is_active() {
            return Poll::Ready(Ok(()));
        }
        let limit = self.deadlines.ended;
        let deadline = self.ended.get_or_insert_with(|| Box::pin(sleep(limit)));
        deadline.as_mut().poll(cx).map(Ok)
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Straight into the reader's buffer, from which only the part of a head is taken back.
    fn poll_read_through(&mut self, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = buf.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buf))?;
        let new = buf.filled().get(before..).unwrap_or_default();
        let Scanned { pass, rest } = self.scanner.scan(new);
        if rest != Rest::None {
            self.held.extend_from_slice(new.get(pass..).unwrap_or_default());
            self.shown = self.held.len();
            buf.set_filled(before + pass);
            self.settle(rest, 0);
        }
        Poll::Ready(Ok(()))
    }

    /// How many more bytes are held now.
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
                // Not the end of the connection: hyper would take the answer back.
                End::Refused => return Poll::Pending,
                End::Broken => return Poll::Ready(Err(io::ErrorKind::InvalidData.into())),
            }
            if wire.scanner.is_upgrading()
                && let Some(granted) = wire.exchange.upgrade()
            {
                if granted {
                    wire.scanner.tunnel()
                } else {
                    wire.scanner.stay()
                }
                wire.shown = 0;
            }
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
