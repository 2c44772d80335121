//! An address to listen on.

use std::fmt;
use std::net::{AddrParseError, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// An address to listen on: `127.0.0.1:4567`, `[::1]:4567`, or `localhost:4567`, which means `127.0.0.1:4567`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Listen(pub SocketAddr);

impl Listen {
    pub(crate) fn loopback(port: u16) -> Self {
        Self(SocketAddr::from((Ipv4Addr::LOCALHOST, port)))
    }
}

impl FromStr for Listen {
    type Err = AddrParseError;

    fn from_str(text: &str) -> Result<Self, AddrParseError> {
        let local = text.strip_prefix("localhost:").and_then(|port| port.parse().ok());
        match local {
            Some(port) => Ok(Self::loopback(port)),
            None => text.parse().map(Self),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(&self.0, f)
    }
}
