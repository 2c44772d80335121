//! What every handler may use.

use actix_web::HttpResponse;
use bytes::Bytes;

use super::drain::Drain;
use super::origins::Origins;
use super::problem::Problem;
use crate::cognito::Tokens;
use crate::config::{self, Shape};
use crate::faults::Faults;
use crate::store::Store;

/// What every handler may use.
pub(super) struct State {
    pub(super) store: Store,
    pub(super) credentials: Credentials,
    pub(super) origins: Origins,
    pub(super) shape: Shape,
    pub(super) faults: Faults,
    /// The OpenAPI document of these routes; made once.
    pub(super) document: Bytes,
    pub(super) drain: Drain,
}

pub(super) type HandlerResult = Result<HttpResponse, Problem>;

/// How callers are identified.
pub(super) enum Credentials {
    /// By sessions.
    Sessions,
    /// By an issuer's tokens.
    Tokens(Tokens),
}

impl From<config::Accounts> for Credentials {
    fn from(accounts: config::Accounts) -> Self {
        match accounts {
            config::Accounts::Own => Self::Sessions,
            config::Accounts::Issued(issuer) => Self::Tokens(Tokens::of(issuer)),
        }
    }
}

impl Credentials {
    /// Whether an issuer has the accounts, so that no user signs up, in or out here.
    pub(super) fn are_issued(&self) -> bool {
        matches!(self, Self::Tokens(_))
    }
}
