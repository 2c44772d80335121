//! What the environment says about the proxy. Opens nothing.
//!
//! | variable | meaning | default |
//! |---|---|---|
//! | `CRUDDUR_PROXY_LISTEN` | the address to listen on; port 0 takes a free one | `127.0.0.1:3000` |
//! | `CRUDDUR_UPSTREAM` | the backend that `/api/*` goes to | `http://127.0.0.1:4567` |
//! | `TRACE_TRUST` | whose trace is continued: `never`, `link`, `always`, or networks such as `10.0.0.0/8,::1`; others begin a new one, linked to theirs but for `never` | callers on this machine |
//! | `CRUDDUR_VIEWER` | the trace viewer that `/traces/` goes to, for reading only | none: `/traces/` is not found |

use std::net::SocketAddr;
use std::str::FromStr;

use http::Uri;
use http::uri::{Authority, PathAndQuery, Scheme};
use settings::{Listen, Settings};
use telemetry::propagation::Trust;

/// The proxy's settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// Where to listen.
    pub listen: SocketAddr,
    /// The backend.
    pub upstream: Upstream,
    /// The trace viewer.
    pub viewer: Option<Upstream>,
    /// Whose trace is continued.
    pub trust: Trust,
}

/// A server that requests are forwarded to: `http://host:port`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Upstream(Authority);

impl Config {
    /// From `settings`, which remembers the faults.
    pub fn read(settings: &mut Settings) -> Self {
        let listen = settings.parse::<Listen>("CRUDDUR_PROXY_LISTEN", "an address such as 127.0.0.1:3000");
        let upstream = settings.parse("CRUDDUR_UPSTREAM", "an address such as http://127.0.0.1:4567, without a path");
        let viewer = settings.parse("CRUDDUR_VIEWER", "an address such as http://127.0.0.1:4318, without a path");
        Self {
            listen: listen.map_or(SocketAddr::from(([127, 0, 0, 1], 3000)), |listen| listen.0),
            upstream: upstream.unwrap_or(Upstream(Authority::from_static("127.0.0.1:4567"))),
            viewer,
            trust: settings
                .parse("TRACE_TRUST", "never, link, always, or networks such as 10.0.0.0/8,::1")
                .unwrap_or_default(),
        }
    }
}

impl Upstream {
    pub(crate) fn authority(&self) -> &str {
        self.0.as_str()
    }

    pub(crate) fn uri(&self, path: PathAndQuery) -> Result<Uri, http::Error> {
        Uri::builder().scheme(Scheme::HTTP).authority(self.0.clone()).path_and_query(path).build()
    }
}

impl std::fmt::Display for Upstream {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "http://{}", self.0)
    }
}

/// Why a text is not an upstream.
#[derive(Debug, thiserror::Error)]
#[error("it is not http://host:port")]
pub struct NotAnUpstream;

impl FromStr for Upstream {
    type Err = NotAnUpstream;

    /// The scheme may be left out.
    fn from_str(text: &str) -> Result<Self, NotAnUpstream> {
        let authority = text.strip_prefix("http://").unwrap_or(text).trim_end_matches('/');
        let authority: Authority = authority.parse().map_err(|_| NotAnUpstream)?;
        // `Authority` takes any text for a port.
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
