//! AWS credentials: a key's id, its secret, and a session's token. Displays at most the end of the id.

use std::fmt;
use std::time::SystemTime;

use secrecy::{ExposeSecret, SecretString};

/// A key's id, its secret, and the token of a session. Displayed as the last four characters of the id.
#[derive(Debug, Clone)]
pub(crate) struct Credentials {
    pub(crate) id: SecretString,
    pub(crate) secret: SecretString,
    pub(crate) token: Option<SecretString>,
    /// AWS refuses the credentials after this time.
    pub(crate) expires: Option<SystemTime>,
}

impl Credentials {
    /// Creates credentials from texts, all of which must be valid in a header.
    ///
    /// # Errors
    /// A text is not valid in a header. The error reveals neither which text nor its content.
    pub(crate) fn new(id: &str, secret: SecretString, token: Option<SecretString>) -> Result<Self, &'static str> {
        let texts = [Some(id), Some(secret.expose_secret()), token.as_ref().map(ExposeSecret::expose_secret)];
        if texts.into_iter().flatten().any(|text| text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_graphic()))
        {
            return Err("contain a space or a character outside ASCII");
        }
        Ok(Self { id: id.into(), secret, token, expires: None })
    }
}

impl fmt::Display for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.id.expose_secret();
        // Four characters would reveal too much of a shorter id.
        let shown = if id.len() >= 12 { id.get(id.len() - 4..).unwrap_or_default() } else { "" };
        write!(f, "…{shown}")
    }
}
