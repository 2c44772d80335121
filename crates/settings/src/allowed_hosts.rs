//! The hosts that a listener accepts. A page on the internet may resolve its own name to 127.0.0.1, or to an address in the
//! reader's network (DNS rebinding). The browser then treats the page and the listener as one origin, and the page may read the
//! listener's responses. Its requests still carry the page's name in `Host`.

use std::net::{IpAddr, SocketAddr};

use crate::Settings;
use crate::host::Authority;
use crate::origin::Origin;

/// The hosts that a listener accepts besides this machine's own, wherever it listens.
const HOSTS: &str = "CRUDDUR_HOSTS";

/// The hosts that a listener accepts.
#[derive(Debug, Clone)]
pub struct AllowedHosts {
    /// Names besides this machine's own; `None` allows every host.
    names: Option<Vec<String>>,
}

/// Why a request's host is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum HostFault {
    /// There is no `Host`, which only HTTP/1.0 permits.
    #[error("the request has no Host")]
    Missing,
    /// There are several, or one that is not a valid host.
    #[error("the request has several Host headers or an invalid one")]
    Invalid,
    /// The listener does not accept this host.
    #[error("this host is not served here; use localhost, or set FRONTEND_URL or BACKEND_URL to its origin")]
    Foreign,
}

impl AllowedHosts {
    /// The hosts of a listener at `listen`. On loopback these are `localhost`, loopback addresses, the hosts of `FRONTEND_URL`
    /// and `BACKEND_URL`, the names under which Codespaces and Gitpod publish the port, and those in `CRUDDUR_HOSTS`. On other
    /// addresses every host is allowed, unless `CRUDDUR_HOSTS` is set.
    pub fn read(settings: &mut Settings, listen: SocketAddr) -> Self {
        let origins = Origin::read_all(settings);
        let published = published(settings, listen.port());
        let listed = listed(settings);
        let is_bound = listen.ip().to_canonical().is_loopback() || listed.is_some();
        let names = origins.iter().map(|origin| origin.host().to_owned()).chain(published);
        Self { names: is_bound.then(|| names.chain(listed.unwrap_or_default()).collect()) }
    }

    /// Checks whether a request may be served, by the authority of its target (if it has one) and by its `Host` headers.
    ///
    /// # Errors
    /// The request must be refused.
    pub fn check<'h>(&self, target: Option<&str>, hosts: impl IntoIterator<Item = &'h [u8]>) -> Result<(), HostFault> {
        let Some(names) = &self.names else { return Ok(()) };
        let mut hosts = hosts.into_iter();
        let host = match (hosts.next(), hosts.next()) {
            (None, _) => None,
            (Some(host), None) => Some(str::from_utf8(host).map_err(|_| HostFault::Invalid)?),
            _ => return Err(HostFault::Invalid),
        };
        if target.or(host).is_none() {
            return Err(HostFault::Missing);
        }
        for authority in [target, host].into_iter().flatten() {
            let host = Authority::parse(authority).ok_or(HostFault::Invalid)?.host();
            if !is_own(host) && !names.iter().any(|name| name.eq_ignore_ascii_case(without_dot(host))) {
                return Err(HostFault::Foreign);
            }
        }
        Ok(())
    }
}

/// Whether this is one of this machine's own names. `127.1` is not: a browser sends it as `127.0.0.1`.
fn is_own(host: &str) -> bool {
    let address = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
    without_dot(host).eq_ignore_ascii_case("localhost")
        || address.parse::<IpAddr>().is_ok_and(|address| address.to_canonical().is_loopback())
}

/// Removes the dot of the root, with which a name may end.
fn without_dot(host: &str) -> &str {
    host.strip_suffix('.').unwrap_or(host)
}

/// The names in [`HOSTS`], if it is set.
fn listed(settings: &mut Settings) -> Option<Vec<String>> {
    let text = settings.text(HOSTS)?;
    let mut names = Vec::new();
    for name in text.split(',').map(str::trim).filter(|name| !name.is_empty()) {
        match Authority::parse(name).filter(|host| host.port().is_none()) {
            Some(host) => names.push(without_dot(host.host()).to_owned()),
            None if settings.is_wrong(HOSTS) => {}
            None => settings
                .fault(HOSTS, format!("{name:?} is not a host; list hosts without ports: viewer.example,10.0.0.7")),
        }
    }
    Some(names)
}

/// The names under which a cloud workspace publishes this port.
fn published(settings: &mut Settings, port: u16) -> Vec<String> {
    let domain = settings.text_or("GITHUB_CODESPACES_PORT_FORWARDING_DOMAIN", "app.github.dev");
    let codespace = settings.text("CODESPACE_NAME").map(|name| format!("{name}-{port}.{domain}"));
    let gitpod = settings.text("GITPOD_WORKSPACE_URL").and_then(|url| url.parse::<Origin>().ok());
    let gitpod = gitpod.map(|origin| format!("{port}-{}", origin.host()));
    codespace.into_iter().chain(gitpod).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const VARIABLES: [(&str, &str); 4] = [
        ("FRONTEND_URL", "https://App.example:8443"),
        ("BACKEND_URL", "http://192.0.2.7"),
        ("CODESPACE_NAME", "fuzzy-space"),
        ("GITPOD_WORKSPACE_URL", "https://me-cruddur-1a2b.ws-eu1.gitpod.io"),
    ];

    fn check(listen: &str, target: Option<&str>, hosts: &[&str]) -> Result<(), HostFault> {
        let mut settings = Settings::from_pairs(&VARIABLES);
        let allowed = AllowedHosts::read(&mut settings, listen.parse().unwrap());
        allowed.check(target, hosts.iter().map(|host| host.as_bytes()))
    }

    #[test]
    fn a_loopback_listener_accepts_its_own_names() {
        for host in [
            "localhost",
            "LocalHost:4318",
            "localhost.",
            "127.0.0.1:4318",
            "127.9.9.9",
            "[::1]:80",
            "[0:0:0:0:0:0:0:1]",
            "[::ffff:127.0.0.1]",
            "app.example",
            "APP.example.:1",
            "192.0.2.7:4567",
            "fuzzy-space-4318.app.github.dev",
            "4318-me-cruddur-1a2b.ws-eu1.gitpod.io",
        ] {
            for listen in ["127.0.0.1:4318", "[::1]:4318"] {
                assert_eq!(check(listen, None, &[host]), Ok(()), "{host} {listen}");
            }
            assert_eq!(check("127.0.0.1:4318", Some(host), &[]), Ok(()), "{host}");
        }
    }

    #[test]
    fn listed_hosts_bound_a_listener_on_any_address() {
        let read = |hosts: &str| {
            let mut settings = Settings::from_pairs(&[("CRUDDUR_HOSTS", hosts)]);
            let allowed = AllowedHosts::read(&mut settings, "0.0.0.0:4318".parse().unwrap());
            settings.finish(allowed).map_err(|faults| faults.to_string())
        };
        let allowed = read("trace-viewer, Viewer.example.,[fd00::1]").unwrap();
        let check = |host: &str| allowed.check(None, [host.as_bytes()]);
        for host in ["trace-viewer:4318", "viewer.example", "[fd00::1]:80", "localhost:4318", "127.0.0.1"] {
            assert_eq!(check(host), Ok(()), "{host}");
        }
        for host in ["evil.example", "trace-viewer.evil.example", "10.0.0.7"] {
            assert_eq!(check(host), Err(HostFault::Foreign), "{host}");
        }
        for hosts in ["viewer.example:4318", "a b", "http://viewer.example"] {
            assert!(read(hosts).unwrap_err().starts_with("CRUDDUR_HOSTS: "), "{hosts}");
        }
    }

    #[test]
    fn a_loopback_listener_refuses_foreign_hosts() {
        for host in [
            "evil.example",
            "localhost.evil.example",
            "evil-localhost",
            "127.0.0.1.evil.example",
            "127.1",
            "2130706433",
            "0x7f.0.0.1",
            "0.0.0.0",
            "[::]",
            "192.0.2.8",
            "sub.app.example",
            "localhost..",
            "fuzzy-space-3000.app.github.dev",
            "fuzzy-space-4318.app.github.dev.evil.example",
        ] {
            assert_eq!(check("127.0.0.1:4318", None, &[host]), Err(HostFault::Foreign), "{host}");
            assert_eq!(check("127.0.0.1:4318", Some(host), &["localhost"]), Err(HostFault::Foreign), "{host}");
            assert_eq!(check("127.0.0.1:4318", Some("localhost"), &[host]), Err(HostFault::Foreign), "{host}");
            assert_eq!(check("0.0.0.0:4318", None, &[host]), Ok(()), "every other address accepts every host");
        }
    }

    #[test]
    fn a_request_has_exactly_one_valid_host() {
        for hosts in [&[""][..], &["localhost@evil.example"], &["me@localhost"], &["localhost", "localhost"], &["::1"]]
        {
            assert_eq!(check("127.0.0.1:4318", None, hosts), Err(HostFault::Invalid), "{hosts:?}");
        }
        assert_eq!(check("127.0.0.1:4318", None, &[]), Err(HostFault::Missing));
    }

    proptest! {
        #[test]
        fn a_longer_name_is_foreign(before in "[a-z0-9-]{0,4}\\.?", after in "\\.?[a-z-][a-z0-9-]{0,4}") {
            for own in ["localhost", "127.0.0.1", "app.example"] {
                for host in [format!("{before}x{own}"), format!("{own}{after}")] {
                    prop_assert!(check("127.0.0.1:4318", None, &[&host]).is_err(), "{}", host);
                }
            }
        }
    }
}
