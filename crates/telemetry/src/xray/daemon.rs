//! Sends documents to the X-Ray daemon through [`xray_lite::DaemonClient`]: UDP, not blocking, IPv4. A send that is refused is
//! tried once more, because the refusal is the answer to an earlier datagram. Paced: a burst overruns the daemon's socket
//! buffer although every send succeeds.

use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::thread::sleep;
use std::time::Duration;

use serde_json::value::RawValue;
use xray_lite::{Client, DaemonClient, Error};

use super::translate;
use crate::address::DaemonAddress;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome};
use crate::span::Record;
use crate::span::reading::Reading;

/// Documents between two pauses. A socket buffer of the usual size holds about ninety documents, and several services send
/// at once: eight a millisecond from each of two lost a sixth before a receiver that had to wait for its core.
const BURST: usize = 4;
const PAUSE: Duration = Duration::from_millis(1);

/// The X-Ray daemon as a destination.
pub(crate) struct Daemon {
    address: DaemonAddress,
    service: String,
    /// Opened by the first document and again after an error, so that a host name is looked up again.
    client: Option<DaemonClient>,
}

impl Daemon {
    pub(crate) fn new(address: DaemonAddress, service: &str) -> Self {
        Self { address, service: service.to_owned(), client: None }
    }

    fn client(&mut self) -> io::Result<&DaemonClient> {
        match &mut self.client {
            Some(client) => Ok(client),
            closed => {
                let client = DaemonClient::new(resolve(&self.address.udp)?).map_err(io_error)?;
                Ok(closed.insert(client))
            }
        }
    }

    fn send(&mut self, document: &RawValue) -> io::Result<()> {
        let mut sent = self.client()?.send(&document).map_err(io_error);
        if let Err(error) = &sent {
            if error.kind() == io::ErrorKind::WouldBlock {
                sleep(PAUSE);
            }
            sent = self.client()?.send(&document).map_err(io_error);
        }
        if sent.is_err() {
            self.client = None;
        }
        sent
    }
}

impl Exporter for Daemon {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let mut outcome = Outcome::default();
        for (index, record) in batch.iter().enumerate() {
            // To look a name up may take seconds: once for a batch is enough.
            if let Err(error) = self.client() {
                let error = format!("the X-Ray daemon at {} cannot be sent to: {error}", self.address);
                outcome.lose(batch.len() - index, Reason::Unreachable, error);
                break;
            }
            if index > 0 && index % BURST == 0 {
                sleep(PAUSE);
            }
            let document =
                match serde_json::value::to_raw_value(&translate::document(&Reading::of(record), &self.service)) {
                    Ok(document) if document.get().len() <= wire::datagram::MAX_DOCUMENT_BYTES => document,
                    Ok(document) => {
                        let error = format!("a segment document of {} bytes is too large", document.get().len());
                        outcome.lose(1, Reason::TooLarge, error);
                        continue;
                    }
                    Err(error) => {
                        outcome.lose(1, Reason::Refused, error.to_string());
                        continue;
                    }
                };
            if let Err(error) = self.send(&document) {
                outcome.lose(1, Reason::Unreachable, format!("the X-Ray daemon at {} is away: {error}", self.address));
            }
        }
        outcome
    }
}

/// The first IPv4 address, which is what the client can carry.
fn resolve(address: &str) -> io::Result<SocketAddr> {
    address
        .to_socket_addrs()?
        .find(SocketAddr::is_ipv4)
        .ok_or_else(|| io::Error::other("it has no IPv4 address, and xray-lite sends to no other"))
}

fn io_error(error: Error) -> io::Error {
    match error {
        Error::IO(error) => error,
        other => io::Error::other(other),
    }
}
