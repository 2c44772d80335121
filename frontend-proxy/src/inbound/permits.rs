//! Limits concurrent connections, and further requests of HTTP/2, for all clients together and for each client, so that no
//! client locks out the others. A client is an address, or for IPv6 a /64 network. Trusted peers speak for many clients, as a
//! balancer does, and have no separate bound. Costs one look-up for a connection, and none for a request. Connections
//! beyond the bounds are refused; the number of those being refused is bounded too.

use std::collections::{HashMap, VecDeque};
use std::convert::Infallible;
use std::fmt;
use std::net::IpAddr;
use std::num::ParseIntError;
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use telemetry::forwarded::network;
use telemetry::propagation::Trust;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, oneshot};

use crate::inbound::framing::Refusal;

/// Most connections that are being refused at the same time.
pub(crate) const REFUSALS: usize = 192;
/// How many clients are remembered before those without a connection are removed.
const FEW: usize = 64;

/// A number of concurrent connections.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Connections(usize);

pub(crate) struct Permits {
    all: Arc<Semaphore>,
    each: usize,
    trust: Trust,
    clients: Mutex<Clients>,
}

#[derive(Default)]
struct Clients {
    permits: HashMap<IpAddr, Weak<Semaphore>>,
    /// The number of clients at which those without a connection are forgotten.
    sweep_at: usize,
}

/// The permits of one client.
#[derive(Clone)]
pub(crate) struct Share {
    all: Arc<Semaphore>,
    own: Option<Arc<Semaphore>>,
}

/// A permit for one connection, or for one request beyond the first of an HTTP/2 connection.
#[derive(Debug)]
pub(crate) struct ConnectionPermit {
    _all: OwnedSemaphorePermit,
    _own: Option<OwnedSemaphorePermit>,
}

/// The connections that are being refused, the oldest first. Each takes a second or two, mostly waiting for its client. If
/// there are too many, the oldest is dropped.
#[derive(Default)]
pub(crate) struct Refusals(VecDeque<oneshot::Sender<Infallible>>);

impl Permits {
    /// Allows `all` at the same time, and `each` for one client that `trust` does not cover.
    pub(crate) fn new(all: usize, each: usize, trust: Trust) -> Self {
        Self { all: Arc::new(Semaphore::new(all)), each, trust, clients: Mutex::default() }
    }

    /// How many permits a client may have.
    pub(crate) fn each(&self) -> usize {
        self.each
    }

    pub(crate) fn share(&self, peer: IpAddr) -> Share {
        let own = (!self.trust.trusts(peer)).then(|| {
            let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
            clients.permits(network(peer), self.each)
        });
        Share { all: Arc::clone(&self.all), own }
    }
}

impl Clients {
    fn permits(&mut self, client: IpAddr, each: usize) -> Arc<Semaphore> {
        if let Some(permits) = self.permits.get(&client).and_then(Weak::upgrade) {
            return permits;
        }
        if self.permits.len() >= self.sweep_at {
            self.permits.retain(|_, permits| permits.strong_count() > 0);
            self.sweep_at = FEW.max(2 * self.permits.len());
        }
        let permits = Arc::new(Semaphore::new(each));
        self.permits.insert(client, Arc::downgrade(&permits));
        permits
    }
}

impl Share {
    /// # Errors
    /// The client has all its permits, or no permit is left.
    pub(crate) fn take(&self) -> Result<ConnectionPermit, Refusal> {
        let take = |permits: &Arc<Semaphore>| Arc::clone(permits).try_acquire_owned();
        let own = self.own.as_ref().map(take).transpose().map_err(|_| Refusal::Crowd)?;
        let all = take(&self.all).map_err(|_| Refusal::Full)?;
        Ok(ConnectionPermit { _all: all, _own: own })
    }
}

impl Refusals {
    /// Adds a connection; the returned receiver completes when the connection must give way.
    pub(crate) fn add(&mut self) -> oneshot::Receiver<Infallible> {
        if self.0.len() >= REFUSALS {
            self.0.retain(|one| !one.is_closed());
        }
        if self.0.len() >= REFUSALS {
            self.0.pop_front();
        }
        let (permit, gives_way) = oneshot::channel();
        self.0.push_back(permit);
        gives_way
    }
}

impl Connections {
    pub(crate) fn get(self) -> usize {
        self.0
    }
}

impl Default for Connections {
    fn default() -> Self {
        Self(10_000)
    }
}

impl fmt::Display for Connections {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}

/// Why a text is not a valid number of connections.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotConnections {
    /// It is not a number.
    #[error(transparent)]
    Number(#[from] ParseIntError),
    /// Zero, or more than a process should have.
    #[error("expected a number from 1 to 100000")]
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

    fn permits(all: usize, each: usize) -> impl Fn(&str) -> Result<ConnectionPermit, Refusal> {
        let permits = Permits::new(all, each, "10.0.0.0/8".parse().unwrap());
        move |peer| permits.share(peer.parse().unwrap()).take()
    }

    #[test]
    fn each_client_has_its_own_bound() {
        let take = permits(10, 2);
        let held = [take("192.0.2.1").unwrap(), take("::ffff:192.0.2.1").unwrap()];
        assert_eq!(take("192.0.2.1").unwrap_err(), Refusal::Crowd);
        assert!(take("192.0.2.2").is_ok() && take("127.0.0.1").is_ok());
        drop(held);
        assert!(take("192.0.2.1").is_ok(), "a connection that ends returns its permit");
    }

    #[test]
    fn an_ipv6_network_of_64_bits_is_one_client() {
        let take = permits(10, 2);
        let _held = [take("2001:db8:1:2::1").unwrap(), take("2001:db8:1:2:3:4:5:6").unwrap()];
        assert_eq!(take("2001:db8:1:2:ffff::1").unwrap_err(), Refusal::Crowd);
        assert!(take("2001:db8:1:3::1").is_ok());
    }

    #[test]
    fn a_trusted_peer_is_bounded_only_by_the_total() {
        let take = permits(3, 1);
        let _held = [take("10.1.2.3").unwrap(), take("10.1.2.3").unwrap(), take("10.1.2.3").unwrap()];
        assert_eq!(take("10.1.2.3").unwrap_err(), Refusal::Full);
        assert_eq!(take("192.0.2.1").unwrap_err(), Refusal::Full);
    }

    #[test]
    fn the_oldest_open_refusal_gives_way() {
        let mut refusals = Refusals::default();
        let mut all: Vec<_> = (0..REFUSALS).map(|_| refusals.add()).collect();
        all.remove(1);
        let is_dropped = |one: &mut oneshot::Receiver<_>| one.try_recv() == Err(oneshot::error::TryRecvError::Closed);
        all.push(refusals.add());
        assert!(!all.iter_mut().any(is_dropped), "one refusal had ended already");
        all.push(refusals.add());
        assert_eq!(all.iter_mut().position(is_dropped), Some(0));
    }

    #[test]
    fn clients_without_a_connection_are_forgotten() {
        let permits = Permits::new(10, 1, Trust::default());
        let held = permits.share(IpAddr::from([192, 0, 2, 1]));
        let _place = held.take().unwrap();
        for n in 0..10_000_u32 {
            drop(permits.share(IpAddr::from((n | 0x0a00_0000).to_be_bytes())));
        }
        assert!(permits.clients.lock().unwrap().permits.len() <= FEW);
        assert_eq!(permits.share(IpAddr::from([192, 0, 2, 1])).take().unwrap_err(), Refusal::Crowd);
    }
}
