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

/// Bytes of the daemon's buffer that a burst may take. The buffer is of 208 KiB unless it is told otherwise: three services that send at
/// the same time fit, beside what [`Backlog::is_high`] leaves there. A longer burst costs hardly less, and leaves the daemon with
/// nothing to read while the next one is made.
const BURST: usize = 48 * 1024;
/// What the kernel accounts for with each datagram of a burst, beside its bytes.
const ACCOUNTED: usize = 832;
/// The datagrams of a burst are of one length, this or a multiple: those of spans alike differ by less.
const STEP: usize = 64;
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

/// Datagrams that wait to be sent together, written one behind the other as one system call takes them: all of one length. Spaces behind
/// a document mean nothing.
#[derive(Default)]
pub(super) struct Burst {
    bytes: Vec<u8>,
    length: usize,
    /// How long each is without the spaces, and how many spans it tells of.
    datagrams: Vec<(usize, usize)>,
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
    pub(super) fn is_empty(&self) -> bool {
        self.datagrams.is_empty()
    }

    /// The spans that its datagrams tell of.
    pub(super) fn spans(&self) -> usize {
        self.datagrams.iter().map(|(_, spans)| spans).sum()
    }

    /// Where the next datagram is appended, instead of what was there and did not join.
    pub(super) fn next(&mut self) -> &mut Vec<u8> {
        self.bytes.truncate(self.end());
        &mut self.bytes
    }

    /// Lets the datagram join that was appended, and tells of so many spans. `false` where there is no room for it; the first one
    /// always joins.
    pub(super) fn join(&mut self, spans: usize) -> bool {
        let (count, own) = (self.datagrams.len(), self.bytes.len() - self.end());
        let length = self.length.max(own.next_multiple_of(STEP));
        if count > 0 && (count + 1) * (length + ACCOUNTED) > BURST {
            return false;
        }
        if length > self.length && count > 0 {
            self.widen(length);
        }
        self.length = length;
        self.datagrams.push((own, spans));
        self.bytes.resize(self.end(), b' ');
        true
    }

    /// Forgets its datagrams. What was appended and did not join comes first now.
    pub(super) fn clear(&mut self) {
        self.bytes.drain(..self.end());
        self.datagrams.clear();
        self.length = 0;
    }

    fn end(&self) -> usize {
        self.datagrams.len() * self.length
    }

    /// Each datagram, and the spans that it tells of.
    fn datagrams(&self) -> impl Iterator<Item = (&[u8], usize)> {
        let padded = self.bytes.chunks(self.length.max(1));
        padded.zip(&self.datagrams).filter_map(|(padded, (length, spans))| Some((padded.get(..*length)?, *spans)))
    }

    /// Makes each so long, behind the last of which one was appended that is longer than they were.
    fn widen(&mut self, length: usize) {
        let mut wide = Vec::with_capacity(self.bytes.capacity());
        for (datagram, _) in self.datagrams() {
            wide.extend_from_slice(datagram);
            wide.resize(wide.len().next_multiple_of(length), b' ');
        }
        wide.extend_from_slice(self.bytes.get(self.end()..).unwrap_or_default());
        self.bytes = wide;
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

    /// Sends a burst when the daemon has room for it.
    ///
    /// # Errors
    /// How many of its spans were not sent, and why.
    pub(super) fn send(&self, burst: &Burst) -> Result<(), Unsent> {
        self.wait().map_err(|error| Unsent { spans: burst.spans(), error, gone: true })?;
        self.send_now(burst)
    }

    fn send_now(&self, burst: &Burst) -> Result<(), Unsent> {
        let count = burst.datagrams.len();
        if let Some((state, _)) =
            self.local.as_ref().filter(|(state, _)| count > 1 && state.max_gso_segments() >= count)
            && let Some(contents) = burst.bytes.get(..burst.end())
        {
            let segment_size = Some(burst.length);
            let transmit = Transmit { destination: self.address, ecn: None, contents, segment_size, src_ip: None };
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
    fn wait(&self) -> io::Result<()> {
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

    fn append(burst: &mut Burst, datagram: &[u8], spans: usize) -> bool {
        burst.next().extend_from_slice(datagram);
        burst.join(spans)
    }

    /// Sends the burst and empties it.
    fn send(socket: &Socket, burst: &mut Burst) -> Result<(), Unsent> {
        let sent = socket.send(burst);
        burst.clear();
        sent
    }

    #[test]
    fn a_burst_arrives_as_the_datagrams_it_was_made_of() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket::open(receiver.local_addr().unwrap()).unwrap();
        // Of one length, then short after long, then long after short.
        for lengths in [[10, 10], [200, 10], [10, 200]] {
            let (mut burst, mut joined) = (Burst::default(), Vec::new());
            for round in 0..3 {
                let mut number = 0;
                let text = loop {
                    let text = format!("{round} {number} {}", "x".repeat(lengths[usize::from(number > 5)]));
                    if !append(&mut burst, text.as_bytes(), 1) {
                        break text;
                    }
                    joined.push(text);
                    number += 1;
                };
                assert!(number > 40, "{number}");
                send(&socket, &mut burst).unwrap();
                for text in joined.drain(..) {
                    assert_eq!(received(&receiver), text);
                }
                // What found no room is the first of the next.
                assert!(burst.join(1));
                joined.push(text);
            }
        }
    }

    #[test]
    fn a_long_datagram_goes_alone() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let socket = Socket::open(receiver.local_addr().unwrap()).unwrap();
        let mut burst = Burst::default();
        assert!(append(&mut burst, &[b'x'; 10], 1));
        assert!(!append(&mut burst, &[b'x'; 63_000], 1));
        send(&socket, &mut burst).unwrap();
        assert!(burst.join(1));
        assert!(!append(&mut burst, &[b'x'; 10], 1));
        send(&socket, &mut burst).unwrap();
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
        let socket = Socket::open(daemon.local_addr().unwrap()).unwrap();
        let mut burst = Burst::default();
        append(&mut burst, b"x", 7);
        send(&socket, &mut burst).unwrap();
        drop(daemon);
        let mut lost = 0;
        for _ in 0..10 {
            append(&mut burst, b"x", 7);
            if let Err(unsent) = send(&socket, &mut burst) {
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
        let seen = Socket::open(address).unwrap();
        drop(daemon);
        let mut burst = Burst::default();
        for _ in 0..5 {
            append(&mut burst, b"x", 3);
        }
        assert_eq!(send(&seen, &mut burst).unwrap_err().spans, 15);
        let socket = Socket::open(address).unwrap();
        for count in [1, 10] {
            for _ in 0..count {
                append(&mut burst, b"x", 2);
            }
            let Unsent { spans, error, gone } = send(&socket, &mut burst).unwrap_err();
            assert_eq!((spans, error.kind(), gone), (2 * count, io::ErrorKind::ConnectionRefused, true));
        }
    }
}
