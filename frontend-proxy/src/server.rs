//! Listens, serves as many connections at a time as it says at start, and finishes what it has accepted before it stops.

use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::certificate::Certificate;
use crate::config::Config;
use crate::connection::{self, BUFFER, Limits, SEND, STREAM_WINDOW, WINDOW};
use crate::framing::{HEAD, Refusal};
use crate::places::{Places, REFUSALS, Refusals};
use crate::service::Service;
use crate::streams::Streams;
use crate::upstream::answer;
use crate::upstream::connection::MOST_ROOM;

/// File descriptors for everything that is no connection of a client that is served, or to an upstream.
const OTHER_FILES: u64 = 64 + REFUSALS as u64;
/// The part of all connections that one client may have, and how many at least.
const SHARE: usize = 10;
const LEAST_SHARE: usize = 10;
/// TLS's own buffers of a connection, in bytes: a record each way, and what rustls lets wait.
const TLS: usize = 128 * 1024;
/// The buffers of a connection to an upstream: the head that is sent; the answer's head, and a read behind it.
const UPSTREAM: usize = BUFFER + answer::HEAD + MOST_ROOM;
/// How long accepted requests may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// Between two lines that say that connections cannot be accepted, or that a client has too many.
const COMPLAINT: Duration = Duration::from_secs(60);

/// Connections at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(usize);

/// How many connections there may be, and what they may take.
///
/// For each, at most: the two buffers of hyper with a part of a body on its way between them, and a head that comes in pieces; or
/// HTTP/2's window, and what waits of an answer; with TLS its buffers; and those of a connection to an upstream. Each request of
/// an HTTP/2 connection takes the place of a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Bounds {
    connections: usize,
    /// Those of one client.
    each: usize,
    /// Fewer than were asked for, with so many file descriptors.
    files: Option<u64>,
    bytes: usize,
}

/// A bound proxy: it has its port, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    service: Arc<Service>,
    tls: Option<(TlsAcceptor, Certificate)>,
    places: Places,
    bounds: Bounds,
}

/// Puts the routes file and the certificate into force again, while a server runs.
#[derive(Clone)]
pub struct Reloader(Arc<Service>, Option<Certificate>);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{0} cannot be listened on: {1}; set CRUDDUR_PROXY_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
    /// The TLS that was built in does not work.
    #[error("TLS cannot be spoken: {0}; unset CRUDDUR_PROXY_CERTIFICATE")]
    Tls(rustls::Error),
}

impl Server {
    /// Listens; port 0 takes a free one, which [`Server::addr`] tells. Must be called on a tokio runtime. Raises the process's
    /// limit of open files as far as it may.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let acceptor = |certificate: &Certificate| Ok((certificate.acceptor()?, certificate.clone()));
        let tls = config.certificate.as_ref().map(acceptor).transpose().map_err(Error::Tls)?;
        let bounds = Bounds::new(config.connections, config.client_connections, tls.is_some(), raise_file_limit());
        let places = Places::new(bounds.connections, bounds.each, config.trust.clone());
        Ok(Self { listener, addr, service: Arc::new(Service::new(&config)), tls, places, bounds })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What reads the routes file and the certificate again; none where there is neither.
    pub fn reloader(&self) -> Option<Reloader> {
        let certificate = self.tls.as_ref().map(|(_, certificate)| certificate.clone());
        (self.service.has_file() || certificate.is_some()).then(|| Reloader(Arc::clone(&self.service), certificate))
    }

    /// `https` where it has a certificate.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// What it will take at most.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Serves until `shutdown` completes, then finishes accepted requests within five seconds.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, service, tls, places, .. } = self;
        let (drain, draining) = watch::channel(false);
        let server = Arc::new(connection::Server {
            service: Arc::clone(&service),
            tls: tls.map(|(acceptor, _)| acceptor),
            places,
            streams: Streams::default(),
            limits: Limits::default(),
        });
        let mut accepting = Accepting {
            server,
            draining,
            refusals: Refusals::default(),
            connections: JoinSet::new(),
            complained: None,
            warned: None,
        };
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = accepting.connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => accepting.take(stream, peer),
                Err(error) => accepting.complain(&error).await,
            }
        }
        service.draining.store(true, Relaxed);
        // Whoever has connected already has been accepted, as far as it can know.
        while let Some(Ok((stream, peer))) = now(listener.accept()).await {
            accepting.take(stream, peer);
        }
        drop(listener);
        drain.send_replace(true);
        let Accepting { server, mut connections, refusals: _refusals, .. } = accepting;
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!("connections were still busy after {} s and are cut off", DRAIN.as_secs());
        }
        // Their spans end here, before the ledger is closed.
        connections.shutdown().await;
        server.streams.shutdown().await;
        service.close().await;
    }
}

impl Reloader {
    /// Reads the files and puts them into force; where the routes have faults, or the certificate has, these stay as they are.
    /// Either is logged in one line. Blocks on the files.
    pub fn reload(&self) {
        let Self(service, certificate) = self;
        service.reload();
        match certificate.as_ref().map(Certificate::reload) {
            Some(Ok(())) => tracing::info!("the certificate was read again"),
            Some(Err(fault)) => tracing::error!("the certificate stays what it was: {fault}"),
            None => {}
        }
    }
}

struct Accepting {
    server: Arc<connection::Server>,
    draining: watch::Receiver<bool>,
    refusals: Refusals,
    connections: JoinSet<()>,
    complained: Option<Instant>,
    warned: Option<Instant>,
}

impl Accepting {
    /// A connection beyond the bound is answered with 503, not left to wait: whoever sends requests here can go elsewhere, and
    /// so can a balancer.
    fn take(&mut self, stream: TcpStream, peer: SocketAddr) {
        let (server, draining) = (Arc::clone(&self.server), self.draining.clone());
        let share = server.places.share(telemetry::http::peer(peer));
        match share.take() {
            Ok(place) => drop(self.connections.spawn(server.serve(stream, peer, (share, place), draining))),
            Err(refusal) => {
                self.warn(refusal, peer);
                let gives_way = self.refusals.add();
                self.connections.spawn(async move {
                    tokio::select! {
                        biased;
                        _ = gives_way => {}
                        () = server.refuse(stream, peer, refusal) => {}
                    }
                });
            }
        }
    }

    /// A balancer that is not trusted looks like a client with many connections.
    fn warn(&mut self, refusal: Refusal, peer: SocketAddr) {
        if refusal == Refusal::Crowd && self.warned.is_none_or(|last| last.elapsed() >= COMPLAINT) {
            self.warned = Some(Instant::now());
            let (peer, each) = (telemetry::http::peer(peer), self.server.places.each());
            tracing::warn!(
                "refusing connections from {peer}, which has {each} already; raise CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT, or \
                 name the address in TRACE_TRUST if it is a balancer's"
            );
        }
    }

    /// Out of file descriptors, most likely: the connections that end will free some.
    async fn complain(&mut self, error: &io::Error) {
        if self.complained.is_none_or(|last| last.elapsed() >= COMPLAINT) {
            self.complained = Some(Instant::now());
            tracing::warn!(error = error as &dyn std::error::Error, "connections cannot be accepted");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// What `future` gives without waiting.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}

/// As many open files as the process may have; the number, where there is one.
fn raise_file_limit() -> Option<u64> {
    let Rlimit { current, maximum } = getrlimit(Resource::Nofile);
    if current == maximum {
        return current;
    }
    match setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum }) {
        Ok(()) => maximum,
        Err(_) => current,
    }
}

impl Bounds {
    fn new(Connections(asked): Connections, each: Option<Connections>, is_secure: bool, files: Option<u64>) -> Self {
        // One for each client, and a third as many for upstreams: most connections have no request under way. Where more have, the
        // requests that find no file are answered with 502.
        let room = files.map_or(usize::MAX, |files| {
            usize::try_from(files.saturating_sub(OTHER_FILES) / 4 * 3).unwrap_or(usize::MAX).max(1)
        });
        let window = |window: u32| usize::try_from(window).unwrap_or(usize::MAX);
        // A head that is not whole yet, what hyper reads, and what it writes, which may be one piece of an answer more. A buffer that
        // grows may have room for twice what is in it.
        let http1 = 2 * (HEAD + BUFFER + BUFFER + MOST_ROOM);
        let http2 = window(WINDOW).max(window(STREAM_WINDOW)) + SEND;
        let bytes = http1.max(http2) + if is_secure { TLS } else { 0 } + UPSTREAM;
        let connections = asked.min(room);
        let each = each.map_or(LEAST_SHARE.max(connections / SHARE), |Connections(each)| each).min(connections);
        Self { connections, each, files: files.filter(|_| room < asked), bytes }
    }
}

impl fmt::Display for Bounds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { connections, each, files, bytes } = self;
        let all = connections.saturating_mul(*bytes) / 1024 / 1024;
        write!(f, "at most {connections} connections, {each} of one client, and {} KiB for each, ", bytes / 1024)?;
        write!(f, "{all} MiB in all")?;
        if let Some(files) = files {
            write!(f, "; no more for want of open files ({files}): raise their hard limit")?;
        }
        Ok(())
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self(10_000)
    }
}

/// Why a text is not a number of connections.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConnections {
    /// It is no number.
    #[error(transparent)]
    Number(#[from] ParseIntError),
    /// None, or more than a process should have.
    #[error("it is not from 1 to 100000")]
    Range,
}

impl FromStr for Connections {
    type Err = NotConnections;

    fn from_str(text: &str) -> Result<Self, NotConnections> {
        let connections = text.parse()?;
        if (1..=100_000).contains(&connections) { Ok(Self(connections)) } else { Err(NotConnections::Range) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bound_is_what_open_files_allow() {
        let bounds = |files| Bounds::new(Connections(10_000), None, false, files);
        assert_eq!((bounds(None).connections, bounds(Some(1_000_000)).connections), (10_000, 10_000));
        let line = "at most 10000 connections, 1000 of one client, and 648 KiB for each, 6328 MiB in all";
        assert_eq!(bounds(None).to_string(), line);
        assert_eq!((bounds(Some(1256)).connections, bounds(Some(1256)).each), (750, 75));
        assert!(bounds(Some(1256)).to_string().ends_with("for want of open files (1256): raise their hard limit"));
        assert_eq!((bounds(Some(0)).connections, bounds(Some(0)).each), (1, 1));
    }

    #[test]
    fn a_client_has_a_share_unless_its_bound_is_set() {
        let each = |all, each: Option<usize>| Bounds::new(Connections(all), each.map(Connections), false, None).each;
        assert_eq!([each(100_000, None), each(200, None), each(50, None), each(3, None)], [10_000, 20, 10, 3]);
        assert_eq!([each(200, Some(150)), each(200, Some(1)), each(200, Some(500))], [150, 1, 200]);
    }
}
