//! The host that a request is for. It comes from one `Host` that is a valid authority, as
//! [RFC 9112 §3.2](https://www.rfc-editor.org/rfc/rfc9112#section-3.2) requires. If the target has an authority too, both must
//! be the same.

use http::request::Parts;
use http::{HeaderValue, Method, Version, header};
use settings::host::Authority;

/// Whether the host is given, and unambiguous. Afterwards `Host` always contains it, in HTTP/2 too.
pub(crate) fn settle(request: &mut Parts) -> bool {
    if request.method == Method::CONNECT {
        return false;
    }
    let mut hosts = request.headers.get_all(header::HOST).iter();
    let host = match (hosts.next(), hosts.next()) {
        (Some(host), None) => match host.to_str().ok().and_then(Authority::parse) {
            Some(host) => Some(host),
            None => return false,
        },
        (None, _) => None,
        _ => return false,
    };
    let Some(target) = request.uri.authority() else {
        return host.is_some() || request.version == Version::HTTP_10;
    };
    let scheme = request.uri.scheme_str().unwrap_or("http");
    match (Authority::parse(target.as_str()), host) {
        (Some(target), Some(host)) => target.is_same(host, scheme),
        (Some(_), None) if request.version != Version::HTTP_11 => {
            let host = HeaderValue::from_str(target.as_str()).ok();
            host.map(|host| request.headers.insert(header::HOST, host)).is_some()
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settled(version: Version, uri: &str, headers: &[(&str, &str)]) -> Option<Parts> {
        let request = http::Request::builder().version(version).uri(uri);
        let request = headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
        let (mut request, ()) = request.body(()).unwrap().into_parts();
        settle(&mut request).then_some(request)
    }

    #[test]
    fn a_request_has_exactly_one_valid_host() {
        for host in ["a", "a.example:80", "127.0.0.1:3000", "[::1]:3000", "a:"] {
            assert!(settled(Version::HTTP_11, "/", &[("host", host)]).is_some(), "{host}");
        }
        for host in ["", "a b", "me@a", "a:99999", "[::1"] {
            assert!(settled(Version::HTTP_11, "/", &[("host", host)]).is_none(), "{host}");
        }
        assert!(settled(Version::HTTP_11, "/", &[]).is_none());
        assert!(settled(Version::HTTP_10, "/", &[]).is_some());
        assert!(settled(Version::HTTP_11, "/", &[("host", "a"), ("host", "a")]).is_none());
    }

    #[test]
    fn a_target_with_an_authority_must_agree_with_the_host() {
        for version in [Version::HTTP_11, Version::HTTP_2] {
            assert!(settled(version, "http://a.example/", &[("host", "A.example")]).is_some());
            assert!(settled(version, "http://b.example/", &[("host", "a.example")]).is_none());
            assert!(settled(version, "http://me@a.example/", &[("host", "a.example")]).is_none());
        }
        for (uri, host, same) in [
            ("http://a:80/", "a", true),
            ("http://a/", "a:80", true),
            ("http://a:/", "a", true),
            ("https://a/", "a:443", true),
            ("http://a/", "a:443", false),
            ("https://a/", "a:80", false),
            ("http://a:8080/", "a", false),
            ("http://[::1]:80/", "[0:0:0:0:0:0:0:1]", true),
        ] {
            assert_eq!(settled(Version::HTTP_11, uri, &[("host", host)]).is_some(), same, "{uri} {host}");
        }
        assert!(settled(Version::HTTP_11, "http://a.example/", &[]).is_none());
        assert!(settled(Version::HTTP_2, "http://me@a.example/", &[]).is_none());
        assert!(settled(Version::HTTP_2, "/", &[]).is_none());
    }

    #[test]
    fn the_authority_of_http_2_becomes_the_host_header() {
        let request = settled(Version::HTTP_2, "http://a.example/", &[]).unwrap();
        assert_eq!(request.headers["host"], "a.example");
    }
}
