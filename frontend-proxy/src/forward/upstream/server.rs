//! One server of an upstream: its idle connections, the last used first, and its health. Its name is looked up for each new
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
use super::connection::Connection;
use super::health::Health;

/// How many connections may wait for a request, and for how long.
const WAITING: usize = 256;
const WAIT: Duration = Duration::from_secs(60);
/// How often to look for connections that have waited too long or that the server has closed.
const SWEEP: Duration = Duration::from_secs(5);
/// How many names are looked up at the same time, each on a thread.
const LOOK_UPS: usize = 4;
/// How many addresses of a name are tried.
const ADDRESSES: usize = 4;

#[derive(Debug)]
pub(crate) struct Server {
    upstream: Upstream,
    /// The age beyond which a connection carries no further request.
    age: Duration,
    /// The server's address; `None` if the host is a name.
    address: Option<SocketAddr>,
    waiting: Mutex<Vec<Waiting>>,
    swept: AtomicBool,
    look_ups: Arc<Semaphore>,
    pub(super) outstanding: AtomicUsize,
    pub(super) health: Health,
}

#[derive(Debug)]
struct Waiting {
    connection: Box<Connection>,
    until: Instant,
}

/// Counts a request as its server's until dropped.
#[derive(Debug)]
pub(crate) struct Lease {
    server: Arc<Server>,
    probes: bool,
}

impl Server {
    pub(super) fn new(upstream: Upstream, age: Duration) -> Self {
        let (host, port) = upstream.host_and_port();
        let address = host.trim_matches(['[', ']']).parse().ok().map(|ip| SocketAddr::new(ip, port));
        Self {
            upstream,
            age,
            address,
            waiting: Mutex::default(),
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
    pub(crate) fn reuse(&self, cx: &mut Context<'_>) -> Option<Box<Connection>> {
        let now = Instant::now();
        loop {
            let Waiting { mut connection, until } = self.waiting().pop()?;
            if now < until && connection.is_quiet(cx) {
                return Some(connection);
            }
        }
    }

    /// Drops every idle connection: one of them was dead.
    pub(crate) fn forget(&self) {
        let forgotten = std::mem::take(&mut *self.waiting());
        drop(forgotten);
    }

    pub(crate) async fn connect(&self, deadline: Instant) -> io::Result<Box<Connection>> {
        let stream = match self.address {
            Some(address) => TcpStream::connect(address).await?,
            None => self.connect_by_name().await?,
        };
        // A socket without this option is used all the same.
        drop(stream.set_nodelay(true));
        Ok(Box::new(Connection::new(stream, deadline)))
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

    fn keep(self: &Arc<Self>, mut connection: Box<Connection>, wait: Duration) {
        let now = Instant::now();
        let until = (now + wait.min(WAIT)).min(connection.since + self.age);
        if until <= now {
            return;
        }
        connection.rest();
        let mut waiting = self.waiting();
        if waiting.len() < WAITING {
            waiting.push(Waiting { connection, until });
            drop(waiting);
            if !self.swept.load(Relaxed) && !self.swept.swap(true, Relaxed) {
                tokio::spawn(sweep(Arc::downgrade(self)));
            }
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Vec<Waiting>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Closes connections that have waited too long or were closed; ends when none is waiting.
async fn sweep(server: Weak<Server>) {
    loop {
        sleep(SWEEP).await;
        let Some(server) = server.upgrade() else { return };
        let mut cx = Context::from_waker(Waker::noop());
        let mut waiting = server.waiting();
        let now = Instant::now();
        waiting.retain_mut(|one| now < one.until && one.connection.is_quiet(&mut cx));
        if waiting.is_empty() {
            *waiting = Vec::new();
            server.swept.store(false, Relaxed);
            return;
        }
    }
}

impl Lease {
    pub(super) fn new(server: Arc<Server>, probes: bool) -> Self {
        server.outstanding.fetch_add(1, Relaxed);
        Self { server, probes }
    }

    pub(crate) fn server(&self) -> &Server {
        &self.server
    }

    /// Keeps the connection for another request, for at most `wait`.
    pub(crate) fn keep(&self, connection: Box<Connection>, wait: Duration) {
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
