//! Measures the unread bytes in a local daemon's socket buffer, because UDP gives a sender no feedback and drops datagrams that
//! do not fit. Queries the kernel through [`sock_diag`](https://man7.org/linux/man-pages/man7/sock_diag.7.html), as `ss` does,
//! which needs no privileges. Linux only; if the kernel does not respond, there is no [`Backlog`].

use std::cell::Cell;
use std::io;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::OwnedFd;

use rustix::net::netlink::{SOCK_DIAG, SocketAddrNetlink};
use rustix::net::sockopt::{Timeout, set_socket_timeout};
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType, recv, sendto, socket_with};

/// The unread bytes above which a sender waits: a third of the usual buffer of 208 KiB, so that three services that measure at
/// the same time each have space for a burst. It is more than one burst, so that the next burst is sent while the daemon reads.
const HIGH: u32 = 64 * 1024;
/// How long to wait for the kernel, which responds immediately.
const PATIENCE: std::time::Duration = std::time::Duration::from_millis(100);
/// `SOCK_DIAG_BY_FAMILY`, in both a request and its response.
const BY_FAMILY: u16 = 20;
/// `NLM_F_REQUEST`.
const REQUEST: u16 = 1;
/// `IPPROTO_UDP`.
const UDP: u8 = 17;
/// The position of a message's sequence number.
const NUMBER: Range<usize> = 8..12;
/// Bytes of `nlmsghdr`, and the position of `idiag_rqueue` in the `inet_diag_msg` that follows it.
const HEADER: usize = 16;
const UNREAD: usize = HEADER + 56;

/// The unread bytes of one local UDP socket.
pub(super) struct Backlog {
    kernel: OwnedFd,
    question: [u8; 72],
    /// The sequence number of the last request: a response to an abandoned request may still arrive.
    number: Cell<u32>,
}

impl Backlog {
    /// The backlog of the socket that receives what `from` sends to `to`.
    pub(super) fn of(from: SocketAddr, to: SocketAddr) -> Option<Self> {
        let kernel =
            socket_with(AddressFamily::NETLINK, SocketType::DGRAM, SocketFlags::CLOEXEC, Some(SOCK_DIAG)).ok()?;
        set_socket_timeout(&kernel, Timeout::Recv, Some(PATIENCE)).ok()?;
        let backlog = Self { kernel, question: question(from, to), number: Cell::new(0) };
        backlog.unread().is_ok().then_some(backlog)
    }

    /// Whether to wait before sending. Returns `false` if the socket no longer exists: the send then reports that.
    pub(super) fn is_high(&self) -> bool {
        self.unread().is_ok_and(|bytes| bytes > HIGH)
    }

    fn unread(&self) -> io::Result<u32> {
        let number = self.number.get().wrapping_add(1);
        self.number.set(number);
        let mut question = self.question;
        for (place, byte) in question.iter_mut().skip(NUMBER.start).zip(number.to_ne_bytes()) {
            *place = byte;
        }
        sendto(&self.kernel, &question, SendFlags::empty(), &SocketAddrNetlink::new(0, 0))?;
        loop {
            let mut answer = [0; 1_024];
            let (_, length) = recv(&self.kernel, &mut answer, RecvFlags::empty())?;
            let answer = answer.get(..length).unwrap_or_default();
            if answer.get(NUMBER) == Some(&number.to_ne_bytes()) {
                return read(answer).ok_or_else(|| io::Error::other("the kernel knows no such socket"));
            }
        }
    }
}

/// `nlmsghdr`, then `inet_diag_req_v2` for one socket. Numbers are in this machine's byte order, addresses and ports in network
/// order.
fn question(from: SocketAddr, to: SocketAddr) -> [u8; 72] {
    let family = if to.is_ipv4() { AddressFamily::INET } else { AddressFamily::INET6 };
    let [family, ..] = family.as_raw().to_ne_bytes();
    let mut question = [0; 72];
    let length: u32 = 72;
    let parts: [&[u8]; 12] = [
        &length.to_ne_bytes(),
        &BY_FAMILY.to_ne_bytes(),
        &REQUEST.to_ne_bytes(),
        // The sequence number, which is filled in before sending, and a port that the kernel fills in.
        &[0; 8],
        // No extensions, any state.
        &[family, UDP, 0, 0],
        &u32::MAX.to_ne_bytes(),
        &from.port().to_be_bytes(),
        &to.port().to_be_bytes(),
        &address(from.ip()),
        &address(to.ip()),
        // Any interface, any cookie.
        &[0; 4],
        &[0xff; 8],
    ];
    let mut place = question.iter_mut();
    for byte in parts.into_iter().flatten() {
        if let Some(place) = place.next() {
            *place = *byte;
        }
    }
    question
}

/// Sixteen bytes, of which an IPv4 address uses the first four.
fn address(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(v4) => (u128::from(v4.to_bits()) << 96).to_be_bytes(),
        IpAddr::V6(v6) => Ipv6Addr::octets(&v6),
    }
}

/// The unread bytes in a response; `None` if it is another message, such as an error.
fn read(answer: &[u8]) -> Option<u32> {
    let number = |at: usize, length: usize| answer.get(at..at + length);
    let kind = u16::from_ne_bytes(number(4, 2)?.try_into().ok()?);
    let unread = u32::from_ne_bytes(number(UNREAD, 4)?.try_into().ok()?);
    (kind == BY_FAMILY).then_some(unread)
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn unread_bytes_of_a_socket_are_measured() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        let (from, to) = (sender.local_addr().unwrap(), receiver.local_addr().unwrap());
        let backlog = Backlog::of(from, to).unwrap();
        assert_eq!(backlog.unread().unwrap(), 0);
        for _ in 0..60 {
            sender.send_to(&[0; 1_000], to).unwrap();
        }
        assert!(backlog.is_high(), "{:?}", backlog.unread());
        drop(receiver);
        assert!(!backlog.is_high());
        assert!(Backlog::of(from, to).is_none());
    }

    #[test]
    fn unread_bytes_of_a_wildcard_socket_are_measured() {
        for (bound, address) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let Ok(receiver) = UdpSocket::bind(bound) else {
                // This machine has no IPv6.
                assert!(bound.starts_with('['), "{bound}");
                continue;
            };
            let to = SocketAddr::new(address.parse().unwrap(), receiver.local_addr().unwrap().port());
            let sender = UdpSocket::bind((address, 0)).unwrap();
            sender.send_to(&[0; 100], to).unwrap();
            let backlog = Backlog::of(sender.local_addr().unwrap(), to).unwrap();
            assert!(backlog.unread().unwrap() >= 100, "{bound}");
        }
    }

    #[test]
    fn a_truncated_response_is_rejected() {
        let whole = [&[0; 4][..], &BY_FAMILY.to_ne_bytes(), &[0; 66], &7_u32.to_ne_bytes()].concat();
        assert_eq!(read(&whole), Some(7));
        assert!((0..whole.len()).all(|length| read(&whole[..length]).is_none()));
    }
}
