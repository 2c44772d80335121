//! Parses the hops in `Forwarded` or `X-Forwarded-*`. Does not decide which of them to trust.

use std::borrow::Cow;
use std::net::{IpAddr, SocketAddr};

use settings::host::{Authority, default_port};

use crate::propagation::{Headers, Trust};

/// Hops that are read.
const MAX_HOPS: usize = 32;
/// The most bytes of all headers of one name together; longer ones are invalid.
const MAX_BYTES: usize = 4_096;

/// The headers that a chain is read from.
pub(super) const FORWARDED: [&str; 5] =
    ["forwarded", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"];

/// A chain of hops; the client is on the left.
pub(super) enum Chain<'a> {
    Forwarded(Vec<Element<'a>>),
    XForwarded(Lists<'a>),
}

/// A hop's address; `None` if the text names none.
type Hop = Option<IpAddr>;

/// An element of `Forwarded`.
#[derive(Default)]
pub(super) struct Element<'a> {
    hop: Hop,
    claim: Claim<'a>,
}

/// `X-Forwarded-For` and its companions.
pub(super) struct Lists<'a> {
    hops: Vec<Hop>,
    protos: Vec<&'a str>,
    hosts: Vec<&'a str>,
    ports: Vec<&'a str>,
}

/// A proxy's claim about the request that it received.
#[derive(Default, Clone, Copy)]
pub(super) struct Claim<'a> {
    pub(super) scheme: Option<&'static str>,
    host: Option<&'a str>,
    port: Option<u16>,
}

impl<'a> Chain<'a> {
    pub(super) fn forwarded(headers: &'a impl Headers) -> Option<Self> {
        let list = list(headers, "forwarded", elements)?;
        Some(Self::Forwarded(
            list.map_or_else(
                || vec![Element::default()],
                |elements| elements.into_iter().map(Element::parse).collect(),
            ),
        ))
    }

    pub(super) fn x_forwarded(headers: &'a impl Headers) -> Option<Self> {
        let split = |value: &'a str| value.split(',');
        let hops = list(headers, "x-forwarded-for", split);
        let [protos, hosts, ports] = ["x-forwarded-proto", "x-forwarded-host", "x-forwarded-port"]
            .map(|name| list(headers, name, split).flatten().unwrap_or_default());
        if hops.is_none() && protos.is_empty() && hosts.is_empty() && ports.is_empty() {
            return None;
        }
        let hops = match hops {
            None => Vec::new(),
            Some(None) => vec![None],
            Some(Some(texts)) => texts.into_iter().map(address).collect(),
        };
        Some(Self::XForwarded(Lists { hops, protos, hosts, ports }))
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Forwarded(elements) => elements.len(),
            Self::XForwarded(lists) => lists.hops.len(),
        }
    }

    /// The hops from the right.
    fn hops(&self) -> impl Iterator<Item = Hop> {
        let (elements, hops) = match self {
            Self::Forwarded(elements) => (elements.as_slice(), [].as_slice()),
            Self::XForwarded(lists) => ([].as_slice(), lists.hops.as_slice()),
        };
        elements.iter().rev().map(|element| element.hop).chain(hops.iter().rev().copied())
    }

    /// The client, and its position from the right: the rightmost untrusted hop, or the leftmost if all are trusted. A hop
    /// without an address ends the chain at the hop before it.
    pub(super) fn walk(&self, trust: &Trust, peer: IpAddr) -> (IpAddr, usize) {
        let mut client = peer;
        for (at, hop) in self.hops().take(MAX_HOPS).enumerate() {
            match hop {
                Some(address) if trust.trusts(address) => client = address,
                Some(address) => return (address, at),
                None => return (client, at),
            }
        }
        (client, self.len().min(MAX_HOPS).saturating_sub(1))
    }

    /// Whether `long` ends with the hops of this chain.
    pub(super) fn is_end_of(&self, long: &Self) -> bool {
        self.len() <= long.len() && self.hops().eq(long.hops().take(self.len()))
    }

    /// The claim about the hop at this position from the right.
    pub(super) fn claim(&self, at: usize) -> Claim<'a> {
        match self {
            Self::Forwarded(elements) => {
                let element = elements.len().checked_sub(at + 1).and_then(|index| elements.get(index));
                element.map_or_else(Claim::default, |element| element.claim)
            }
            Self::XForwarded(lists) => lists.claim(at),
        }
    }
}

impl<'a> Lists<'a> {
    fn claim(&self, at: usize) -> Claim<'a> {
        // A list with as many values as there are addresses has one for each hop. In any other list the first value, the
        // outermost proxy's, applies to all.
        let pick = |list: &[&'a str]| {
            let is_by_hop = list.len() == self.hops.len();
            let index = if is_by_hop { list.len().saturating_sub(at + 1) } else { 0 };
            list.get(index).copied()
        };
        let port = pick(&self.ports).and_then(|port| port.parse().ok());
        Claim { scheme: pick(&self.protos).and_then(scheme), host: pick(&self.hosts).and_then(authority), port }
    }
}

impl<'a> Claim<'a> {
    /// The host and port of the claim. A port alone belongs to the host that the connection shows.
    pub(super) fn authority(self, own: Option<&str>) -> Option<Cow<'a, str>> {
        // Load balancers that end TLS name port 80 or 443 even if the client named none.
        let port = self.port.filter(|port| ![default_port("http"), default_port("https")].contains(&Some(*port)));
        let with_port = |host: &str| {
            let authority = Authority::parse(host).filter(|authority| authority.port().is_none())?;
            Some(Cow::Owned(format!("{}:{}", authority.host(), port?)))
        };
        match self.host {
            Some(host) => Some(with_port(host).unwrap_or(Cow::Borrowed(host))),
            None => with_port(own?),
        }
    }
}

impl<'a> Element<'a> {
    /// A parameter that occurs twice is invalid.
    fn parse(text: &'a str) -> Self {
        let value = |wanted: &str| {
            let mut values = unquoted(text, ';').filter_map(|pair| {
                let (name, value) = pair.trim_matches([' ', '\t']).split_once('=')?;
                name.eq_ignore_ascii_case(wanted).then_some(value)
            });
            values.next().filter(|_| values.next().is_none())
        };
        let text = |name| value(name).and_then(plain);
        let claim =
            Claim { scheme: text("proto").and_then(scheme), host: text("host").and_then(authority), port: None };
        Self { hop: value("for").and_then(node), claim }
    }
}

/// All entries of a header, in order: `None` without such a header, `Some(None)` if it is too long.
fn list<'a, I: Iterator<Item = &'a str>>(
    headers: &'a impl Headers,
    name: &'static str,
    split: impl Fn(&'a str) -> I,
) -> Option<Option<Vec<&'a str>>> {
    let (mut entries, mut bytes, mut is_present) = (Vec::new(), 0, false);
    for value in headers.values(name) {
        is_present = true;
        bytes += value.len();
        if bytes <= MAX_BYTES {
            entries.extend(split(value).map(|entry| entry.trim_matches([' ', '\t'])));
        }
    }
    is_present.then(|| (bytes <= MAX_BYTES).then_some(entries))
}

/// The elements of `Forwarded`. If a quote is left open, quotes are ignored: a client must not hide what a trusted proxy
/// appends.
fn elements(value: &str) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    for character in value.chars() {
        quotes.follow(character);
    }
    let (is_closed, mut quotes) = (!quotes.is_open, Quotes::default());
    value.split(move |character| !(quotes.follow(character) && is_closed) && character == ',')
}

fn scheme(text: &str) -> Option<&'static str> {
    let is = |scheme: &&str| text.eq_ignore_ascii_case(scheme);
    match text {
        _ if ["https", "wss"].iter().any(is) => Some("https"),
        _ if ["http", "ws"].iter().any(is) => Some("http"),
        _ => None,
    }
}

fn authority(text: &str) -> Option<&str> {
    Authority::parse(text).map(|_| text)
}

/// A token, or a quoted text without escapes: addresses and hosts need none.
fn plain(value: &str) -> Option<&str> {
    match value.strip_prefix('"') {
        Some(quoted) => quoted.strip_suffix('"').filter(|text| !text.contains('\\')),
        None => Some(value),
    }
}

/// An IPv6 address has to be quoted.
fn node(value: &str) -> Hop {
    let is_quoted = value.starts_with('"');
    address(plain(value)?).filter(|address| is_quoted || address.is_ipv4())
}

/// An address, with or without a port; IPv6 in brackets if there is one.
fn address(text: &str) -> Hop {
    let bracketed = || text.strip_prefix('[')?.strip_suffix(']')?.parse().ok().map(IpAddr::V6);
    let with_port = || text.parse::<SocketAddr>().ok().map(|address| address.ip());
    text.parse().ok().or_else(bracketed).or_else(with_port).map(|address: IpAddr| address.to_canonical())
}

/// Splits at each `separator` that is not within quotes.
fn unquoted(text: &str, separator: char) -> impl Iterator<Item = &str> {
    let mut quotes = Quotes::default();
    text.split(move |character| !quotes.follow(character) && character == separator)
}

/// Tracks where quoted text begins and ends.
#[derive(Default)]
struct Quotes {
    is_open: bool,
    is_escaped: bool,
}

impl Quotes {
    /// Whether the character is within quotes.
    fn follow(&mut self, character: char) -> bool {
        let is_within = self.is_open;
        match character {
            _ if self.is_escaped => self.is_escaped = false,
            '\\' if self.is_open => self.is_escaped = true,
            '"' => self.is_open = !self.is_open,
            _ => {}
        }
        is_within
    }
}
