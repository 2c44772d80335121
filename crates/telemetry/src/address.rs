//! Where a destination is: the forms in which people write addresses, read into what the exporters use. Resolves nothing.

use std::fmt;
use std::str::FromStr;

use ::http::{HeaderName, Uri};
use secrecy::{ExposeSecret, SecretString};

/// Where OTLP/HTTP goes, and the headers that go with it.
#[derive(Debug)]
pub struct Endpoint {
    pub(crate) base: String,
    pub(crate) headers: Vec<(HeaderName, SecretString)>,
}

/// The address of an X-Ray daemon: UDP for segments, TCP for sampling rules. Host names are resolved when used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DaemonAddress {
    /// `host:port` that takes segment documents.
    pub udp: String,
    /// `host:port` that answers for sampling rules.
    pub tcp: String,
}

impl Endpoint {
    pub(crate) fn at(base: &str) -> Self {
        Self { base: base.to_owned(), headers: Vec::new() }
    }

    /// The URL that takes spans.
    pub fn traces(&self) -> String {
        format!("{}/v1/traces", self.base)
    }

    /// The headers of each request.
    pub fn headers(&self) -> &[(HeaderName, SecretString)] {
        &self.headers
    }

    pub(crate) fn header(&self, name: &str) -> Option<String> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.expose_secret().to_owned())
    }

    fn host(&self) -> String {
        self.base.parse::<Uri>().ok().and_then(|uri| uri.host().map(str::to_ascii_lowercase)).unwrap_or_default()
    }

    pub(crate) fn is_honeycomb(&self) -> bool {
        let host = self.host();
        host == "honeycomb.io" || host.ends_with(".honeycomb.io")
    }

    /// A key may go there: over TLS, or without leaving the machine.
    pub(crate) fn is_private(&self) -> bool {
        self.base.starts_with("https://") || is_loopback(&self.host())
    }
}

fn is_loopback(host: &str) -> bool {
    let host = host.trim_matches(['[', ']']);
    host == "localhost" || host.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Why a text is not an address.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct NotAnAddress(&'static str);

impl FromStr for Endpoint {
    type Err = NotAnAddress;

    /// Takes the base URL of OTLP/HTTP, as the specification's variable does. Without a scheme, as Honeycomb's
    /// documentation writes it, it is `https://`, or `http://` on this machine.
    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let has_scheme = text.contains("://");
        // The base is asked for; whoever gives the whole URL of the traces means it.
        let text = text.trim_end_matches('/').trim_end_matches("/v1/traces");
        let url = if has_scheme { text.to_owned() } else { format!("http://{text}") };
        let uri: Uri = url.parse().map_err(|_| NotAnAddress("it is not a URL"))?;
        let authority = uri.authority().ok_or(NotAnAddress("it has no host"))?;
        if authority.as_str().contains('@') {
            return Err(NotAnAddress("it holds a user or password; send those in OTEL_EXPORTER_OTLP_HEADERS"));
        }
        // `Authority` takes any text for a port.
        let port = authority.as_str().strip_prefix(authority.host()).unwrap_or_default();
        let is_port = port.is_empty() || port.strip_prefix(':').is_some_and(|port| port.parse::<u16>().is_ok());
        if authority.host().is_empty() || !is_port {
            return Err(NotAnAddress("it is not a host and a port"));
        }
        match uri.scheme_str() {
            Some("http" | "https") if uri.query().is_some() => Err(NotAnAddress("it has a query")),
            Some("http") if !has_scheme && !is_loopback(authority.host()) => Ok(Self::at(&format!("https://{text}"))),
            Some("http" | "https") => Ok(Self::at(&url)),
            _ => Err(NotAnAddress("its scheme is not http or https")),
        }
    }
}

impl FromStr for DaemonAddress {
    type Err = NotAnAddress;

    fn from_str(text: &str) -> Result<Self, NotAnAddress> {
        let address = |text: &str| {
            let (host, port) = text.rsplit_once(':')?;
            let bracketed = host.starts_with('[') && host.ends_with(']');
            let valid = !host.is_empty() && (bracketed || !host.contains(':')) && port.parse::<u16>().is_ok();
            valid.then(|| text.to_owned())
        };
        let parts: Vec<&str> = text.split_whitespace().collect();
        let found = match parts.as_slice() {
            [both] => address(both).map(|both| (both.clone(), both)),
            [one, other] => {
                let pick = |protocol: &str| [one, other].into_iter().find_map(|part| part.strip_prefix(protocol));
                pick("udp:").and_then(address).zip(pick("tcp:").and_then(address))
            }
            _ => None,
        };
        match found {
            Some((udp, _)) if udp.starts_with('[') => Err(NotAnAddress("xray-lite sends to IPv4 alone")),
            Some((udp, tcp)) => Ok(Self { udp, tcp }),
            None => Err(NotAnAddress("it is not host:port")),
        }
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.traces())
    }
}

impl fmt::Display for DaemonAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "udp {}", self.udp)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_text_is_an_address_or_an_error(text in "[ -~]{0,60}|(https?://|udp:|tcp:)?[a-z:@/?\\[\\]0-9 .]{0,40}") {
            if let Ok(endpoint) = text.parse::<Endpoint>() {
                let url: Uri = endpoint.traces().parse().unwrap();
                let authority = url.authority().unwrap();
                prop_assert!(!authority.host().is_empty() && !authority.as_str().contains('@'), "{endpoint}");
            }
            let _ = text.parse::<DaemonAddress>();
        }
    }

    #[test]
    fn an_address_without_a_scheme_is_understood() {
        for (text, url) in [
            ("api.honeycomb.io:443", "https://api.honeycomb.io:443/v1/traces"),
            ("localhost:4318", "http://localhost:4318/v1/traces"),
            ("http://collector/otlp/v1/traces/", "http://collector/otlp/v1/traces"),
            ("[::1]:4318", "http://[::1]:4318/v1/traces"),
        ] {
            assert_eq!(text.parse::<Endpoint>().unwrap().traces(), url);
        }
        for text in ["ftp://x", "http://", "::", "http://x/?y", "http://me:pw@x", "http://:", "http://x:y", "x:99999"] {
            assert!(text.parse::<Endpoint>().is_err(), "{text}");
        }
    }

    #[test]
    fn every_form_of_a_daemon_address_is_read() {
        let two = DaemonAddress { udp: "a:1".to_owned(), tcp: "b:2".to_owned() };
        assert_eq!("udp:a:1 tcp:b:2".parse::<DaemonAddress>().unwrap(), two);
        assert_eq!("tcp:b:2 udp:a:1".parse::<DaemonAddress>().unwrap(), two);
        let one = "xray-daemon:2000".parse::<DaemonAddress>().unwrap();
        assert_eq!((one.udp.as_str(), one.tcp.as_str()), ("xray-daemon:2000", "xray-daemon:2000"));
        for text in ["host", "host:99999", ":2000", "udp:a:1", "udp:a:1 udp:b:2", "a:1 b:2 c:3", "[::1]:2000"] {
            assert!(text.parse::<DaemonAddress>().is_err(), "{text}");
        }
    }
}
