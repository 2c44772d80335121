//! Carries bytes after both sides have agreed on another protocol. Each direction runs until its own end. A tunnel that is idle
//! for too long ends. Does not inspect the bytes.

use std::future::{Future, poll_fn};
use std::io;
use std::pin::{Pin, pin};
use std::sync::{Mutex, PoisonError};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::{Buf, BytesMut};
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite};
use tokio::task::JoinSet;
use tokio::time::Instant;

use crate::answer::body::OpenSpan;
use crate::upstream::Lease;
use crate::upstream::connection::{Timer, UpstreamConnection};

/// The buffer size of a read, in bytes, for each direction.
const READ: usize = 8 * 1024;

/// The open tunnels: at most as many as there are clients.
#[derive(Default)]
pub(super) struct Tunnels(Mutex<JoinSet<()>>);

/// A tunnel that is about to open.
pub(super) struct Tunnel {
    pub(super) client: OnUpgrade,
    pub(super) upstream: Box<UpstreamConnection>,
    pub(super) idle: Duration,
    /// Counts the request as the server's for as long as the tunnel is open.
    pub(super) _lease: Lease,
    /// The SERVER and the CLIENT span.
    pub(super) spans: [OpenSpan; 2],
}

impl Tunnels {
    pub(super) fn open(&self, tunnel: Tunnel) {
        let mut tunnels = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        while tunnels.try_join_next().is_some() {}
        tunnels.spawn(tunnel.run());
    }

    /// Ends all tunnels.
    pub(super) async fn close(&self) {
        let mut tunnels = std::mem::take(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner));
        tunnels.shutdown().await;
    }
}

/// Why a tunnel ended before both sides had finished.
#[derive(Clone, Copy)]
enum Ended {
    Client,
    Upstream,
    Idle,
}

impl Tunnel {
    async fn run(mut self) {
        let ended = self.carry().await;
        for span in &mut self.spans {
            match ended {
                Ok(()) => span.end(),
                Err(Ended::Client) => span.fail("client_disconnected"),
                Err(Ended::Upstream) => span.fail("upstream"),
                Err(Ended::Idle) => span.fail("idle"),
            }
        }
    }

    async fn carry(&mut self) -> Result<(), Ended> {
        let client = (&mut self.client).await.map_err(|_| Ended::Client)?;
        let mut client = TokioIo::new(client);
        let (upstream, early) = self.upstream.parts();
        let (mut down, mut up) = (Direction::new(early), Direction::new(BytesMut::new()));
        let mut timer = Timer::new(Instant::now() + self.idle);
        poll_fn(|cx| {
            let downwards = down.poll(upstream, &mut client, cx).map_err(|at| at.of(Ended::Upstream, Ended::Client))?;
            let upwards = up.poll(&mut client, upstream, cx).map_err(|at| at.of(Ended::Client, Ended::Upstream))?;
            if downwards.is_ready() && upwards.is_ready() {
                return Poll::Ready(Ok(()));
            }
            if std::mem::take(&mut down.moved) | std::mem::take(&mut up.moved) {
                timer.set(Instant::now() + self.idle);
            }
            ready!(timer.poll(cx));
            Poll::Ready(Err(Ended::Idle))
        })
        .await
    }
}

/// One direction of a tunnel.
struct Direction {
    buffer: BytesMut,
    /// Written bytes may not have been flushed yet.
    unflushed: bool,
    /// Bytes have been read or written since this was last checked.
    moved: bool,
    /// The source has ended.
    read: bool,
    /// The end has been passed on.
    ended: bool,
}

/// The end of a direction that failed.
enum FailedSide {
    Source,
    Target,
}

impl FailedSide {
    fn of(self, from: Ended, to: Ended) -> Ended {
        match self {
            Self::Source => from,
            Self::Target => to,
        }
    }
}

impl Direction {
    fn new(early: BytesMut) -> Self {
        Self { buffer: early, unflushed: false, moved: false, read: false, ended: false }
    }

    fn poll(
        &mut self,
        from: &mut (impl AsyncRead + Unpin),
        to: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), FailedSide>> {
        let at = |at: fn() -> FailedSide| move |_: io::Error| at();
        loop {
            if self.ended {
                return Poll::Ready(Ok(()));
            }
            while !self.buffer.is_empty() {
                let written =
                    ready!(Pin::new(&mut *to).poll_write(cx, &self.buffer)).map_err(at(|| FailedSide::Target))?;
                if written == 0 {
                    return Poll::Ready(Err(FailedSide::Target));
                }
                self.buffer.advance(written);
                (self.unflushed, self.moved) = (true, true);
            }
            if self.read {
                ready!(Pin::new(&mut *to).poll_shutdown(cx)).map_err(at(|| FailedSide::Target))?;
                (self.ended, self.buffer) = (true, BytesMut::new());
                continue;
            }
            self.buffer.reserve(READ);
            match pin!(from.read_buf(&mut self.buffer)).poll(cx) {
                Poll::Ready(read) => self.read = read.map_err(at(|| FailedSide::Source))? == 0,
                Poll::Pending => {
                    if self.unflushed {
                        ready!(Pin::new(&mut *to).poll_flush(cx)).map_err(at(|| FailedSide::Target))?;
                        self.unflushed = false;
                    }
                    return Poll::Pending;
                }
            }
            self.moved = true;
        }
    }
}
