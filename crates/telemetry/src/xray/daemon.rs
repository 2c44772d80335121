//! The X-Ray daemon as a destination: a document a span, each in a datagram of its own.

use std::sync::Arc;

use wire::datagram::{HEADER, MAX_DOCUMENT_BYTES};

use super::socket::{Burst, Socket};
use super::translate;
use crate::address::DaemonAddress;
use crate::ledger::Reason;
use crate::pipeline::{Exporter, Outcome};
use crate::span::Record;
use crate::span::reading::Reading;

/// Writes documents and sends them.
pub(crate) struct Daemon {
    address: DaemonAddress,
    service: Arc<str>,
    /// Opened by the first document and again after an error, so that a host name is looked up again.
    socket: Option<Socket>,
    burst: Burst,
}

impl Daemon {
    pub(crate) fn new(address: DaemonAddress, service: &str) -> Self {
        Self { address, service: wire::name(service).into(), socket: None, burst: Burst::default() }
    }

    /// Sends the burst, and tells whether there is somebody to send to.
    fn send(&mut self, outcome: &mut Outcome) -> bool {
        let count = self.burst.len();
        let socket = match self.socket.take() {
            Some(socket) => Ok(socket),
            None => Socket::open(&self.address.udp),
        };
        let sent = socket.map_err(|error| (count, error)).and_then(|mut socket| {
            socket.send(&mut self.burst)?;
            Ok(socket)
        });
        self.burst.clear();
        match sent {
            Ok(socket) => {
                self.socket = Some(socket);
                true
            }
            Err((lost, error)) => {
                let error = format!("the X-Ray daemon at {} cannot be sent to: {error}", self.address);
                outcome.lose(lost, Reason::Unreachable, error);
                lost < count
            }
        }
    }
}

impl Exporter for Daemon {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let mut outcome = Outcome::default();
        self.burst.clear();
        for (index, record) in batch.iter().enumerate() {
            // One that is away or stuck would take its time for each burst.
            if self.burst.is_full() && !self.send(&mut outcome) {
                let why = outcome.error.clone().unwrap_or_default();
                outcome.lose(batch.len() - index, Reason::Unreachable, why);
                return outcome;
            }
            let service = &self.service;
            let pushed = self.burst.push(HEADER.len() + MAX_DOCUMENT_BYTES, |datagram| {
                datagram.extend_from_slice(HEADER);
                translate::write(&Reading::of(record), service, datagram);
            });
            if let Err(size) = pushed {
                let size = size - HEADER.len();
                outcome.lose(1, Reason::TooLarge, format!("a segment document of {size} bytes is too large"));
            }
        }
        if self.burst.len() > 0 {
            self.send(&mut outcome);
        }
        outcome
    }
}
