//! One connection from its first byte to its last: TLS if the client uses it, then HTTP/2 if its preface arrives, else HTTP/1.
//! Closes idle connections, and ends all connections when the server is about to stop.

pub(crate) mod http2;
mod open;

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::error::Elapsed;
use tokio::time::{MissedTickBehavior, interval, sleep, timeout};
use tokio_rustls::TlsAcceptor;

use crate::inbound::framing::{HEAD, Refusal};
use crate::inbound::permits::{ConnectionPermit, Permits, Share};
use crate::inbound::received::{ClientConnection, RequestBody};
use crate::inbound::state::ConnectionState;
use crate::inbound::streams::Streams;
use crate::inbound::transport::Transport;
use crate::inbound::wire::{Deadlines, MARK, Wire};
use crate::service::Service;

/// The size of hyper's buffers of a connection, in bytes, in each direction: a whole head, and the line after it.
pub(crate) const BUFFER: usize = HEAD + 8 * 1024;
/// How long a refused connection may wait for the first byte of its request. A refusal sent earlier could be read as a
/// response without a request. Each later step until the connection ends may take as long.
const REFUSED: Duration = Duration::from_secs(1);
/// How long a stopping server waits for the remainder of a head.
const HEADED: Duration = Duration::from_secs(2);

/// How long each step of a client may take.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ClientLimits {
    pub(crate) deadlines: Deadlines,
    pub(crate) handshake: Duration,
    /// A connection is closed after it has been idle for this long, or for up to twice as long.
    pub(crate) idle: Duration,
}

impl Default for ClientLimits {
    fn default() -> Self {
        Self {
            deadlines: Deadlines {
                head: Duration::from_secs(10),
                write: Duration::from_secs(30),
                ended: Duration::from_secs(10),
            },
            handshake: Duration::from_secs(10),
            idle: Duration::from_secs(30),
        }
    }
}

/// The state that all connections share.
pub(crate) struct ConnectionServer {
    pub(crate) service: Arc<Service>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) permits: Permits,
    pub(crate) streams: Streams,
    pub(crate) limits: ClientLimits,
}

impl ConnectionServer {
    /// Serves until either side ends the connection.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        (share, permit): (Share, ConnectionPermit),
        mut draining: watch::Receiver<bool>,
    ) {
        let _open = self.service.metrics.connection();
        // Sends small responses immediately. A socket without this option is served all the same.
        drop(stream.set_nodelay(true));
        let opened = tokio::select! {
            biased;
            opened = self.open(stream, None) => opened,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        let Ok(Some(opened)) = opened else { return };
        let state = Arc::new(ConnectionState::default());
        let connection = ClientConnection { peer, secure: opened.transport.is_secure() };
        let (refusal, http2) = (opened.refusal, opened.http2);
        let wire = opened.wire(&state, self.limits.deadlines, Some(permit));
        let served = match refusal {
            Some(refusal) => self.http1(wire.refused(refusal), connection, state, draining).await,
            // Boxed: most connections do not use HTTP/2 and need no space for its state.
            None if http2 => Box::pin(self.http2(wire.unscanned(), connection, state, Ok(share), draining)).await,
            None => self.http1(wire, connection, state, draining).await,
        };
        // An error on a connection is the client's concern; a failed request is logged where it fails.
        if let Err(error) = served {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
        }
    }

    /// Answers any request with `refusal`, and closes the connection.
    pub(crate) async fn refuse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, refusal: Refusal) {
        drop(stream.set_nodelay(true));
        let Ok(Some(opened)) = self.open(stream, Some(refusal)).await else { return };
        let state = Arc::new(ConnectionState::default());
        let connection = ClientConnection { peer, secure: opened.transport.is_secure() };
        let http2 = opened.http2;
        let wire = opened.wire(&state, self.limits.deadlines, None);
        let (end, ending) = watch::channel(false);
        let served = async {
            if http2 {
                Box::pin(self.http2(wire.unscanned(), connection, state, Err(refusal), ending)).await
            } else {
                self.http1(wire.refused(refusal), connection, state, ending).await
            }
        };
        // An HTTP/2 connection does not end with its first response.
        let ends = async {
            sleep(REFUSED).await;
            end.send_replace(true);
            sleep(REFUSED).await;
        };
        tokio::select! {
            _ = served => {}
            () = ends => {}
        }
    }

    async fn http1(
        &self,
        wire: Wire<Transport>,
        connection: ClientConnection,
        state: Arc<ConnectionState>,
        draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let (service, shared) = (Arc::clone(&self.service), Arc::clone(&state));
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let (service, state) = (Arc::clone(&service), Arc::clone(&shared));
            // Runs before the connection is read again: the read would end it if the client has ended its side.
            let active = state.begin(None);
            async move {
                let refusal = state.refusal().filter(|_| request.headers().contains_key(MARK));
                let upgrade = take_upgrade(&mut request);
                let (mut request, body) = request.into_parts();
                let mut response = match refusal {
                    Some(refusal) => {
                        // The refused request's method is unknown.
                        request.method = Method::from_bytes(b"_OTHER").unwrap_or_default();
                        service.refuse(refusal, &request, connection)
                    }
                    None => service.answer(&mut request, RequestBody::recorded(body, &state), connection).await,
                };
                // The task that watches this connection may learn of the stop only after this response has been sent.
                if service.draining.load(Relaxed) || is_last(&response, request.version, &state) {
                    announce_end(&mut response, request.version);
                }
                if upgrade {
                    state.decide_upgrade(response.status() == StatusCode::SWITCHING_PROTOCOLS);
                    // The bytes that follow on this connection may have been read already, and wait for this decision.
                    poll_fn(|cx| Poll::Ready(cx.waker().clone())).await.wake();
                }
                Ok::<_, Infallible>(response.map(|body| active.answer(body, None)))
            }
        });
        let served = http1::Builder::new()
            .header_read_timeout(None)
            .max_buf_size(BUFFER)
            .writev(false)
            .serve_connection(TokioIo::new(wire), answer)
            .with_upgrades();
        let mut served = pin!(served);
        self.watch(served.as_mut(), |served| served.graceful_shutdown(), &state, pending(), draining).await
    }

    /// Drives a connection, and ends it if it is idle or abused, or if the server is about to stop.
    async fn watch<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
        end: impl Fn(Pin<&mut C>),
        state: &ConnectionState,
        abused: impl Future<Output = ()>,
        mut draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let mut ticks = interval(self.limits.idle);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut is_ending) = (None, false);
        let mut abused = pin!(abused);
        // A request whose head has started is under way, but hyper does not know of it yet.
        let mut stops = pin!(async {
            let _: Result<_, RecvError> = draining.wait_for(|draining| *draining).await;
            // This wait ends before the server cuts off the remaining connections.
            let _: Result<_, Elapsed> = timeout(HEADED, state.headed()).await;
        });
        loop {
            tokio::select! {
                biased;
                served = &mut connection => return served,
                () = &mut stops, if !is_ending => {}
                () = &mut abused => return Ok(()),
                _ = ticks.tick(), if !is_ending => if !state.is_idle(&mut seen) {
                    continue;
                },
            }
            is_ending = true;
            end(connection.as_mut());
        }
    }
}

/// Whether no further request can follow this response on its HTTP/1 connection. If some of the request's body is still to
/// come, the connection ends with the response, and the body is not read
/// ([RFC 9112 §9.3](https://www.rfc-editor.org/rfc/rfc9112#section-9.3)). A body of unknown length ends the connection of an
/// HTTP/1.0 client too: HTTP/1.0 has no chunks, so only the connection's end marks the body's end.
fn is_last<B: Body>(response: &Response<B>, version: Version, state: &ConnectionState) -> bool {
    let is_old = version == Version::HTTP_10;
    let is_unknown = || response.body().size_hint().exact().is_none();
    state.is_receiving() || is_old && (is_unknown() || response.headers().contains_key(header::CONNECTION))
}

/// Announces that the connection ends with this response. Gives the response the request's version: hyper would add
/// `keep-alive` to an HTTP/1.1 response for an HTTP/1.0 client.
fn announce_end<B>(response: &mut Response<B>, version: Version) {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        return;
    }
    *response.version_mut() = version;
    let headers = response.headers_mut();
    if !headers.get_all(header::CONNECTION).iter().any(|value| value == "close") {
        headers.append(header::CONNECTION, HeaderValue::from_static("close"));
    }
}

/// Whether the request asks to switch protocols. If it has a body, the start of the other protocol would be ambiguous: such a
/// request loses its `Upgrade` header and is answered as an ordinary one.
fn take_upgrade(request: &mut Request<Incoming>) -> bool {
    let upgrade = request.extensions().get::<OnUpgrade>().is_some();
    if upgrade && !request.body().is_end_stream() {
        request.extensions_mut().remove::<OnUpgrade>();
        request.headers_mut().remove(header::UPGRADE);
        return false;
    }
    upgrade
}

#[cfg(test)]
mod tests;
