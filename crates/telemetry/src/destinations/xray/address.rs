//! The address of an X-Ray daemon, parsed once at the edge. Does no I/O.

use std::fmt;
use std::str::FromStr;

use crate::address::NotAnAddress;

/// The address of an X-Ray daemon: UDP for segments, TCP for sampling rules. Host names are resolved when used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct DaemonAddress {
    /// `host:port` that receives segment documents.
    pub(crate) udp: String,
    /// `host:port` that serves sampling rules.
    pub(crate) tcp: String,
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
            Some((udp, tcp)) => Ok(Self { udp, tcp }),
            None => Err(NotAnAddress("it is not host:port")),
        }
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
        fn any_text_is_an_address_or_an_error(text in "[ -~]{0,60}|(udp:|tcp:)?[a-z:@/?\\[\\]0-9 .]{0,40}") {
            if let Ok(address) = text.parse::<DaemonAddress>() {
                prop_assert!(address.udp.contains(':') && address.tcp.contains(':'), "{address:?}");
            }
        }
    }

    #[test]
    fn every_form_of_a_daemon_address_is_read() {
        let two = DaemonAddress { udp: "a:1".to_owned(), tcp: "b:2".to_owned() };
        assert_eq!("udp:a:1 tcp:b:2".parse::<DaemonAddress>().unwrap(), two);
        assert_eq!("tcp:b:2 udp:a:1".parse::<DaemonAddress>().unwrap(), two);
        let one = "xray-daemon:2000".parse::<DaemonAddress>().unwrap();
        assert_eq!((one.udp.as_str(), one.tcp.as_str()), ("xray-daemon:2000", "xray-daemon:2000"));
        assert_eq!("[::1]:2000".parse::<DaemonAddress>().unwrap().udp, "[::1]:2000");
        for text in ["host", "host:99999", ":2000", "udp:a:1", "udp:a:1 udp:b:2", "a:1 b:2 c:3", "::1:2000"] {
            assert!(text.parse::<DaemonAddress>().is_err(), "{text}");
        }
    }
}
