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
    pub(super) accounts: Accounts,
    pub(super) origins: Origins,
    pub(super) shape: Shape,
    pub(super) faults: Faults,
    /// The OpenAPI document of these routes; made once.
    pub(super) document: Bytes,
    pub(super) drain: Drain,
}

pub(super) type Answer = Result<HttpResponse, Problem>;

/// How callers are identified.
pub(super) enum Accounts {
    /// By sessions.
    Own,
    /// By an issuer's tokens.
    Issued(Tokens),
}

impl From<config::Accounts> for Accounts {
    fn from(accounts: config::Accounts) -> Self {
        match accounts {
            config::Accounts::Own => Self::Own,
            config::Accounts::Issued(issuer) => Self::Issued(Tokens::of(issuer)),
        }
    }
}

impl Accounts {
    /// Whether an issuer has the accounts, so that no user signs up, in or out here.
    pub(super) fn are_issued(&self) -> bool {
        matches!(self, Self::Issued(_))
    }
}
