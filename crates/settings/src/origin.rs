//! The origins whose pages may call the API. Does no I/O.

use std::net::Ipv6Addr;
use std::str::FromStr;

use crate::Settings;
use crate::host::{Authority, default_port};

/// The response headers that a page of another origin may read.
pub const EXPOSED_HEADERS: [&str; 5] = ["location", "link", "server-timing", "x-request-id", "x-amzn-trace-id"];

/// `scheme://host[:port]`, as a browser sends it: in lower case, and without the default port of its scheme.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Origin {
    text: String,
    host: String,
}

/// Why a text is not an origin.
#[derive(Debug, thiserror::Error)]
#[error("it is not scheme://host[:port]")]
pub struct NotAnOrigin;

impl Origin {
    /// The origins in `FRONTEND_URL` and `BACKEND_URL`, if they are set.
    pub fn read_all(settings: &mut Settings) -> Vec<Self> {
        const EXPECTED: &str = "an origin such as https://cruddur.example, without a path";
        ["FRONTEND_URL", "BACKEND_URL"].iter().filter_map(|name| settings.parse(name, EXPECTED)).collect()
    }

    /// The origin as an `Origin` header contains it.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The same origin under this machine's other names, which a browser treats as different origins.
    pub fn other_names(&self) -> Vec<Self> {
        const NAMES: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];
        let others = NAMES.iter().filter(|name| NAMES.contains(&self.host()) && **name != self.host);
        others.map(|name| Self { text: self.text.replacen(&self.host, name, 1), host: (*name).to_owned() }).collect()
    }

    /// The origin's host, without a port.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let text = text.trim_end_matches('/').to_ascii_lowercase();
        let (scheme, authority) = text.split_once("://").ok_or(NotAnOrigin)?;
        let default = default_port(scheme).ok_or(NotAnOrigin)?;
        let authority = Authority::parse(authority).ok_or(NotAnOrigin)?;
        let address =
            authority.host().strip_prefix('[').and_then(|host| host.strip_suffix(']')?.parse::<Ipv6Addr>().ok());
        let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        let host = match address {
            Some(address) => format!("[{address}]"),
            None if authority.host().chars().all(plain) => authority.host().to_owned(),
            None => return Err(NotAnOrigin),
        };
        let text = match authority.port().filter(|port| *port != default) {
            Some(port) => format!("{scheme}://{host}:{port}"),
            None => format!("{scheme}://{host}"),
        };
        Ok(Self { text, host })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_has_a_browsers_spelling() {
        for (text, origin, host) in [
            ("https://Cruddur.example/", "https://cruddur.example", "cruddur.example"),
            ("https://app.example:443", "https://app.example", "app.example"),
            ("HTTP://app.example:80", "http://app.example", "app.example"),
            ("http://app.example:0080/", "http://app.example", "app.example"),
            ("http://app.example:", "http://app.example", "app.example"),
            ("http://app.example:443", "http://app.example:443", "app.example"),
            ("https://app.example:80", "https://app.example:80", "app.example"),
            ("http://localhost:3000", "http://localhost:3000", "localhost"),
            ("http://[0:0:0:0:0:0:0:1]:3000", "http://[::1]:3000", "[::1]"),
        ] {
            let parsed: Origin = text.parse().unwrap();
            assert_eq!((parsed.as_str(), parsed.host()), (origin, host), "{text}");
        }
        for text in
            ["*", "null", "ftp://a", "https://", "https://a/b", "https://me@a", "https://a:x", "//a", "https://a,b"]
        {
            assert!(text.parse::<Origin>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_local_origin_has_other_names() {
        let others = |origin: &str| -> Vec<String> {
            origin.parse::<Origin>().unwrap().other_names().into_iter().map(|origin| origin.text).collect()
        };
        assert_eq!(others("http://localhost:3000"), ["http://127.0.0.1:3000", "http://[::1]:3000"]);
        assert_eq!(others("https://127.0.0.1"), ["https://localhost", "https://[::1]"]);
        assert_eq!(others("http://[::1]"), ["http://localhost", "http://127.0.0.1"]);
        assert_eq!(others("http://localhost.example:3000"), [""; 0]);
        assert_eq!(others("https://cruddur.example"), [""; 0]);
    }

    proptest! {
        #[test]
        fn an_origin_survives_its_text(text in "(https?|HTTP)://[a-zA-Z0-9.:\\[\\]/@-]{0,16}|\\PC{0,12}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(origin.as_str().parse::<Origin>().unwrap(), origin);
            }
        }
    }
}
