//! Why a token is refused.

/// Why a token does not identify its bearer. Quotes nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("this is no token of the issuer's; send one as `Authorization: Bearer TOKEN`")]
    NotAToken,
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
    NotYetValid,
    /// The token is not at fault: no key has ever been received.
    #[error("the issuer of accounts does not answer; try again")]
    Unavailable,
}
