//! Listens on TCP for OTLP and the page, on UDP for X-Ray's segments, and on TCP at the same address for its sampling rules.

use std::future::Future;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::Data;
use actix_web::{App, middleware};
use listener::Bounds;
use settings::allowed_hosts::AllowedHosts;
use tokio::net::UdpSocket;
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use crate::body::Bodies;
use crate::config::{Config, Memory};
use crate::disk::{Disk, Plan};
use crate::hosts;
use crate::http::{self, State};
use crate::ingest::xray::{self, ReadDatagram};
use crate::model::Nanos;
use crate::sampling::{self, Sampling};
use crate::search::indexer;
use crate::store::Store;

const DRAIN_SECONDS: u64 = 2;
const WORKERS: usize = 2;
/// The most connections of each worker. An idle one costs about 20 KiB; the memory of bodies and responses is bounded for all together.
const CONNECTIONS: usize = 512;
/// The largest UDP datagram.
const DATAGRAM: usize = 65_535;
/// The most datagrams that wait to be read. A socket's own buffer holds about ninety.
const DATAGRAMS: usize = 512;

/// How many free UDP ports are tried if TCP already uses the same port.
const TRIES: usize = 16;

/// A bound viewer: it has its ports, and serves once it runs.
pub struct Server {
    listener: TcpListener,
    socket: UdpSocket,
    /// The listener for sampling rules, at the UDP socket's address.
    rules: TcpListener,
    sampling: Data<Sampling>,
    addr: SocketAddr,
    xray: SocketAddr,
    /// The hosts of the page, and those of the rules.
    hosts: [AllowedHosts; 2],
    bounds: Bounds,
    memory: Memory,
    disk: Option<(Disk, Plan)>,
}

/// Why the viewer cannot start.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The viewer cannot listen on an address.
    #[error("cannot listen on {0}: {1}; set {2} to a free address")]
    Listen(SocketAddr, io::Error, &'static str),
    /// The file of sampling rules is invalid.
    #[error("{0}; fix it, or set CRUDDUR_XRAY_RULES to another file")]
    Rules(String),
    /// The folder of traces is another viewer's, of a newer version, or none of traces.
    #[error("{0}")]
    Data(String),
    /// A worker does not start or fails.
    #[error("cannot start the server: {0}")]
    Start(io::Error),
}

impl Server {
    /// Listens on the configured addresses; port 0 picks a free port. Must be called on a tokio runtime.
    ///
    /// # Errors
    /// An address is already in use, the file of sampling rules is invalid, or the folder of traces is not this version's or is in use.
    pub async fn bind(config: &Config) -> Result<Self, Error> {
        let http = |error| Error::Listen(config.listen, error, "CRUDDUR_VIEWER_LISTEN");
        let sampling = Data::new(Sampling::open(config.rules.clone()).map_err(Error::Rules)?);
        let listener = TcpListener::bind(config.listen).map_err(http)?;
        let addr = listener.local_addr().map_err(http)?;
        let daemon = bind_daemon(config.xray).await;
        let (socket, rules, xray) = daemon.map_err(|error| Error::Listen(config.xray, error, "CRUDDUR_XRAY_LISTEN"))?;
        let hosts = [config.hosts.clone(), config.xray_hosts.clone()];
        let disk = open_disk(config).await?;
        let workers = Some(WORKERS);
        let bounds = Bounds { workers, connections: CONNECTIONS, drain_seconds: DRAIN_SECONDS, ..Bounds::default() };
        Ok(Self { listener, socket, rules, sampling, addr, xray, hosts, bounds, memory: config.memory, disk })
    }

    /// Changes the bounds on clients, so that a test need not wait for a client's deadline.
    #[doc(hidden)]
    #[must_use]
    pub fn with_bounds(self, change: impl FnOnce(&mut Bounds)) -> Self {
        let mut bounds = self.bounds;
        change(&mut bounds);
        Self { bounds, ..self }
    }

    /// The address that receives OTLP and serves the page.
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The address that receives X-Ray datagrams and serves sampling rules.
    pub fn xray(&self) -> SocketAddr {
        self.xray
    }

    /// Serves until `shutdown` completes.
    ///
    /// # Errors
    /// A worker does not start or fails.
    pub async fn run_until(self, shutdown: impl Future<Output = ()>) -> Result<(), Error> {
        let Self { listener, socket, rules, sampling, addr, xray, hosts: [hosts, rules_hosts], bounds, memory, disk } =
            self;
        let (disk, plan) = disk.unzip();
        let store = Arc::new(Store::new(memory.bytes()).with_disk(disk));
        load(&store, plan).await?;
        let (queue, queued) = mpsc::channel(DATAGRAMS);
        let mut segments = JoinSet::new();
        segments.spawn(receive(socket, queue, Arc::clone(&store)));
        segments.spawn(read_all(queued, Arc::clone(&store)));
        segments.spawn(indexer::run(Arc::clone(&store)));
        let bodies = Bodies::new(http::MAX_BODY);
        let (responses, searches) = (http::ResponseBudget::new(), http::Searches::new());
        let state = Data::new(State { store: Arc::clone(&store), bodies, responses, searches, otlp: addr, xray });
        let server = listener::serve(listener, bounds, move || {
            App::new()
                .app_data(state.clone())
                .app_data(hosts.clone())
                .app_data(http::refuse_host as hosts::Refuse)
                .configure(http::routes)
                .wrap(middleware::from_fn(hosts::check))
                .wrap(http::headers())
        })
        .map_err(Error::Start)?;
        let bounds = Bounds { workers: Some(1), ..bounds };
        let rules = listener::serve(rules, bounds, move || {
            App::new()
                .app_data(sampling.clone())
                .app_data(rules_hosts.clone())
                .app_data(sampling::refuse_host as hosts::Refuse)
                .configure(sampling::routes)
                .wrap(middleware::from_fn(hosts::check))
        })
        .map_err(Error::Start)?;
        let (handle, rules_handle) = (server.handle(), rules.handle());
        let mut both = std::pin::pin!(async { tokio::try_join!(server, rules).map(drop) });
        let served = tokio::select! {
            served = &mut both => served,
            () = shutdown => {
                let (served, (), ()) = tokio::join!(both, handle.stop(true), rules_handle.stop(true));
                served
            }
        };
        segments.shutdown().await;
        store.close().await;
        served.map_err(Error::Start)
    }
}

/// Opens the folder of traces, if one is configured.
async fn open_disk(config: &Config) -> Result<Option<(Disk, Plan)>, Error> {
    let Some(folder) = config.data.clone() else { return Ok(None) };
    let cap = u64::try_from(config.disk.bytes()).unwrap_or(u64::MAX);
    let opened = tokio::task::spawn_blocking(move || Disk::open(folder, cap)).await;
    let opened = opened.map_err(|error| Error::Start(error.into()))?;
    opened.map(Some).map_err(|error| Error::Data(error.to_string()))
}

/// Loads the traces of an earlier time: those of the first list now, and the others while the viewer serves.
async fn load(store: &Arc<Store>, plan: Option<Plan>) -> Result<(), Error> {
    let Some(plan) = plan else { return Ok(()) };
    let first = Arc::clone(store);
    let loaded = tokio::task::spawn_blocking(move || {
        first.load_first(&plan);
        plan
    });
    let plan = loaded.await.map_err(|error| Error::Start(error.into()))?;
    let store = Arc::clone(store);
    let load = move || store.load_more(&plan);
    std::thread::Builder::new().name("disk-load".to_owned()).spawn(load).map(drop).map_err(Error::Start)
}

/// The two sides of a daemon at one address; a free port must be free in both protocols.
async fn bind_daemon(address: SocketAddr) -> io::Result<(UdpSocket, TcpListener, SocketAddr)> {
    let mut tries = 0..TRIES;
    loop {
        let socket = UdpSocket::bind(address).await?;
        let bound = socket.local_addr()?;
        match TcpListener::bind(bound) {
            Ok(listener) => return Ok((socket, listener, bound)),
            Err(error) if error.kind() == io::ErrorKind::AddrInUse && address.port() == 0 && tries.next().is_some() => {
            }
            Err(error) => return Err(error),
        }
    }
}

/// Empties the socket and does nothing else, so that a burst fits in it.
async fn receive(socket: UdpSocket, queue: mpsc::Sender<Vec<u8>>, store: Arc<Store>) {
    let mut buffer = vec![0; DATAGRAM];
    loop {
        match socket.recv_from(&mut buffer).await {
            Ok((length, _)) => {
                let datagram = buffer.get(..length).unwrap_or_default().to_vec();
                if queue.try_send(datagram).is_err() {
                    store.reject(1);
                }
            }
            Err(error) => {
                tracing::warn!(error = &error as &dyn std::error::Error, "cannot receive a datagram");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

/// Stores each datagram's document and spans. Invalid datagrams are counted.
async fn read_all(mut queued: mpsc::Receiver<Vec<u8>>, store: Arc<Store>) {
    while let Some(datagram) = queued.recv().await {
        match xray::datagram(&datagram, Nanos::now()) {
            Ok(ReadDatagram { document, spans, skipped }) => {
                store.reject(skipped);
                store.save_document(document, spans).await;
            }
            Err(error) => {
                tracing::debug!("a datagram is not a segment: {error}");
                store.reject(1);
            }
        }
    }
}
