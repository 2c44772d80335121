//! The first bytes of a connection, which show the protocol.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::time::{Instant, timeout, timeout_at};

use super::{ConnectionServer, REFUSED};
use crate::inbound::framing::Refusal;
use crate::inbound::permits::ConnectionPermit;
use crate::inbound::state::ConnectionState;
use crate::inbound::transport::Transport;
use crate::inbound::wire::{Deadlines, Wire};

pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
/// The first byte of a TLS handshake; no HTTP request starts with it.
const HANDSHAKE: u8 = 0x16;

pub(super) struct OpenedConnection {
    pub(super) transport: Transport,
    /// The bytes that were read to find the protocol.
    first: BytesMut,
    /// The deadline of the head that `first` starts.
    until: Option<Instant>,
    pub(super) http2: bool,
    pub(super) refusal: Option<Refusal>,
}

impl OpenedConnection {
    pub(super) fn wire(
        self,
        state: &Arc<ConnectionState>,
        deadlines: Deadlines,
        permit: Option<ConnectionPermit>,
    ) -> Wire<Transport> {
        Wire::new(self.transport, self.first, self.until, Arc::clone(state), deadlines, permit)
    }
}

impl ConnectionServer {
    /// Waits for the first bytes, which show the protocol; returns `None` if none come. If the connection is to be refused,
    /// each step waits at most [`REFUSED`], and a connection without bytes counts as HTTP/1.
    pub(super) async fn open(
        &self,
        stream: TcpStream,
        mut refusal: Option<Refusal>,
    ) -> io::Result<Option<OpenedConnection>> {
        let is_refused = refusal.is_some();
        let within = |limit: Duration| if is_refused { REFUSED } else { limit };
        let (idle, handshake) = (within(2 * self.limits.idle), within(self.limits.handshake));
        let head = within(self.limits.deadlines.head);
        let mut transport = match &self.tls {
            None => Transport::Plain(stream),
            Some(acceptor) => {
                let mut first = [0];
                if timeout(idle, stream.peek(&mut first)).await?? == 0 {
                    return Ok(None);
                }
                if first == [HANDSHAKE] {
                    let stream = timeout(handshake, acceptor.accept(stream)).await??;
                    Transport::Secure(Box::new(stream))
                } else {
                    refusal = refusal.or(Some(Refusal::NotSecure));
                    Transport::Plain(stream)
                }
            }
        };
        let mut first = BytesMut::new();
        let mut http2 = transport.is_http2();
        let mut until = Instant::now() + idle;
        while !http2 && (first.is_empty() || (PREFACE.starts_with(&first))) {
            first.reserve(1024);
            match timeout_at(until, transport.read_buf(&mut first)).await {
                Ok(read) => match read? {
                    0 => return Ok(None),
                    // These are the first bytes.
                    length if length == first.len() => until = Instant::now() + head,
                    _ => {}
                },
                Err(_) if first.is_empty() && !is_refused => return Ok(None),
                Err(_) => {
                    refusal = refusal.or(Some(Refusal::TooSlow));
                    break;
                }
            }
            http2 = first.starts_with(PREFACE);
        }
        let until = (!first.is_empty()).then_some(until);
        Ok(Some(OpenedConnection { transport, first, until, http2, refusal }))
    }
}
