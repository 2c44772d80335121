//! The line that a service prints on standard output once it accepts requests, for the process that started it:
//! `ready service=trace-viewer http=http://127.0.0.1:4318 xray=127.0.0.1:2000`. A service prints nothing else there.

use std::fmt;
use std::io::{self, Write};
use std::str::FromStr;

use anyhow::{Result, anyhow};

/// A service that accepts requests, and its addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ready {
    pub(crate) service: String,
    /// The protocol and the address.
    addresses: Vec<(String, String)>,
}

impl Ready {
    pub(crate) fn new(service: &str) -> Self {
        Self { service: service.to_owned(), addresses: Vec::new() }
    }

    pub(crate) fn at(mut self, protocol: &str, address: impl fmt::Display) -> Self {
        self.addresses.push((protocol.to_owned(), address.to_string()));
        self
    }

    pub(crate) fn address(&self, protocol: &str) -> Option<&str> {
        self.addresses.iter().find(|(name, _)| name == protocol).map(|(_, address)| address.as_str())
    }

    /// An address without which the service is of no use to `up`.
    pub(crate) fn required(&self, protocol: &str) -> Result<&str> {
        self.address(protocol).ok_or_else(|| anyhow!("{} has announced no {protocol} address", self.service))
    }

    /// Prints the line. Standard output may be closed.
    pub(crate) fn announce(&self) {
        drop(writeln!(io::stdout(), "{self}"));
    }
}

impl fmt::Display for Ready {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ready service={}", self.service)?;
        self.addresses.iter().try_for_each(|(protocol, address)| write!(f, " {protocol}={address}"))
    }
}

/// A line that is not a valid `ready` line.
#[derive(Debug, thiserror::Error)]
#[error("not a ready line")]
pub(crate) struct NotReady;

impl FromStr for Ready {
    type Err = NotReady;

    fn from_str(line: &str) -> Result<Self, NotReady> {
        let mut words = line.split_whitespace();
        let service = words.next().filter(|word| *word == "ready").and(words.next()).ok_or(NotReady)?;
        let service = service.strip_prefix("service=").ok_or(NotReady)?;
        words.try_fold(Self::new(service), |ready, word| {
            let (protocol, address) = word.split_once('=').ok_or(NotReady)?;
            Ok(ready.at(protocol, address))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_ready_line_is_read_back_as_written() {
        let ready = Ready::new("trace-viewer").at("http", "http://127.0.0.1:4318").at("xray", "127.0.0.1:2000");
        assert_eq!(ready.to_string().parse::<Ready>().unwrap(), ready);
        assert_eq!(ready.address("xray"), Some("127.0.0.1:2000"));
        for line in ["", "ready", "ready backend", "backend is ready"] {
            assert!(line.parse::<Ready>().is_err(), "{line}");
        }
    }
}
