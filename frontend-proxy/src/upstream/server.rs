//! One server of an upstream: the idle connections of each worker, the last used first, and its health. Its name is looked up for each new
//! connection. No connection is used beyond a certain age: otherwise requests in close succession would still go to the old
//! address of a server that has moved. Bounded; holds no request.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::{Context, Waker};
use std::time::Duration;

use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio::time::{Instant, sleep};

use super::address::Upstream;
use super::connection::UpstreamConnection;
use super::health::Health;
use crate::inbound::workers::PerWorker;

/// How many connections may wait for a request, of all workers together, and how many of one worker at least.
const WAITING: usize = 256;
const LEAST_WAITING: usize = 16;
/// How long a connection may wait.
const WAIT: Duration = Duration::from_secs(60);
/// How often to look for connections that have waited too long or that the server has closed.
const SWEEP: Duration = Duration::from_secs(5);
/// How many names are looked up at the same time, each on a thread.
const LOOK_UPS: usize = 4;
/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;

#[derive(Debug)]
pub(crate) struct UpstreamServer {
    upstream: Upstream,
    /// The age beyond which a connection carries no further request.
    age: Duration,
    /// The server's address; `None` if the host is a name.
    address: Option<SocketAddr>,
    idle: PerWorker<Mutex<Vec<IdleConnection>>>,
    swept: AtomicBool,
    look_ups: Arc<Semaphore>,
    pub(super) outstanding: AtomicUsize,
    pub(super) health: Health,
}

#[derive(Debug)]
struct IdleConnection {
    connection: Box<UpstreamConnection>,
    until: Instant,
}

/// Counts a request as its server's until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    server: Arc<UpstreamServer>,
    probes: bool,
}

impl UpstreamServer {
    pub(super) fn new(upstream: Upstream, age: Duration) -> Self {
        let (host, port) = upstream.host_and_port();
        let address = host.trim_matches(['[', ']']).parse().ok().map(|ip| SocketAddr::new(ip, port));
        Self {
            upstream,
            age,
            address,
            idle: PerWorker::default(),
            swept: AtomicBool::default(),
            look_ups: Arc::new(Semaphore::new(LOOK_UPS)),
            outstanding: AtomicUsize::default(),
            health: Health::default(),
        }
    }

    pub(crate) fn authority(&self) -> &str {
        self.upstream.authority()
    }

    /// An idle connection on which nothing has arrived and which is not known to be closed.
    pub(crate) fn reuse(&self, cx: &mut Context<'_>) -> Option<Box<UpstreamConnection>> {
        let now = Instant::now();
        let own = self.idle.own()?;
        while let Some(IdleConnection { mut connection, until }) = pop(own) {
            if now < until && connection.is_quiet(cx) {
                return Some(connection);
            }
        }
        // Moving a connection here costs less than opening one.
        for other in self.idle.all() {
            while let Some(IdleConnection { connection, until }) = pop(other) {
                if now < until
                    && let Some(mut connection) = connection.moved_here()
                    && connection.is_quiet(cx)
                {
                    return Some(connection);
                }
            }
        }
        None
    }

    /// Drops every idle connection: one of them was dead.
    pub(crate) fn forget(&self) {
        for idle in self.idle.all() {
            let forgotten = std::mem::take(&mut *lock(idle));
            drop(forgotten);
        }
    }

    pub(crate) async fn connect(&self, deadline: Instant) -> io::Result<Box<UpstreamConnection>> {
        let stream = match self.address {
            Some(address) => TcpStream::connect(address).await?,
            None => self.connect_by_name().await?,
        };
        // A socket without this option is used all the same.
        drop(stream.set_nodelay(true));
        Ok(Box::new(UpstreamConnection::new(stream, deadline)))
    }

    async fn connect_by_name(&self) -> io::Result<TcpStream> {
        // The thread keeps its permit even after its caller has gone, so that slow look-ups do not take every thread.
        let permit = Arc::clone(&self.look_ups).acquire_owned().await.map_err(io::Error::other)?;
        let (host, port) = self.upstream.host_and_port();
        let host = host.to_owned();
        let look_up = move || {
            let _permit = permit;
            (host, port).to_socket_addrs().map(|found| found.take(ADDRESSES).collect::<Vec<_>>())
        };
        let found = tokio::task::spawn_blocking(look_up).await.map_err(io::Error::other)??;
        TcpStream::connect(found.as_slice()).await
    }

    /// Closes what has waited too long or was closed; returns whether no connection is left.
    fn sweep(&self) -> bool {
        let mut cx = Context::from_waker(Waker::noop());
        // Before the look: what is kept meanwhile starts another sweep.
        self.swept.store(false, Relaxed);
        let mut is_empty = true;
        for idle in self.idle.all() {
            let mut idle = lock(idle);
            let now = Instant::now();
            idle.retain_mut(|one| now < one.until && one.connection.is_quiet(&mut cx));
            if idle.is_empty() {
                *idle = Vec::new();
            }
            is_empty &= idle.is_empty();
        }
        // Unless another has started, this one goes on.
        is_empty || self.swept.swap(true, Relaxed)
    }

    fn keep(self: &Arc<Self>, mut connection: Box<UpstreamConnection>, wait: Duration) {
        let now = Instant::now();
        let until = (now + wait.min(WAIT)).min(connection.since + self.age);
        if until <= now {
            return;
        }
        connection.rest();
        let Some(idle) = self.idle.own() else { return };
        let mut idle = lock(idle);
        if idle.len() < LEAST_WAITING.max(WAITING / self.idle.all().len()) {
            idle.push(IdleConnection { connection, until });
            drop(idle);
            if !self.swept.load(Relaxed) && !self.swept.swap(true, Relaxed) {
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
    }
}

/// The connection that was used last. Unlocks before it returns.
fn pop(idle: &Mutex<Vec<IdleConnection>>) -> Option<IdleConnection> {
    lock(idle).pop()
}

fn lock(idle: &Mutex<Vec<IdleConnection>>) -> MutexGuard<'_, Vec<IdleConnection>> {
    idle.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Closes connections that have waited too long or were closed; ends when none is idle.
async fn sweep(server: Weak<UpstreamServer>) {
    loop {
        sleep(SWEEP).await;
        let Some(server) = server.upgrade() else { return };
        if server.sweep() {
            return;
        }
    }
}

impl Lease {
    pub(super) fn new(server: Arc<UpstreamServer>, probes: bool) -> Self {
        server.outstanding.fetch_add(1, Relaxed);
        Self { server, probes }
    }

    pub(crate) fn server(&self) -> &UpstreamServer {
        &self.server
    }

    /// Keeps the connection for another request, for at most `wait`.
    pub(crate) fn keep(&self, connection: Box<UpstreamConnection>, wait: Duration) {
        self.server.keep(connection, wait);
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        self.server.outstanding.fetch_sub(1, Relaxed);
        if self.probes {
            self.server.health.end_probe();
        }
    }
}
