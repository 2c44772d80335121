//! Listens, and finishes what it has accepted before it stops.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use http::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;

use crate::config::Config;
use crate::received::{Connection, Received};
use crate::service::Service;

/// Connections at the same time; a further one waits to be accepted.
const CONNECTIONS: usize = 10_000;
const HEADERS: Duration = Duration::from_secs(10);
/// Of a request's head, in bytes.
const HEAD: usize = 64 * 1024;
/// How long accepted requests may take to finish at shutdown.
const DRAIN: Duration = Duration::from_secs(5);

/// A bound proxy: it has its port, and answers once it runs.
pub struct Server {
    listener: TcpListener,
    addr: SocketAddr,
    service: Arc<Service>,
}

/// Puts the routes file into force again, while a server runs.
#[derive(Clone)]
pub struct Reloader(Arc<Service>);

/// Why the proxy cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The address cannot be listened on.
    #[error("{0} cannot be listened on: {1}; set CRUDDUR_PROXY_LISTEN to a free address")]
    Listen(SocketAddr, io::Error),
}

impl Server {
    /// Listens; port 0 takes a free one, which [`Server::addr`] tells. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// The address is taken or not ours.
    pub async fn bind(config: Config) -> Result<Self, Error> {
        let listen = |error| Error::Listen(config.listen, error);
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let addr = listener.local_addr().map_err(listen)?;
        Ok(Self { listener, addr, service: Arc::new(Service::new(&config)) })
    }

    /// Where it listens.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// What reads the routes file again.
    pub fn reloader(&self) -> Reloader {
        Reloader(Arc::clone(&self.service))
    }

    /// Serves until `shutdown` completes, then finishes accepted requests within five seconds.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) {
        let Self { listener, service, .. } = self;
        let graceful = GracefulShutdown::new();
        let mut connections = JoinSet::new();
        let mut shutdown = std::pin::pin!(shutdown);
        loop {
            let accepted = tokio::select! {
                accepted = listener.accept(), if connections.len() < CONNECTIONS => accepted,
                Some(_) = connections.join_next() => continue,
                () = &mut shutdown => break,
            };
            match accepted {
                Ok((stream, peer)) => serve(stream, peer, &graceful, Arc::clone(&service), &mut connections),
                Err(error) => {
                    // Out of file descriptors, most likely: the connections that end will free some.
                    tracing::warn!(error = &error as &dyn std::error::Error, "a connection could not be accepted");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
        drop(listener);
        if tokio::time::timeout(DRAIN, graceful.shutdown()).await.is_err() {
            tracing::warn!("connections were still busy after {} s and are cut off", DRAIN.as_secs());
        }
        // Their spans end here, before the ledger is closed.
        connections.shutdown().await;
    }
}

impl Reloader {
    /// Reads the file and puts it into force; where it has faults, the routes stay as they are. Either is logged in one line.
    /// Blocks on the file.
    pub fn reload(&self) {
        self.0.reload();
    }
}

fn serve(
    stream: TcpStream,
    peer: SocketAddr,
    graceful: &GracefulShutdown,
    service: Arc<Service>,
    connections: &mut JoinSet<()>,
) {
    // Small answers go out at once; that a socket does not know the option is no reason not to serve it.
    drop(stream.set_nodelay(true));
    let service = service_fn(move |mut request: Request<Incoming>| {
        let service = Arc::clone(&service);
        request.extensions_mut().insert(Connection { peer, secure: false });
        async move { Ok::<_, Infallible>(service.answer(request.map(Received::new), peer).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADERS)
        .max_buf_size(HEAD)
        .serve_connection(TokioIo::new(stream), service);
    let connection = graceful.watch(connection);
    connections.spawn(async move {
        // What goes wrong on a connection is the client's affair; requests that fail are logged where they do.
        if let Err(error) = connection.await {
            tracing::debug!(error = &error as &dyn std::error::Error, "a connection ended early");
        }
    });
}
