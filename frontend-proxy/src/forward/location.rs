//! Rewrites `Location` and `Content-Location` so that the client can follow them. An upstream that names its own address means
//! itself, but the client knows it by another scheme, host and prefix. Does no I/O.

use http::header::{self, HeaderMap, HeaderValue};
use settings::host::Authority;
use telemetry::forwarded::Client;

use crate::routes::Rule;

/// The upstream's own names, and its address as the client sees it.
pub(super) struct LocationRewrite<'a> {
    /// The upstream's authority, and the `Host` that it was sent.
    pub(super) own: [&'a str; 2],
    pub(super) client: &'a Client<'a>,
    pub(super) rule: &'a Rule,
}

impl LocationRewrite<'_> {
    pub(super) fn rewrite(&self, headers: &mut HeaderMap) {
        for name in [header::LOCATION, header::CONTENT_LOCATION] {
            let rewritten = headers.get(&name).and_then(|value| self.rewritten(value.to_str().ok()?));
            if let Some(value) = rewritten.and_then(|value| HeaderValue::from_str(&value).ok()) {
                headers.insert(name, value);
            }
        }
    }

    /// `None` if the reference does not point to the upstream itself, or needs no change.
    fn rewritten(&self, reference: &str) -> Option<String> {
        let Some((named, rest)) = absolute(reference) else {
            return self.prefixed(reference).filter(|_| reference.starts_with('/'));
        };
        let Client { scheme, host, .. } = self.client;
        let host = host.as_deref();
        let (authority, path) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        let is = |own: &str| {
            let authorities = Authority::parse(authority).zip(Authority::parse(own));
            authorities.is_some_and(|(one, other)| one.is_same(other, named))
        };
        // An upstream is reached over plain HTTP only, so it may also use `http` with the client's host.
        let is_own = named == "http" && self.own.into_iter().chain(host).any(is);
        let is_clients = named == *scheme && host.is_some_and(is);
        if !is_own && !is_clients {
            return None;
        }
        let path = if path.starts_with('/') { path.to_owned() } else { format!("/{path}") };
        let path = self.prefixed(&path).unwrap_or(path);
        Some(host.map_or_else(|| path.clone(), |host| format!("{scheme}://{host}{path}")))
    }

    /// The path with the prefix that was stripped for the upstream; `None` if nothing is missing.
    fn prefixed(&self, path: &str) -> Option<String> {
        let Rule { prefix, strip_prefix, .. } = self.rule;
        let is_missing = *strip_prefix && !path.starts_with(prefix.as_str());
        is_missing.then(|| format!("{}{path}", prefix.trim_end_matches('/')))
    }
}

/// The scheme of a reference that names a host, and what follows `//`. A reference without a scheme has the upstream's.
fn absolute(reference: &str) -> Option<(&'static str, &str)> {
    let (scheme, rest) = reference.split_once("//")?;
    let is = |name: &str| scheme.eq_ignore_ascii_case(name);
    match scheme {
        _ if scheme.is_empty() || is("http:") => Some(("http", rest)),
        _ if is("https:") => Some(("https", rest)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::routes::rule_of;

    fn rewritten(route: &str, client: (&'static str, Option<&'static str>), reference: &'static str) -> String {
        let rule = rule_of(route);
        let client = Client { address: [192, 0, 2, 7].into(), scheme: client.0, host: client.1.map(Into::into) };
        let mut headers = HeaderMap::new();
        headers.insert(header::LOCATION, HeaderValue::from_static(reference));
        LocationRewrite { own: ["127.0.0.1:4567", "named.example"], client: &client, rule: &rule }
            .rewrite(&mut headers);
        headers[header::LOCATION].to_str().unwrap().to_owned()
    }

    #[test]
    fn the_upstreams_address_becomes_the_clients_view_of_it() {
        const PLAIN: &str = "prefix = \"/app/\"\nupstreams = [\"http://127.0.0.1:4567\"]";
        let https = ("https", Some("app.example:8443"));
        for (reference, expected) in [
            ("http://127.0.0.1:4567/x?y#z", "https://app.example:8443/x?y#z"),
            ("HTTP://127.0.0.1:4567", "https://app.example:8443/"),
            ("http://127.0.0.1:4567?y", "https://app.example:8443/?y"),
            ("//127.0.0.1:4567/x", "https://app.example:8443/x"),
            ("http://Named.example:80/x", "https://app.example:8443/x"),
            ("http://app.example:8443/x", "https://app.example:8443/x"),
            ("https://app.example:8443/x", "https://app.example:8443/x"),
            ("https://127.0.0.1:4567/x", "https://127.0.0.1:4567/x"),
            ("http://127.0.0.1:4568/x", "http://127.0.0.1:4568/x"),
            ("http://127.0.0.1:4567@evil.example/x", "http://127.0.0.1:4567@evil.example/x"),
            ("http://127.0.0.1:4567.evil.example/x", "http://127.0.0.1:4567.evil.example/x"),
            ("https://elsewhere.example/", "https://elsewhere.example/"),
            ("/x//y", "/x//y"),
            ("x", "x"),
            ("?y", "?y"),
        ] {
            assert_eq!(rewritten(PLAIN, https, reference), expected);
        }
        let http = ("http", Some("app.example"));
        assert_eq!(
            rewritten(PLAIN, http, "https://app.example/x"),
            "https://app.example/x",
            "or the client would be redirected in a circle"
        );
        assert_eq!(rewritten(PLAIN, ("http", None), "http://127.0.0.1:4567/x"), "/x");
    }

    #[test]
    fn a_stripped_prefix_is_restored() {
        const STRIPPED: &str = "prefix = \"/app/\"\nupstreams = [\"http://127.0.0.1:4567\"]\nstrip_prefix = true";
        let http = ("http", Some("a"));
        for (reference, expected) in [
            ("http://127.0.0.1:4567/x", "http://a/app/x"),
            ("http://127.0.0.1:4567", "http://a/app/"),
            ("http://a/x", "http://a/app/x"),
            ("/x?y", "/app/x?y"),
            ("/app/x", "/app/x"),
            ("//elsewhere.example/x", "//elsewhere.example/x"),
            ("x", "x"),
        ] {
            assert_eq!(rewritten(STRIPPED, http, reference), expected);
        }
    }
}
