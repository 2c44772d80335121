//! Listens, serves at most the number of connections logged at start, and finishes what it has accepted before it stops.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering::Relaxed;
use std::time::{Duration, Instant};

use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio_rustls::{TlsAcceptor, rustls};

use crate::config::Config;
use crate::inbound::bounds::{Bounds, raise_file_limit};
use crate::inbound::certificate::Certificate;
use crate::inbound::connection::{ClientLimits, ConnectionServer};
use crate::inbound::framing::Refusal;
use crate::inbound::permits::{Permits, Refusals};
use crate::inbound::streams::Streams;
use crate::inbound::workers::Workers;
use crate::service::Service;

/// How long accepted requests may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);
/// The least time between two warnings that connections cannot be accepted, or that a client has too many.
const WARNING: Duration = Duration::from_secs(60);

/// A bound proxy: it holds its port, and serves once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    service: Arc<Service>,
    tls: Option<(TlsAcceptor, Certificate)>,
    permits: Permits,
    bounds: Bounds,
    workers: Workers,
}

/// Reloads the routes file and the certificate while a server runs.
#[derive(Clone)]
pub struct Reloader(Arc<Service>, Option<Certificate>);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The proxy cannot listen on the address.
    #[error("cannot listen on {0}: {1}; set CRUDDUR_PROXY_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
    /// TLS cannot be configured.
    #[error("cannot use TLS: {0}; unset CRUDDUR_PROXY_CERTIFICATE")]
    Tls(rustls::Error),
    /// A thread that would serve connections cannot be started.
    #[error("cannot start a thread for each processor: {0}; raise the limits of threads and of open files")]
    Workers(io::Error),
}

impl Server {
    /// Listens; port 0 takes a free port, which [`Server::addr`] returns. Must be called on a tokio runtime. Raises the
    /// process's limit of open files as far as it may.
    ///
    /// # Errors
    /// The address is already in use or is not an address of this machine.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        let acceptor = |certificate: &Certificate| Ok((certificate.acceptor()?, certificate.clone()));
        let tls = config.certificate.as_ref().map(acceptor).transpose().map_err(Error::Tls)?;
        let bounds = Bounds::new(config.connections, config.client_connections, tls.is_some(), raise_file_limit());
        let permits = Permits::new(bounds.connections, bounds.each, config.trust.clone());
        let workers = Workers::start().map_err(Error::Workers)?;
        Ok(Self { listener, addr, service: Arc::new(Service::new(&config)), tls, permits, bounds, workers })
    }

    /// The address on which the proxy listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// Rereads the routes file and the certificate; `None` if there is neither.
    pub fn reloader(&self) -> Option<Reloader> {
        let certificate = self.tls.as_ref().map(|(_, certificate)| certificate.clone());
        (self.service.routes.has_file() || certificate.is_some())
            .then(|| Reloader(Arc::clone(&self.service), certificate))
    }

    /// `https` if the proxy has a certificate.
    pub fn scheme(&self) -> &'static str {
        if self.tls.is_some() { "https" } else { "http" }
    }

    /// The most connections that the proxy accepts, and the most memory that they may use.
    pub fn bounds(&self) -> Bounds {
        self.bounds
    }

    /// Serves until `shutdown` completes, then finishes accepted requests within five seconds.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, service, tls, permits, workers, .. } = self;
        let (drain, draining) = watch::channel(false);
        let server = Arc::new(ConnectionServer {
            service: Arc::clone(&service),
            tls: tls.map(|(acceptor, _)| acceptor),
            permits,
            streams: Streams::default(),
            limits: ClientLimits::default(),
        });
        let mut acceptor = Acceptor {
            server,
            draining,
            refusals: Refusals::default(),
            workers,
            connections: JoinSet::new(),
            warned_of_accept: None,
            warned_of_crowd: None,
        };
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = acceptor.connections.join_next() => continue,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, peer)) => acceptor.accept(stream, peer),
                Err(error) => acceptor.back_off(&error).await,
            }
        }
        service.draining.store(true, Relaxed);
        // A client that has connected already considers its connection accepted.
        while let Some(Ok((stream, peer))) = now(listener.accept()).await {
            acceptor.accept(stream, peer);
        }
        drop(listener);
        drain.send_replace(true);
        let Acceptor { server, mut connections, refusals: _refusals, workers: _workers, .. } = acceptor;
        let finished = async { while connections.join_next().await.is_some() {} };
        if tokio::time::timeout(DRAIN, finished).await.is_err() {
            tracing::warn!("closing connections that are still busy after {} s", DRAIN.as_secs());
        }
        // The spans of these connections end here, before the ledger is closed.
        connections.shutdown().await;
        server.streams.shutdown().await;
        service.close().await;
    }
}

impl Reloader {
    /// Rereads the files and activates them. If the routes or the certificate have faults, the current ones stay active. Logs
    /// one line for each. Blocks on the files.
    pub fn reload(&self) {
        let Self(service, certificate) = self;
        service.routes.reload();
        match certificate.as_ref().map(Certificate::reload) {
            Some(Ok(())) => tracing::info!("reloaded the certificate"),
            Some(Err(error)) => tracing::error!("keeping the old certificate: {error}"),
            None => {}
        }
    }
}

struct Acceptor {
    server: Arc<ConnectionServer>,
    draining: watch::Receiver<bool>,
    refusals: Refusals,
    workers: Workers,
    connections: JoinSet<()>,
    warned_of_accept: Option<Instant>,
    warned_of_crowd: Option<Instant>,
}

impl Acceptor {
    /// Serves a connection, or answers it with 503 if it is beyond the bound: instead of waiting, the client or a balancer can
    /// try another server.
    fn accept(&mut self, stream: TcpStream, peer: SocketAddr) {
        let (server, draining) = (Arc::clone(&self.server), self.draining.clone());
        let share = server.permits.share(telemetry::http::peer(peer));
        match share.take() {
            Ok(permit) => {
                // It leaves this runtime for the worker's.
                let stream = stream.into_std();
                self.workers.spawn(&mut self.connections, async move {
                    match stream.and_then(TcpStream::from_std) {
                        Ok(stream) => server.serve(stream, peer, (share, permit), draining).await,
                        Err(error) => {
                            tracing::warn!(error = &error as &dyn std::error::Error, "cannot serve a connection")
                        }
                    }
                });
            }
            Err(refusal) => {
                self.warn_of_crowd(refusal, peer);
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

    /// Warns of a client with too many connections, which may be an untrusted balancer.
    fn warn_of_crowd(&mut self, refusal: Refusal, peer: SocketAddr) {
        if refusal == Refusal::Crowd && self.warned_of_crowd.is_none_or(|last| last.elapsed() >= WARNING) {
            self.warned_of_crowd = Some(Instant::now());
            let (peer, each) = (telemetry::http::peer(peer), self.server.permits.each());
            tracing::warn!(
                "refusing connections from {peer}, which has {each} already; raise CRUDDUR_PROXY_CONNECTIONS_PER_CLIENT, or \
                 name the address in TRACE_TRUST if it is a balancer's"
            );
        }
    }

    /// Warns, and pauses. Most likely the process is out of file descriptors: connections that end will free some.
    async fn back_off(&mut self, error: &io::Error) {
        if self.warned_of_accept.is_none_or(|last| last.elapsed() >= WARNING) {
            self.warned_of_accept = Some(Instant::now());
            tracing::warn!(error = error as &dyn std::error::Error, "cannot accept connections");
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The value of `future` if it is ready without waiting.
async fn now<T>(future: impl Future<Output = T>) -> Option<T> {
    tokio::select! {
        biased;
        value = future => Some(value),
        () = std::future::ready(()) => None,
    }
}
