//! The X-Ray daemon as a destination: the documents of a batch, each in a datagram of its own.

use std::sync::Arc;
use std::time::{Duration, Instant};

use wire::datagram::HEADER;

use super::origin::Origin;
use super::pack::Packer;
use super::socket::{Burst, Socket};
use crate::address::DaemonAddress;
use crate::ledger::{Alteration, Reason};
use crate::pipeline::{Exporter, Outcome};
use crate::span::Record;

/// How long a socket is used before the daemon's host name is looked up again: UDP says nothing when a name has moved.
const RESOLVED: Duration = Duration::from_secs(30);

/// Writes documents and sends them.
pub(crate) struct Daemon {
    address: DaemonAddress,
    origin: Arc<Origin>,
    /// Opened by the first document, and again after an error or when its address may be out of date.
    socket: Option<(Socket, Instant)>,
    burst: Burst,
    datagram: Vec<u8>,
}

impl Daemon {
    pub(crate) fn new(address: DaemonAddress, origin: Arc<Origin>) -> Self {
        Self { address, origin, socket: None, burst: Burst::default(), datagram: Vec::new() }
    }

    /// Sends the burst, and tells whether there is somebody to send to.
    fn send(&mut self, outcome: &mut Outcome) -> bool {
        let spans = self.burst.spans();
        let sent = self.socket().map_err(|error| (spans, error)).and_then(|(mut socket, since)| {
            socket.send(&mut self.burst)?;
            Ok((socket, since))
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
                lost < spans
            }
        }
    }

    /// The socket, taken out: one that fails is not put back.
    fn socket(&mut self) -> std::io::Result<(Socket, Instant)> {
        match self.socket.take() {
            Some((socket, since)) if since.elapsed() < RESOLVED => Ok((socket, since)),
            Some((socket, _)) => {
                // A name server that is away is no reason to give up an address that works.
                let socket =
                    if socket.is_current(&self.address.udp) { Ok(socket) } else { Socket::open(&self.address.udp) };
                socket.map(|socket| (socket, Instant::now()))
            }
            None => Socket::open(&self.address.udp).map(|socket| (socket, Instant::now())),
        }
    }
}

impl Exporter for Daemon {
    fn export(&mut self, batch: &[Record]) -> Outcome {
        let mut outcome = Outcome::default();
        self.burst.clear();
        let origin = Arc::clone(&self.origin);
        let mut packer = Packer::new(&origin, batch);
        // Spans that are in a burst, sent or not.
        let mut told = 0;
        loop {
            self.datagram.clear();
            self.datagram.extend_from_slice(HEADER);
            let Some(spans) = packer.next(&mut self.datagram) else { break };
            // One that is away or stuck would take its time for each burst.
            if !self.burst.has_room(self.datagram.len()) && !self.send(&mut outcome) {
                let why = outcome.error.clone().unwrap_or_default();
                outcome.lose(batch.len() - told, Reason::Unreachable, why);
                return outcome;
            }
            self.burst.push(&self.datagram, spans);
            told += spans;
        }
        if self.burst.len() > 0 {
            self.send(&mut outcome);
        }
        let fitted = packer.fitted();
        let altered = [
            (Alteration::Truncated, fitted.truncated),
            (Alteration::Shrunk, fitted.shrunk),
            (Alteration::Split, fitted.split),
        ];
        outcome.altered.extend(altered.into_iter().filter(|(_, count)| *count > 0));
        outcome
    }
}
