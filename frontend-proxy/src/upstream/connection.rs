//! A connection to an upstream's server: the bytes read from it, the bytes to write, and one deadline. The request or the
//! response's body that waits for it drives it; it has no separate task. Knows no HTTP.

use std::future::Future;
use std::io::{self, IoSlice};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::task::{Context, Poll, ready};

use bytes::{Buf, BufMut, Bytes, BytesMut};
use tokio::io::{AsyncReadExt, AsyncWrite};
use tokio::net::TcpStream;
use tokio::time::{Instant, Sleep, sleep_until};

/// The buffer size of a read, in bytes: at first, and at most.
const READ: usize = 8 * 1024;
pub(crate) const MOST_READ: usize = 32 * 1024;
/// The largest buffer for request heads that a connection keeps, in bytes.
const KEPT: usize = 8 * 1024;

#[derive(Debug)]
pub(crate) struct UpstreamConnection {
    stream: TcpStream,
    /// When the connection was opened.
    pub(super) since: Instant,
    /// The server's address; `None` if the connection was lost immediately.
    pub(crate) peer: Option<SocketAddr>,
    pub(crate) input: BytesMut,
    read_size: usize,
    pub(crate) output: Output,
    timer: Timer,
}

/// The bytes to write, in this order.
#[derive(Debug, Default)]
pub(crate) struct Output {
    /// A head, or the size line of a chunk.
    pub(crate) head: Vec<u8>,
    written: usize,
    pub(crate) data: Bytes,
    pub(crate) tail: &'static [u8],
    /// Some bytes of the current request have been sent.
    pub(crate) begun: bool,
}

impl UpstreamConnection {
    pub(crate) fn new(stream: TcpStream, deadline: Instant) -> Self {
        let (since, peer) = (Instant::now(), stream.peer_addr().ok());
        let timer = Timer::new(deadline);
        Self { stream, since, peer, input: BytesMut::new(), read_size: READ, output: Output::default(), timer }
    }

    /// Reads more; returns how many bytes arrived, or 0 at the end.
    pub(crate) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        self.input.reserve(self.read_size);
        // The buffer may have more space, which would make longer pieces.
        let mut input = (&mut self.input).limit(self.read_size);
        let read = ready!(pin!(self.stream.read_buf(&mut input)).poll(cx));
        if read.as_ref().is_ok_and(|length| *length == self.read_size) {
            self.read_size = (2 * self.read_size).min(MOST_READ);
        }
        Poll::Ready(read)
    }

    /// Writes everything that is waiting to be written.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Self { stream, output, .. } = self;
        while !output.is_empty() {
            let head = output.head.get(output.written..).unwrap_or_default();
            let stream = Pin::new(&mut *stream);
            // Most requests are only a head, and a plain write costs the kernel less.
            let written = if output.data.is_empty() && output.tail.is_empty() {
                stream.poll_write(cx, head)
            } else {
                let slices = [head, &output.data, output.tail].map(IoSlice::new);
                stream.poll_write_vectored(cx, &slices)
            };
            let written = ready!(written)?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            output.advance(written);
        }
        Poll::Ready(Ok(()))
    }

    /// Sets the deadline that [`UpstreamConnection::poll_deadline`] waits for.
    pub(crate) fn set_deadline(&mut self, deadline: Instant) {
        self.timer.set(deadline);
    }

    pub(crate) fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        self.timer.poll(cx)
    }

    /// Whether no unrequested bytes have arrived and the other side, as far as is known, has not closed.
    pub(crate) fn is_quiet(&mut self, cx: &mut Context<'_>) -> bool {
        self.input.is_empty() && self.poll_fill(cx).is_pending()
    }

    /// The connection on the current runtime. `None` if the system does not allow it.
    pub(super) fn moved_here(self: Box<Self>) -> Option<Box<Self>> {
        let connection = *self;
        let stream = TcpStream::from_std(connection.stream.into_std().ok()?).ok()?;
        let timer = Timer::new(connection.timer.deadline);
        Some(Box::new(Self { stream, timer, ..connection }))
    }

    /// Prepares the connection for the next request.
    pub(crate) fn rest(&mut self) {
        self.read_size = READ;
        self.output.begun = false;
        if self.output.head.capacity() > KEPT {
            self.output.head = Vec::new();
        }
        // An idle connection does not keep the large buffer of a large response.
        if self.input.is_empty() && self.input.capacity() > 2 * READ {
            self.input = BytesMut::new();
        }
    }

    /// The socket, and the bytes already read from it: for another protocol.
    pub(crate) fn parts(&mut self) -> (&mut TcpStream, BytesMut) {
        (&mut self.stream, std::mem::take(&mut self.input))
    }
}

impl Output {
    pub(crate) fn is_empty(&self) -> bool {
        self.head.is_empty() && self.data.is_empty() && self.tail.is_empty()
    }

    fn advance(&mut self, written: usize) {
        self.begun = true;
        let of_head = written.min(self.head.len() - self.written);
        self.written += of_head;
        if self.written == self.head.len() {
            self.head.clear();
            self.written = 0;
        }
        let of_data = (written - of_head).min(self.data.len());
        self.data.advance(of_data);
        self.tail = self.tail.get(written - of_head - of_data..).unwrap_or_default();
    }
}

/// One deadline that moves with every request. tokio's timer is reset immediately only for an earlier deadline. Otherwise it
/// fires now and then and is set again, which costs less than setting it for each request.
#[derive(Debug)]
pub(crate) struct Timer {
    sleep: Pin<Box<Sleep>>,
    deadline: Instant,
}

impl Timer {
    pub(crate) fn new(deadline: Instant) -> Self {
        Self { sleep: Box::pin(sleep_until(deadline)), deadline }
    }

    pub(crate) fn set(&mut self, deadline: Instant) {
        self.deadline = deadline;
        if deadline < self.sleep.deadline() || self.sleep.is_elapsed() {
            self.sleep.as_mut().reset(deadline);
        }
    }

    pub(crate) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        loop {
            ready!(self.sleep.as_mut().poll(cx));
            if self.sleep.deadline() >= self.deadline {
                return Poll::Ready(());
            }
            self.sleep.as_mut().reset(self.deadline);
        }
    }
}
