//! The sender of a request, and its body on the way to an upstream, within limits of bytes and time. A peer may send requests
//! for other clients. Keeps none of the body. Time in which the upstream does not read does not count against the client.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::request::Parts;
use http::{StatusCode, header};
use hyper::body::{Body, Frame, Incoming, SizeHint};
use telemetry::forwarded::Client;
use telemetry::propagation::Trust;
use tokio::time::{Instant, Sleep, sleep_until};

use crate::inbound::state::ConnectionState;

/// The largest body if its route sets no limit, in bytes.
pub(crate) const BYTES: u64 = 1024 * 1024;
/// How long the proxy waits for a client's body, in total.
pub(crate) const DURATION: Duration = Duration::from_secs(30);

/// The connection that a request came over.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientConnection {
    pub(crate) peer: SocketAddr,
    /// The connection uses TLS.
    pub(crate) secure: bool,
}

/// A request's client, and the connected peer, which may speak for the client.
#[derive(Debug)]
pub(crate) struct Caller {
    pub(crate) client: Client<'static>,
    pub(crate) peer: IpAddr,
    pub(crate) peer_port: u16,
    /// The peer may speak for others.
    pub(crate) is_trusted: bool,
}

impl Caller {
    /// The client as far as it is trusted, once its `Host` is settled.
    pub(crate) fn of(request: &Parts, connection: ClientConnection, trust: &Trust) -> Self {
        let peer = telemetry::http::peer(connection.peer);
        let connected = Client {
            address: peer,
            scheme: if connection.secure { "https" } else { "http" },
            host: request.headers.get(header::HOST).and_then(|host| host.to_str().ok()).map(Into::into),
        };
        let client = connected.resolve(&request.headers, trust).into_owned();
        Self { client, peer, peer_port: connection.peer.port(), is_trusted: trust.trusts(peer) }
    }
}

/// The body of a request, which streams through.
pub(crate) struct RequestBody {
    body: Incoming,
    /// How many bytes may still come.
    left: u64,
    /// How much longer the client may be waited for.
    patience: Duration,
    /// When the current wait for the client started.
    since: Option<Instant>,
    /// The deadline of the current or the last wait.
    deadline: Option<Pin<Box<Sleep>>>,
    /// The error that ended the body.
    error: Option<BodyError>,
    /// The HTTP/1 connection that must learn when the whole body has arrived.
    state: Option<Arc<ConnectionState>>,
}

/// Why a body did not arrive completely.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BodyError {
    #[error("the request body is too large")]
    TooLarge,
    #[error("the request body did not arrive in time")]
    TooSlow,
    #[error("the request body is incomplete")]
    Broken,
}

impl BodyError {
    /// The status that the client gets, with the error's text as the detail.
    pub(crate) fn status(self) -> StatusCode {
        match self {
            Self::TooLarge => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::Broken => StatusCode::BAD_REQUEST,
        }
    }
}

impl RequestBody {
    /// A body with the default limits.
    pub(crate) fn new(body: Incoming) -> Self {
        Self { body, left: BYTES, patience: DURATION, since: None, deadline: None, error: None, state: None }
    }

    /// Like [`RequestBody::new`], for an HTTP/1 request: `state` records whether the whole body has arrived, because the
    /// connection carries no further request if it has not.
    pub(crate) fn recorded(body: Incoming, state: &Arc<ConnectionState>) -> Self {
        let receiving = !body.is_end_stream();
        state.receive(receiving);
        Self { state: receiving.then(|| Arc::clone(state)), ..Self::new(body) }
    }

    /// Applies a route's limits, before any of the body is read.
    ///
    /// # Errors
    /// The client's own headers show that the body is too large.
    pub(crate) fn limited(self, bytes: u64, duration: Duration) -> Result<Self, BodyError> {
        if self.body.size_hint().lower() > bytes {
            return Err(BodyError::TooLarge);
        }
        Ok(Self { left: bytes, patience: duration, ..self })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            ready!(self.poll_deadline(cx));
            return Poll::Ready(Some(Err(BodyError::TooSlow)));
        };
        if let Some(since) = self.since.take() {
            self.patience = self.patience.saturating_sub(since.elapsed());
        }
        let is_last = match &frame {
            Some(Ok(frame)) => frame.is_trailers() || self.body.is_end_stream(),
            Some(Err(_)) => false,
            None => true,
        };
        if is_last && let Some(state) = self.state.take() {
            state.receive(false);
        }
        Poll::Ready(frame.map(|frame| {
            let frame = frame.map_err(|_| BodyError::Broken)?;
            let length = u64::try_from(frame.data_ref().map_or(0, Bytes::len)).unwrap_or(u64::MAX);
            self.left = self.left.checked_sub(length).ok_or(BodyError::TooLarge)?;
            Ok(frame)
        }))
    }

    fn poll_deadline(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let starts = self.since.is_none();
        let until = *self.since.get_or_insert_with(Instant::now) + self.patience;
        let deadline = self.deadline.get_or_insert_with(|| Box::pin(sleep_until(until)));
        if starts {
            deadline.as_mut().reset(until);
        }
        deadline.as_mut().poll(cx)
    }
}

impl Body for RequestBody {
    type Data = Bytes;
    type Error = BodyError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BodyError>>> {
        if let Some(error) = self.error {
            return Poll::Ready(Some(Err(error)));
        }
        let polled = self.poll(cx);
        if let Poll::Ready(Some(Err(error))) = &polled {
            self.error = Some(*error);
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
