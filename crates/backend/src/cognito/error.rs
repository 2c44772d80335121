//! Why a token is refused.

/// Why a token does not identify its bearer. Quotes nothing of the token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum TokenError {
    #[error("this is not a token of the issuer; send one as `Authorization: Bearer TOKEN`")]
    NotAToken,
    #[error("the token is not signed with RS256; get another from the issuer")]
    Algorithm,
    #[error("the issuer does not publish the token's key; get another token from it")]
    UnknownKey,
    #[error("the token's signature is invalid; get another token from the issuer")]
    Signature,
    #[error("the token is from another issuer")]
    AnotherIssuer,
    #[error("the token is for another client, or is neither an access token nor an id token")]
    AnotherClient,
    #[error("the token has expired; get another from the issuer")]
    Expired,
    #[error("the token is not valid yet; check the issuer's clock and this server's")]
    NotYetValid,
    /// The token is not at fault: no key has ever been received.
    #[error("cannot fetch the account issuer's keys; try again")]
    Unavailable,
}
