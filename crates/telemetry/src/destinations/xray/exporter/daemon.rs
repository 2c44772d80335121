//! Sends the documents of a batch to the X-Ray daemon, each in a separate datagram. If the daemon is configured by name, the
//! name is looked up again from time to time. A daemon may listen on only one of the addresses of its name (`localhost` is
//! often both `::1` and `127.0.0.1`), so a burst that one address refuses is sent to the next.

use std::io;
use std::mem;
use std::net::{SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::{Duration, Instant};

use xray::datagram::HEADER;

use super::burst::Burst;
use super::origin::Origin;
use super::pack::{FitCounts, Packer};
use super::socket::{Socket, Unsent};
use super::text_cache::TextCache;
use crate::destinations::xray::address::DaemonAddress;
use crate::ledger::{Alteration, Reason};
use crate::pipeline::{Exporter, Outcome, Record};

/// How long a looked-up address is used, because UDP does not report that a name has moved.
const ADDRESS_LIFETIME: Duration = Duration::from_secs(30);

/// The most other addresses of a name to which a burst is sent.
const MOST: usize = 8;

/// Looks up a name and port.
type Lookup = fn(&str) -> io::Result<Vec<SocketAddr>>;

/// Writes documents and sends them.
pub(crate) struct DaemonExporter {
    address: DaemonAddress,
    origin: Arc<Origin>,
    lookup: Lookup,
    believed: Duration,
    /// The socket, which the first document opens, and when its address was looked up; `None` if the address must be looked up
    /// again.
    socket: Option<(Socket, Option<Instant>)>,
    /// All addresses of the name at the last lookup.
    addresses: Vec<SocketAddr>,
    burst: Burst,
    /// Texts of this process's spans.
    cache: TextCache,
}

impl DaemonExporter {
    pub(crate) fn new(address: DaemonAddress, origin: Arc<Origin>) -> Self {
        let lookup: Lookup = |name| Ok(name.to_socket_addrs()?.collect());
        let (socket, addresses, burst, cache) = (None, Vec::new(), Burst::default(), TextCache::default());
        Self { address, origin, lookup, believed: ADDRESS_LIFETIME, socket, addresses, burst, cache }
    }

    /// Sends the burst, and returns whether the daemon is reachable.
    fn send(&mut self, outcome: &mut Outcome) -> bool {
        let spans = self.burst.spans();
        let sent = match self.socket() {
            Ok((socket, since)) => {
                let sent = socket.send(&self.burst);
                let refused_at = socket.address();
                // A socket that was refused may still receive errors about what it sent.
                self.socket = Some((socket, sent.is_ok().then_some(since)));
                match sent {
                    Err(unsent) if unsent.gone && self.send_elsewhere(refused_at) => Ok(()),
                    sent => sent,
                }
            }
            Err(error) => Err(Unsent { spans, error, gone: true }),
        };
        self.burst.clear();
        let Err(Unsent { spans, error, gone }) = sent else { return true };
        let error = format!("cannot send to the X-Ray daemon at {}: {error}", self.address);
        outcome.lose(spans, Reason::Unreachable, error);
        !gone
    }

    /// Sends the burst to another address of the same name, and stays with that address if it accepts the burst.
    fn send_elsewhere(&mut self, refused_at: SocketAddr) -> bool {
        let others = self.addresses.iter().filter(|address| **address != refused_at).take(MOST);
        let found =
            others.filter_map(|address| Socket::open(*address).ok()).find(|socket| socket.send(&self.burst).is_ok());
        let is_found = found.is_some();
        if let Some(socket) = found {
            self.socket = Some((socket, Some(Instant::now())));
        }
        is_found
    }

    /// Takes the open socket out, or opens a new one.
    fn socket(&mut self) -> io::Result<(Socket, Instant)> {
        let socket = match self.socket.take() {
            Some((socket, Some(since))) if since.elapsed() < self.believed => return Ok((socket, since)),
            Some((socket, _)) => Some(socket),
            None => None,
        };
        let found = (self.lookup)(&self.address.udp).map(|found| self.addresses = found);
        let socket = match (socket, found) {
            // If the name server is unreachable, the known address still works.
            (Some(socket), Err(_)) => socket,
            (Some(socket), Ok(())) if self.addresses.contains(&socket.address()) => socket,
            (_, found) => {
                found?;
                first_to_open(&self.addresses)?
            }
        };
        Ok((socket, Instant::now()))
    }
}

/// A machine without IPv6 cannot open a socket for an IPv6 address.
fn first_to_open(addresses: &[SocketAddr]) -> io::Result<Socket> {
    let mut last = io::Error::other("it has no address");
    for address in addresses.iter().take(MOST) {
        match Socket::open(*address) {
            Ok(socket) => return Ok(socket),
            Err(error) => last = error,
        }
    }
    Err(last)
}

impl Exporter for DaemonExporter {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let makers = Record::makers(batch);
        if makers.is_empty() {
            return self.export_own(batch);
        }
        let of = |maker| -> Vec<Record> { batch.iter().filter(|record| record.is_of(maker)).cloned().collect() };
        let mut outcome = self.export_own(&of(None));
        for maker in &makers {
            let origin = self.origin.of_other(maker);
            outcome.add(self.export_of(&origin, &mut TextCache::default(), &of(Some(maker))));
        }
        outcome
    }
}

impl DaemonExporter {
    fn export_own(&mut self, batch: &[Record]) -> Outcome {
        let (origin, mut cache) = (Arc::clone(&self.origin), mem::take(&mut self.cache));
        let outcome = self.export_of(&origin, &mut cache, batch);
        self.cache = cache;
        outcome
    }

    /// Sends the documents of spans from one process.
    fn export_of(&mut self, origin: &Origin, cache: &mut TextCache, batch: &[Record]) -> Outcome {
        let mut outcome = Outcome::default();
        self.burst.clear();
        let mut packer = Packer::new(origin, cache, batch);
        // The number of spans in a burst, sent or not.
        let mut joined = 0;
        loop {
            let datagram = self.burst.next();
            datagram.extend_from_slice(HEADER);
            let Some(spans) = packer.next(datagram) else { break };
            if !self.burst.join(spans) {
                // A daemon that is unreachable or stuck would delay every further burst.
                if !self.send(&mut outcome) {
                    let why = outcome.error.clone().unwrap_or_default();
                    outcome.lose(batch.len() - joined, Reason::Unreachable, why);
                    break;
                }
                // The first datagram of a burst always joins.
                self.burst.join(spans);
            }
            joined += spans;
        }
        if self.burst.len() > 0 {
            self.send(&mut outcome);
        }
        let FitCounts { truncated, shrunk, split } = packer.fitted();
        let altered = [(Alteration::Truncated, truncated), (Alteration::Shrunk, shrunk), (Alteration::Split, split)];
        outcome.altered.extend(altered.into_iter().filter(|(_, count)| *count > 0));
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::BTreeSet;
    use std::net::UdpSocket;
    use std::thread;

    use super::*;
    use crate::resource::Resource;
    use crate::testing;

    thread_local! {
        static NAMED: RefCell<Option<SocketAddr>> = const { RefCell::new(None) };
    }

    #[test]
    fn a_name_is_followed_to_its_new_address() {
        let receivers = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let origin = Arc::new(Origin::new(&Resource::new("backend", None, &[]), &[]));
        let mut daemon = DaemonExporter::new("xray-daemon:2000".parse().unwrap(), origin);
        daemon.lookup = |_| NAMED.take().map(|address| vec![address]).ok_or_else(|| io::Error::other("no name server"));
        daemon.believed = Duration::ZERO;
        let batch = [testing::span("test").record()];
        let lost = |daemon: &mut DaemonExporter| daemon.export(&batch).dropped.values().sum::<usize>();
        assert_eq!(lost(&mut daemon), 1, "an unknown name");
        for receiver in &receivers {
            for named in [receiver.local_addr().ok(), None] {
                NAMED.set(named);
                assert_eq!(lost(&mut daemon), 0);
                let length = receiver.recv(&mut [0; 65_536]).unwrap();
                assert!(length > HEADER.len());
            }
        }
    }

    #[test]
    fn each_address_of_a_name_is_tried_until_one_accepts_the_burst() {
        thread_local! {
            static ADDRESSES: RefCell<Vec<SocketAddr>> = const { RefCell::new(Vec::new()) };
        }
        let receivers = [(), ()].map(|()| UdpSocket::bind("127.0.0.1:0").unwrap());
        let [first, second] = [0, 1].map(|index: usize| receivers[index].local_addr().unwrap());
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        ADDRESSES.set(vec![closed, closed, first, second]);
        let origin = Arc::new(Origin::new(&Resource::new("backend", None, &[]), &[]));
        let mut daemon = DaemonExporter::new("localhost:2000".parse().unwrap(), origin);
        daemon.lookup = |_| Ok(ADDRESSES.with_borrow(Clone::clone));
        let batch = [testing::span("test").record()];
        let received = |receiver: &UdpSocket| receiver.recv(&mut [0; 65_536]).unwrap() > HEADER.len();
        for _ in 0..3 {
            assert!(daemon.export(&batch).dropped.is_empty());
            assert!(received(&receivers[0]));
        }
        let [gone, stays] = receivers;
        drop(gone);
        assert!(daemon.export(&batch).dropped.is_empty());
        assert!(received(&stays));
        drop(stays);
        let outcome = daemon.export(&batch);
        assert_eq!(outcome.dropped.into_iter().collect::<Vec<_>>(), [(Reason::Unreachable, 1)]);
    }

    #[test]
    fn simultaneous_bursts_of_512_spans_from_three_services_arrive_whole() {
        const SPANS: u64 = 512;
        // Uses the kernel's default buffer size, as the daemon does.
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
        let address = receiver.local_addr().unwrap().to_string();
        let services = [0, 1, 2].map(|service| {
            let address = address.parse().unwrap();
            thread::spawn(move || {
                let origin = Arc::new(Origin::new(&Resource::new("backend", None, &[]), &[]));
                let batch: Vec<_> =
                    (1..=SPANS).map(|id| testing::within(None, service * SPANS + id).record()).collect();
                DaemonExporter::new(address, origin).export(&batch)
            })
        });
        let mut datagram = [0; 65_536];
        let ids: BTreeSet<_> = (0..3 * SPANS)
            .map(|_| {
                let length = receiver.recv(&mut datagram).unwrap();
                xray::datagram::parse(&datagram[..length]).unwrap().id
            })
            .collect();
        assert_eq!(ids.len() as u64, 3 * SPANS);
        for service in services {
            let outcome = service.join().unwrap();
            assert!(outcome.dropped.is_empty(), "{outcome:?}");
        }
    }

    #[test]
    fn a_span_of_another_service_is_a_segment_of_that_service() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let origin = Arc::new(Origin::new(&Resource::new("backend", None, &[]), &[]));
        let mut daemon = DaemonExporter::new(receiver.local_addr().unwrap().to_string().parse().unwrap(), origin);
        let page = Arc::new(Resource::named("page"));
        let batch = [testing::span("its").record().made_by(&page), testing::span("own").record()];
        assert!(daemon.export(&batch).dropped.is_empty());
        for service in ["backend", "page"] {
            let mut datagram = [0; 65_536];
            let length = receiver.recv(&mut datagram).unwrap();
            let text = String::from_utf8_lossy(&datagram[..length]).into_owned();
            assert!(text.contains(&format!("\"name\":\"{service}\"")), "{text}");
        }
    }
}
