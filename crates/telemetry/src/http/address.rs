//! Writes addresses in the form that spans record.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::ops::Deref;

/// A peer's address in the form that spans record: IPv4 is never written as IPv6.
pub fn peer(address: SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

/// An address as text, without an allocation. The longest IPv6 address has 39 characters.
#[derive(Debug, Clone, Copy)]
pub struct AddressText {
    bytes: [u8; 39],
    length: usize,
}

impl AddressText {
    fn push(&mut self, text: &str) {
        if let Some(place) = self.bytes.get_mut(self.length..self.length + text.len()) {
            place.copy_from_slice(text.as_bytes());
            self.length += text.len();
        }
    }
}

impl Deref for AddressText {
    type Target = str;

    fn deref(&self) -> &str {
        self.bytes.get(..self.length).and_then(|text| str::from_utf8(text).ok()).unwrap_or_default()
    }
}

impl fmt::Write for AddressText {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        self.push(text);
        Ok(())
    }
}

/// Writes the same text as `Display`, in a tenth of the time for IPv4.
pub fn address(peer: IpAddr) -> AddressText {
    let mut text = AddressText { bytes: [0; 39], length: 0 };
    match peer {
        IpAddr::V4(address) => {
            for (index, octet) in address.octets().into_iter().enumerate() {
                if index > 0 {
                    text.push(".");
                }
                text.push(itoa::Buffer::new().format(octet));
            }
        }
        // Writing to it does not fail.
        IpAddr::V6(address) => drop(write!(text, "{address}")),
    }
    text
}

/// An authority without the user and the password before its host, which no span records.
#[cfg(any(feature = "awc", feature = "tower"))]
pub(crate) fn without_user(authority: &str) -> &str {
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

pub(super) fn split_port(authority: &str) -> (&str, Option<u16>) {
    // A port is short, so the search for its colon starts at the end.
    let colon = authority.bytes().rposition(|byte| byte == b':');
    let parts = colon.and_then(|colon| Some((authority.get(..colon)?, authority.get(colon + 1..)?.parse().ok()?)));
    parts.map_or((authority, None), |(host, port)| (host, Some(port)))
}
