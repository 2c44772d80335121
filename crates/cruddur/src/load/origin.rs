//! The target of a load, as written. Does no I/O.

use std::fmt;
use std::net::Ipv6Addr;
use std::str::FromStr;

use hyper::Uri;
use hyper::http::uri::Scheme;

/// `http://HOST:PORT`, without a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    /// An IPv6 address is stored without its brackets.
    host: String,
    port: u16,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub(crate) struct NotAnOrigin(&'static str);

impl Origin {
    /// `HOST:PORT`, as the `Host` header has it.
    pub(super) fn authority(&self) -> String {
        let host = if self.host.parse::<Ipv6Addr>().is_ok() { format!("[{}]", self.host) } else { self.host.clone() };
        if self.port == 80 { host } else { format!("{host}:{}", self.port) }
    }

    pub(super) fn host(&self) -> &str {
        &self.host
    }

    pub(super) fn port(&self) -> u16 {
        self.port
    }
}

impl FromStr for Origin {
    type Err = NotAnOrigin;

    /// Parses an origin; without a scheme, `http://` is assumed.
    fn from_str(text: &str) -> Result<Self, NotAnOrigin> {
        let url = if text.contains("://") { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri =
            url.parse().map_err(|_| NotAnOrigin("it is not a URL; give one such as http://localhost:3000"))?;
        if uri.scheme() == Some(&Scheme::HTTPS) {
            return Err(NotAnOrigin(
                "the load speaks only plain HTTP; give the http:// address behind the proxy that ends TLS",
            ));
        }
        if uri.scheme() != Some(&Scheme::HTTP) {
            return Err(NotAnOrigin("its scheme is not http"));
        }
        let authority = uri.authority().ok_or(NotAnOrigin("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(NotAnOrigin("it has a user or password; the load signs up its own accounts"));
        }
        if uri.path() != "/" || uri.query().is_some() {
            return Err(NotAnOrigin("it has a path; give only the scheme, the host and the port"));
        }
        // `Authority` accepts any text as a port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let port = if port.is_empty() { Some(80) } else { port.strip_prefix(':').and_then(|port| port.parse().ok()) };
        let host = authority.host();
        let host = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        match port {
            Some(port) if port > 0 && !host.is_empty() => Ok(Self { host: host.to_ascii_lowercase(), port }),
            _ => Err(NotAnOrigin("it is not a host and a port")),
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "http://{}", self.authority())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_an_origin_or_an_error(text in "[ -~]{0,60}|(https?://)?[a-zA-Z:@/?\\[\\]0-9 .]{0,40}") {
            if let Ok(origin) = text.parse::<Origin>() {
                prop_assert_eq!(&origin.to_string().parse::<Origin>().unwrap(), &origin);
                let uri: Uri = format!("{origin}/api/activities/home").parse().unwrap();
                prop_assert_eq!((uri.path(), uri.query()), ("/api/activities/home", None));
            }
        }
    }

    #[test]
    fn an_origin_has_several_forms() {
        for (text, origin) in [
            ("http://localhost:3000", "http://localhost:3000"),
            ("http://LOCALHOST:3000/", "http://localhost:3000"),
            ("localhost:3000", "http://localhost:3000"),
            ("127.0.0.1", "http://127.0.0.1"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("[::1]:4567", "http://[::1]:4567"),
        ] {
            assert_eq!(text.parse::<Origin>().unwrap().to_string(), origin);
        }
    }

    #[test]
    fn an_invalid_origin_is_an_error_with_its_reason() {
        for (text, why) in [
            ("https://localhost:3000", "plain HTTP"),
            ("ftp://localhost", "scheme"),
            ("http://me:secret@localhost", "user or password"),
            ("http://localhost:3000/api", "path"),
            ("http://localhost:3000?limit=1", "path"),
            ("http://localhost:x", "port"),
            ("http://localhost:0", "port"),
            ("http://localhost:99999", "port"),
            ("http://", "not a URL"),
            ("", "not a URL"),
        ] {
            let error = text.parse::<Origin>().unwrap_err().to_string();
            assert!(error.contains(why), "{text:?}: {error}");
        }
    }
}
