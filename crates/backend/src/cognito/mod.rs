//! Identifies the bearer of an issuer's token: a token of an Amazon Cognito user pool, or of another issuer that makes them in the same way ([its
//! documentation](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html)).
//!
//! A valid token is signed with RS256 by a key that the issuer publishes, names the issuer and our client, and is used within its period of validity. Until the
//! signature has been verified, only the name of the key is used. Knows no users, and keeps no tokens.

mod jwks;
mod keys;
mod token;

use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::config::Issuer;
use crate::domain::{Handle, Token};
use keys::Keys;
use token::Unverified;

pub use jwks::NoKeys;

/// An issuer's tokens.
pub(crate) struct Tokens {
    issuer: Issuer,
    keys: Arc<Keys>,
}

/// The bearer of a valid token.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The issuer and its name for the user: another issuer may mean another user by the same name.
    pub(crate) subject: String,
    /// The preferred handle of the user, if it is free.
    pub(crate) handle: Handle,
}

/// Why a token does not identify its bearer. Quotes nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    #[error("this is no token of the issuer's; send one as `Authorization: Bearer TOKEN`")]
    NoToken,
    #[error("tokens are signed with RS256, and this one is not")]
    Algorithm,
    #[error("the issuer has no such key; get another token from it")]
    UnknownKey,
    #[error("the token's signature is wrong; get another token from the issuer")]
    Signature,
    #[error("this token is another issuer's")]
    AnotherIssuer,
    #[error("this token is for another client, or for another use than access or id")]
    AnotherClient,
    #[error("the token has expired; get another from the issuer")]
    Expired,
    #[error("the token is not good yet; is the issuer's clock right, and ours?")]
    Early,
    /// The token is not at fault: no key has ever been received.
    #[error("the issuer of accounts does not answer; try again")]
    Away,
}

impl Tokens {
    pub(crate) fn of(issuer: Issuer) -> Self {
        let keys = Arc::new(Keys::at(issuer.keys()));
        Self { issuer, keys }
    }

    /// The bearer of this token.
    pub(crate) async fn bearer(&self, token: &Token, now: DateTime<Utc>) -> Result<Bearer, Refused> {
        let token = Unverified::parse(token.expose())?;
        let key = self.keys.find(token.kid()).await?;
        token.verify(&key)?.bearer(&self.issuer, now)
    }
}

/// Requests the keys of an issuer, and returns how many of them can be used here. Blocks.
///
/// # Errors
/// [`NoKeys`] says why there are none.
pub fn reach(issuer: &Issuer) -> Result<usize, NoKeys> {
    jwks::fetch(&jwks::agent(), &issuer.keys()).map(|keys| keys.len())
}
