//! The outgoing bytes of a connection. The client must accept them in time, and gets time to read the last response.

use std::future::Future;
use std::io::{self, IoSlice};
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::time::{Instant, sleep};

use super::{End, Wire};

/// How many bytes a client may still send after the response that closes its connection, and for how long. Closing immediately
/// would reset the connection and could destroy the response.
const LINGER: (usize, Duration) = (1024 * 1024, Duration::from_secs(1));

impl<S> Wire<S> {
    /// Records that bytes were sent to the client.
    fn wrote(&mut self) {
        self.write = None;
        if let Some(ended) = &mut self.ended {
            ended.as_mut().reset(Instant::now() + self.deadlines.ended);
        }
    }

    /// Fails once the client has accepted no byte for the `write` deadline.
    fn stalled<T>(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<T>> {
        let limit = self.deadlines.write;
        let deadline = self.write.get_or_insert_with(|| Box::pin(sleep(limit)));
        ready!(deadline.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Wire<S> {
    /// Discards what a client sends after its connection has ended, until the client ends it too.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let (left, deadline) = self.linger.get_or_insert_with(|| (LINGER.0, Box::pin(sleep(LINGER.1))));
        let mut bytes = [0; 4096];
        loop {
            let mut buf = ReadBuf::new(&mut bytes);
            match Pin::new(&mut self.io).poll_read(cx, &mut buf) {
                Poll::Ready(Ok(())) if !buf.filled().is_empty() && *left > 0 => {
                    *left = left.saturating_sub(buf.filled().len());
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return deadline.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        match Pin::new(&mut wire.io).poll_write(cx, buf) {
            Poll::Ready(written) => {
                wire.wrote();
                Poll::Ready(written)
            }
            Poll::Pending => wire.stalled(cx),
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let wire = self.get_mut();
        match Pin::new(&mut wire.io).poll_write_vectored(cx, bufs) {
            Poll::Ready(written) => {
                wire.wrote();
                Poll::Ready(written)
            }
            Poll::Pending => wire.stalled(cx),
        }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        match Pin::new(&mut wire.io).poll_flush(cx) {
            Poll::Ready(flushed) => {
                // The last response has been sent: the client's end, kept back until now, is read.
                if wire.ended.is_some() && !wire.state.is_active() {
                    wire.ended = None;
                    cx.waker().wake_by_ref();
                }
                Poll::Ready(flushed)
            }
            Poll::Pending => wire.stalled(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let wire = self.get_mut();
        if wire.linger.is_none() {
            match Pin::new(&mut wire.io).poll_shutdown(cx) {
                Poll::Ready(shut) => shut?,
                Poll::Pending => return wire.stalled(cx),
            }
        }
        if wire.end != End::Open || wire.scanner.is_within() {
            ready!(wire.poll_linger(cx));
        }
        Poll::Ready(Ok(()))
    }
}
