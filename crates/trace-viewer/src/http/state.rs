//! What handlers share.

use std::net::SocketAddr;
use std::sync::Arc;

use super::limits::Searches;
use super::response::ResponseBudget;
use crate::body::Bodies;
use crate::store::Store;

/// The most bytes of a decoded body: several times the size of 512 spans. An empty span takes two bytes there, and sixty-four in memory.
pub(crate) const MAX_BODY: usize = 4 * 1024 * 1024;

/// What every handler may use.
pub(crate) struct State {
    pub(crate) store: Arc<Store>,
    pub(crate) bodies: Bodies,
    pub(crate) responses: ResponseBudget,
    pub(crate) searches: Searches,
    pub(crate) otlp: SocketAddr,
    pub(crate) xray: SocketAddr,
}
