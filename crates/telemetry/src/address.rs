//! URLs over HTTP, parsed once at the edge. Does no I/O.

use std::fmt;
use std::net::IpAddr;
use std::str::FromStr;

use ::http::Uri;

/// An absolute `http` or `https` URL without user or fragment. Parsed as a base, to which paths are appended, it has no
/// trailing slash and no query. Shown without its query, which may hold a key.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(String);

/// A URL that is requested exactly as it is written, as OTLP's specification requires for the endpoint of one signal.
pub(crate) struct ExactUrl(pub(crate) Url);

/// The paths that OTLP appends to a base.
const SIGNALS: [&str; 4] = ["/v1/traces", "/v1/logs", "/v1/metrics", "/v1development/profiles"];
/// The ports that collectors use for OTLP over gRPC and over HTTP.
const GRPC_PORT: &str = ":4317";
const HTTP_PORT: &str = ":4318";

impl Url {
    /// Parses a text that is known to be a valid URL.
    pub(crate) fn of(url: &str) -> Self {
        Self(url.to_owned())
    }

    /// The text of the URL.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// This URL with `path`, such as `/v1/traces`, at its end.
    pub fn join(&self, path: &str) -> Self {
        Self(format!("{}{path}", self.0))
    }

    /// This URL as a base: without its query, a signal's path, or a trailing slash.
    pub(crate) fn base(&self) -> Self {
        let (path, _) = self.split_query();
        let path = path.trim_end_matches('/');
        let base = SIGNALS.iter().find_map(|signal| path.strip_suffix(signal)).unwrap_or(path);
        Self(base.trim_end_matches('/').to_owned())
    }

    /// The scheme, the host and the port, as they are written.
    pub(crate) fn origin(&self) -> Self {
        let start = self.0.find("://").map_or(0, |scheme| scheme + 3);
        let end = self.0.get(start..).and_then(|rest| rest.find(['/', '?'])).map_or(self.0.len(), |path| start + path);
        Self(self.0.get(..end).unwrap_or_default().to_owned())
    }

    /// This URL with the port of OTLP over HTTP if it has the port of OTLP over gRPC.
    pub(crate) fn at_http_port(&self) -> Self {
        let start = self.0.find("://").map_or(0, |scheme| scheme + 3);
        let (scheme, rest) = self.0.split_at(start);
        let (authority, path) = rest.split_at(rest.find(['/', '?']).unwrap_or(rest.len()));
        match authority.strip_suffix(GRPC_PORT) {
            Some(host) => Self(format!("{scheme}{host}{HTTP_PORT}{path}")),
            None => self.clone(),
        }
    }

    /// Whether the URL has neither path nor query.
    pub(crate) fn is_bare(&self) -> bool {
        self.uri().is_some_and(|uri| uri.path() == "/" && uri.query().is_none())
    }

    /// The part after the `?`.
    pub(crate) fn query(&self) -> Option<&str> {
        self.split_query().1
    }

    fn split_query(&self) -> (&str, Option<&str>) {
        self.0.split_once('?').map_or((self.0.as_str(), None), |(path, query)| (path, Some(query)))
    }

    /// The host, in lower case.
    pub fn host(&self) -> String {
        self.uri().and_then(|uri| uri.host().map(str::to_ascii_lowercase)).unwrap_or_default()
    }

    /// The port; the scheme's port if none is written.
    pub fn port(&self) -> u16 {
        self.uri().and_then(|uri| uri.port_u16()).unwrap_or(if self.is_encrypted() { 443 } else { 80 })
    }

    /// Whether the scheme is `https`.
    pub fn is_encrypted(&self) -> bool {
        self.0.starts_with("https://")
    }

    /// Whether the address is this machine's own.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host())
    }

    /// Whether a key may go there: over TLS, or without leaving the machine.
    pub(crate) fn is_private(&self) -> bool {
        self.is_encrypted() || self.is_loopback()
    }

    fn uri(&self) -> Option<Uri> {
        self.0.parse().ok()
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a text is not an address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAddress(pub(crate) &'static str);

impl FromStr for Url {
    type Err = NotAnAddress;

    /// Without a scheme, as Honeycomb's documentation writes its address, it is `https://`, or `http://` on this machine.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let ExactUrl(url) = text.trim_end_matches('/').parse()?;
        if url.query().is_some() { Err(NotAnAddress("it has a query")) } else { Ok(url) }
    }
}

impl FromStr for ExactUrl {
    type Err = NotAnAddress;

    /// Without a scheme, as for [`Url`].
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let url = match text.split_once("://") {
            Some((scheme, rest)) => format!("{}://{rest}", scheme.to_ascii_lowercase()),
            None => format!("http://{text}"),
        };
        let has_scheme = text.contains("://");
        let uri: Uri = url.parse().map_err(|_| NotAnAddress("it is not a URL"))?;
        let authority = uri.authority().ok_or(NotAnAddress("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(NotAnAddress("it contains a user or password; send these in OTEL_EXPORTER_OTLP_HEADERS"));
        }
        // `Authority` accepts any text as a port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if authority.host().is_empty() || !is_port {
            return Err(NotAnAddress("it is not a host and a port"));
        }
        match uri.scheme_str() {
            Some("http" | "https") if text.contains('#') => Err(NotAnAddress("it has a fragment")),
            Some("http") if !has_scheme && !is_loopback(authority.host()) => Ok(Self(Url(format!("https://{text}")))),
            Some("http" | "https") => Ok(Self(Url(url))),
            _ => Err(NotAnAddress("its scheme is not http or https")),
        }
    }
}

impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (path, query) = self.split_query();
        write!(f, "{path}{}", if query.is_some() { "?…" } else { "" })
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "[ -~]{0,60}|(https?://|udp:|tcp:)?[a-z:@/?\\[\\]0-9 .]{0,40}") {
            if let Ok(url) = text.parse::<Url>() {
                let parsed: Uri = url.join("/v1/traces").as_str().parse().unwrap();
                let authority = parsed.authority().unwrap();
                prop_assert!(!authority.host().is_empty() && !authority.as_str().contains('@'), "{url}");
            }
        }
    }

    #[test]
    fn an_address_may_omit_the_scheme() {
        for (text, url) in [
            ("api.honeycomb.io:443", "https://api.honeycomb.io:443"),
            ("localhost:4318", "http://localhost:4318"),
            ("http://collector/otlp/", "http://collector/otlp"),
            ("[::1]:4318", "http://[::1]:4318"),
            ("HTTPS://api.honeycomb.io", "https://api.honeycomb.io"),
        ] {
            assert_eq!(text.parse::<Url>().unwrap().as_str(), url);
        }
        for text in [
            "ftp://x",
            "http://",
            "::",
            "http://x/?y",
            "http://me:pw@x",
            "http://:",
            "http://x:y",
            "x:99999",
            "http://x/#y",
        ] {
            assert!(text.parse::<Url>().is_err(), "{text}");
        }
    }

    #[test]
    fn an_exact_url_keeps_its_slashes_and_its_query_and_is_shown_without_the_query() {
        for text in ["http://h/custom/", "http://h/", "http://h", "http://h/a//?key=canary&b=/", "https://h:1?x"] {
            let ExactUrl(url) = text.parse().unwrap();
            assert_eq!(url.as_str(), text);
            assert!(!url.to_string().contains("canary") && !format!("{url:?}").contains("canary"), "{url}");
        }
        for text in ["http://me:pw@x", "http://x/#y", "ftp://x", "http://x y"] {
            assert!(text.parse::<ExactUrl>().is_err(), "{text}");
        }
    }

    #[test]
    fn other_paths_can_be_appended_to_the_base_of_a_signals_endpoint() {
        for (text, base) in [
            ("https://api.honeycomb.io/v1/traces", "https://api.honeycomb.io"),
            ("https://api.honeycomb.io/v1/logs/", "https://api.honeycomb.io"),
            ("http://h/otlp/v1/traces/?key=a", "http://h/otlp"),
            ("http://h/custom/", "http://h/custom"),
            ("http://h:4318", "http://h:4318"),
        ] {
            let ExactUrl(url) = text.parse().unwrap();
            assert_eq!(url.base().as_str(), base, "{text}");
        }
    }

    #[test]
    fn only_the_port_of_grpc_becomes_the_port_of_http() {
        for (text, moved) in [
            ("http://collector:4317", "http://collector:4318"),
            ("https://[::1]:4317/a:4317", "https://[::1]:4318/a:4317"),
            ("http://h:4317?x", "http://h:4318?x"),
            ("http://h:14317/", "http://h:14317/"),
            ("http://h/x:4317", "http://h/x:4317"),
        ] {
            let ExactUrl(url) = text.parse().unwrap();
            assert_eq!(url.at_http_port().as_str(), moved);
        }
    }
}
