//! Whom a request is for: one `Host` that is an authority, as [RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2)
//! asks, the same as the target's own where that has one.

use std::net::Ipv6Addr;

use http::request::Parts;
use http::uri::Authority;
use http::{HeaderValue, Method, Version, header};

/// Whether it is said, and in one way alone. From then on `Host` says it, in HTTP/2 too.
pub(crate) fn settle(request: &mut Parts) -> bool {
    if request.method == Method::CONNECT {
        return false;
    }
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => match host.to_str() {
            Ok(host) if is_host(host) => Some(host),
            _ => return false,
        },
        (None, _) => None,
        _ => return false,
    };
    let target = request.uri.authority().map(Authority::as_str);
    match (target, host) {
        (Some(target), Some(host)) if !target.eq_ignore_ascii_case(host) => return false,
        (None, None) if request.version != Version::HTTP_10 => return false,
        (Some(target), None) => {
            let (true, Ok(host)) = (is_host(target), HeaderValue::from_str(target)) else { return false };
            if request.version == Version::HTTP_11 {
                return false;
            }
            request.headers.insert(header::HOST, host);
        }
        _ => {}
    }
    true
}

/// A host and perhaps a port, and nothing of who asks.
fn is_host(text: &str) -> bool {
    let (right, after) = match text.strip_prefix('[').map(|rest| rest.split_once(']')) {
        Some(Some((address, after))) => (address.parse::<Ipv6Addr>().is_ok(), after),
        Some(None) => (false, ""),
        None => {
            let length = text.bytes().position(|byte| !is_of_name(byte)).unwrap_or(text.len());
            (length > 0, text.get(length..).unwrap_or_default())
        }
    };
    right && (after.is_empty() || after.strip_prefix(':').is_some_and(is_port))
}

/// The characters of [a registered name](https://www.rfc-editor.org/rfc/rfc3986#section-3.2.2), without percent-encoding.
fn is_of_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || b"-._~!$&'()*+,;=".contains(&byte)
}

fn is_port(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit()) && (text.is_empty() || text.parse::<u16>().is_ok())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn settled(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<Parts> {
        let request = http::Request::builder().version(version).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (mut request, ()) = request.body(()).unwrap().into_parts();
        settle(&mut request).then_some(request)
    }

    #[test]
    fn a_request_is_for_one_host() {
        for host in ["a", "a.example:80", "127.0.0.1:3000", "[::1]:3000", "a:"] {
            assert!(settled(Version::HTTP_11, "/", &[("host", host)]).is_some(), "{host}");
        }
        for host in ["", "a b", "a/b", "me@a", "a:b", "a:99999", "a:+1", ":80", "a?b", "a#b", "[::1", "a,b c"] {
            assert!(settled(Version::HTTP_11, "/", &[("host", host)]).is_none(), "{host}");
        }
        assert!(settled(Version::HTTP_11, "/", &[]).is_none());
        assert!(settled(Version::HTTP_10, "/", &[]).is_some());
        assert!(settled(Version::HTTP_11, "/", &[("host", "a"), ("host", "a")]).is_none());
    }

    proptest! {
        #[test]
        fn what_is_a_host_is_an_authority_too(text in "[a-z0-9:\\[\\].@/%-]{0,12}|\\PC{0,8}") {
            if is_host(&text) {
                let authority = text.parse::<Authority>();
                prop_assert!(authority.is_ok_and(|authority| text.starts_with(authority.host())), "{}", text);
            }
        }
    }

    #[test]
    fn a_target_that_names_a_host_agrees_with_it() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert!(settled(version, "http://a.example/", &[("host", "A.example")]).is_some());
            assert!(settled(version, "http://b.example/", &[("host", "a.example")]).is_none());
            assert!(settled(version, "http://me@a.example/", &[("host", "a.example")]).is_none());
        }
        assert!(settled(Version::HTTP_11, "http://a.example/", &[]).is_none());
        assert!(settled(Version::HTTP_2, "http://me@a.example/", &[]).is_none());
        assert!(settled(Version::HTTP_2, "/", &[]).is_none());
    }

    #[test]
    fn the_host_that_http_2_says_in_its_own_way_is_said_in_a_header() {
        let request = settled(Version::HTTP_2, "http://a.example/", &[]).unwrap();
        assert_eq!(request.headers["host"], "a.example");
    }
}
