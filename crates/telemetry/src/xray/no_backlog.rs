//! Takes the place of `backlog` where the kernel cannot be asked what waits in another's socket: there is none.

use std::net::SocketAddr;

/// Of no socket.
pub(super) enum Backlog {}

impl Backlog {
    pub(super) fn of(_: SocketAddr, _: SocketAddr) -> Option<Self> {
        None
    }

    pub(super) fn is_high(&self) -> bool {
        match *self {}
    }
}
