//! Identifies the bearer of an issuer's token: a token of an Amazon Cognito user pool, or of another issuer that makes them in the same way ([its
//! documentation](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html)).
//!
//! A valid token is signed with RS256 by a key that the issuer publishes, names the issuer and our client, and is used within its period of validity. Until the
//! signature has been verified, only the name of the key is used. Knows no users, and keeps no tokens.

mod error;
mod jwks;
mod keys;
mod token;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::Issuer;
use crate::domain::Token;
use keys::Keys;
use token::Unverified;

pub(crate) use error::TokenError;
pub use jwks::NoKeys;
pub(crate) use token::Bearer;

/// An issuer's tokens.
pub(crate) struct Tokens {
    issuer: Issuer,
    keys: Arc<Keys>,
}

impl Tokens {
    pub(crate) fn of(issuer: Issuer) -> Self {
        let keys = Arc::new(Keys::at(issuer.keys()));
        Self { issuer, keys }
    }

    /// The bearer of this token.
    pub(crate) async fn bearer(&self, token: &Token, now: DateTime<Utc>) -> Result<Bearer, TokenError> {
        let token = Unverified::parse(token.expose())?;
        let key = self.keys.find(token.kid()).await?;
        token.verify(&key)?.bearer(&self.issuer, now)
    }
}

/// Requests the keys of an issuer, and returns how many of them can be used here. Blocks.
///
/// # Errors
/// [`NoKeys`] gives the reason why there are none.
pub fn reach(issuer: &Issuer) -> Result<usize, NoKeys> {
    jwks::fetch(&jwks::agent(), &issuer.keys()).map(|keys| keys.len())
}
