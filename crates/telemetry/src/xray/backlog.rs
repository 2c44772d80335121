//! What waits unread in a local daemon's socket buffer, by the kernel's own table: UDP tells a sender nothing, and drops what does
//! not fit. Linux alone; elsewhere, and where the socket is not in the table, there is no [`Backlog`].

use std::fs::File;
use std::io::{Read, Seek};
use std::net::{IpAddr, SocketAddr};

/// Sockets bound to IPv4, and to IPv6 with IPv4 in it.
const UDP: &str = "/proc/net/udp";
const UDP6: &str = "/proc/net/udp6";
/// Less than a quarter of the usual buffer of 208 KiB.
const HIGH: u64 = 48 * 1024;
/// Of the table; a machine with so many UDP sockets does without.
const LONGEST: u64 = 256 * 1024;

/// The unread bytes of one local UDP socket.
pub(super) struct Backlog {
    table: File,
    /// As the table writes it: the daemon's own address, and every address of its family.
    local: [String; 2],
    text: String,
}

impl Backlog {
    /// Of the socket that listens at `address`.
    pub(super) fn of(address: SocketAddr) -> Option<Self> {
        let v6 = match address.ip() {
            IpAddr::V4(v4) => v4.to_ipv6_mapped(),
            IpAddr::V6(v6) => v6,
        };
        let any = |words: usize| "00000000".repeat(words);
        let of_table = |table| match (table, address.ip()) {
            (UDP, IpAddr::V4(v4)) => Some([hex(&v4.octets()), any(1)]),
            (UDP, IpAddr::V6(_)) => None,
            _ => Some([hex(&v6.octets()), any(4)]),
        };
        [UDP, UDP6].into_iter().find_map(|table| {
            let local = of_table(table)?.map(|ip| format!("{ip}:{:04X}", address.port()));
            let mut backlog = Self { table: File::open(table).ok()?, local, text: String::new() };
            backlog.bytes().map(|_| backlog)
        })
    }

    /// Whether it is time to wait. A socket that is gone is not: the send will say so.
    pub(super) fn is_high(&mut self) -> bool {
        self.bytes().is_some_and(|bytes| bytes > HIGH)
    }

    fn bytes(&mut self) -> Option<u64> {
        self.text.clear();
        self.table.rewind().ok()?;
        self.table.by_ref().take(LONGEST).read_to_string(&mut self.text).ok()?;
        self.text.lines().skip(1).filter_map(|line| unread(line, &self.local)).max()
    }
}

/// `sl local_address rem_address st tx_queue:rx_queue …`, numbers in hex.
fn unread(line: &str, local: &[String]) -> Option<u64> {
    let mut fields = line.split_ascii_whitespace();
    let own = fields.nth(1)?;
    if !local.iter().any(|local| local == own) {
        return None;
    }
    let (_, unread) = fields.nth(2)?.split_once(':')?;
    u64::from_str_radix(unread, 16).ok()
}

/// An address in words of four bytes, each as this machine reads it.
fn hex(octets: &[u8]) -> String {
    let words = octets.chunks(4).filter_map(|word| word.try_into().ok().map(u32::from_ne_bytes));
    words.map(|word| format!("{word:08X}")).collect()
}

#[cfg(test)]
mod tests {
    use std::net::UdpSocket;

    use super::*;

    #[test]
    fn what_a_socket_has_not_read_is_seen() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        let address = receiver.local_addr().unwrap();
        let mut backlog = Backlog::of(address).unwrap();
        assert_eq!(backlog.bytes(), Some(0));
        let sender = UdpSocket::bind("127.0.0.1:0").unwrap();
        for _ in 0..60 {
            sender.send_to(&[0; 1_000], address).unwrap();
        }
        assert!(backlog.is_high(), "{:?}", backlog.bytes());
        drop(receiver);
        assert!(!backlog.is_high());
        assert!(Backlog::of(address).is_none());
    }

    #[test]
    fn any_line_is_a_number_or_none() {
        let line = "  416: 0100007F:07D0 00000000:0000 07 00000000:000004B0 00:00000000 00000000     0        0 1 2 0";
        let local = [format!("{}:07D0", hex(&[127, 0, 0, 1]))];
        assert_eq!(unread(line, &local), Some(1_200));
        assert_eq!(unread(line, &[format!("{}:07D0", hex(&[127, 0, 0, 2]))]), None, "another's socket with this port");
        for line in ["", "a b c d e", "1: 0100007F:07D0 y st z", "1: 0100007F:07D0 y st z:w"] {
            assert_eq!(unread(line, &local), None, "{line}");
        }
    }

    #[test]
    fn a_socket_for_every_address_is_seen_too() {
        for (bound, told) in [("0.0.0.0:0", "127.0.0.1"), ("[::]:0", "127.0.0.1"), ("[::1]:0", "::1")] {
            let Ok(receiver) = UdpSocket::bind(bound) else {
                // A machine without IPv6.
                assert!(bound.starts_with('['), "{bound}");
                continue;
            };
            let port = receiver.local_addr().unwrap().port();
            assert!(Backlog::of(SocketAddr::new(told.parse().unwrap(), port)).is_some(), "{bound}");
        }
    }
}
