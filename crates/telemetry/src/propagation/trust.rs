//! Decides whose trace context is continued: at the edge of a system, a caller must not choose the ids, the sampling or the
//! parents of our traces. By default, only the traces of callers on this machine are continued.

use std::net::IpAddr;
use std::str::FromStr;

use ipnet::IpNet;

/// Whose trace context is continued, and which baggage is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    policy: TrustPolicy,
    baggage: Vec<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum TrustPolicy {
    /// Ignores all incoming context.
    Never,
    /// Every request starts a new trace, linked to its caller's.
    Link,
    Everyone,
    /// Continues the traces of peers in these networks. Other requests are handled as with `Link`.
    Peers(Vec<IpNet>),
}

/// The use of a request's context.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    Continue,
    Link,
    Drop,
}

impl Trust {
    /// Trusts every caller: for a service that only our own services can reach.
    pub const ALWAYS: Self = Self { policy: TrustPolicy::Everyone, baggage: Vec::new() };

    /// Continues the traces of callers on this machine; other requests start a new trace that is linked to the caller's.
    pub fn loopback() -> Self {
        let [v4, v6] = ["127.0.0.0/8", "::1/128"].map(network);
        Self { policy: TrustPolicy::Peers([v4, v6].into_iter().flatten().collect()), baggage: Vec::new() }
    }

    /// Keeps only these keys of baggage, unless every caller is trusted: then all baggage is kept.
    #[must_use]
    pub fn with_baggage(self, keys: Vec<String>) -> Self {
        Self { baggage: keys, ..self }
    }

    /// Whether `peer` is trusted: its trace is continued, and its reports about the clients behind it are used.
    pub fn trusts(&self, peer: IpAddr) -> bool {
        self.verdict(Some(peer)) == Verdict::Continue
    }

    pub(super) fn keeps(&self, key: &str) -> bool {
        self.policy == TrustPolicy::Everyone || self.baggage.iter().any(|kept| kept == key)
    }

    pub(super) fn verdict(&self, peer: Option<IpAddr>) -> Verdict {
        match &self.policy {
            TrustPolicy::Never => Verdict::Drop,
            TrustPolicy::Link => Verdict::Link,
            TrustPolicy::Everyone => Verdict::Continue,
            TrustPolicy::Peers(networks) => {
                let peer = peer.map(|peer| peer.to_canonical());
                let ours = networks.iter().any(|network| peer.is_some_and(|peer| network.contains(&peer)));
                if ours { Verdict::Continue } else { Verdict::Link }
            }
        }
    }
}

impl Default for Trust {
    fn default() -> Self {
        Self::loopback()
    }
}

impl FromStr for Trust {
    type Err = NotTrust;

    /// `never`, `link`, `always`, or networks: `10.0.0.0/8,192.0.2.7,::1`.
    fn from_str(text: &str) -> Result<Self, NotTrust> {
        let policy = match text {
            "never" => TrustPolicy::Never,
            "link" => TrustPolicy::Link,
            "always" => TrustPolicy::Everyone,
            networks => {
                let networks: Result<_, _> = networks.split(',').map(|text| network(text.trim())).collect();
                TrustPolicy::Peers(networks?)
            }
        };
        Ok(Self { policy, baggage: Vec::new() })
    }
}

/// Why a text is not a valid trust.
#[derive(Debug, thiserror::Error)]
#[error("{0:?} is not a network")]
pub struct NotTrust(String);

/// A network in CIDR notation, or a single address.
fn network(text: &str) -> Result<IpNet, NotTrust> {
    let parsed = text.parse::<IpNet>().ok().or_else(|| Some(text.parse::<IpAddr>().ok()?.into()));
    let canonical =
        parsed.and_then(|network| match (network.addr().to_canonical(), network.prefix_len().checked_sub(96)) {
            // IPv4 may be written as IPv6, `::ffff:192.0.2.7`, by a peer too: both are compared in their canonical form.
            (address @ IpAddr::V4(_), Some(prefix)) => IpNet::new(address, prefix).ok(),
            _ => Some(network),
        });
    canonical.ok_or_else(|| NotTrust(text.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(trust: &str, peer: &str) -> Verdict {
        trust.parse::<Trust>().unwrap().verdict(Some(peer.parse().unwrap()))
    }

    #[test]
    fn networks_are_continued_and_all_others_linked() {
        for (trust, peer, expected) in [
            ("never", "127.0.0.1", Verdict::Drop),
            ("link", "127.0.0.1", Verdict::Link),
            ("always", "192.0.2.1", Verdict::Continue),
            ("10.0.0.0/8, 192.0.2.7", "10.255.0.1", Verdict::Continue),
            ("10.0.0.0/8,192.0.2.7", "::ffff:192.0.2.7", Verdict::Continue),
            ("10.0.0.0/8,192.0.2.7", "192.0.2.8", Verdict::Link),
            ("2001:db8::/32", "2001:db8:1::1", Verdict::Continue),
            ("2001:db8::/32", "2001:db9::1", Verdict::Link),
            ("0.0.0.0/0", "192.0.2.1", Verdict::Continue),
            ("0.0.0.0/0", "2001:db8::1", Verdict::Link),
            ("::/0", "192.0.2.1", Verdict::Link),
            ("::ffff:192.0.2.7", "192.0.2.7", Verdict::Continue),
            ("::ffff:192.0.2.0/120", "::ffff:192.0.2.9", Verdict::Continue),
            ("::ffff:192.0.2.0/120", "192.0.3.1", Verdict::Link),
        ] {
            assert_eq!(verdict(trust, peer), expected, "{trust} {peer}");
        }
        assert_eq!(Trust::default().verdict(Some("127.9.9.9".parse().unwrap())), Verdict::Continue);
        assert_eq!(Trust::default().verdict(Some("::ffff:127.0.0.1".parse().unwrap())), Verdict::Continue);
        assert_eq!(Trust::default().verdict(None), Verdict::Link);
    }

    #[test]
    fn an_invalid_network_is_an_error() {
        for text in ["", "sometimes", "10.0.0.0/33", "::/129", "10.0.0.0/8,", "10.0.0/8", "10.0.0.0/-1"] {
            assert!(text.parse::<Trust>().is_err(), "{text}");
        }
    }
}
