//! Where an upstream is. Opens nothing.

use std::str::FromStr;

use http::uri::Authority;

/// A server that requests are forwarded to: `http://host:port`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Upstream(Authority);

impl Upstream {
    /// Where the backend listens by default.
    pub(crate) fn backend() -> Self {
        Self(Authority::from_static("127.0.0.1:4567"))
    }

    pub(crate) fn authority(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn host_and_port(&self) -> (&str, u16) {
        (self.0.host(), self.0.port_u16().unwrap_or(80))
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// Why a text is not an upstream.
#[derive(Debug, thiserror::Error)]
#[error("expected http://host:port")]
pub(crate) struct NotAnUpstream;

impl FromStr for Upstream {
    type Err = NotAnUpstream;

    /// The scheme may be omitted.
    fn from_str(text: &str) -> Result<Self, NotAnUpstream> {
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let authority: Authority = authority.parse().map_err(|_| NotAnUpstream)?;
        // `Authority` accepts any text as a port.
        let rest = authority.as_str().strip_prefix(authority.host());
        let port = rest.is_some_and(|rest| rest.is_empty() || rest.strip_prefix(':').is_some_and(is_port));
        let plain = !authority.host().is_empty();
        if plain && port { Ok(Self(authority)) } else { Err(NotAnUpstream) }
    }
}

fn is_port(text: &str) -> bool {
    text.parse::<u16>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_upstream_is_a_host_and_a_port() {
        for text in ["http://backend:4567", "backend:4567", "http://backend:4567/"] {
            assert_eq!(text.parse::<Upstream>().unwrap().to_string(), "http://backend:4567");
        }
        for text in ["https://backend", "http://backend/api", "http://me@backend", "backend:x", "backend:99999", ""] {
            assert!(text.parse::<Upstream>().is_err(), "{text}");
        }
    }
}
