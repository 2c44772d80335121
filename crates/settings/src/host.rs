//! Parses hosts as HTTP writes them. Does no I/O and resolves no name.

use std::net::Ipv6Addr;

/// A host with an optional port, as in a [`Host` header](https://www.rfc-editor.org/rfc/rfc9110#section-7.2): no user, no path.
#[derive(Debug, Clone, Copy)]
pub struct Authority<'a> {
    host: &'a str,
    port: Option<u16>,
}

impl<'a> Authority<'a> {
    /// Returns `None` unless all of `text` is a name or an address, with an optional port.
    pub fn parse(text: &'a str) -> Option<Self> {
        let (host, after) = match text.strip_prefix('[') {
            Some(rest) => {
                let address = rest.get(..rest.find(']')?)?;
                address.parse::<Ipv6Addr>().ok()?;
                text.split_at_checked(address.len() + 2)?
            }
            None => text.split_at_checked(text.bytes().position(|byte| !is_name_byte(byte)).unwrap_or(text.len()))?,
        };
        let port = match after.strip_prefix(':') {
            None if after.is_empty() => None,
            Some("") => None,
            Some(digits) if digits.bytes().all(|byte| byte.is_ascii_digit()) => Some(digits.parse().ok()?),
            _ => return None,
        };
        (!host.is_empty()).then_some(Self { host, port })
    }

    /// The name or address; an IPv6 address keeps its brackets.
    pub fn host(self) -> &'a str {
        self.host
    }

    /// The port, if it is given.
    pub fn port(self) -> Option<u16> {
        self.port
    }

    /// Whether both name the same server of `scheme`: letter case is ignored, and a missing port means the scheme's default.
    pub fn is_same(self, other: Authority<'_>, scheme: &str) -> bool {
        let port = |port: Option<u16>| port.or_else(|| default_port(scheme));
        let address = |host: &str| host.strip_prefix('[')?.strip_suffix(']')?.parse::<Ipv6Addr>().ok();
        let is_same_host = self.host.eq_ignore_ascii_case(other.host)
            || address(self.host).is_some_and(|own| address(other.host) == Some(own));
        is_same_host && port(self.port) == port(other.port)
    }
}

/// The port of a URL of this scheme that names none.
pub fn default_port(scheme: &str) -> Option<u16> {
    match scheme {
        "http" => Some(80),
        "https" => Some(443),
        _ => None,
    }
}

/// Whether a byte is a character of [a registered name](https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2), without percent-encoding and
/// without the comma: no name of DNS has one, and `X-Forwarded-Host` would become a list.
fn is_name_byte(byte: u8) -> bool {
    NAME_BYTES[usize::from(byte)]
}

/// A table, because each request's host is parsed.
static NAME_BYTES: [bool; 256] = {
    let mut table = [false; 256];
    let mut byte = 0_u8;
    loop {
        table[byte as usize] = byte.is_ascii_alphanumeric()
            || matches!(
                byte,
                b'-' | b'.' | b'_' | b'~' | b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b'+' | b';' | b'='
            );
        if byte == u8::MAX {
            break table;
        }
        byte += 1;
    }
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_authority_is_a_host_with_an_optional_port() {
        for (text, host, port) in [
            ("a", "a", None),
            ("A.example:080", "A.example", Some(80)),
            ("127.0.0.1:3000", "127.0.0.1", Some(3000)),
            ("[::1]:3000", "[::1]", Some(3000)),
            ("[::1]", "[::1]", None),
            ("a:", "a", None),
        ] {
            let authority = Authority::parse(text).unwrap();
            assert_eq!((authority.host(), authority.port()), (host, port), "{text}");
        }
        for text in [
            "",
            "a b",
            "a/b",
            "me@a",
            "a:b",
            "a:99999",
            "a:+1",
            ":80",
            "a?b",
            "a#b",
            "[::1",
            "[::1]x",
            "[a]",
            "[]",
            "::1",
            "a,b",
            "a,b c",
            "caf\u{e9}",
            "a:1:2",
            "a%2e",
        ] {
            assert!(Authority::parse(text).is_none(), "{text}");
        }
    }

    #[test]
    fn a_default_port_may_be_omitted() {
        for (one, other, scheme, same) in [
            ("a:80", "A", "http", true),
            ("a", "a:443", "https", true),
            ("a:", "a:80", "http", true),
            ("a", "a:443", "http", false),
            ("a", "a:80", "https", false),
            ("a", "b", "http", false),
            ("a", "a.", "http", false),
            ("[::1]:80", "[0:0:0:0:0:0:0:1]", "http", true),
            ("[::1]", "[::2]", "http", false),
        ] {
            let (left, right) = (Authority::parse(one).unwrap(), Authority::parse(other).unwrap());
            assert_eq!([left.is_same(right, scheme), right.is_same(left, scheme)], [same, same], "{one} {other}");
        }
    }

    proptest! {
        #[test]
        fn an_authority_survives_its_text(text in "[a-z0-9:\\[\\].@/%-]{0,12}|\\PC{0,8}") {
            if let Some(authority) = Authority::parse(&text) {
                let port = authority.port().map(|port| format!(":{port}")).unwrap_or_default();
                let written = format!("{}{port}", authority.host());
                let again = Authority::parse(&written).unwrap();
                prop_assert_eq!((again.host(), again.port()), (authority.host(), authority.port()));
            }
        }
    }
}
