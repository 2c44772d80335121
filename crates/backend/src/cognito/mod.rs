//! Who comes with a token of an issuer's: of a user pool of Amazon Cognito's, or of another that makes them as it does
//! ([its documentation](https://docs.aws.amazon.com/cognito/latest/developerguide/amazon-cognito-user-pools-using-tokens-verifying-a-jwt.html)).
//!
//! A token is good that is signed with RS256 by a key that the issuer publishes, that says it is the issuer's, for our client,
//! and that it is the time for it. Believes nothing of a token before its signature was found right, but which key to look
//! for. Knows no users, and keeps no tokens.

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

/// Whom a good token is about.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Bearer {
    /// The issuer and whom it means: another issuer may mean somebody else by the same name.
    pub(crate) subject: String,
    /// What they are called, where nobody else is.
    pub(crate) handle: Handle,
}

/// Why a token says nothing of who comes with it. Quotes nothing of it.
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
    /// Not the token's fault: no key was ever had.
    #[error("the issuer of accounts does not answer; try again")]
    Away,
}

impl Tokens {
    pub(crate) fn of(issuer: Issuer) -> Self {
        let keys = Arc::new(Keys::at(issuer.keys()));
        Self { issuer, keys }
    }

    /// Whom this token is about.
    pub(crate) async fn bearer(&self, token: &Token, now: DateTime<Utc>) -> Result<Bearer, Refused> {
        let token = Unverified::parse(token.expose())?;
        let key = self.keys.find(token.kid()).await?;
        token.verify(&key)?.bearer(&self.issuer, now)
    }
}

/// Asks an issuer for its keys, and tells how many of them are for us. Blocks.
///
/// # Errors
/// Why there are none.
pub fn reach(issuer: &Issuer) -> Result<usize, NoKeys> {
    jwks::fetch(&jwks::agent(), &issuer.keys()).map(|keys| keys.len())
}
