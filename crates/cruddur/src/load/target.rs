//! The addresses of a load's target. Sends nothing except the DNS query.

use std::net::{IpAddr, SocketAddr};

use super::error::Error;
use super::origin::Origin;

impl Origin {
    /// Every address of the host.
    ///
    /// # Errors
    /// The host has no address, or it cannot be resolved.
    pub(super) async fn addresses(&self) -> Result<Vec<SocketAddr>, Error> {
        let unknown = |why: String| Error::Unresolved { host: self.host().to_owned(), why };
        let found = tokio::net::lookup_host((self.host(), self.port())).await;
        let addresses: Vec<SocketAddr> = found.map_err(|error| unknown(error.to_string()))?.collect();
        if addresses.is_empty() { Err(unknown("it has no address".to_owned())) } else { Ok(addresses) }
    }

    /// Refuses a host if any of its addresses is another machine's, since the address used is not predictable.
    ///
    /// # Errors
    /// One of the addresses is another machine's.
    pub(super) fn is_here(&self, addresses: &[SocketAddr]) -> Result<(), Error> {
        match addresses.iter().map(SocketAddr::ip).find(|address| !is_loopback(*address)) {
            Some(address) => Err(Error::Remote { origin: self.clone(), address }),
            None => Ok(()),
        }
    }
}

/// Whether an address is loopback; an IPv4 address may come mapped to IPv6.
fn is_loopback(address: IpAddr) -> bool {
    address.to_canonical().is_loopback()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_loopback_addresses_are_this_machine() {
        let origin: Origin = "cruddur.test:3000".parse().unwrap();
        let here = |addresses: &[&str]| {
            let addresses: Vec<SocketAddr> = addresses.iter().map(|address| address.parse().unwrap()).collect();
            origin.is_here(&addresses)
        };
        here(&["127.0.0.1:3000", "127.9.9.9:3000", "[::1]:3000", "[::ffff:127.0.0.1]:3000"]).unwrap();
        for remote in
            ["192.0.2.1:3000", "10.0.0.1:3000", "0.0.0.0:3000", "[2001:db8::1]:3000", "[::ffff:192.0.2.1]:3000"]
        {
            let error = here(&["127.0.0.1:3000", remote]).unwrap_err().to_string();
            assert!(error.contains("--allow-remote"), "{error}");
        }
    }

    #[tokio::test]
    async fn an_unresolved_host_is_named() {
        let origin: Origin = "no-such-host.invalid:3000".parse().unwrap();
        let error = origin.addresses().await.unwrap_err().to_string();
        assert!(error.contains("no-such-host.invalid"), "{error}");
    }
}
