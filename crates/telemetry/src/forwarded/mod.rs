//! The client of a request: its address, and the scheme and host that it used. Starts from the connection, and follows
//! `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)) or `X-Forwarded-*` from the right, as long as the hop that
//! wrote an entry is [trusted](Trust). A proxy appends to the right: an entry to the left of the first address that is not
//! trusted is that client's own claim, and is not read. Bounded; an invalid value is ignored.
//!
//! ```
//! use telemetry::forwarded::Client;
//! use telemetry::propagation::Trust;
//!
//! let mut headers = http::HeaderMap::new();
//! headers.insert("x-forwarded-for", "192.0.2.7".parse()?);
//! headers.insert("x-forwarded-proto", "https".parse()?);
//! let connected = Client { address: "127.0.0.1".parse()?, scheme: "http", host: Some("app.example".into()) };
//! let client = connected.resolve(&headers, &Trust::default());
//! assert_eq!((client.address.to_string().as_str(), client.scheme), ("192.0.2.7", "https"));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod chain;
#[cfg(test)]
mod tests;

use std::borrow::Cow;
use std::net::{IpAddr, Ipv6Addr};

use settings::host::Authority;

use self::chain::{Chain, Claim, FORWARDED};
use crate::propagation::{Headers, Trust};

/// Headers that claim an address, a scheme or a host of the client, by the standard, by custom or by one vendor. A proxy
/// that has resolved the client removes them all, so that no service behind it believes a false one.
pub const CLAIMS: [&str; 18] = [
    "cf-connecting-ip",
    "fastly-client-ip",
    "forwarded",
    "front-end-https",
    "true-client-ip",
    "x-client-ip",
    "x-cluster-client-ip",
    "x-forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-proto",
    "x-forwarded-protocol",
    "x-forwarded-scheme",
    "x-forwarded-server",
    "x-forwarded-ssl",
    "x-original-host",
    "x-real-ip",
];

/// The client of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client<'a> {
    /// The client's address; IPv4 is never written as IPv6.
    pub address: IpAddr,
    /// `http` or `https`.
    pub scheme: &'static str,
    /// The host, perhaps with a port, that the client addressed.
    pub host: Option<Cow<'a, str>>,
}

impl<'a> Client<'a> {
    /// Resolves the client from `self`, the client of the connection, and from the `Forwarded` or `X-Forwarded-*` headers of a
    /// trusted peer. If both are present and disagree, the trusted peer cannot have written both, so neither is used.
    #[must_use]
    pub fn resolve(self, headers: &'a impl Headers, trust: &Trust) -> Self {
        if !trust.trusts(self.address) || !headers.may_have(&FORWARDED) {
            return self.canonical();
        }
        let forwarded = Chain::forwarded(headers);
        let x_forwarded = Chain::x_forwarded(headers);
        match (forwarded, x_forwarded) {
            (None, None) => self.canonical(),
            (Some(chain), None) | (None, Some(chain)) => self.by(&chain, trust),
            (Some(one), Some(other)) => self.by_both(&one, &other, trust),
        }
    }

    /// Like [`resolve`](Self::resolve), for a service behind one proxy: reads only `X-Forwarded-For`, `-Proto`, `-Host` and
    /// `-Port`.
    #[must_use]
    pub fn resolve_behind(self, headers: &'a impl Headers, trust: &Trust) -> Self {
        let chain = if trust.trusts(self.address) { Chain::x_forwarded(headers) } else { None };
        match chain {
            Some(chain) => self.by(&chain, trust),
            None => self.canonical(),
        }
    }

    /// This client, without borrowing from the request.
    pub fn into_owned(self) -> Client<'static> {
        let Self { address, scheme, host } = self;
        Client { address, scheme, host: host.map(|host| Cow::Owned(host.into_owned())) }
    }

    /// Whether the client's scheme, host and port are those of `origin`, as a browser writes an `Origin` header.
    pub fn is_origin(&self, origin: &str) -> bool {
        let Some((scheme, authority)) = origin.split_once("://") else { return false };
        let authorities = self.host.as_deref().and_then(Authority::parse).zip(Authority::parse(authority));
        scheme == self.scheme && authorities.is_some_and(|(own, other)| own.is_same(other, scheme))
    }

    fn canonical(self) -> Self {
        Self { address: self.address.to_canonical(), ..self }
    }

    fn by(self, chain: &Chain<'a>, trust: &Trust) -> Self {
        let (address, at) = chain.walk(trust, self.address.to_canonical());
        self.with(address, [chain.claim(at), Claim::default()])
    }

    /// One chain may be longer, if a trusted proxy wrote only that one.
    fn by_both(self, one: &Chain<'a>, other: &Chain<'a>, trust: &Trust) -> Self {
        let peer = self.address.to_canonical();
        let (long, short) = if one.len() >= other.len() { (one, other) } else { (other, one) };
        let (address, at) = long.walk(trust, peer);
        if short.is_end_of(long) || short.walk(trust, peer).0 == address {
            self.with(address, [long.claim(at), short.claim(at)])
        } else {
            self.canonical()
        }
    }

    /// Uses values on which both claims agree, or that only one of them has.
    fn with(self, address: IpAddr, claims: [Claim<'a>; 2]) -> Self {
        let [one, other] = &claims;
        let scheme = match (one.scheme, other.scheme) {
            (Some(one), Some(other)) => (one == other).then_some(one),
            (one, other) => one.or(other),
        };
        let scheme = scheme.unwrap_or(self.scheme);
        let hosts = claims.map(|claim| claim.authority(self.host.as_deref()));
        let host = match hosts {
            [Some(one), Some(other)] => is_same(&one, &other, scheme).then_some(one),
            [one, other] => one.or(other),
        };
        Self { address, scheme, host: host.or(self.host) }
    }
}

/// The network that counts as one client in rate limits: an IPv4 address, or the /64 of an IPv6 address, which one
/// household has to itself.
pub fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into(),
        address => address,
    }
}

fn is_same(one: &str, other: &str, scheme: &str) -> bool {
    let authorities = Authority::parse(one).zip(Authority::parse(other));
    authorities.is_some_and(|(one, other)| one.is_same(other, scheme))
}
