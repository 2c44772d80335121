//! Sends datagrams to the X-Ray daemon over non-blocking UDP. Sends are paced, because a burst can overrun the daemon's socket
//! buffer although every send succeeds. To a daemon on this machine, one system call sends all datagrams of a burst, paced by
//! the unread bytes in the daemon's buffer. To any other daemon, datagrams are sent one by one, paced by the clock. A refused
//! send is retried once, because the refusal refers to an earlier datagram, which then counts as lost.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::thread::sleep;
use std::time::{Duration, Instant};

use quinn_udp::{Transmit, UdpSocketState};

use super::backlog::Backlog;
use super::burst::Burst;

/// Datagrams between two pauses, to a daemon whose buffer cannot be inspected. In a test with eight per millisecond from each
/// of two services, a receiver that had to wait for its core lost a sixth of them.
const BLIND_BURST: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);
/// The time between two checks of a buffer that can be inspected.
const LOOK: Duration = Duration::from_micros(100);
/// How long the buffer is checked without a pause. A daemon that is reading has space within this time, and a sleep would take
/// longer. The thread does not yield its core, because on a busy core it would resume only after milliseconds.
const SOON: Duration = Duration::from_micros(50);
/// How long a daemon may leave its buffer unread before datagrams to it count as lost.
const STUCK: Duration = Duration::from_secs(1);

/// A socket that is connected to the daemon.
pub(super) struct Socket {
    socket: UdpSocket,
    address: SocketAddr,
    /// For a daemon on this machine: how bursts are sent and how its buffer is inspected.
    local: Option<(UdpSocketState, Backlog)>,
}

/// Spans that were not sent, and why.
#[derive(Debug)]
pub(super) struct Unsent {
    pub(super) spans: usize,
    pub(super) error: io::Error,
    /// Whether no socket receives datagrams at the address.
    pub(super) gone: bool,
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

    /// The daemon's address.
    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a burst when the daemon has space for it.
    ///
    /// # Errors
    /// How many of its spans were not sent, and why.
    pub(super) fn send(&self, burst: &Burst) -> Result<(), Unsent> {
        self.wait().map_err(|error| Unsent { spans: burst.spans(), error, gone: true })?;
        self.send_now(burst)
    }

    fn send_now(&self, burst: &Burst) -> Result<(), Unsent> {
        let count = burst.len();
        if let Some((state, _)) =
            self.local.as_ref().filter(|(state, _)| count > 1 && state.max_gso_segments() >= count)
        {
            let (contents, length) = burst.together();
            let segment_size = Some(length);
            let transmit = Transmit { destination: self.address, ecn: None, contents, segment_size, src_ip: None };
            match self.send_or_retry(|| state.try_send((&self.socket).into(), &transmit)) {
                Ok(()) => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => {
                    return Err(Unsent { spans: burst.spans(), error, gone: true });
                }
                // This kernel cannot send several datagrams in one call.
                Err(_) => {}
            }
        }
        let mut unsent: Option<Unsent> = None;
        for (index, (datagram, spans)) in burst.datagrams().enumerate() {
            if self.local.is_none() && index > 0 && index.is_multiple_of(BLIND_BURST) {
                sleep(PAUSE);
            }
            if let Err(error) = self.send_or_retry(|| self.socket.send(datagram).map(drop)) {
                let gone = error.kind() == io::ErrorKind::ConnectionRefused;
                let before = unsent.map_or(0, |unsent| unsent.spans);
                unsent = Some(Unsent { spans: before + spans, error, gone });
            }
        }
        unsent.map_or(Ok(()), Err)
    }

    /// Sends, and retries once if the first attempt reported the refusal of an earlier datagram. That refusal is then returned
    /// as the error. On this machine a refusal arrives before `send` returns, so it is checked for.
    fn send_or_retry(&self, send: impl Fn() -> io::Result<()>) -> io::Result<()> {
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

    /// Waits until the daemon has space. Returns an error if the daemon does not read.
    fn wait(&self) -> io::Result<()> {
        let Some((_, backlog)) = &self.local else {
            sleep(PAUSE);
            return Ok(());
        };
        let begun = Instant::now();
        while backlog.is_high() {
            match begun.elapsed() {
                waited if waited > STUCK => return Err(io::Error::other("it does not read its datagrams")),
                waited if waited < SOON => {}
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
    fn the_datagrams_of_a_burst_arrive_separately() {
        for bound in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(receiver) = UdpSocket::bind(bound) else {
                // A machine without IPv6.
                assert!(bound.starts_with('['), "{bound}");
                continue;
            };
            let socket = Socket::open(receiver.local_addr().unwrap()).unwrap();
            let (mut burst, mut texts) = (Burst::default(), Vec::new());
            loop {
                let text = format!("{} {}", texts.len(), "x".repeat(texts.len() % 7));
                if !append(&mut burst, text.as_bytes(), 1) {
                    break;
                }
                texts.push(text);
            }
            assert!(texts.len() > 50, "{}", texts.len());
            send(&socket, &mut burst).unwrap();
            for text in texts {
                assert_eq!(received(&receiver), text.trim_end());
            }
        }
    }

    #[test]
    fn a_long_datagram_is_sent_alone() {
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

    /// An address of this machine that is not loopback: datagrams to it are treated as if sent to another machine.
    fn elsewhere() -> Option<IpAddr> {
        let socket = UdpSocket::bind("0.0.0.0:0").ok()?;
        // Sends nothing, but selects the local address that would be used.
        socket.connect("192.0.2.1:9").ok()?;
        socket.local_addr().ok().map(|own| own.ip()).filter(|ip| !ip.is_loopback())
    }

    #[test]
    fn an_absent_daemon_on_another_machine_is_detected() {
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
        assert!(lost >= 9 * 7, "all except possibly the last, whose refusal the next send reports: {lost}");
    }

    #[test]
    fn an_absent_daemon_refuses_every_datagram() {
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
