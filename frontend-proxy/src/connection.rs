//! One connection from its first byte to its last: TLS where it is spoken, then HTTP/2 where its preface comes, else HTTP/1.
//! Closes those on which nothing goes on, and tells all to end when the server is about to.

use std::convert::Infallible;
use std::future::{Future, pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::task::Poll;
use std::time::Duration;

use bytes::BytesMut;
use http::request::Parts;
use http::{HeaderValue, Method, Request, Response, StatusCode, Version, header};
use hyper::body::{Body, Incoming};
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::sync::watch::error::RecvError;
use tokio::time::error::Elapsed;
use tokio::time::{Instant, MissedTickBehavior, interval, sleep, timeout, timeout_at};
use tokio_rustls::TlsAcceptor;

use crate::exchange::Exchange;
use crate::framing::{FIELDS, HEAD, Refusal};
use crate::places::{Place, Places, Share};
use crate::received::{Connection, Received};
use crate::service::Service;
use crate::streams::{self, Streams};
use crate::transport::Transport;
use crate::wire::{Deadlines, MARK, Wire};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first byte of a TLS handshake, which begins no request.
const HANDSHAKE: u8 = 0x16;
/// hyper's buffers of a connection, in bytes, each way: a whole head, and the line after it.
pub(crate) const BUFFER: usize = HEAD + 8 * 1024;
/// Of HTTP/2: requests at the same time, and bytes of them that may wait here.
const STREAMS: u32 = 100;
pub(crate) const STREAM_WINDOW: u32 = 64 * 1024;
pub(crate) const WINDOW: u32 = 256 * 1024;
/// Bytes of a request's header list that h2 accepts. A list larger than a head may be is refused by [`refusal`] with a reason;
/// h2 refuses one larger than this with a bare 431.
const LIST: u32 = 128 * 1024;
/// What HTTP/2 counts for a field besides its bytes, <https://www.rfc-editor.org/rfc/rfc9113#section-6.5.2>.
const FIELD: usize = 32;
/// Bytes of one answer that may wait for its client.
pub(crate) const SEND: usize = 64 * 1024;
/// Streams that were reset before they were taken, or by us.
const RESETS: usize = 100;
/// How long a connection that is refused may wait for the first byte of its request: a refusal that comes before may be taken
/// for the response to nothing. Each step until its end may take as long.
const REFUSED: Duration = Duration::from_secs(1);
/// How long a stop waits for a head that has begun.
const HEADED: Duration = Duration::from_secs(2);
const PING: Duration = Duration::from_secs(30);
const PONG: Duration = Duration::from_secs(10);

/// How long a client may take for what.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) deadlines: Deadlines,
    pub(crate) handshake: Duration,
    /// A connection is closed on which nothing goes on for so long, or up to twice that.
    pub(crate) idle: Duration,
}

impl Default for Limits {
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

/// What all connections share.
pub(crate) struct Server {
    pub(crate) service: Arc<Service>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) places: Places,
    pub(crate) streams: Streams,
    pub(crate) limits: Limits,
}

impl Server {
    /// Serves until either side has had enough.
    pub(crate) async fn serve(
        self: Arc<Self>,
        stream: TcpStream,
        peer: SocketAddr,
        (share, place): (Share, Place),
        mut draining: watch::Receiver<bool>,
    ) {
        let _open = self.service.metrics.connection();
        // Small answers go out at once; that a socket does not know the option is no reason not to serve it.
        drop(stream.set_nodelay(true));
        let opened = tokio::select! {
            biased;
            opened = self.open(stream, None) => opened,
            _ = draining.wait_for(|draining| *draining) => return,
        };
        let Ok(Some(opened)) = opened else { return };
        let exchange = Arc::new(Exchange::default());
        let connection = Connection { peer, secure: opened.transport.is_secure() };
        let (refusal, http2) = (opened.refusal, opened.http2);
        let wire = opened.wire(&exchange, self.limits.deadlines, Some(place));
        let served = match refusal {
            Some(refusal) => self.http1(wire.refused(refusal), connection, exchange, draining).await,
            // Most connections are none of HTTP/2, and need not have room for it.
            None if http2 => Box::pin(self.http2(wire.unscanned(), connection, exchange, Ok(share), draining)).await,
            None => self.http1(wire, connection, exchange, draining).await,
        };
        // What goes wrong on a connection is the client's affair; requests that fail are logged where they do.
        if let Err(error) = served {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
        }
    }

    /// Answers whatever is requested with `refusal`, and closes the connection.
    pub(crate) async fn refuse(self: Arc<Self>, stream: TcpStream, peer: SocketAddr, refusal: Refusal) {
        drop(stream.set_nodelay(true));
        let Ok(Some(opened)) = self.open(stream, Some(refusal)).await else { return };
        let exchange = Arc::new(Exchange::default());
        let connection = Connection { peer, secure: opened.transport.is_secure() };
        let http2 = opened.http2;
        let wire = opened.wire(&exchange, self.limits.deadlines, None);
        let (end, ending) = watch::channel(false);
        let served = async {
            if http2 {
                Box::pin(self.http2(wire.unscanned(), connection, exchange, Err(refusal), ending)).await
            } else {
                self.http1(wire.refused(refusal), connection, exchange, ending).await
            }
        };
        // A connection of HTTP/2 does not end with its first response.
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

    /// Waits for the first bytes, which say what is spoken; none where nothing came. One that is to be refused is waited for
    /// no longer than [`REFUSED`], and is taken for HTTP/1 then.
    async fn open(&self, stream: TcpStream, mut refusal: Option<Refusal>) -> io::Result<Option<Opened>> {
        let is_refused = refusal.is_some();
        let within = |limit: Duration| if is_refused { REFUSED } else { limit };
        let (idle, handshake) = (within(2 * self.limits.idle), within(self.limits.handshake));
        let head = within(self.limits.deadlines.head);
        let mut transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(acceptor) => {
                let mut first = [0];
                if timeout(idle, stream.peek(&mut first)).await?? == 0 {
                    return Ok(None);
                }
                if first == [HANDSHAKE] {
                    let stream = timeout(handshake, acceptor.accept(stream)).await??;
                    Transport::Secure(Box::new(stream))
                } else {
                    refusal = refusal.or(Some(Refusal::NotSecure));
                    Transport::Plain(stream)
                }
            }
        };
        let mut first = BytesMut::new();
        let mut http2 = transport.is_http2();
        let mut until = Instant::now() + idle;
        while !http2 && (first.is_empty() || (PREFACE.starts_with(&first))) {
            first.reserve(1024);
            match timeout_at(until, transport.read_buf(&mut first)).await {
                Ok(read) => match read? {
                    0 => return Ok(None),
                    // They are the first.
                    length if length == first.len() => until = Instant::now() + head,
                    _ => {}
                },
                Err(_) if first.is_empty() && !is_refused => return Ok(None),
                Err(_) => {
                    refusal = refusal.or(Some(Refusal::TooSlow));
                    break;
                }
            }
            http2 = first.starts_with(PREFACE);
        }
        let until = (!first.is_empty()).then_some(until);
        Ok(Some(Opened { transport, first, until, http2, refusal }))
    }

    async fn http1(
        &self,
        wire: Wire<Transport>,
        connection: Connection,
        exchange: Arc<Exchange>,
        draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let (service, shared) = (Arc::clone(&self.service), Arc::clone(&exchange));
        let answer = service_fn(move |mut request: Request<Incoming>| {
            let (service, exchange) = (Arc::clone(&service), Arc::clone(&shared));
            // Before the connection is read again, which would be over if its client has ended its side.
            let active = exchange.begin(None);
            async move {
                let refusal = exchange.refusal().filter(|_| request.headers().contains_key(MARK));
                let wish = take_wish(&mut request);
                let (mut request, body) = request.into_parts();
                let mut response = match refusal {
                    Some(refusal) => {
                        // Nobody knows what it was.
                        request.method = Method::from_bytes(b"_OTHER").unwrap_or_default();
                        service.refuse(refusal, &request, connection)
                    }
                    None => service.answer(&mut request, Received::recorded(body, &exchange), connection).await,
                };
                // The task that watches this connection may learn of the end only after this response has gone.
                if service.draining.load(Relaxed) || is_last(&response, request.version, &exchange) {
                    announce_end(&mut response, request.version);
                }
                if wish {
                    exchange.decide_upgrade(response.status() == StatusCode::SWITCHING_PROTOCOLS);
                    // What follows on this connection may have been read already, and waits for this.
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
        self.watch(served.as_mut(), |served| served.graceful_shutdown(), &exchange, pending(), draining).await
    }

    async fn http2(
        &self,
        wire: Wire<Transport>,
        connection: Connection,
        exchange: Arc<Exchange>,
        share: Result<Share, Refusal>,
        draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let (service, shared) = (Arc::clone(&self.service), Arc::clone(&exchange));
        let answer = service_fn(move |request: Request<Incoming>| {
            let (service, exchange) = (Arc::clone(&service), Arc::clone(&shared));
            let place = share.as_ref().map_err(|refusal| *refusal).and_then(Share::take);
            async move {
                let (place, full) = match place {
                    Ok(place) => (Some(place), None),
                    Err(refusal) => (None, Some(refusal)),
                };
                let mut active = exchange.begin(place);
                let (mut request, body) = request.into_parts();
                let is_head = request.method == Method::HEAD;
                let response = if let Some(refusal) = full.or_else(|| refusal(&request)) {
                    service.refuse(refusal, &request, connection)
                } else {
                    service.answer(&mut request, Received::new(body), connection).await
                };
                if is_head {
                    active.finish();
                }
                let progress = streams::progress();
                Ok::<_, Infallible>(response.map(|body| active.answer(body, progress)))
            }
        });
        let executor = self.streams.executor(self.limits.deadlines.write);
        let served = http2::Builder::new(executor)
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(WINDOW)
            .max_send_buf_size(SEND)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .keep_alive_interval(PING)
            .keep_alive_timeout(PONG)
            .serve_connection(TokioIo::new(wire), answer);
        let mut served = pin!(served);
        let abused = exchange.abused();
        self.watch(served.as_mut(), |served| served.graceful_shutdown(), &exchange, abused, draining).await
    }

    /// Drives a connection, and has it end where it is idle, abused, or the server is about to.
    async fn watch<C: Future<Output = hyper::Result<()>>>(
        &self,
        mut connection: Pin<&mut C>,
        end: impl Fn(Pin<&mut C>),
        exchange: &Exchange,
        abused: impl Future<Output = ()>,
        mut draining: watch::Receiver<bool>,
    ) -> hyper::Result<()> {
        let mut ticks = interval(self.limits.idle);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut seen, mut told) = (None, false);
        let mut abused = pin!(abused);
        // A request whose head has begun is one under way, of which hyper knows nothing yet.
        let mut stops = pin!(async {
            let _: Result<_, RecvError> = draining.wait_for(|draining| *draining).await;
            // It is not waited for until all else is cut off.
            let _: Result<_, Elapsed> = timeout(HEADED, exchange.headed()).await;
        });
        loop {
            tokio::select! {
                biased;
                served = &mut connection => return served,
                () = &mut stops, if !told => {}
                () = &mut abused => return Ok(()),
                _ = ticks.tick(), if !told => if !exchange.is_idle(&mut seen) {
                    continue;
                },
            }
            told = true;
            end(connection.as_mut());
        }
    }
}

/// Whether no further request can follow this response on its HTTP/1 connection. If some of the request's body is still to
/// come, the connection ends with the response rather than read it
/// ([RFC 9112 §9.3](https://www.rfc-editor.org/rfc/rfc9112#section-9.3)); and only its end can end a body of unknown length to
/// a client of HTTP/1.0, which knows no chunks.
fn is_last<B: Body>(response: &Response<B>, version: Version, exchange: &Exchange) -> bool {
    let is_old = version == Version::HTTP_10;
    let is_unknown = || response.body().size_hint().exact().is_none();
    exchange.is_receiving() || is_old && (is_unknown() || response.headers().contains_key(header::CONNECTION))
}

/// Says that the connection ends with this response, which is of the request's version: to one of HTTP/1.1 for a client of
/// HTTP/1.0, hyper would add `keep-alive`.
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

/// What an HTTP/1 head would be refused for that HTTP/2 has framed.
fn refusal(request: &Parts) -> Option<Refusal> {
    let headers = &request.headers;
    let target = request.uri.path_and_query().map_or(0, |target| target.as_str().len());
    let list = headers.iter().fold(target, |list, (name, value)| list + name.as_str().len() + value.len() + FIELD);
    if list > HEAD {
        return Some(Refusal::TooLarge);
    }
    // HTTP/2 may bring cookies one by one: https://www.rfc-editor.org/rfc/rfc9113#section-8.2.3
    let further_cookies = headers.get_all(header::COOKIE).iter().count().saturating_sub(1);
    if headers.len() - further_cookies > FIELDS {
        return Some(Refusal::TooMany);
    }
    headers.keys().any(|name| name.as_str().contains('_')).then_some(Refusal::Underscore)
}

struct Opened {
    transport: Transport,
    /// What was read to find out.
    first: BytesMut,
    /// The deadline of the head that they begin.
    until: Option<Instant>,
    http2: bool,
    refusal: Option<Refusal>,
}

impl Opened {
    fn wire(self, exchange: &Arc<Exchange>, deadlines: Deadlines, place: Option<Place>) -> Wire<Transport> {
        Wire::new(self.transport, self.first, self.until, Arc::clone(exchange), deadlines, place)
    }
}

/// Whether the request wishes for another protocol. What it could say of that with a body, it could not say without doubt
/// about where the other protocol begins: it is answered as if it had not wished.
fn take_wish(request: &mut Request<Incoming>) -> bool {
    let wish = request.extensions().get::<OnUpgrade>().is_some();
    if wish && !request.body().is_end_stream() {
        request.extensions_mut().remove::<OnUpgrade>();
        request.headers_mut().remove(header::UPGRADE);
        return false;
    }
    wish
}

#[cfg(test)]
mod tests;
