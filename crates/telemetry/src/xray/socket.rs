//! Datagrams to the X-Ray daemon: UDP, not blocking, paced, because a burst overruns the daemon's socket buffer although every
//! send succeeds. To a daemon on this machine the datagrams of a burst go in one system call, and by what waits in its buffer;
//! elsewhere one by one, by the clock. A send that is refused is tried once more, because the refusal is the answer to an
//! earlier datagram, and that one counts as lost in this one's place.

use std::hint::spin_loop;
use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quinn_udp::{Transmit, UdpSocketState};

use super::backlog::Backlog;

/// Datagrams of a burst to a daemon on this machine. The daemon's buffer, of 208 KiB unless it is told otherwise, accounts for 832
/// bytes with each, and for less than 49,200 for a burst: three services that send at the same time fit, beside what
/// [`Backlog::is_high`] leaves there. A longer burst costs hardly less, and leaves the daemon with nothing to read while the next
/// one is made.
const BURST: usize = 32;
/// Its bytes.
const BURST_BYTES: usize = 22_500;
/// Datagrams between two pauses, to a daemon whose buffer cannot be seen: eight a millisecond from each of two services lost a
/// sixth before a receiver that had to wait for its core.
const BLIND_BURST: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);
/// Between two looks at a buffer that can be seen.
const LOOK: Duration = Duration::from_micros(100);
/// So long the buffer is looked at again at once: a daemon that reads has room by then, and a sleep would not be over. Not by giving the
/// core away, which on a busy one comes back after milliseconds.
const SOON: Duration = Duration::from_micros(50);
/// How long a daemon may leave its buffer unread before what is sent there counts as lost.
const STUCK: Duration = Duration::from_secs(1);

/// Datagrams that wait to be sent together, one behind the other.
#[derive(Default)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    /// Where each ends, and how many spans it tells of.
    ends: Vec<(usize, usize)>,
    longest: usize,
    /// The same with each as long as the longest, for the system call.
    padded: Vec<u8>,
}

/// A socket that is connected to the daemon.
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    /// Of a daemon on this machine: how bursts are sent and its buffer is seen.
    local: Option<(UdpSocketState, Backlog)>,
}

/// Spans that were not sent, and why.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) spans: usize,
    pub(super) error: io::Error,
    /// Nobody takes anything there, for now.
    pub(super) gone: bool,
}

impl Burst {
    pub(super) fn len(&self) -> usize {
        self.ends.len()
    }

    /// The spans that its datagrams tell of.
    pub(super) fn spans(&self) -> usize {
        self.ends.iter().map(|(_, spans)| spans).sum()
    }

    /// Whether a datagram of this length may join: with all as long as the longest, they must fit one system call.
    pub(super) fn has_room(&self, length: usize) -> bool {
        self.len() == 0 || (self.len() < BURST && (self.len() + 1) * self.longest.max(length) <= BURST_BYTES)
    }

    /// Adds a datagram that tells of so many spans.
    pub(super) fn push(&mut self, datagram: &[u8], spans: usize) {
        self.bytes.extend_from_slice(datagram);
        self.ends.push((self.bytes.len(), spans));
        self.longest = self.longest.max(datagram.len());
    }

    pub(super) fn clear(&mut self) {
        self.bytes.clear();
        self.ends.clear();
        self.longest = 0;
    }

    /// Each datagram, and the spans that it tells of.
    fn datagrams(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let starts = std::iter::once(0).chain(self.ends.iter().map(|(end, _)| *end));
        starts.zip(&self.ends).filter_map(|(start, (end, spans))| Some((self.bytes.get(start..*end)?, *spans)))
    }

    /// Each datagram as long as the longest: spaces behind a document mean nothing. `None` where they do not fit one call.
    fn pad(&mut self) -> Option<(&[u8], usize)> {
        if self.len() * self.longest > BURST_BYTES {
            return None;
        }
        let mut padded = std::mem::take(&mut self.padded);
        padded.clear();
        for (datagram, _) in self.datagrams() {
            padded.extend_from_slice(datagram);
            padded.resize(padded.len() + self.longest - datagram.len(), b' ');
        }
        self.padded = padded;
        Some((&self.padded, self.longest))
    }
}

impl Socket {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let any: IpAddr = if address.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() };
        let socket = UdpSocket::bind((any, 0))?;
        socket.set_nonblocking(true)?;
        socket.connect(address)?;
        let local = if address.ip().is_loopback() {
            Backlog::of(socket.local_addr()?, address)
                .map(|backlog| Ok::<_, io::Error>((UdpSocketState::new((&socket).into())?, backlog)))
        } else {
            None
        };
        Ok(Self { local: local.transpose()?, socket, address })
    }

    /// Where the daemon is.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a burst when the daemon has room for it, and empties it.
    ///
    /// # Errors
    /// How many of its spans were not sent, and why.
    pub(super) fn send(&mut self, burst: &mut Burst) -> Result<(), Unsent> {
        let spans = burst.spans();
        let sent = self.wait().map_err(|error| Unsent { spans, error, gone: true }).and_then(|()| self.send_now(burst));
        burst.clear();
        sent
    }

    fn send_now(&self, burst: &mut Burst) -> Result<(), Unsent> {
        let count = burst.len();
        if let Some((state, _)) =
            self.local.as_ref().filter(|(state, _)| count > 1 && state.max_gso_segments() >= count)
            && let Some((contents, segment)) = burst.pad()
        {
            let transmit =
                Transmit { destination: self.address, ecn: None, contents, segment_size: Some(segment), src_ip: None };
            match self.twice(|| state.try_send((&self.socket).into(), &transmit)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Err(Unsent { spans: burst.spans(), error, gone: true });
                }
                // This kernel does not send several in one call.
                Err(_) => {}
            }
        }
        let mut unsent: Option<Unsent> = None;
        for (index, (datagram, spans)) in burst.datagrams().enumerate() {
            if self.local.is_none() && index > 0 && index.is_multiple_of(BLIND_BURST) {
                sleep(PAUSE);
            }
            if let Err(error) = self.twice(|| self.socket.send(datagram).map(drop)) {
                let gone = error.kind() == io::ErrorKind::ConnectionRefused;
                let before = unsent.map_or(0, |unsent| unsent.spans);
                unsent = Some(Unsent { spans: before + spans, error, gone });
            }
        }
        unsent.map_or(Ok(()), Err)
    }

    /// Sends, once more where the first attempt was told of an earlier one, which then is the error. On this machine a refusal
    /// comes before `send` returns, and is asked for.
    fn twice(&self, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
        let earlier = match send() {
            Ok(()) => None,
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                send()?;
                Some(error)
            }
            Err(error) => {
                if error.kind() == io::ErrorKind::WouldBlock {
                    sleep(PAUSE);
                }
                send()?;
                None
            }
        };
        match earlier.or(self.socket.take_error()?) {
            Some(refusal) => Err(refusal),
            None => Ok(()),
        }
    }

    /// Waits until the daemon has room; an error where it does not read.
    fn wait(&mut self) -> io::Result<()> {
        let Some((_, backlog)) = &self.local else {
            sleep(PAUSE);
            return Ok(());
        };
        let begun = Instant::now();
        while backlog.is_high() {
            match begun.elapsed() {
                waited if waited > STUCK => return Err(io::Error::other("it does not read what it is sent")),
                waited if waited < SOON => spin_loop(),
                _ => sleep(LOOK),
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn received(receiver: &UdpSocket) -> String {
        let mut buffer = [0; 65_536];
        let length = receiver.recv(&mut buffer).unwrap();
        String::from_utf8_lossy(&buffer[..length]).trim_end().to_owned()
    }

    #[test]
    fn a_burst_arrives_as_the_datagrams_it_was_made_of() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::open(receiver.local_addr().unwrap()).unwrap();
        let (mut burst, mut datagrams) = (Burst::default(), 0);
        for round in 0..3 {
            while burst.has_room(10) {
                let text = format!("{datagrams} {}", "x".repeat(datagrams % 7));
                burst.push(text.as_bytes(), 1);
                datagrams += 1;
            }
            socket.send(&mut burst).unwrap();
            for index in round * BURST..datagrams {
                assert_eq!(received(&receiver), format!("{index} {}", "x".repeat(index % 7)).trim_end());
            }
        }
        assert_eq!(datagrams, 3 * BURST);
    }

    #[test]
    fn a_long_datagram_goes_alone() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let mut socket = Socket::open(receiver.local_addr().unwrap()).unwrap();
        let mut burst = Burst::default();
        for length in [10, 63_000] {
            burst.push(&vec![b'x'; length], 1);
        }
        assert!(!burst.has_room(10));
        socket.send(&mut burst).unwrap();
        assert_eq!([received(&receiver).len(), received(&receiver).len()], [10, 63_000]);
    }

    /// An address of this machine that is not loopback: what is sent there is treated as sent to another machine.
    fn elsewhere() -> Option<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        // Sends nothing: it asks which of our addresses would be used.
        socket.connect("192.0.2.1:9").ok()?;
        socket.local_addr().ok().map(|own| own.ip()).filter(|ip| !ip.is_loopback())
    }

    #[test]
    fn a_daemon_elsewhere_that_is_away_is_noticed_too() {
        // A machine without a network has no such address.
        let Some(own) = elsewhere() else { return };
        let daemon = UdpSocket::bind((own, 0)).unwrap();
        let mut socket = Socket::open(daemon.local_addr().unwrap()).unwrap();
        let mut burst = Burst::default();
        burst.push(b"x", 7);
        socket.send(&mut burst).unwrap();
        drop(daemon);
        let mut lost = 0;
        for _ in 0..10 {
            burst.push(b"x", 7);
            if let Err(unsent) = socket.send(&mut burst) {
                assert!(unsent.gone);
                lost += unsent.spans;
            }
        }
        assert!(lost >= 9 * 7, "each but perhaps the last, whose refusal is told to the next: {lost}");
    }

    #[test]
    fn a_daemon_that_is_away_refuses_every_datagram() {
        let daemon = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = daemon.local_addr().unwrap();
        let mut seen = Socket::open(address).unwrap();
        drop(daemon);
        let mut burst = Burst::default();
        for _ in 0..5 {
            burst.push(b"x", 3);
        }
        assert_eq!(seen.send(&mut burst).unwrap_err().spans, 15);
        let mut socket = Socket::open(address).unwrap();
        for count in [1, 10] {
            for _ in 0..count {
                burst.push(b"x", 2);
            }
            let Unsent { spans, error, gone } = socket.send(&mut burst).unwrap_err();
            assert_eq!((spans, error.kind(), gone), (2 * count, io::ErrorKind::ConnectionRefused, true));
        }
    }
}
